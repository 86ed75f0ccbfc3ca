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
#define MERLON_ACCEPTS_PER_PAGE 512
#define MERLON_WORDS_PER_PAGE 1024
#define MERLON_AUTOMATA 4
#define MERLON_PLANES 6 /* enum merlon_op * 2 + owner */

/* Decision word, direct: bit 31 clear. */
#define MERLON_DECISION_CLAUSE 0x00ffffffU
#define MERLON_DECISION_VERDICT_SHIFT 24
#define MERLON_DECISION_VERDICT 0x3U
#define MERLON_DECISION_DEFAULT (1U << 26) /* the clause is a default posture */
/* Decision word, by subject: bit 31 set, the rest is the index of a row of `subjects` direct words. */
#define MERLON_DECISION_BY_SUBJECT (1U << 31)

/* Cell of an edge: its class, from 1, above its target. */
#define MERLON_CELL_CLASS_SHIFT 24
#define MERLON_CELL_TARGET 0x00ffffffU
/* Cell of a state: class 0, one of three kinds, the default target. Accepting and absorbing ones have their accept in the next cell. */
#define MERLON_CELL_STATE 0x00400000U
#define MERLON_CELL_ACCEPTING 0x00800000U
#define MERLON_CELL_ABSORBING 0x00c00000U
#define MERLON_CELL_FALLBACK 0x003fffffU

#define MERLON_TABLE_FILE_SUBJECTS 1U /* flags: some file decision depends on the subject */
#define MERLON_TABLE_EXEC_SUBJECTS 2U
#define MERLON_TABLE_FILE_RULES 4U /* some file decision is not plain allow: otherwise opens need no path */
#define MERLON_TABLE_EXEC_RULES 8U

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
	__u32 flags;          /* MERLON_TABLE_*_SUBJECTS */
	__u32 classes;        /* 1..255 */
	__u32 cells_page;     /* first page */
	__u32 cells;          /* count */
	__u32 start;          /* state; of automaton 0 */
	__u32 accepts_page;
	__u32 accepts;
	__u32 decisions_page;
	__u32 decisions;      /* words: MERLON_PLANES * objects, then rows */
	__u32 objects;
	__u32 subjects;
	__u32 clauses;        /* highest clause id */
	__u32 undecidable[2]; /* direct decision words: exec, file */
	__u32 automata;       /* 1..MERLON_AUTOMATA */
	__u32 starts[3];      /* of automata 1.. */
	__u32 reserved[11];
	__u8 hash[32];        /* SHA-256 of the table with hash and stamp zero; offset 128 */
	struct merlon_stamp stamp; /* offset 160 */
	__u8 pad[64];
	__u8 class_of[256];   /* byte -> class, from 1; offset 256 */
};

#endif
