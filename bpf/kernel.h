/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel's structures that the programs read: only the fields that they touch, relocated at load (CO-RE). This file
 * is the whole kernel surface of Merlon. Fields keep their kernel names; offsets here mean nothing.
 */
#ifndef MERLON_KERNEL_H
#define MERLON_KERNEL_H

#include <linux/types.h>

typedef _Bool bool;
#define true 1
#define false 0

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common {
	unsigned int inum;
};

typedef struct {
	unsigned int val;
} kuid_t;

struct uid_gid_extent {
	__u32 first;
	__u32 lower_first;
	__u32 count;
};

struct uid_gid_map {
	__u32 nr_extents;
	struct uid_gid_extent extent[5]; /* up to so many; else: */
	struct uid_gid_extent *forward;
};

struct user_namespace {
	int level;
	struct uid_gid_map uid_map;
};

struct super_block {
	struct user_namespace *s_user_ns;
};

struct inode {
	kuid_t i_uid;
	struct super_block *i_sb;
};

struct mnt_idmap {
	struct uid_gid_map uid_map;   /* from Linux 6.8 on */
	struct user_namespace *owner; /* before */
};

struct qstr {
	union {
		struct {
			__u32 hash;
			__u32 len;
		};
		__u64 hash_len;
	};
	const unsigned char *name;
};

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
};

struct vfsmount {
	struct dentry *mnt_root;
	struct mnt_idmap *mnt_idmap;       /* from Linux 6.2 on */
	struct user_namespace *mnt_userns; /* before */
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct mnt_namespace {
	struct ns_common ns;
	struct mount *root;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
	struct mnt_namespace *mnt_ns;
};

struct file {
	struct path f_path;
	struct inode *f_inode;
	unsigned int f_flags;
	unsigned int f_mode;
};

struct linux_binprm {
	struct file *file;
};

struct kernfs_node {
	__u64 id;
};

struct cgroup {
	struct kernfs_node *kn;
	int level;
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

struct pid_namespace {
	struct ns_common ns;
	unsigned int level;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

struct nsproxy {
	struct mnt_namespace *mnt_ns;
};

struct mm_struct {
	struct file *exe_file;
	unsigned long arg_start;
	unsigned long arg_end;
};

struct tty_struct {
	char name[64];
};

struct signal_struct {
	struct tty_struct *tty;
};

/* Until Linux 6.3 two words of 32 bits. */
typedef struct {
	__u64 val;
} kernel_cap_t;

struct cred {
	kuid_t uid;
	kuid_t fsuid;
	kernel_cap_t cap_permitted;
	struct user_namespace *user_ns;
};

struct task_struct {
	struct mm_struct *mm;
	int pid;
	int tgid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	const struct cred *cred;
	char comm[16];
	struct nsproxy *nsproxy;
	struct signal_struct *signal;
	struct css_set *cgroups;
};

/* x86-64: where execve and execveat find their argv. Other architectures get their own entry when they are built. */
struct pt_regs {
	unsigned long si;
	unsigned long dx;
	unsigned long orig_ax;
};

#pragma clang attribute pop

/* include/uapi/asm-generic/errno*.h, include/linux/errno.h */
#define EACCES 13
#define ENOENT 2
#define EFAULT 14
#define ENOMEM 12
#define ENOSPC 28
#define EINVAL 22
#define ERESTARTNOINTR 513

#define FMODE_WRITE 0x2
#define O_TRUNC 01000
#define SIGSTOP 19

#define NR_EXECVEAT 322 /* x86-64 */

/* BPF_NOEXIST, BPF_LOCAL_STORAGE_GET_F_CREATE: from linux/bpf.h */

#endif
