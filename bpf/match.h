/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The matcher: runs a path through a table (docs/table.md) and reads the decision. Holds no policy logic.
 *
 * Compiles for BPF and for the host. The includer provides
 *   void *merlon_page(void *table, __u32 index)     page of a table, NULL where there is none
 *   long merlon_loop(__u32 n, fn, void *context)    calls fn(i, context) until it returns 1, as bpf_loop does
 *
 * A table was verified before it got here (policy/verify.ts), so the only checks are masks, and NULL pages, which the
 * BPF verifier demands. A NULL page means a defect: the caller gives the undecidable verdict and counts an error.
 */
#ifndef MERLON_MATCH_H
#define MERLON_MATCH_H

#include "abi.h"
#include "table.h"

/* Bytes run in one call of the loop: the verifier on 7.2 follows every way through them (4 s for 4, 66 s for 16, emulated). */
#define MERLON_RUN_CHUNK 4

/* The path lies within the first MERLON_PATH_MAX bytes of a buffer of this size (the rest is slack for the walk's masks). */
#define MERLON_TEXT_SIZE (MERLON_PATH_MAX + 256)

struct merlon_run {
	void *table;
	const struct merlon_table *head;
	const __u8 *text; /* MERLON_TEXT_SIZE bytes */
	__u32 at;         /* next byte */
	__u32 end;
	__u32 state;
	__u32 bad;        /* 1: the table led out of itself */
};

/* Runs the next MERLON_RUN_CHUNK bytes. Returns 1 when there is nothing left to run, or nothing that could change the state. */
static long merlon_run_chunk(__u32 unused, void *context)
{
	struct merlon_run *run = context;
	const struct merlon_table *head = run->head;
	const __u8 *text = run->text;
	const __u32 *page = 0;
	__u32 page_index = ~0U, cells_page = head->cells_page;
	__u32 state = run->state, at = run->at, end = run->end;
	long done = 0;
	int i;

	for (i = 0; i < MERLON_RUN_CHUNK; i++) {
		__u32 class, index, cell;

		if (at >= end) {
			done = 1;
			break;
		}
		class = head->class_of[text[at & (MERLON_PATH_MAX - 1)]];
		index = state + 1 + class;
		at++;
		if (!page || index / MERLON_WORDS_PER_PAGE != page_index) {
			page_index = index / MERLON_WORDS_PER_PAGE;
			page = merlon_page(run->table, cells_page + page_index);
			if (!page)
				goto bad;
		}
		cell = page[index % MERLON_WORDS_PER_PAGE];
		if (cell >> MERLON_CELL_CLASS_SHIFT == class) { /* no other state has an edge of this class there */
			state = cell & MERLON_CELL_TARGET;
			continue;
		}
		if (state / MERLON_WORDS_PER_PAGE != page_index) {
			page_index = state / MERLON_WORDS_PER_PAGE;
			page = merlon_page(run->table, cells_page + page_index);
			if (!page)
				goto bad;
		}
		cell = page[state % MERLON_WORDS_PER_PAGE];
		if (cell >= MERLON_CELL_ABSORBING) {
			done = 1;
			break;
		}
		state = cell & MERLON_CELL_FALLBACK;
		if (!state) { /* dead: no rule of this automaton can match any more */
			done = 1;
			break;
		}
	}
	run->state = state;
	run->at = at;
	return done;
bad:
	run->bad = 1;
	return 1;
}

static __always_inline __u32 merlon_start(const struct merlon_table *head, __u32 automaton)
{
	switch (automaton) {
	case 0:
		return head->start;
	case 1:
		return head->starts[0];
	case 2:
		return head->starts[1];
	default:
		return head->starts[2];
	}
}

static __always_inline int merlon_cell(void *table, const struct merlon_table *head, __u32 index, __u32 *cell)
{
	const __u32 *page = merlon_page(table, head->cells_page + index / MERLON_WORDS_PER_PAGE);

	if (!page)
		return -1;
	*cell = page[index % MERLON_WORDS_PER_PAGE];
	return 0;
}

/*
 * Object and subject class of text[at..end) in one automaton. Returns 0, or -1 when the table led out of itself.
 * `text` is a buffer of MERLON_TEXT_SIZE bytes, `head` page 0 of `table`.
 */
