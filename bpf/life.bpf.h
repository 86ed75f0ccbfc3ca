/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who comes into a cgroup from outside. A runtime's start-up code runs in the container's cgroup before the container
 * does; its children are start-up code too. A process of a container never becomes start-up code again: the mark is set
 * only where a task moves, or is cloned, into a cgroup from another that is no bound container's.
 */
#ifndef MERLON_LIFE_H
#define MERLON_LIFE_H

#include "subject.bpf.h"

static __always_inline bool merlon_is_inside(const struct merlon_task *who)
{
	return who && who->kind == MERLON_BIND_CONTAINER && !(who->flags & MERLON_TASK_ENTERING);
}

static __always_inline void merlon_mark_entering(struct task_struct *task)
{
	struct merlon_task *who = bpf_task_storage_get(&tasks, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (who)
		__sync_fetch_and_or(&who->flags, MERLON_TASK_ENTERING);
	else
		MERLON_ERROR(MERLON_FILE_LIFE, ENOMEM);
}

/*
 * Of the current task. Whom a process of a container moves or clones is of its container, too, and has no storage yet where it has done
 * nothing: without this a container that may write to its cgroups could make start-up code of its own children.
 */
static __always_inline bool merlon_current_is_inside(void)
{
	struct merlon_task local = {};

	return merlon_is_inside(merlon_current(&local));
}

SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(merlon_attach, struct cgroup *to, const char *path, struct task_struct *task, bool threadgroup)
{
	if (!merlon_is_inside(bpf_task_storage_get(&tasks, task, 0, 0)) && !merlon_current_is_inside())
		merlon_mark_entering(task);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(merlon_fork, struct task_struct *parent, struct task_struct *child)
{
	if (merlon_is_entering_process(parent))
		merlon_mark_entering(child);
	else if (child->cgroups->dfl_cgrp != parent->cgroups->dfl_cgrp && !merlon_current_is_inside())
		merlon_mark_entering(child); /* CLONE_INTO_CGROUP */
	return 0;
}

#endif
