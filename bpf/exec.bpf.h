/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * bprm_check_security: may this file be executed? Runs for a script and again for its interpreter.
 * bprm_committed_creds: the exec happened; the task has another executable now.
 *
 * The first exec in a container that no profile is bound to yet is *held*: the task gets SIGSTOP and execve returns
 * ERESTARTNOINTR, so that it runs again, unchanged, once the agent has bound the container and sent SIGCONT. Nothing of
 * a container runs before its profile applies (docs/decisions/holding-containers.md).
 */
#ifndef MERLON_EXEC_H
#define MERLON_EXEC_H

#include "decide.bpf.h"

/* ---- Hold ---- */

/* linux/capability.h, whose constants are macros and hence not in the kernel's type information */
#define MERLON_CAP_SYS_ADMIN 21
#define MERLON_CAP_BPF 39

/* enum merlon_hold_mode */
static __always_inline __u32 merlon_hold_mode(void)
{
	__u32 zero = 0;
	struct merlon_control *state = bpf_map_lookup_elem(&control, &zero);

	return state ? state->hold : MERLON_HOLD_OFF;
}

static __always_inline bool merlon_agent_lives(void)
{
	__u32 zero = 0;
	struct merlon_control *state = bpf_map_lookup_elem(&control, &zero);

	return state && bpf_ktime_get_boot_ns() - state->heartbeat_ns < MERLON_HEARTBEAT_MAX_NS;
}

/* In a mount namespace that is not the node's, below no container that is bound, or in a pod whose containers have to be told apart: somebody's new container. */
static __always_inline bool merlon_is_unknown_container(const struct merlon_task *who, const struct task_struct *task)
{
	bool is_bound = who->kind == MERLON_BIND_CONTAINER || who->kind == MERLON_BIND_PLAIN;

	if (is_bound && (!(who->bound & MERLON_BOUND_HOLDS) || who->bound_id == who->cgroup_id))
		return false;
	return task->nsproxy->mnt_ns->ns.inum != merlon_config.host_mnt_ns;
}

/*
 * On a node of a cluster the agent is a container, too: without this, one that is replaced while unknown containers are blocked would wait for itself for
 * ever. Whoever has these capabilities in the node's own user namespace may load programs, and could end the block as well.
 */
static __always_inline bool merlon_may_be_agent(const struct task_struct *task)
{
	const __u64 needs = 1ULL << MERLON_CAP_SYS_ADMIN | 1ULL << MERLON_CAP_BPF;
	__u64 permitted = 0;

	/* Unreadable: none. */
	if (bpf_probe_read_kernel(&permitted, sizeof(permitted), &task->cred->cap_permitted))
		return false;
	return (permitted & needs) == needs && BPF_CORE_READ(task, cred, user_ns, level) == 0;
}

/* What becomes of an exec that cannot be held. */
static __always_inline int merlon_not_held(__u32 mode)
{
	merlon_stat(MERLON_STAT_NOT_HELD);
	return mode == MERLON_HOLD_ALWAYS ? -EACCES : 0;
}