static __always_inline int merlon_classify(void *table, const struct merlon_table *head, __u32 automaton, const __u8 *text,
					   __u32 at, __u32 end, struct merlon_accept *out)
{
	struct merlon_run run = {
		.table = table, .head = head, .text = text, .at = at, .end = end, .state = merlon_start(head, automaton),
	};
	const struct merlon_accept *accepts;
	__u32 cell = 0, accept = 0;

	merlon_loop(MERLON_PATH_MAX / MERLON_RUN_CHUNK + 1, merlon_run_chunk, &run);
	if (run.bad)
		return -1;
	if (merlon_cell(table, head, run.state, &cell))
		return -1;
	if (cell >= MERLON_CELL_ACCEPTING && merlon_cell(table, head, run.state + 1, &accept))
		return -1;
	accepts = merlon_page(table, head->accepts_page + accept / MERLON_ACCEPTS_PER_PAGE);
	if (!accepts)
		return -1;
	*out = accepts[accept % MERLON_ACCEPTS_PER_PAGE];
	return 0;
}

/* Word `index` of the decisions. Returns 0, or -1 when the table led out of itself. */
static __always_inline int merlon_word(void *table, const struct merlon_table *head, __u32 index, __u32 *word)
{
	const __u32 *page = merlon_page(table, head->decisions_page + index / MERLON_WORDS_PER_PAGE);

	if (!page)
		return -1;
	*word = page[index % MERLON_WORDS_PER_PAGE];
	return 0;
}

/* Of two direct decisions the one that takes precedence: the lower clause; none (0) comes last. */
static __always_inline __u32 merlon_stronger(__u32 a, __u32 b)
{
	return ((a & MERLON_DECISION_CLAUSE) - 1) <= ((b & MERLON_DECISION_CLAUSE) - 1) ? a : b;
}

static __always_inline __u32 merlon_verdict_of(__u32 word)
{
	return (word >> MERLON_DECISION_VERDICT_SHIFT) & MERLON_DECISION_VERDICT;
}

/* What a path matched in one plane: folded over the automata that were run so far. */
struct merlon_matched {
	__u32 word;      /* the strongest decision that holds for every subject */
	__u32 row_count; /* decisions that depend on the subject */
	__u32 rows[MERLON_AUTOMATA];
};

/* Runs one automaton, 0 to head->automata - 1, and folds what it says into `matched`. Returns -1 as merlon_classify does. */
static __always_inline int merlon_match_automaton(void *table, const struct merlon_table *head, __u32 automaton, __u32 plane,
						  const __u8 *text, __u32 at, __u32 end, struct merlon_matched *matched)
{
	struct merlon_accept accept = {};
	__u32 word = 0;

	if (merlon_classify(table, head, automaton, text, at, end, &accept) ||
	    merlon_word(table, head, plane * head->objects + accept.object, &word))
		return -1;
	if (word & MERLON_DECISION_BY_SUBJECT) {
		matched->rows[matched->row_count % MERLON_AUTOMATA] = word & ~MERLON_DECISION_BY_SUBJECT;
		matched->row_count++;
	} else {
		matched->word = merlon_stronger(matched->word, word);
	}
	return 0;
}

/* Subject class of the executable at text[at..end). Returns -1 when the table led out of itself. */
static __always_inline int merlon_match_subject(void *table, const struct merlon_table *head, const __u8 *text, __u32 at,
						__u32 end, __u32 *subject)
{
	struct merlon_accept accept = {};

	if (merlon_classify(table, head, 0, text, at, end, &accept))
		return -1;
	*subject = accept.subject;
	return 0;
}

/* The decision of one row for two subjects (the same one twice where there is one). Returns -1 as above. */
static __always_inline int merlon_match_row(void *table, const struct merlon_table *head, __u32 row, __u32 subject,
					    __u32 other, __u32 *word)
{
	__u32 first = 0, second = 0;

	if (merlon_word(table, head, row + subject, &first) || merlon_word(table, head, row + other, &second))
		return -1;
	*word = merlon_stronger(*word, merlon_stronger(first, second));
	return 0;
}

#endif
