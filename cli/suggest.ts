// SPDX-License-Identifier: Apache-2.0

/** The word nearest to `wrong`, when it is near enough to have been meant: at most a third of its letters differ, at least one may. */
export function suggest(wrong: string, words: readonly string[]): string | undefined {
  let best: string | undefined
  let bestDistance = Infinity
  for (const word of words) {
    const distance = word.startsWith(wrong) && wrong !== '' ? 0 : editDistance(wrong, word)
    if (distance < bestDistance) [best, bestDistance] = [word, distance]
  }
  return bestDistance <= Math.max(1, Math.floor(wrong.length / 3)) ? best : undefined
}

/** Insertions, deletions, replacements and swaps of neighbours that lead from one word to the other. */
export function editDistance(from: string, to: string): number {
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
