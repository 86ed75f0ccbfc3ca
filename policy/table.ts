// SPDX-License-Identifier: Apache-2.0
// The table's format in numbers. Mirrors docs/table.md, which explains it, and bpf/table.h; table.test.ts compares the three.

export const MAGIC = 0x4e4c524d
export const VERSION = 2
export const PAGE = 4096
export const WORDS_PER_PAGE = PAGE / 4
/** Accepts are two words each. */
export const PAIRS_PER_PAGE = PAGE / 8
export const MIN_PAGES = 2
export const MAX_PAGES = 4096
export const PLANES = 6
export const MAX_AUTOMATA = 4
/** A class has to fit into the upper byte of a cell, where 0 stands for none. */
export const MAX_CLASSES = 255
export const MAX_CELLS = 1 << 22
export const MAX_INDEX = 1 << 24

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
  undecidableExec: 60,
  undecidableFile: 64,
  automata: 68,
  /** Of automata 1, 2, 3. */
  starts: 72,
  reserved: 84,
  hash: 128,
  stamp: 160,
  padding: 192,
  classOf: 256,
  end: 512,
} as const

export const HASH_BYTES = 32
export const STAMP_BYTES = 32

export const FLAGS = { fileSubjects: 1, execSubjects: 2, fileRules: 4, execRules: 8, all: 15 } as const

/** Bits of a decision word. `bySubject` is a sign bit in JavaScript: compare with `>>> 0`. */
export const DECISION = {
  clause: 0x00ffffff,
  verdictShift: 24,
  verdictMask: 3,
  default: 1 << 26,
  all: 0x07ffffff,
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
