// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* bpf/match.h alone, as a program that is run on questions instead of hooks: the differential inside the kernel. */
#include "program.bpf.h"

#define QUESTIONS 50
#define TEXTS 3 /* the path, and two sources */
#define BAD 0xffffffffU

struct question {
	__u32 plane;
	__u32 key; /* 1: about a key, not a path */
	__u32 sources;
	__u32 at[TEXTS]; /* text i is bytes at[i]..MERLON_PATH_MAX */
	__u32 answer;    /* decision word, or BAD */
	__u32 subjects[2];
	struct merlon_matched matched;
	__u8 text[TEXTS][MERLON_TEXT_SIZE];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, QUESTIONS);
	__type(key, __u32);
	__type(value, struct question);
} questions SEC(".maps");

struct table_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_INNER_MAP);
	__uint(max_entries, 2);
	__type(key, __u32);
	__uint(value_size, MERLON_PAGE);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct table_map);
} table SEC(".maps");

static __always_inline const struct merlon_table *open_table(void **map)
{
	__u32 zero = 0;

	*map = bpf_map_lookup_elem(&table, &zero);
	return *map ? bpf_map_lookup_elem(*map, &zero) : 0;
}

__noinline int ask_automaton(struct question *question, __u32 automaton)
{
	const struct merlon_table *head;
	void *map;

	if (!question)
		return -1;
	head = open_table(&map);
	if (!head)
		return -1;
	if (automaton >= head->automata && automaton != MERLON_KEYS)
		return 0;
	return merlon_match_automaton(map, head, automaton, (struct merlon_asked){ .plane = question->plane }, question->text[0],
				      question->at[0], MERLON_PATH_MAX, &question->matched);
}

__noinline int ask_subject(struct question *question, __u32 which)
{
	const struct merlon_table *head;
	__u32 subject = 0;
	void *map;

	if (!question)
		return -1;
	head = open_table(&map);
	if (!head)
		return -1;
	if (which == 0) {
		if (merlon_match_subject(map, head, 0, question->text[1], question->at[1], MERLON_PATH_MAX, &subject))
			return -1;
		question->subjects[0] = question->subjects[1] = subject;
	} else {
		if (merlon_match_subject(map, head, 0, question->text[2], question->at[2], MERLON_PATH_MAX, &subject))
			return -1;
		question->subjects[1] = subject;
	}
	return 0;
}

__noinline int ask_rows(struct question *question)
{
	const struct merlon_table *head;
	__u32 word, i;
	void *map;

	if (!question)
		return -1;
	head = open_table(&map);
	if (!head)
		return -1;
	word = question->matched.word;
	for (i = 0; i < MERLON_AUTOMATA; i++) {
		if (i >= question->matched.row_count)
			break;
		if (merlon_match_row(map, head, question->matched.rows[i], question->subjects[0], question->subjects[1], 0, &word))
			return -1;
	}
	question->matched.word = word;
	return 0;
}

static __always_inline __u32 answer_to(struct question *question)
{
	__u32 i;

	for (i = 0; i <= MERLON_KEYS; i++)
		if ((i == MERLON_KEYS) == question->key && ask_automaton(question, i))
			return BAD;
	if (question->matched.row_count) {
		if (question->sources > 0 && ask_subject(question, 0))
			return BAD;
		if (question->sources > 1 && ask_subject(question, 1))
			return BAD;
		if (ask_rows(question))
			return BAD;
	}
	return question->matched.word;
}

static long ask(__u32 i, void *context)
{
	struct question *question = bpf_map_lookup_elem(&questions, &i);

	if (!question)
		return 1;
	question->answer = answer_to(question);
	return 0;
}

/* args[0]: how many questions to answer. Returns the number of calls. */
SEC("raw_tp/sys_enter")
int answer_all(struct bpf_raw_tracepoint_args *context)
{
	return bpf_loop((__u32)context->args[0], ask, 0, 0);
}

char match_license[] SEC("license") = "Dual BSD/GPL";
