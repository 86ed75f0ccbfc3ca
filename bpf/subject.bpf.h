/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who is asking: the profile bound to the task's cgroup or its nearest bound ancestor, found once and kept in task
 * storage next to the cgroup id and the epoch that it was found for. Namespaces are not identity.
 */
#ifndef MERLON_SUBJECT_H
#define MERLON_SUBJECT_H

#include "path.bpf.h"

/* Deeper cgroups than this are searched from this many levels above the root. Docker in docker in Kubernetes: 12. */
#define MERLON_CGROUP_LEVELS 64

static __always_inline __u64 merlon_epoch(void)
{
	__u32 zero = 0;
	struct merlon_control *state = bpf_map_lookup_elem(&control, &zero);

	return state ? state->bind_epoch : 0;
}

/*
 * The mark of start-up code is a whole process's, but a move of cgroups is told for its leader only (cgroup_attach_task has one
 * tracepoint a thread group), and Go programs such as runc have threads before they are moved. Exec ends all other threads.
 */
static __always_inline bool merlon_is_entering_process(const struct task_struct *task)
{
	struct merlon_task *leader = bpf_task_storage_get(&tasks, task->group_leader, 0, 0);

	return leader && (leader->flags & MERLON_TASK_ENTERING);
}

struct merlon_search {
	struct merlon_task *who;
	int level;
};

/* Looks at one ancestor, from the leaf towards the root. */
static long merlon_search_level(__u32 i, void *context)
{
	struct merlon_search *search = context;
	int level = search->level - (int)i;
	struct merlon_binding *binding;
	__u64 id;

	if (level < 0)
		return 1;
	id = bpf_get_current_ancestor_cgroup_id(level);
	binding = bpf_map_lookup_elem(&bindings, &id);
	if (!binding)
		return 0;
	search->who->bound_id = id;
	search->who->slot = binding->slot;
	search->who->kind = binding->kind;
	search->who->visible = binding->visible;
	search->who->bound = binding->flags;
	return 1;
}

/* Fills in cgroup, binding and epoch of the current task. Keeps `flags`, and takes the mark of start-up code from the leader. */
__noinline int merlon_resolve(struct merlon_task *who, __u64 cgroup_id, __u64 epoch)
{
	struct task_struct *task = (void *)bpf_get_current_task_btf();
	struct merlon_search search = { .who = who };

	if (!who)
		return 0;
	search.level = BPF_CORE_READ(task, cgroups, dfl_cgrp, level);
	who->cgroup_id = cgroup_id;
	who->epoch = epoch;
	who->bound_id = 0;
	who->slot = who->kind = who->visible = who->bound = who->serial = who->subject = 0;
	if (merlon_is_entering_process(task))
		__sync_fetch_and_or(&who->flags, MERLON_TASK_ENTERING);
	bpf_loop(MERLON_CGROUP_LEVELS, merlon_search_level, &search, 0);
	return 0;
}

/*
 * A runtime's process, seen by its mounts: it is in the node's mount namespace, or its executable lies there, or on a mount
 * that was taken out of it (runc runs from a bind mount of itself that it has unmounted). `runc exec` joins the container's
 * namespaces first and is moved into its cgroup later, while it runs.
 */
static __always_inline bool merlon_is_from_outside(const struct task_struct *task)
{
	struct vfsmount *vfsmount;
	struct mnt_namespace *ns;

	if (task->nsproxy->mnt_ns->ns.inum == merlon_config.host_mnt_ns)
		return true;
	vfsmount = BPF_CORE_READ(task, mm, exe_file, f_path.mnt);
	if (!vfsmount)
		return false;
	ns = BPF_CORE_READ((struct mount *)((__u64)vfsmount - bpf_core_field_offset(struct mount, mnt)), mnt_ns);
	if (!ns)
		return true;
	if ((__u64)ns >= -4095ULL)
		return false; /* a memfd: containers run those too */
	return BPF_CORE_READ(ns, ns.inum) == merlon_config.host_mnt_ns;
}

