// SPDX-License-Identifier: Apache-2.0
// The name that somebody may have meant.

/** The name within two edits (one for short names), if any. */
export function nearest(name: string, names: readonly string[]): string | undefined {
  const limit = name.length <= 4 ? 1 : 2
  const ranked = names
    .map((candidate) => ({ candidate, distance: editDistance(name.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ distance }) => distance <= limit)
    .sort((a, b) => a.distance - b.distance)
  return ranked[0]?.candidate
}

/** Insertions, deletions, replacements and swaps of neighbours that lead from one word to the other. Long words are not worth the time. */
export function editDistance(from: string, to: string): number {
  if (Math.abs(from.length - to.length) > 8 || from.length > 64) return Infinity
  let beforeLast: number[] = []
  let last = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let i = 1; i <= from.length; i += 1) {
    const row = [i]
    for (let j = 1; j <= to.length; j += 1) {
      const replaced = at(last, j - 1) + (from[i - 1] === to[j - 1] ? 0 : 1)
      let best = Math.min(replaced, at(last, j) + 1, at(row, j - 1) + 1)
      if (from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1]) best = Math.min(best, at(beforeLast, j - 2) + 1)
      row.push(best)
    }
    ;[beforeLast, last] = [last, row]
  }
  return at(last, to.length)
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Infinity
}
