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

/* As the kernel's walk does, the path is written to the end of the first MERLON_PATH_MAX bytes. */
static int classify(struct host_table *table, const struct text *path, struct merlon_accept *accept)
{
	__u8 *text = malloc(MERLON_TEXT_SIZE);
	__u32 at = MERLON_PATH_MAX - path->length;
	int status;

	memcpy(text + at, path->bytes, path->length);
	status = merlon_classify(table, (struct merlon_table *)table->bytes, text, at, MERLON_PATH_MAX, accept);
	free(text);
	return status;
}

static uint32_t decide(struct host_table *table, const __u8 *question, const struct text *path, const struct text *sources)
{
	const struct merlon_table *head = (struct merlon_table *)table->bytes;
	__u8 operation = question[0], owner = question[1], count = question[2];
	struct merlon_accept accept;
	__u32 word, index, best = 0;
	int i;

	/* Sources are executables that ran, so they had a path. */
	if (path->length >= MERLON_PATH_MAX)
		return head->undecidable[operation == MERLON_OP_EXEC ? 0 : 1];
	if (classify(table, path, &accept))
		return BAD;
	if (merlon_decision(table, head, operation * 2 + owner, accept.object, &index))
		return BAD;
	if (!(index & MERLON_DECISION_BY_SUBJECT))
		return index;
	if (count == 0)
		return merlon_row(table, head, index, 0, &word) ? BAD : word;
	for (i = 0; i < count; i++) {
		if (classify(table, &sources[i], &accept) || merlon_row(table, head, index, accept.subject, &word))
			return BAD;
		best = merlon_stronger(best, word);
	}
	return best;
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
