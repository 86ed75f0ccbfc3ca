// SPDX-License-Identifier: Apache-2.0
// The table's format in numbers. Mirrors docs/table.md, which explains it, and bpf/table.h; table.test.ts compares the three.

export const MAGIC = 0x4e4c524d
export const VERSION = 2
export const PAGE = 4096
export const WORDS_PER_PAGE = PAGE / 4
/** Accepts and the cells of rows are two words each. */
export const PAIRS_PER_PAGE = PAGE / 8
/** Choices are four words each. */
export const CHOICES_PER_PAGE = PAGE / 16
export const MIN_PAGES = 2
export const MAX_PAGES = 4096
export const MAX_AUTOMATA = 4
/** A class has to fit into the upper byte of a cell, where 0 stands for none. */
export const MAX_CLASSES = 255
export const MAX_CELLS = 1 << 22
export const MAX_INDEX = 1 << 24
/** MAX_PAGES of them, and a little less: so many steps end the walk through them. */
export const MAX_CHOICES = (1 << 20) - 1
/** Of words of bits for the argument sets that one table may have: 512 sets. */
export const MAX_SET_WORDS = 16

/** Byte offsets in page 0. */
export const HEADER = {
  magic: 0,
  version: 4,
  pages: 8,
  flags: 12,
  classes: 16,
  cellsPage: 20,
  cells: 24,
  start: 28,
  acceptsPage: 32,
  accepts: 36,
  decisionsPage: 40,
  decisions: 44,
  objects: 48,
  subjects: 52,
  clauses: 56,
  columns: 60,
  automata: 64,
  /** Of automata 1, 2, 3. */
  starts: 68,
  keyStart: 80,
  rowsPage: 84,
  rows: 88,
  choicesPage: 92,
  choices: 96,
  conditionsPage: 100,
  conditions: 104,
  sets: 108,
  quotas: 112,
  reserved: 116,
  hash: 128,
  stamp: 160,
  /** One word for each section, in the order of SECTIONS. */
  undecidable: 192,
  padding: 232,
  classOf: 256,
  /** One byte for each plane. */
  columnOf: 512,
  end: 544,
} as const

export const HASH_BYTES = 32
export const STAMP_BYTES = 32
export const COLUMN_BYTES = 32
export const QUOTA_WORDS = 4

/** `rules << section`: some decision of the section is other than allow without clause; `subjects << section`: some depends on the subject. */
export const FLAGS = { rules: 1, subjects: 1 << 10, terminal: 1 << 20, arguments: 1 << 21, invoked: 1 << 22, all: (1 << 23) - 1 } as const

/** Bits of a decision word. `bySubject` is a sign bit in JavaScript: compare with `>>> 0`. */
export const DECISION = {
  clause: 0x00ffffff,
  verdictShift: 24,
  verdictMask: 3,
  default: 1 << 26,
  all: 0x07ffffff,
  /** The rest is the number of a choice. */
  choice: 0x40000000,
  bySubject: 0x80000000,
} as const

/**
 * Bits of a cell. An edge has its class in the upper byte. A state has 0 there and one of three kinds below it: `state` alone, `accepting` with an
 * accept in the next cell, or `absorbing`, which has one too.
 */
export const CELL = { classShift: 24, target: 0x00ffffff, kindShift: 22, state: 0x00400000, accepting: 0x00800000, absorbing: 0x00c00000, fallback: 0x003fffff } as const

export function pagesFor(items: number, perPage: number): number {
  return Math.ceil(items / perPage)
}

/** Words of bits that say which sets an argument is in. */
export function setWords(sets: number): number {
  return Math.ceil(sets / 32)
}
