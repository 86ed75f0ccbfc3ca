// SPDX-License-Identifier: Apache-2.0
// What changes between two tables, as operations that get another verdict: found by walking the automata of both side by side, so no
// change is missed, whatever the rules look like.
import type { Table } from './lookup.ts'
import { OPERATIONS, type Answer, type Question } from './types.ts'

export interface Difference {
  /** An operation as short as any that shows this change. */
  readonly question: Question
  readonly before: Answer
  readonly after: Answer
}

export interface Differences {
  /** One for each pair of clauses that change places, by operation, owner and source. */
  readonly differences: readonly Difference[]
  /** False: there were more states than could be visited, and there may be more differences. */
  readonly complete: boolean
}

const SLASH = 0x2f
const MOST_PLACES = 300_000

/** A place in both automata, and how it was reached. `from`: index of the place before, -1 for the first. */
interface Place {
  readonly before: readonly number[]
  readonly after: readonly number[]
  readonly from: number
  readonly byte: number
}

/** `sources`: executables that either side names. */
export function differences(before: Table, after: Table, sources: readonly Uint8Array[]): Differences {
  const asked = questionsOf(sources)
  const bytes = representatives(before, after)
  const found = new Map<string, Difference>()
  const places: Place[] = [{ before: before.step(before.start, SLASH), after: after.step(after.start, SLASH), from: -1, byte: SLASH }]
  const seen = new Set<string>()
  for (let at = 0; at < places.length; at += 1) {
    const place = places[at]!
    // Paths do not end in a slash, but for the root itself.
    if (place.byte !== SLASH || at === 0) compareAt(place, asked, { before, after, found, path: () => pathTo(places, at) })
    for (const byte of bytes) {
      if (byte === SLASH && place.byte === SLASH) continue
      const next = { before: before.step(place.before, byte), after: after.step(place.after, byte), from: at, byte }
      const key = `${next.before.join()} ${next.after.join()} ${byte === SLASH}`
      if (seen.has(key)) continue
      seen.add(key)
      if (places.length >= MOST_PLACES) return { differences: [...found.values()], complete: false }
      places.push(next)
    }
  }
  return { differences: [...found.values()], complete: true }
}

type Asked = Omit<Question, 'path'>

/** Without a source and as the owner first: what these show is not shown again for others. */
function questionsOf(sources: readonly Uint8Array[]): readonly (readonly Asked[])[] {
  return OPERATIONS.map((operation) => [[], ...sources.map((source) => [source])].flatMap((given) => [true, false].map((owner): Asked => ({ operation, owner, sources: given }))))
}

interface Comparing {
  readonly before: Table
  readonly after: Table
  readonly found: Map<string, Difference>
  readonly path: () => Uint8Array
}

function compareAt(place: Place, asked: readonly (readonly Asked[])[], { before, after, found, path }: Comparing): void {
  for (const each of asked.flat()) {
    const old = before.decideAt(place.before, each)
    const now = after.decideAt(place.after, each)
    const key = `${each.operation} ${old.clause} ${now.clause}`
    if (old.verdict !== now.verdict && !found.has(key)) found.set(key, { question: { ...each, path: path() }, before: old, after: now })
  }
}

function pathTo(places: readonly Place[], last: number): Uint8Array {
  const bytes: number[] = []
  for (let at = last; at >= 0; at = places[at]!.from) bytes.push(places[at]!.byte)
  return Uint8Array.from(bytes.reverse())
}

/** One byte of each class of both tables, letters where there are some. */
function representatives(before: Table, after: Table): readonly number[] {
  const letters = Array.from('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_', (letter) => letter.charCodeAt(0))
  const byClass = new Map<string, number>()
  for (const byte of [SLASH, ...letters, ...Array.from({ length: 255 }, (_, index) => index + 1)]) {
    // The slash stands for itself: paths have components.
    const key = byte === SLASH ? '/' : `${before.classOf[byte]} ${after.classOf[byte]}`
    if (!byClass.has(key)) byClass.set(key, byte)
  }
  return [...byClass.values()]
}
