/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The steps of a decision: a buffer to work in, and what a table says of the path in it. */
#ifndef MERLON_FIND_H
#define MERLON_FIND_H

#include "count.bpf.h"

/* ---- Scratch ---- */

extern int LINUX_KERNEL_VERSION __kconfig;
extern void bpf_preempt_disable(void) __ksym __weak;
extern void bpf_preempt_enable(void) __ksym __weak;

/* v6.15: global functions may be called while preemption is off (before, the verifier refuses it). */
#define MERLON_KERNEL_6_15 ((6 << 16) + (15 << 8))

/* Between these two a task keeps its processor, where the kernel lets it. */
static __always_inline void merlon_stay(void)
{
	if (LINUX_KERNEL_VERSION >= MERLON_KERNEL_6_15 && bpf_preempt_disable && bpf_preempt_enable)
		bpf_preempt_disable();
}

static __always_inline void merlon_stay_no_longer(void)
{
	if (LINUX_KERNEL_VERSION >= MERLON_KERNEL_6_15 && bpf_preempt_disable && bpf_preempt_enable)
		bpf_preempt_enable();
}

static __always_inline struct merlon_scratch *merlon_claim_at(__u32 index)
{
	struct merlon_scratch *slot = bpf_map_lookup_elem(&scratch, &index);

	return slot && !__sync_val_compare_and_swap(&slot->busy, 0, 1) ? slot : 0;
}

static long merlon_claim_shared(__u32 i, void *context)
{
	if (!merlon_claim_at(i))
		return 0;
	*(__u32 *)context = i;
	return 1;
}

/*
 * A buffer to work in; 0: there is none. A task that is preempted keeps its buffer, and on a busy processor there are many such: decisions stay on
 * the processor where they can, and elsewhere its own buffers are followed by those that all share.
 */
static __always_inline struct merlon_scratch *merlon_claim(void)
{
	__u32 base = MERLON_SCRATCH_SHARED + bpf_get_smp_processor_id() * MERLON_SCRATCH_PER_CPU, index = MERLON_SCRATCH_SHARED;
	struct merlon_scratch *slot;
	int i;

	for (i = 0; i < MERLON_SCRATCH_PER_CPU; i++) {
		slot = merlon_claim_at(base + i);
		if (slot)
			return slot;
	}
	bpf_loop(MERLON_SCRATCH_SHARED, merlon_claim_shared, &index, 0);
	return index < MERLON_SCRATCH_SHARED ? bpf_map_lookup_elem(&scratch, &index) : 0;
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

#endif
