// SPDX-License-Identifier: Apache-2.0
import { editDistance } from '../policy/spelling.ts'

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
