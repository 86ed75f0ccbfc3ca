/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The decision: task -> table -> path -> verdict. Every hook that has a path ends here. */
#ifndef MERLON_DECIDE_H
#define MERLON_DECIDE_H

#include "event.bpf.h"
#include "find.bpf.h"
#include "owner.bpf.h"

struct merlon_question {
	const struct dentry *dentry;
	const struct vfsmount *vfsmount;
	__u32 op;    /* enum merlon_op */
	__u32 owner; /* 0 or 1 */
	__u32 tty;   /* 0 or 2: of the plane */
};

static __always_inline void merlon_set_object(struct merlon_scratch *slot, const struct merlon_question *question)
{
	slot->dentry = (__u64)question->dentry;
	slot->vfsmount = (__u64)question->vfsmount;
}

/* Subject class of a task's executable in the table `serial`; 0 where no rule can name it, -1 where the table changed. */
static __always_inline long merlon_subject_of(struct merlon_scratch *slot, __u32 table_slot, __u32 serial,
					      const struct task_struct *task)
{
	if (merlon_walk_exe(slot, task))
		return 0;
	if (merlon_find_subject(slot, table_slot) || slot->found.serial != serial)
		return -1;
	return slot->found.subject;
}

/* slot->found.matched.word by the subjects of the question. Returns 0, or -1 where the table changed under us. */
static __always_inline int merlon_decide_by_subject(struct merlon_scratch *slot, struct merlon_task *who, __u32 op)
{
	struct task_struct *task = (void *)bpf_get_current_task_btf();
	__u32 serial = slot->found.serial;
	long subject, parent;

	if (who->serial != serial) {
		subject = merlon_subject_of(slot, who->slot, serial, task);
		if (subject < 0)
			return -1;
		who->subject = subject;
		who->serial = serial;
	}
	parent = who->subject;
	if (op == MERLON_OP_EXEC)
		parent = merlon_subject_of(slot, who->slot, serial, BPF_CORE_READ(task, real_parent));
	if (parent < 0 || merlon_find_row(slot, who->slot, who->subject, parent))
		return -1;
	return slot->found.serial == serial ? 0 : -1;
}

static __always_inline int merlon_run_automata(struct merlon_scratch *slot, __u32 table_slot, __u32 plane)
{
	__u32 automaton;

	for (automaton = 0; automaton < MERLON_AUTOMATA; automaton++) {
		if (automaton && automaton >= slot->found.automata)
			break;
		if (merlon_find_decision(slot, table_slot, plane, automaton))
			return -1;
	}
	return 0;
}

/*
 * What the task runs already was decided when it was executed. Container runtimes on the node execute themselves once more, from a bind mount of
 * their program that they have unmounted, so that it has no path: under a profile of the node that blocks anything, no container would start.
 */
static __always_inline bool merlon_is_own_executable(const struct merlon_scratch *slot)
{
	struct task_struct *task = (void *)bpf_get_current_task_btf();
	const struct dentry *dentry = (const void *)slot->dentry; /* apart: what BPF_CORE_READ reads is the kernel's */
	struct inode *inode = BPF_CORE_READ(dentry, d_inode);

	return inode && inode == BPF_CORE_READ(task, mm, exe_file, f_inode);
}

/* slot->found.matched.word for a question. Returns the reason where it is the word for what cannot be decided. */
static __always_inline __u32 merlon_ask(struct merlon_scratch *slot, struct merlon_task *who,
					const struct merlon_question *question)
{
	__u32 reason, pseudo, attempt;

	/* A table that is swapped in the middle starts the decision over; three swaps in a microsecond do not happen. */
	for (attempt = 0; attempt < 3; attempt++) {
		merlon_walk(slot, slot->dentry, slot->vfsmount);
		reason = slot->walk.reason;
		pseudo = slot->walk.pseudo;
		if (reason == MERLON_REASON_DETACHED && merlon_is_own_executable(slot)) {
			slot->found.matched.word = 0;
			return 0;
		}
		if (reason)
			break;
		if (pseudo && question->op != MERLON_OP_EXEC) {
			slot->found.matched.word = 0;
			return 0;
		}
		reason = MERLON_REASON_BAD_TABLE;
		if (merlon_run_automata(slot, who->slot, question->op * 4 + (question->owner & 1) + (question->tty & 2)))
			continue;
		if (!slot->found.matched.row_count || !merlon_decide_by_subject(slot, who, question->op))
			return 0;
	}
	if (reason == MERLON_REASON_BAD_TABLE)
		MERLON_ERROR(MERLON_FILE_DECIDE, EINVAL);
	slot->found.matched.word = 0;
	merlon_find_undecidable(slot, who->slot, question->op);
	return reason;
}

