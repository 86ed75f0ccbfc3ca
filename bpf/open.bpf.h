/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * file_open: every open(2) family call, O_PATH excepted, and the kernel's own opening of a file to execute it.
 *
 * OVERHEAD per open, instructions on 6.12: see bench/RESULTS.md.
 */
#ifndef MERLON_OPEN_H
#define MERLON_OPEN_H

#include "decide.bpf.h"

/*
 * Overlayfs opens the file beneath its own a second time; the first time was decided under the path that the task used.
 * Before v6.5 that second file has the upper path and the lower inode; from then on the lower path, on an internal mount
 * (merlon_is_internal).
 */
static __always_inline bool merlon_is_backing(const struct file *file)
{
	return file->f_path.dentry->d_inode != file->f_inode;
}

SEC("lsm/file_open")
int BPF_PROG(merlon_file_open, struct file *file, int ret)
{
	struct merlon_task local = {}, *who;
	struct merlon_question question = { .op = MERLON_OP_READ };
	struct task_struct *task;

	if (ret)
		return ret;
	who = merlon_current_watched(&local);
	if (!who || merlon_is_backing(file))
		return 0;
	task = (void *)bpf_get_current_task_btf();
	if ((file->f_mode & FMODE_WRITE) || (file->f_flags & O_TRUNC))
		question.op = MERLON_OP_WRITE;
	question.owner = merlon_owns(task, file->f_inode, file->f_path.mnt);
	question.dentry = file->f_path.dentry;
	question.vfsmount = file->f_path.mnt;
	return merlon_decide(who, &question);
}

#endif