/* Stops the task until the agent has decided whose container this is. Returns 0 where it has decided already, or cannot. */
static __always_inline int merlon_hold(const struct merlon_task *who, const struct merlon_question *question, __u32 mode)
{
	struct merlon_held fresh = { .state = MERLON_HELD_WAITING }, *held_before;
	struct merlon_scratch *slot;
	__u64 cgroup_id = who->cgroup_id;

	held_before = bpf_map_lookup_elem(&held, &cgroup_id);
	if (held_before && held_before->state != MERLON_HELD_WAITING)
		return 0;
	if (!merlon_agent_lives() &&
	    (mode == MERLON_HOLD_LIVE || merlon_may_be_agent((void *)bpf_get_current_task_btf()))) {
		merlon_stat(MERLON_STAT_NOT_HELD);
		return 0;
	}
	if (!held_before) {
		fresh.tgid = bpf_get_current_pid_tgid() >> 32;
		if (bpf_map_update_elem(&held, &cgroup_id, &fresh, BPF_NOEXIST) < 0 &&
		    !bpf_map_lookup_elem(&held, &cgroup_id)) {
			MERLON_ERROR(MERLON_FILE_EXEC, ENOMEM);
			return merlon_not_held(mode);
		}
	}
	slot = merlon_claim();
	if (!slot) {
		MERLON_ERROR(MERLON_FILE_EXEC, ENOSPC);
		return merlon_not_held(mode);
	}
	/*
	 * First the signal, then the event: SIGCONT discards a pending SIGSTOP, but cannot undo one that comes later. Not within merlon_stay():
	 * from v6.14 on the signal would be sent by an interrupt, whenever that comes.
	 */
	if (bpf_send_signal_thread(SIGSTOP)) {
		MERLON_ERROR(MERLON_FILE_EXEC, EINVAL);
		merlon_release(slot);
		return merlon_not_held(mode);
	}
	merlon_stat(MERLON_STAT_HELD);
	slot->found.generation = slot->found.serial = 0;
	merlon_begin(slot, who, MERLON_EVENT_HELD, MERLON_OP_EXEC, MERLON_ALLOW);
	merlon_set_object(slot, question);
	merlon_report(slot);
	merlon_release(slot);
	return -ERESTARTNOINTR;
}

/* ---- Hooks ---- */

/* A runtime executing itself again (runc does, from a sealed copy) before it has entered the container. */
static __always_inline bool merlon_is_own_image(struct linux_binprm *bprm, const struct task_struct *task)
{
	if (task->nsproxy->mnt_ns->ns.inum != merlon_config.host_mnt_ns)
		return false;
	if (merlon_is_internal((__u64)BPF_CORE_READ(bprm, file, f_path.mnt) - bpf_core_field_offset(struct mount, mnt)))
		return true; /* memfd */
	return BPF_CORE_READ(bprm, file, f_inode) == BPF_CORE_READ(task, mm, exe_file, f_inode);
}

SEC("lsm/bprm_check_security")
int BPF_PROG(merlon_exec, struct linux_binprm *bprm, int ret)
{
	struct task_struct *task = (void *)bpf_get_current_task_btf();
	struct merlon_task local = {}, *who;
	struct merlon_question question = { .op = MERLON_OP_EXEC };
	bool entering, own_image;
	int held_result;
	__u32 mode;

	if (ret)
		return ret;
	who = merlon_current(&local);
	question.dentry = bprm->file->f_path.dentry;
	question.vfsmount = bprm->file->f_path.mnt;
	entering = who->flags & MERLON_TASK_ENTERING;
	own_image = entering && merlon_is_own_image(bprm, task);
	who->arriving = entering && !own_image;
	mode = merlon_hold_mode();
	if (mode && merlon_is_unknown_container(who, task)) {
		held_result = merlon_hold(who, &question, mode);
		if (held_result)
			return held_result;
	}
	/* Only a container's start-up code is exempt: processes move between the cgroups of a host all the time. */
	if (own_image && who->kind == MERLON_BIND_CONTAINER) {
		merlon_stat(MERLON_STAT_ENTERING);
		return 0;
	}
	if (!who->slot && !merlon_is_visible(who, MERLON_OP_EXEC))
		return 0;
	question.owner = merlon_owns(task, bprm->file->f_inode, bprm->file->f_path.mnt);
	return merlon_decide(who, &question);
}

SEC("lsm/bprm_committed_creds")
int BPF_PROG(merlon_exec_committed, struct linux_binprm *bprm)
{
	struct merlon_task *who = bpf_task_storage_get(&tasks, (void *)bpf_get_current_task_btf(), 0, 0);

	if (!who)
		return 0;
	who->serial = 0; /* another executable: another subject */
	/* A task that was moved in after the check of this exec executes a file from outside (runc does): it is entering still. */
	if (who->arriving)
		__sync_fetch_and_and(&who->flags, ~MERLON_TASK_ENTERING);
	who->arriving = 0;
	return 0;
}

#endif
