/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Events: composed in the scratch slot, then copied into a ring. Everything here is paid for by reported operations only. */
#ifndef MERLON_EVENT_H
#define MERLON_EVENT_H

#include "subject.bpf.h"

#define MERLON_ARGV_MAX 64

/* Appends text[at..end) of the scratch slot to the event's strings. Returns the bytes appended. */
static __always_inline __u16 merlon_append(struct merlon_scratch *slot, __u32 used)
{
	__u32 at = slot->walk.at & (MERLON_PATH_MAX - 1), length = (slot->walk.end - at) & (MERLON_PATH_MAX - 1);

	if (used > MERLON_EVENT_TEXT)
		return 0;
	if (bpf_probe_read_kernel(&slot->strings[used], length, &slot->text[at])) {
		MERLON_ERROR(MERLON_FILE_EVENT, EFAULT);
		return 0;
	}
	return length;
}

struct merlon_args {
	struct merlon_scratch *slot;
	__u64 argv; /* user address of the array; each entry 8 bytes */
	__u32 used; /* in strings */
	__u32 length;
	__u32 truncated;
};

static long merlon_copy_arg(__u32 i, void *context)
{
	struct merlon_args *args = context;
	__u32 at = args->used + args->length, room = MERLON_ARGS_MAX - args->length;
	__u64 from = 0;
	long n;

	if (bpf_probe_read_user(&from, sizeof(from), (void *)(args->argv + 8 * (__u64)i))) {
		args->truncated = 1;
		return 1;
	}
	if (!from)
		return 1;
	if (room > MERLON_ARGS_MAX || room < 2 || at > MERLON_EVENT_TEXT) {
		args->truncated = 1;
		return 1;
	}
	n = bpf_probe_read_user_str(&args->slot->strings[at], room, (void *)from);
	if (n < 0) {
		args->truncated = 1;
		return 1;
	}
	args->length += n; /* with its NUL */
	if (n == room || i + 1 == MERLON_ARGV_MAX)
		args->truncated = 1;
	return args->truncated;
}

/* Arguments of the program that an execve or execveat under way would start: from the caller's registers. */
static __always_inline void merlon_args_of_exec(struct merlon_args *args)
{
	struct pt_regs *regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());

	args->argv = BPF_CORE_READ(regs, orig_ax) == NR_EXECVEAT ? BPF_CORE_READ(regs, dx) : BPF_CORE_READ(regs, si);
	bpf_loop(MERLON_ARGV_MAX, merlon_copy_arg, args, 0);
}

/* Arguments of the running program: one block of user memory. */
static __always_inline void merlon_args_of_task(struct merlon_args *args, const struct task_struct *task)
{
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	__u64 start, length;

	if (!mm || args->used > MERLON_EVENT_TEXT)
		return;
	start = BPF_CORE_READ(mm, arg_start);
	length = BPF_CORE_READ(mm, arg_end) - start;
	if (length > MERLON_ARGS_MAX) {
		length = MERLON_ARGS_MAX;
		args->truncated = 1;
	}
	if (bpf_probe_read_user(&args->slot->strings[args->used], length, (void *)start))
		args->truncated = 1;
	else
		args->length = length;
}

/* tgid of a task in its own innermost pid namespace, or at another level; 0 where it has none there. */
static __always_inline __u32 merlon_tgid_at(const struct task_struct *task, __u32 level)
{
	struct pid *pid = BPF_CORE_READ(task, group_leader, thread_pid);
	struct upid upid = {};

	if (level > BPF_CORE_READ(pid, level) || level > 32)
		return 0;
	bpf_core_read(&upid, sizeof(upid), &pid->numbers[level]);
	return upid.nr;
}

