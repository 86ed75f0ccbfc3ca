/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The path of an object in its mount namespace, whatever root the task has (chroot does not matter), at any depth.
 *
 * Written from the end of a buffer towards its start while the walk climbs from the object's dentry to the root of the
 * mount namespace: the matcher needs it from the root. bpf_d_path would stop at the task's root and truncate.
 * The walk reads without locks: a rename that races with it may show the old or the new path, as with d_path's readers.
 */
#ifndef MERLON_PATH_H
#define MERLON_PATH_H

#include "count.bpf.h"

/* The path ends here in slot->text. */
#define MERLON_TEXT_END MERLON_PATH_MAX

/* d_parent, d_name.hash_len, d_name.name: neighbours on every kernel so far, read at once where they are. */
struct merlon_dentry_head {
	__u64 parent;
	__u32 hash;
	__u32 len;
	__u64 name;
};

static __always_inline long merlon_read_dentry(__u64 address, struct merlon_dentry_head *out)
{
	const struct dentry *dentry = (const void *)address;

	if (bpf_core_field_offset(dentry->d_name) == bpf_core_field_offset(dentry->d_parent) + 8)
		return bpf_probe_read_kernel(out, sizeof(*out), (void *)address + bpf_core_field_offset(dentry->d_parent));
	out->parent = (__u64)BPF_CORE_READ(dentry, d_parent);
	out->len = BPF_CORE_READ(dentry, d_name.len);
	out->name = (__u64)BPF_CORE_READ(dentry, d_name.name);
	return 0;
}

/* Puts `len` bytes of kernel memory before the path. */
static __always_inline void merlon_prepend(struct merlon_scratch *slot, __u64 from, __u32 len)
{
	struct merlon_walk *walk = &slot->walk;
	__u32 at;

	if (len > 255 || len >= walk->at) {
		walk->reason = MERLON_REASON_PATH_TOO_LONG;
		return;
	}
	at = (walk->at - len) & (MERLON_PATH_MAX - 1);
	if (bpf_probe_read_kernel(&slot->text[at], len, (void *)from)) {
		walk->reason = MERLON_REASON_READ_FAILED;
		return;
	}
	walk->at = at;
}

static __always_inline void merlon_prepend_slash(struct merlon_scratch *slot)
{
	__u32 at = (slot->walk.at - 1) & (MERLON_PATH_MAX - 1);

	if (!at) {
		slot->walk.reason = MERLON_REASON_PATH_TOO_LONG;
		return;
	}
	slot->text[at] = '/';
	slot->walk.at = at;
}

/* At the root of a mount: on to its parent mount, or the end. Returns 1 at the end. */
static __always_inline long merlon_cross(struct merlon_walk *walk)
{
	struct mount *mount = (void *)walk->mount, *parent = BPF_CORE_READ(mount, mnt_parent);

	if (parent != mount && parent) {
		walk->dentry = (__u64)BPF_CORE_READ(mount, mnt_mountpoint);
		walk->mount = (__u64)parent;
		walk->root = (__u64)BPF_CORE_READ(parent, mnt.mnt_root);
		return 0;
	}
	if (BPF_CORE_READ(mount, mnt_ns, root) != mount)
		walk->reason = MERLON_REASON_DETACHED;
	return 1;
}

/*
 * A mount that only the kernel itself uses: of pipes, sockets and memfds, and the private copies through which overlayfs
 * opens the files beneath its own. It has MNT_NS_INTERNAL, an error pointer, for its namespace.
 */
static __always_inline bool merlon_is_internal(__u64 mount)
{
	return (__u64)BPF_CORE_READ((struct mount *)mount, mnt_ns) >= -4095ULL;
}

static long merlon_step(__u32 unused, void *context)
{
	struct merlon_scratch *slot = *(struct merlon_scratch **)context;
	struct merlon_walk *walk = &slot->walk;
	struct merlon_dentry_head head = {};

	if (walk->dentry == walk->root)
		return merlon_cross(walk);
	if (merlon_read_dentry(walk->dentry, &head)) {
		walk->reason = MERLON_REASON_READ_FAILED;
		return 1;
	}
	merlon_prepend(slot, head.name, head.len);
	if (walk->reason)
		return 1;
	if (head.parent == walk->dentry) { /* hangs in no directory: memfd, pipe, socket; or opened by a handle alone (open_by_handle_at) */
		if (!walk->pseudo)
			walk->reason = MERLON_REASON_DETACHED;
		return 1;
	}
	merlon_prepend_slash(slot);
	if (walk->reason)
		return 1;
	walk->dentry = head.parent;
	return 0;
}

/*
 * Writes the path into slot->text; slot->walk says where. One of MERLON_PATH_MAX bytes or more, or one that has no root,
 * leaves a reason instead. Global, as the other large steps are: the verifier then looks at it once, not once a caller.
 */
__noinline int merlon_walk(struct merlon_scratch *slot, __u64 dentry, __u64 vfsmount)
{
	struct merlon_walk *walk;

	if (!slot)
		return 0;
	walk = &slot->walk;
	walk->at = walk->end = MERLON_TEXT_END;
	walk->reason = walk->pseudo = 0;
	walk->dentry = dentry;
	walk->mount = vfsmount - bpf_core_field_offset(struct mount, mnt);
	walk->root = (__u64)BPF_CORE_READ((struct vfsmount *)vfsmount, mnt_root);
	if (merlon_is_internal(walk->mount)) {
		walk->pseudo = 1;
		/* Beneath an overlay, whose layers may be whole file systems: decided under the path that the task used. */
		if (dentry == walk->root || (__u64)BPF_CORE_READ((struct dentry *)dentry, d_parent) != dentry)
			return 0;
	}
	/* A component takes two bytes at least; mounts may be stacked on one place without taking any. */
	if (bpf_loop(2 * MERLON_PATH_MAX, merlon_step, &slot, 0) >= 2 * MERLON_PATH_MAX)
		walk->reason = MERLON_REASON_PATH_TOO_LONG;
	if (!walk->reason && walk->at == walk->end)
		merlon_prepend_slash(slot); /* the root itself */
	return 0;
}

#endif