/* Of the current task, as bpf_get_current_cgroup_id() gives it, which costs a call and an RCU section more. */
static __always_inline __u64 merlon_cgroup_id(const struct task_struct *task)
{
	return task->cgroups->dfl_cgrp->kn->id;
}

/*
 * The current task's state, up to date: its storage, or `local` where there is no memory for one (bpf_task_storage_get
 * fails under memory pressure, and on 7.x wherever the CPU lacks cmpxchg16b).
 */
static __always_inline struct merlon_task *merlon_current_at(struct merlon_task *local, struct task_struct *task, __u64 cgroup_id,
							     __u64 epoch)
{
	struct merlon_task *who = bpf_task_storage_get(&tasks, task, 0, 0);
	bool was_inside = who && who->kind == MERLON_BIND_CONTAINER;
	bool was_elsewhere = who && who->cgroup_id && who->cgroup_id != cgroup_id;

	if (who && who->cgroup_id == cgroup_id && who->epoch == epoch)
		return who;
	if (!who)
		who = bpf_task_storage_get(&tasks, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!who) {
		MERLON_ERROR(MERLON_FILE_SUBJECT, ENOMEM);
		who = local;
	}
	merlon_resolve(who, cgroup_id, epoch);
	/* life.bpf.h marks who comes in, but a task that is being moved may get here before the tracepoint does. */
	if (!was_inside && who->kind == MERLON_BIND_CONTAINER && (was_elsewhere || merlon_is_from_outside(task)))
		__sync_fetch_and_or(&who->flags, MERLON_TASK_ENTERING);
	return who;
}

static __always_inline struct merlon_task *merlon_current(struct merlon_task *local)
{
	struct task_struct *task = (void *)bpf_get_current_task_btf();

	return merlon_current_at(local, task, merlon_cgroup_id(task), merlon_epoch());
}

/*
 * As merlon_current, for opens, which have nothing to do where no rule applies and nothing is to be recorded: 0 then. The epoch is read before the bindings: an answer that a change
 * overtakes is kept under the old epoch, which nobody asks for any more.
 */
static __always_inline struct merlon_task *merlon_current_watched(struct merlon_task *local)
{
	struct task_struct *task = (void *)bpf_get_current_task_btf();
	__u64 cgroup_id = merlon_cgroup_id(task), epoch = merlon_epoch(), word = epoch << 32 | cgroup_id, *known;
	bool fits = !((cgroup_id | epoch) >> 32);
	__u32 index = cgroup_id % MERLON_UNRULED;
	struct merlon_task *who;

	known = bpf_map_lookup_elem(&unruled, &index);
	if (known && *known == word && fits)
		return 0;
	who = merlon_current_at(local, task, cgroup_id, epoch);
	if (who->slot || (who->visible & MERLON_VISIBLE_FILE))
		return who;
	if (known && fits)
		*(volatile __u64 *)known = word;
	return 0;
}

/* A container's task whose start-up code is the runtime's. */
static __always_inline bool merlon_entering(const struct merlon_task *who)
{
	return who->kind == MERLON_BIND_CONTAINER && (who->flags & MERLON_TASK_ENTERING);
}

/* Whether a permitted operation is to be recorded. What a runtime's start-up code opens is no operation of its container. */
static __always_inline bool merlon_is_visible(const struct merlon_task *who, __u32 op)
{
	if (op == MERLON_OP_EXEC)
		return who->visible & MERLON_VISIBLE_PROCESS;
	return (who->visible & MERLON_VISIBLE_FILE) && !merlon_entering(who);
}

/* Walks to an executable. Returns 0, or -1 where it has no path or none that can be decided. */
static __always_inline int merlon_walk_exe(struct merlon_scratch *slot, const struct task_struct *task)
{
	struct file *exe = BPF_CORE_READ(task, mm, exe_file);

	if (!exe) /* a kernel thread, or a process that is gone */
		return -1;
	merlon_walk(slot, (__u64)BPF_CORE_READ(exe, f_path.dentry), (__u64)BPF_CORE_READ(exe, f_path.mnt));
	return slot->walk.reason ? -1 : 0;
}

#endif