static __always_inline void merlon_describe_task(struct merlon_event *event, const struct task_struct *task)
{
	struct task_struct *parent = BPF_CORE_READ(task, real_parent);
	struct pid *pid = BPF_CORE_READ(task, group_leader, thread_pid);
	__u32 level = BPF_CORE_READ(pid, level), parent_level = BPF_CORE_READ(parent, group_leader, thread_pid, level);
	struct tty_struct *tty = BPF_CORE_READ(task, signal, tty);
	struct upid upid = {};

	event->host_pid = BPF_CORE_READ(task, tgid);
	event->host_tid = BPF_CORE_READ(task, pid);
	event->host_ppid = BPF_CORE_READ(parent, tgid);
	event->pid = merlon_tgid_at(task, level);
	/* A parent outside the task's pid namespace has no number in it: 0, as getppid(2) has it. */
	event->ppid = parent_level >= level ? merlon_tgid_at(parent, level) : 0;
	event->uid = BPF_CORE_READ(task, cred, uid.val);
	event->mnt_ns = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
	if (level <= 32) {
		bpf_core_read(&upid, sizeof(upid), &pid->numbers[level]);
		event->pid_ns = BPF_CORE_READ(upid.ns, ns.inum);
	}
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	if (tty)
		bpf_core_read_str(event->tty, sizeof(event->tty), &tty->name);
}

/* Starts the event of a decision: what the hook and the match know. */
static __always_inline void merlon_begin(struct merlon_scratch *slot, const struct merlon_task *who, __u16 kind, __u8 op,
					 __u8 verdict)
{
	struct merlon_event *event = &slot->event;

	__builtin_memset(event, 0, sizeof(*event));
	event->kind = kind;
	event->op = op;
	event->verdict = verdict;
	event->time_ns = bpf_ktime_get_boot_ns();
	event->cgroup_id = who->cgroup_id;
	event->bound_id = who->bound_id;
	event->generation = slot->found.generation;
	event->serial = slot->found.serial;
}

static __always_inline void merlon_send(struct merlon_scratch *slot, __u32 used, bool denial)
{
	__u32 size;

	if (used > MERLON_EVENT_TEXT)
		return;
	barrier_var(used); /* the verifier must see the bound on the value that it checks */
	size = sizeof(struct merlon_event) + used;
	slot->event.size = size;
	if (denial) {
		if (bpf_ringbuf_output(&denials, &slot->event, size, 0))
			merlon_stat(MERLON_STAT_DENIALS_LOST);
	} else if (bpf_ringbuf_output(&events, &slot->event, size, 0)) {
		merlon_stat(MERLON_STAT_EVENTS_LOST);
	}
}

/* Whether `events` has room for what may be lost. */
static __always_inline bool merlon_has_room_for_log(void)
{
	return bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) < MERLON_RING / 2;
}

/* Completes the event of an operation on the slot's object and sends it. Uses the slot's text. */
__noinline int merlon_report(struct merlon_scratch *slot)
{
	struct task_struct *task = (void *)bpf_get_current_task_btf();
	struct merlon_args args = {};
	struct merlon_event *event;
	__u32 used = 0;

	if (!slot)
		return 0;
	event = &slot->event;
	merlon_describe_task(event, task);
	merlon_walk(slot, slot->dentry, slot->vfsmount);
	if (slot->walk.pseudo && event->kind == MERLON_EVENT_DECISION && event->verdict == MERLON_ALLOW &&
	    event->op != MERLON_OP_EXEC)
		return 0; /* no file: no rule can name it, and nobody could tell which it was. A program in memory is one all the same. */
	used += event->path_len = merlon_append(slot, used);
	if (!merlon_walk_exe(slot, task))
		used += event->exe_len = merlon_append(slot, used);
	if (!merlon_walk_exe(slot, BPF_CORE_READ(task, real_parent)))
		used += event->parent_exe_len = merlon_append(slot, used);
	args.slot = slot;
	args.used = used;
	if (event->op == MERLON_OP_EXEC)
		merlon_args_of_exec(&args);
	else
		merlon_args_of_task(&args, task);
	used += event->args_len = args.length;
	if (args.truncated)
		event->flags |= MERLON_EVENT_ARGS_TRUNCATED;
	merlon_send(slot, used, event->verdict == MERLON_BLOCK || event->kind == MERLON_EVENT_HELD);
	return 0;
}

#endif
