// SPDX-License-Identifier: Apache-2.0
/*
 * bpf/match.h on the host: reads tables and questions from standard input, writes a word for each question.
 *
 * Input, all little-endian:
 *   'T' u32 length, bytes                          the table that the questions after it are put to
 *   'Q' u8 operation, u8 owner, u8 sources, u16 length, path, and for each source u16 length, path
 * Output: u32 for each question, the direct decision word; BAD where the table led out of itself.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../bpf/abi.h"

struct host_table {
	uint32_t pages;
	unsigned char *bytes;
};

static void *merlon_page(void *table, __u32 index)
{
	struct host_table *host = table;

	return index < host->pages ? host->bytes + (size_t)index * 4096 : NULL;
}

static long merlon_loop(__u32 n, long (*run)(__u32, void *), void *context)
{
	__u32 i;

	for (i = 0; i < n; i++)
		if (run(i, context))
			return i + 1;
	return n;
}

#include "../../bpf/match.h"

#define BAD 0xffffffffU

struct text {
	uint32_t length;
	__u8 bytes[65536];
};

static void take(void *to, size_t size)
{
	if (fread(to, 1, size, stdin) == size)
		return;
	fprintf(stderr, "Cannot read the next %zu bytes of standard input: the questions are cut off\n", size);
	exit(1);
}

static void take_text(struct text *text)
{
	uint16_t length;

	take(&length, sizeof(length));
	text->length = length;
	take(text->bytes, length);
}

/* The table's copy is as long as the table and no longer: AddressSanitizer sees every step beyond. */
static void take_table(struct host_table *table)
{
	uint32_t length;

	take(&length, sizeof(length));
	free(table->bytes);
	table->bytes = malloc(length);
	table->pages = length / 4096;
	take(table->bytes, length);
}

/* As the kernel's walk does, the path is written to the end of the first MERLON_PATH_MAX bytes. Returns where it starts. */
static __u32 place(const struct text *path, __u8 *text)
{
	__u32 at = MERLON_PATH_MAX - path->length;

	memcpy(text + at, path->bytes, path->length);
	return at;
}

static int match(struct host_table *table, const struct text *path, __u32 plane, struct merlon_matched *matched)
{
	const struct merlon_table *head = (struct merlon_table *)table->bytes;
	__u8 *text = malloc(MERLON_TEXT_SIZE);
	__u32 at = place(path, text), automaton;
	int status = 0;

	for (automaton = 0; !status && automaton < head->automata && automaton < MERLON_AUTOMATA; automaton++)
		status = merlon_match_automaton(table, head, automaton, plane, text, at, MERLON_PATH_MAX, matched);
	free(text);
	return status;
}

static int subject_of(struct host_table *table, const struct text *path, __u32 *subject)
{
	__u8 *text = malloc(MERLON_TEXT_SIZE);
	__u32 at = place(path, text);
	int status = merlon_match_subject(table, (struct merlon_table *)table->bytes, text, at, MERLON_PATH_MAX, subject);

	free(text);
	return status;
}

static uint32_t decide(struct host_table *table, const __u8 *question, const struct text *path, const struct text *sources)
{
	const struct merlon_table *head = (struct merlon_table *)table->bytes;
	__u8 operation = question[0], owner = question[1], count = question[2];
	struct merlon_matched matched = { 0 };
	__u32 subjects[2] = { 0, 0 }, i;

	/* Sources are executables that ran, so they had a path. */
	if (path->length >= MERLON_PATH_MAX)
		return head->undecidable[operation == MERLON_OP_EXEC ? 0 : 1];
	if (match(table, path, operation * 2 + owner, &matched))
		return BAD;
	if (!matched.row_count)
		return matched.word;
	for (i = 0; i < count; i++)
		if (subject_of(table, &sources[i], &subjects[i]))
			return BAD;
	if (count == 1)
		subjects[1] = subjects[0];
	for (i = 0; i < matched.row_count; i++)
		if (merlon_match_row(table, head, matched.rows[i], subjects[0], subjects[1], &matched.word))
			return BAD;
	return matched.word;
}

int main(void)
{
	static struct text path, sources[2];
	struct host_table table = { 0, NULL };
	int kind;

	while ((kind = getchar()) != EOF) {
		__u8 question[3];
		uint32_t word;
		int i;

		if (kind == 'T') {
			take_table(&table);
			continue;
		}
		take(question, sizeof(question));
		if (kind != 'Q' || question[0] >= MERLON_OPS || question[1] > 1 || question[2] > 2 || !table.bytes) {
			fprintf(stderr, "Standard input holds something other than tables and questions\n");
			return 1;
		}
		take_text(&path);
		for (i = 0; i < question[2]; i++) {
			take_text(&sources[i]);
			if (sources[i].length >= MERLON_PATH_MAX) {
				fprintf(stderr, "A source is longer than a path can be\n");
				return 1;
			}
		}
		word = decide(&table, question, &path, sources);
		fwrite(&word, sizeof(word), 1, stdout);
	}
	free(table.bytes);
	return fflush(stdout) == 0 ? 0 : 1;
}
