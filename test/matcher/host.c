// SPDX-License-Identifier: Apache-2.0
/*
 * bpf/match.h on the host: reads tables and questions from standard input, writes a word for each question.
 *
 * Input, all little-endian:
 *   'T' u32 length, bytes                          the table that the questions after it are put to
 *   'Q' u8 operation, u8 flags, u8 sources, u8 arguments, then texts: the path or key, the key of the invoked name where
 *       there is one, the sources, the keys of the arguments. A text is u16 length, bytes.
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

enum { OWNER = 1, TTY = 2, OVER_QUOTA = 4, INVOKED = 8, ARGUMENTS = 16, FLAGS = 31 };

#define SOURCES 2
#define ARGUMENTS_MAX 16

struct question {
	__u8 operation, flags, sources, arguments;
	struct text path, invoked, source[SOURCES], argument[ARGUMENTS_MAX];
};

static __u32 section_of(__u32 op)
{
	static const __u32 sections[MERLON_OPS] = {
		[MERLON_OP_EXEC] = MERLON_SECTION_PROCESS, [MERLON_OP_READ] = MERLON_SECTION_FILE,
		[MERLON_OP_WRITE] = MERLON_SECTION_FILE, [MERLON_OP_NETWORK] = MERLON_SECTION_NETWORK,
		[MERLON_OP_DNS] = MERLON_SECTION_DNS, [MERLON_OP_CAPABILITY] = MERLON_SECTION_CAPABILITIES,
		[MERLON_OP_SYSCALL] = MERLON_SECTION_SYSCALLS, [MERLON_OP_DEVICE] = MERLON_SECTION_DEVICE,
		[MERLON_OP_PRESET] = MERLON_SECTION_PRESET, [MERLON_OP_INGRESS] = MERLON_SECTION_INGRESS,
		[MERLON_OP_EGRESS] = MERLON_SECTION_EGRESS,
	};

	return sections[op];
}

static __u32 plane_of(__u32 op, __u32 flags)
{
	if (op <= MERLON_OP_WRITE)
		return op * 4 + (flags & OWNER ? 1 : 0) + (flags & TTY ? 2 : 0);
	if (op == MERLON_OP_NETWORK)
		return MERLON_PLANE_NETWORK + (flags & TTY ? 1 : 0);
	return MERLON_PLANE_DNS + op - MERLON_OP_DNS;
}

static int match(struct host_table *table, const struct text *path, __u32 automaton, struct merlon_asked asked,
		 struct merlon_matched *matched)
{
	const struct merlon_table *head = (struct merlon_table *)table->bytes;
	__u8 *text = malloc(MERLON_TEXT_SIZE);
	__u32 at = place(path, text);
	int status = merlon_match_automaton(table, head, automaton, asked, text, at, MERLON_PATH_MAX, matched);

	free(text);
	return status;
}

static int subject_of(struct host_table *table, const struct text *path, __u32 *subject)
{
	__u32 automaton = path->length && path->bytes[0] == MERLON_KEY_INVOKED ? MERLON_KEYS : 0;
	__u8 *text = malloc(MERLON_TEXT_SIZE);
	__u32 at = place(path, text);
	int status = merlon_match_subject(table, (struct merlon_table *)table->bytes, automaton, text, at, MERLON_PATH_MAX, subject);

	free(text);
	return status;
}

/* What the question knows of conditions. The keys of the arguments come without that of argv[0]. */
static int learn(struct host_table *table, const struct question *question, struct merlon_holds *holds)
{
	const struct merlon_table *head = (struct merlon_table *)table->bytes;
	__u8 *text = malloc(MERLON_TEXT_SIZE);
	int status = 0, i;

	memset(holds, 0, sizeof(*holds));
	holds->quotas = !(question->flags & OVER_QUOTA);
	if (question->flags & ARGUMENTS)
		memset(holds->sets, 0xff, sizeof(holds->sets));
	for (i = 0; !status && i < question->arguments; i++) {
		const struct text *argument = &question->argument[i];

		if (argument->length >= MERLON_PATH_MAX)
			memset(holds->sets, 0, sizeof(holds->sets));
		else
			status = merlon_match_argument(table, head, text, place(argument, text), MERLON_PATH_MAX, holds);
	}
	free(text);
	return status;
}

static int run_automata(struct host_table *table, const struct question *question, struct merlon_asked asked,
			struct merlon_matched *matched)
{
	const struct merlon_table *head = (struct merlon_table *)table->bytes;
	__u32 automaton;

	if (question->operation > MERLON_OP_WRITE)
		return match(table, &question->path, MERLON_KEYS, asked, matched);
	for (automaton = 0; automaton < head->automata && automaton < MERLON_AUTOMATA; automaton++)
		if (match(table, &question->path, automaton, asked, matched))
			return -1;
	/* What is longer is not looked at. */
	if ((question->flags & INVOKED) && question->invoked.length < MERLON_PATH_MAX)
		return match(table, &question->invoked, MERLON_KEYS, asked, matched);
	return 0;
}

static uint32_t decide(struct host_table *table, const struct question *question)
{
	const struct merlon_table *head = (struct merlon_table *)table->bytes;
	struct merlon_matched matched = { 0 };
	__u32 subjects[SOURCES] = { 0, 0 }, i;
	struct merlon_holds holds;
	struct merlon_asked asked = { .plane = plane_of(question->operation, question->flags), .holds = &holds };

	/* Sources are executables that ran, so they had a path. */
	if (question->path.length >= MERLON_PATH_MAX)
		return head->undecidable[section_of(question->operation)];
	if (learn(table, question, &holds) || run_automata(table, question, asked, &matched))
		return BAD;
	if (!matched.row_count)
		return matched.word;
	for (i = 0; i < question->sources; i++)
		if (subject_of(table, &question->source[i], &subjects[i]))
			return BAD;
	if (question->sources == 1)
		subjects[1] = subjects[0];
	for (i = 0; i < matched.row_count; i++)
		if (merlon_match_row(table, head, matched.rows[i], subjects[0], subjects[1], &holds, &matched.word))
			return BAD;
	return matched.word;
}

static int is_question(int kind, const struct question *question)
{
	return kind == 'Q' && question->operation < MERLON_OPS && question->flags <= FLAGS && question->sources <= SOURCES &&
	       question->arguments <= ARGUMENTS_MAX;
}

static void take_question(struct question *question)
{
	int i;

	take_text(&question->path);
	if (question->flags & INVOKED)
		take_text(&question->invoked);
	for (i = 0; i < question->sources; i++)
		take_text(&question->source[i]);
	for (i = 0; i < question->arguments; i++)
		take_text(&question->argument[i]);
}

int main(void)
{
	struct host_table table = { 0, NULL };
	static struct question question;
	int kind;

	while ((kind = getchar()) != EOF) {
		uint32_t word;
		int i;

		if (kind == 'T') {
			take_table(&table);
			continue;
		}
		take(&question, 4);
		if (!is_question(kind, &question) || !table.bytes) {
			fprintf(stderr, "Standard input holds something other than tables and questions\n");
			return 1;
		}
		take_question(&question);
		for (i = 0; i < question.sources; i++) {
			if (question.source[i].length >= MERLON_PATH_MAX) {
				fprintf(stderr, "A source is longer than a path can be\n");
				return 1;
			}
		}
		word = decide(&table, &question);
		fwrite(&word, sizeof(word), 1, stdout);
	}
	free(table.bytes);
	return fflush(stdout) == 0 ? 0 : 1;
}
