// SPDX-License-Identifier: Apache-2.0

/** The union of two ascending lists, ascending, each number once. Gives back an argument where that is the union. */
export function merge(a: readonly number[], b: readonly number[]): readonly number[] {
  if (a.length === 0) return b
  if (b.length === 0) return a
  const result: number[] = []
  for (let i = 0, j = 0; i < a.length || j < b.length; ) {
    const [x, y] = [a[i] ?? Infinity, b[j] ?? Infinity]
    result.push(Math.min(x, y))
    if (x <= y) i++
    if (y <= x) j++
  }
  return result
}
