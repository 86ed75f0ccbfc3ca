/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The table's format, as docs/table.md specifies it. Must match policy/table.ts (a test compares the offsets). */
#ifndef MERLON_TABLE_H
#define MERLON_TABLE_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define MERLON_TABLE_MAGIC 0x4e4c524dU /* "MRLN" */
#define MERLON_TABLE_VERSION 2
#define MERLON_PAGE 4096
#define MERLON_PAIRS_PER_PAGE 512 /* accepts, and cells of rows */
#define MERLON_WORDS_PER_PAGE 1024
#define MERLON_CHOICES_PER_PAGE 256
#define MERLON_AUTOMATA 4
#define MERLON_SECTIONS 10
#define MERLON_SET_WORDS 16 /* of bits for argument sets, at most */

/* What an operation is asked in. Owner adds 1 where there is one, a terminal 2, or 1 for the network. */
enum merlon_plane {
	MERLON_PLANE_EXEC = 0,
	MERLON_PLANE_READ = 4,
	MERLON_PLANE_WRITE = 8,
	MERLON_PLANE_NETWORK = 12,
	MERLON_PLANE_DNS = 14,
	MERLON_PLANE_CAPABILITY = 15,
	MERLON_PLANE_SYSCALL = 16,
	MERLON_PLANE_DEVICE = 17,
	MERLON_PLANE_PRESET = 18,
	MERLON_PLANE_INGRESS = 19,
	MERLON_PLANE_EGRESS = 20,
	MERLON_PLANE_ARGUMENT = 21, /* no decision: which sets an argument is in */
	MERLON_PLANES = 22,
};

/* The first byte of a key: what is asked about that is no path. */
enum merlon_key {
	MERLON_KEY_NETWORK = 1,
	MERLON_KEY_CAPABILITY = 2,
	MERLON_KEY_SYSCALL = 3,
	MERLON_KEY_DOMAIN = 4,
	MERLON_KEY_DEVICE = 5,
	MERLON_KEY_PRESET = 6,
	MERLON_KEY_INGRESS = 7,
	MERLON_KEY_EGRESS = 8,
	MERLON_KEY_ARGUMENT = 9,
	MERLON_KEY_INVOKED = 10,
};

/* Of the undecidable words and the flags. */
enum merlon_section {
	MERLON_SECTION_PROCESS = 0,
	MERLON_SECTION_FILE = 1,
	MERLON_SECTION_NETWORK = 2,
	MERLON_SECTION_DNS = 3,
	MERLON_SECTION_CAPABILITIES = 4,
	MERLON_SECTION_SYSCALLS = 5,
	MERLON_SECTION_DEVICE = 6,
	MERLON_SECTION_PRESET = 7,
	MERLON_SECTION_INGRESS = 8,
	MERLON_SECTION_EGRESS = 9,
};

/* Decision word, direct: bits 30 and 31 clear. */
#define MERLON_DECISION_CLAUSE 0x00ffffffU
#define MERLON_DECISION_VERDICT_SHIFT 24
#define MERLON_DECISION_VERDICT 0x3U
#define MERLON_DECISION_DEFAULT (1U << 26) /* the clause is a default posture */
/* Decision word, by subject: bit 31 set, the rest is the number of a row. */
#define MERLON_DECISION_BY_SUBJECT (1U << 31)
/* Decision word, by a condition: bit 30 set, the rest is the number of a choice. */
#define MERLON_DECISION_CHOICE (1U << 30)

/* Cell of an edge: its class, from 1, above its target. */
#define MERLON_CELL_CLASS_SHIFT 24
#define MERLON_CELL_TARGET 0x00ffffffU
/* Cell of a state: class 0, one of three kinds, the default target. Accepting and absorbing ones have their accept in the next cell. */
#define MERLON_CELL_STATE 0x00400000U
#define MERLON_CELL_ACCEPTING 0x00800000U
#define MERLON_CELL_ABSORBING 0x00c00000U
#define MERLON_CELL_FALLBACK 0x003fffffU

/* Flags. A section whose bit is clear permits everything without a clause: its hooks need no path. */
#define MERLON_TABLE_RULES(section) (1U << (section))
#define MERLON_TABLE_SUBJECTS(section) (1U << (10 + (section))) /* some decision of the section depends on the subject */
#define MERLON_TABLE_TERMINAL (1U << 20)                        /* some decision depends on the terminal */
#define MERLON_TABLE_ARGUMENTS (1U << 21)                       /* some decision depends on arguments */
#define MERLON_TABLE_INVOKED (1U << 22)                         /* some rule or source is matched by an invoked name */

/* Cell `row + subject` of a row has the subject's word where its check is `row + 1`; else cell `row` has it. */
struct merlon_row_cell {
	__u32 word;
	__u32 check;
};

struct merlon_choice {
	__u32 condition; /* argument sets, then quotas */
	__u32 yes;       /* direct, or a choice of a lower number */
	__u32 no;
	__u32 unknown;   /* direct: where no condition holds */
};

struct merlon_accept {
	__u32 object;
	__u32 subject;
};

/* Written by the agent into the kernel's copy only; zero in a table at rest, and left out of the hash. */
struct merlon_stamp {
	__u64 generation;
	__u32 serial;       /* unique for each load on this node */
	__u32 counter_base; /* counter of clause c is counter_base + c */
	__u32 slot;
	__u32 pad[3];
};

struct merlon_table {
	__u32 magic;
	__u32 version;
	__u32 pages;          /* of the whole table */
	__u32 flags;
	__u32 classes;        /* 1..255 */
	__u32 cells_page;     /* first page */
	__u32 cells;          /* count */
	__u32 start;          /* state; of automaton 0 */
	__u32 accepts_page;
	__u32 accepts;
	__u32 decisions_page;
	__u32 decisions;      /* words: columns * objects */
	__u32 objects;
	__u32 subjects;
	__u32 clauses;        /* highest clause id */
	__u32 columns;
	__u32 automata;       /* of paths: 1..MERLON_AUTOMATA */
	__u32 starts[3];      /* of automata 1.. */
	__u32 key_start;      /* of the automaton of keys; 0 (dead) where there is none */
	__u32 rows_page;
	__u32 rows;           /* cells */
	__u32 choices_page;
	__u32 choices;
	__u32 conditions_page;
	__u32 conditions;     /* words: rows of bits, then four for each quota */
	__u32 sets;           /* of arguments */
	__u32 quotas;
	__u32 reserved[3];
	__u8 hash[32];        /* SHA-256 of the table with hash and stamp zero; offset 128 */
	struct merlon_stamp stamp; /* offset 160 */
	__u32 undecidable[MERLON_SECTIONS]; /* direct decision words; offset 192 */
	__u32 pad[6];
	__u8 class_of[256];   /* byte -> class, from 1; offset 256 */
	__u8 column_of[32];   /* plane -> column; offset 512 */
};

#endif
