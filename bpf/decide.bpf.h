/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The decision: task -> table -> path -> verdict. Every hook that has a path ends here. */
#ifndef MERLON_DECIDE_H
#define MERLON_DECIDE_H

#include "event.bpf.h"

/* ---- Scratch ---- */

static __always_inline struct merlon_scratch *merlon_claim(void)
{
	__u32 base = bpf_get_smp_processor_id() * MERLON_SCRATCH_PER_CPU;
	int i;

	for (i = 0; i < MERLON_SCRATCH_PER_CPU; i++) {
		__u32 index = base + i;
		struct merlon_scratch *slot = bpf_map_lookup_elem(&scratch, &index);

		if (slot && !__sync_val_compare_and_swap(&slot->busy, 0, 1))
			return slot;
	}
	return 0;
}

static __always_inline void merlon_release(struct merlon_scratch *slot)
{
	__sync_lock_test_and_set(&slot->busy, 0);
}

/* ---- Match ---- */

static __always_inline __u32 merlon_section_of(__u32 op)
{
	return op == MERLON_OP_EXEC ? MERLON_SECTION_PROCESS : MERLON_SECTION_FILE;
}

/*
 * The steps below are global functions, which the verifier checks once each; it does not let them take a map, so each
 * finds the table by its slot. `found.serial` tells whether two steps saw the same table: verdicts never mix two.
 */

static __always_inline const struct merlon_table *merlon_open_table(struct merlon_scratch *slot, __u32 index, void **table)
{
	struct merlon_table *head;
	__u32 first = 0;

	*table = bpf_map_lookup_elem(&tables, &index);
	if (!*table)
		return 0;
	head = bpf_map_lookup_elem(*table, &first);
	if (head) {
		slot->found.generation = head->stamp.generation;
		slot->found.serial = head->stamp.serial;
		slot->found.counter_base = head->stamp.counter_base;
		slot->found.automata = head->automata;
	}
	return head;
}

/*
 * Runs the path in slot->text through one automaton and folds the decision into slot->found.matched; automaton 0 starts
 * anew. Returns 0, or -1 where the table led out of itself, is gone, or is another than the one of automaton 0.
 */
__noinline int merlon_find_decision(struct merlon_scratch *slot, __u32 table_slot, __u32 plane, __u32 automaton)
{
	const struct merlon_table *head;
	__u32 serial;
	void *table;

	if (!slot)
		return -1;
	serial = slot->found.serial;
	head = merlon_open_table(slot, table_slot, &table);
	if (!head)
		return -1;
	if (!automaton)
		__builtin_memset(&slot->found.matched, 0, sizeof(slot->found.matched));
	else if (slot->found.serial != serial)
		return -1;
	return merlon_match_automaton(table, head, automaton, (struct merlon_asked){ .plane = plane }, slot->text, slot->walk.at, slot->walk.end,
				      &slot->found.matched);
}

/* slot->found.subject for the executable whose path is in slot->text. */
__noinline int merlon_find_subject(struct merlon_scratch *slot, __u32 table_slot)
{
	const struct merlon_table *head;
	__u32 subject = 0;
	void *table;

	if (!slot)
		return -1;
	head = merlon_open_table(slot, table_slot, &table);
	if (!head || merlon_match_subject(table, head, 0, slot->text, slot->walk.at, slot->walk.end, &subject))
		return -1;
	slot->found.subject = subject;
	return 0;
}

/* slot->found.matched.word: the strongest of itself and of the rows' words for two subjects. */
__noinline int merlon_find_row(struct merlon_scratch *slot, __u32 table_slot, __u32 subject, __u32 other)
{
	const struct merlon_table *head;
	__u32 word, i;
	void *table;

	if (!slot)
		return -1;
	head = merlon_open_table(slot, table_slot, &table);
	if (!head)
		return -1;
	word = slot->found.matched.word;
	for (i = 0; i < MERLON_AUTOMATA; i++) {
		if (i >= slot->found.matched.row_count)
			break;
		if (merlon_match_row(table, head, slot->found.matched.rows[i], subject, other, 0, &word))
			return -1;
	}
	slot->found.matched.word = word;
	return 0;
}

/* The verdict for what cannot be decided. */
__noinline int merlon_find_undecidable(struct merlon_scratch *slot, __u32 table_slot, __u32 op)
{
	const struct merlon_table *head;
	void *table;

	if (!slot)
		return -1;
	head = merlon_open_table(slot, table_slot, &table);
	if (!head)
		return -1;
	slot->found.matched.word = head->undecidable[merlon_section_of(op)];
	merlon_stat(MERLON_STAT_UNDECIDABLE);
	return 0;
}

/* ---- Decision ---- */

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

/* Counts, reports and returns 0 or -EACCES. */
static __always_inline int merlon_conclude(struct merlon_scratch *slot, const struct merlon_task *who,
					   const struct merlon_question *question, __u32 reason)
{
	__u32 word = slot->found.matched.word, clause = word & MERLON_DECISION_CLAUSE, verdict = merlon_verdict_of(word);

	if (!clause)
		return 0;
	if (merlon_exempt(who, question->op, word, reason)) {
		merlon_stat(MERLON_STAT_ENTERING);
		return 0;
	}
	merlon_count_clause(slot->found.counter_base + clause);
	if (verdict == MERLON_ALLOW)
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

/* No buffer to work in: the undecidable verdict, counted, without an event. */
static __always_inline int merlon_no_scratch(const struct merlon_table *head, __u32 op)
{
	__u32 word = head->undecidable[merlon_section_of(op)];

	merlon_stat(MERLON_STAT_UNDECIDABLE);
	if (word & MERLON_DECISION_CLAUSE)
		merlon_count_clause(head->stamp.counter_base + (word & MERLON_DECISION_CLAUSE));
	if (merlon_verdict_of(word) != MERLON_BLOCK)
		return 0;
	merlon_stat(MERLON_STAT_DENIALS_LOST);
	return -EACCES;
}

/* Decides for a task that a profile is bound to (who->slot is not 0). Returns 0 or -EACCES. */
static __always_inline int merlon_decide(struct merlon_task *who, struct merlon_question *question)
{
	__u32 index = who->slot, first = 0, reason;
	struct merlon_scratch *slot;
	struct merlon_table *head;
	void *table;
	int result;

	table = bpf_map_lookup_elem(&tables, &index);
	head = table ? bpf_map_lookup_elem(table, &first) : 0;
	if (!head) {
		/* The agent fills a slot before it binds a cgroup to it. */
		MERLON_ERROR(MERLON_FILE_DECIDE, ENOENT);
		return 0;
	}
	if (!(head->flags & MERLON_TABLE_RULES(merlon_section_of(question->op))))
		return 0;
	if (head->flags & MERLON_TABLE_TERMINAL)
		question->tty = BPF_CORE_READ((struct task_struct *)bpf_get_current_task_btf(), signal, tty) ? 2 : 0;
	slot = merlon_claim();
	if (!slot)
		return merlon_no_scratch(head, question->op);
	merlon_set_object(slot, question);
	reason = merlon_ask(slot, who, question);
	result = merlon_conclude(slot, who, question, reason);
	merlon_release(slot);
	return result;
}

#endif
