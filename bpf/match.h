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
	case 3:
		return head->starts[2];
	default:
		return head->key_start;
	}
}

/* As an automaton's number: the one of keys. */
#define MERLON_KEYS MERLON_AUTOMATA

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
	accepts = merlon_page(table, head->accepts_page + accept / MERLON_PAIRS_PER_PAGE);
	if (!accepts)
		return -1;
	*out = accepts[accept % MERLON_PAIRS_PER_PAGE];
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

/* Which conditions are known to hold. */
struct merlon_holds {
	__u32 sets[MERLON_SET_WORDS]; /* bit i: all arguments are in set i */
	__u32 quotas;                 /* 1: no quota is used up */
};

struct merlon_follow {
	void *table;
	const struct merlon_table *head;
	const struct merlon_holds *holds; /* NULL: nothing is known */
	__u32 word;
	__u32 bad;
};

static __always_inline __u32 merlon_condition_holds(const struct merlon_table *head, const struct merlon_holds *holds, __u32 condition)
{
	if (condition >= head->sets)
		return holds->quotas;
	return (holds->sets[condition / 32 % MERLON_SET_WORDS] >> (condition % 32)) & 1;
}

/* Follows one choice. Returns 1 when the word is direct. */
static __attribute__((unused)) long merlon_follow_choice(__u32 unused, void *context)
{
	struct merlon_follow *follow = context;
	const struct merlon_table *head = follow->head;
	const struct merlon_choice *choice;
	__u32 number = follow->word & ~MERLON_DECISION_CHOICE;

	if (!(follow->word & MERLON_DECISION_CHOICE))
		return 1;
	choice = merlon_page(follow->table, head->choices_page + number / MERLON_CHOICES_PER_PAGE);
	if (!choice) {
		follow->bad = 1;
		return 1;
	}
	choice += number % MERLON_CHOICES_PER_PAGE;
	follow->word = merlon_condition_holds(head, follow->holds, choice->condition) ? choice->yes : choice->no;
	return 0;
}

/* A word that is direct or a choice, as a direct one. Returns 0, or -1 when the table led out of itself. */
static __always_inline int merlon_settle(void *table, const struct merlon_table *head, const struct merlon_holds *holds, __u32 *word)
{
	struct merlon_follow follow = { .table = table, .head = head, .holds = holds, .word = *word };
	const struct merlon_choice *choices;
	__u32 number = *word & ~MERLON_DECISION_CHOICE;

	if (!(*word & MERLON_DECISION_CHOICE))
		return 0;
	if (!holds) {
		choices = merlon_page(table, head->choices_page + number / MERLON_CHOICES_PER_PAGE);
		if (!choices)
			return -1;
		*word = choices[number % MERLON_CHOICES_PER_PAGE].unknown;
		return 0;
	}
	/* Each choice is below the one before, and a table has fewer than 2^20. */
	merlon_loop(1 << 20, merlon_follow_choice, &follow);
	*word = follow.word;
	return follow.bad || (follow.word & MERLON_DECISION_CHOICE) ? -1 : 0;
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

/* What is asked, and of whom it is known what. */
struct merlon_asked {
	__u32 plane;
	const struct merlon_holds *holds;
};

/*
 * Runs one automaton, 0 to head->automata - 1 or MERLON_KEYS, and folds what it says into `matched`. Returns -1 as
 * merlon_classify does.
 */
static __always_inline int merlon_match_automaton(void *table, const struct merlon_table *head, __u32 automaton,
						  struct merlon_asked asked, const __u8 *text, __u32 at, __u32 end,
						  struct merlon_matched *matched)
{
	struct merlon_accept accept = {};
	__u32 column = head->column_of[asked.plane % sizeof(head->column_of)], word = 0;

	if (merlon_classify(table, head, automaton, text, at, end, &accept) ||
	    merlon_word(table, head, column * head->objects + accept.object, &word))
		return -1;
	if (word & MERLON_DECISION_BY_SUBJECT) {
		matched->rows[matched->row_count % MERLON_AUTOMATA] = word & ~MERLON_DECISION_BY_SUBJECT;
		matched->row_count++;
	} else {
		if (merlon_settle(table, head, asked.holds, &word))
			return -1;
		matched->word = merlon_stronger(matched->word, word);
	}
	return 0;
}

/* Subject class of the executable at text[at..end), a path or the key of an invoked name. Returns -1 when the table led out of itself. */
static __always_inline int merlon_match_subject(void *table, const struct merlon_table *head, __u32 automaton, const __u8 *text,
						__u32 at, __u32 end, __u32 *subject)
{
	struct merlon_accept accept = {};

	if (merlon_classify(table, head, automaton, text, at, end, &accept))
		return -1;
	*subject = accept.subject;
	return 0;
}

/* The decision of one row for one subject. Returns -1 as above. */
static __always_inline int merlon_row_word(void *table, const struct merlon_table *head, __u32 row, __u32 subject,
					   const struct merlon_holds *holds, __u32 *word)
{
	const struct merlon_row_cell *page;
	__u32 index = row + subject;

	page = merlon_page(table, head->rows_page + index / MERLON_PAIRS_PER_PAGE);
	if (!page)
		return -1;
	if (page[index % MERLON_PAIRS_PER_PAGE].check != row + 1) {
		index = row;
		page = merlon_page(table, head->rows_page + index / MERLON_PAIRS_PER_PAGE);
		if (!page)
			return -1;
	}
	*word = page[index % MERLON_PAIRS_PER_PAGE].word;
	return merlon_settle(table, head, holds, word);
}

/* The decision of one row for two subjects (the same one twice where there is one). Returns -1 as above. */
static __always_inline int merlon_match_row(void *table, const struct merlon_table *head, __u32 row, __u32 subject,
					    __u32 other, const struct merlon_holds *holds, __u32 *word)
{
	__u32 first = 0, second = 0;

	if (merlon_row_word(table, head, row, subject, holds, &first))
		return -1;
	second = first;
	if (other != subject && merlon_row_word(table, head, row, other, holds, &second))
		return -1;
	*word = merlon_stronger(*word, merlon_stronger(first, second));
	return 0;
}

/*
 * Takes one argument into account: clears the sets that it is not in. text[at..end) is its key. `holds->sets` begins with
 * all bits set. Returns -1 as above.
 */
static __always_inline int merlon_match_argument(void *table, const struct merlon_table *head, const __u8 *text, __u32 at,
						 __u32 end, struct merlon_holds *holds)
{
	__u32 column = head->column_of[MERLON_PLANE_ARGUMENT], width = (head->sets + 31) / 32, row = 0, i;
	struct merlon_accept accept = {};
	const __u32 *page;

	if (merlon_classify(table, head, MERLON_KEYS, text, at, end, &accept) ||
	    merlon_word(table, head, column * head->objects + accept.object, &row))
		return -1;
	for (i = 0; i < MERLON_SET_WORDS; i++) {
		__u32 index = (row - 1) * width + i;

		if (i >= width)
			break;
		if (!row) {
			holds->sets[i] = 0;
			continue;
		}
		page = merlon_page(table, head->conditions_page + index / MERLON_WORDS_PER_PAGE);
		if (!page)
			return -1;
		holds->sets[i] &= page[index % MERLON_WORDS_PER_PAGE];
	}
	return 0;
}

#endif