/* A runtime's start-up code is held to explicit rules only. */
static __always_inline bool merlon_exempt(const struct merlon_task *who, __u32 op, __u32 word, __u32 reason)
{
	return merlon_entering(who) && op != MERLON_OP_EXEC && (reason || (word & MERLON_DECISION_DEFAULT));
}

/* Whether a permitted operation is to be recorded, and can be. */
static __always_inline bool merlon_is_logged(const struct merlon_task *who, __u32 op)
{
	if (!merlon_is_visible(who, op))
		return false;
	if (merlon_has_room_for_log())
		return true;
	merlon_stat(MERLON_STAT_LOGS_LOST);
	return false;
}

/* Counts, reports and returns 0 or -EACCES. */
static __always_inline int merlon_conclude(struct merlon_scratch *slot, const struct merlon_task *who,
					   const struct merlon_question *question, __u32 reason)
{
	__u32 word = slot->found.matched.word, clause = word & MERLON_DECISION_CLAUSE, verdict = merlon_verdict_of(word);

	if (clause && merlon_exempt(who, question->op, word, reason)) {
		merlon_stat(MERLON_STAT_ENTERING);
		return 0;
	}
	if (clause)
		merlon_count_clause(slot->found.counter_base + clause);
	if (verdict == MERLON_ALLOW && !merlon_is_logged(who, question->op))
		return 0;
	merlon_begin(slot, who, MERLON_EVENT_DECISION, question->op, verdict);
	slot->event.clause = clause;
	slot->event.reason = reason;
	if (question->owner)
		slot->event.flags |= MERLON_EVENT_OWNER;
	if (who->flags & MERLON_TASK_ENTERING)
		slot->event.flags |= MERLON_EVENT_ENTERING;
	merlon_report(slot);
	return verdict == MERLON_BLOCK ? -EACCES : 0;
}

/* No buffer to work in: the undecidable verdict, counted, without an event. `head`: 0 where no rule applies. */
static __always_inline int merlon_no_scratch(const struct merlon_table *head, __u32 op)
{
	__u32 word;

	if (!head) {
		merlon_stat(MERLON_STAT_LOGS_LOST);
		return 0;
	}
	word = head->undecidable[merlon_section_of(op)];
	merlon_stat(MERLON_STAT_UNDECIDABLE);
	if (word & MERLON_DECISION_CLAUSE)
		merlon_count_clause(head->stamp.counter_base + (word & MERLON_DECISION_CLAUSE));
	if (merlon_verdict_of(word) != MERLON_BLOCK)
		return 0;
	merlon_stat(MERLON_STAT_DENIALS_LOST);
	return -EACCES;
}

/* The table whose rules apply to an operation of the task; 0: none do. */
static __always_inline const struct merlon_table *merlon_rules_for(const struct merlon_task *who, __u32 op)
{
	__u32 index = who->slot, first = 0;
	struct merlon_table *head;
	void *table;

	if (!index)
		return 0;
	table = bpf_map_lookup_elem(&tables, &index);
	head = table ? bpf_map_lookup_elem(table, &first) : 0;
	if (!head) {
		/* The agent fills a slot before it binds a cgroup to it. */
		MERLON_ERROR(MERLON_FILE_DECIDE, ENOENT);
		return 0;
	}
	return head->flags & MERLON_TABLE_RULES(merlon_section_of(op)) ? head : 0;
}

/* Decides for a task that a profile is bound to, or whose operations are recorded. Returns 0 or -EACCES. */
static __always_inline int merlon_decide(struct merlon_task *who, struct merlon_question *question)
{
	const struct merlon_table *head = merlon_rules_for(who, question->op);
	struct merlon_scratch *slot;
	__u32 reason = 0;
	int result;

	if (!head && !merlon_is_visible(who, question->op))
		return 0;
	if (head && (head->flags & MERLON_TABLE_TERMINAL))
		question->tty = BPF_CORE_READ((struct task_struct *)bpf_get_current_task_btf(), signal, tty) ? 2 : 0;
	merlon_stay();
	slot = merlon_claim();
	if (!slot) {
		merlon_stay_no_longer();
		return merlon_no_scratch(head, question->op);
	}
	merlon_set_object(slot, question);
	if (head) {
		reason = merlon_ask(slot, who, question);
	} else {
		slot->found.generation = slot->found.serial = 0;
		slot->found.matched.word = 0;
	}
	result = merlon_conclude(slot, who, question, reason);
	merlon_release(slot);
	merlon_stay_no_longer();
	return result;
}

#endif
