// SPDX-License-Identifier: Apache-2.0
// What changes between two tables, as operations that get another verdict: found by walking the automata of both side by side, so no
// change is missed, whatever the rules look like.
import type { Table } from './lookup.ts'
import { KEY } from './keys.ts'
import { CASES } from './planes.ts'
import type { Answer, Operation, Question } from './types.ts'

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
  const walks = [new Walk(before, after, questionsOf(sources, isOfPaths), true), new Walk(before, after, questionsOf(sources, (operation) => operation === 'exec' || !isOfPaths(operation)), false)]
  const complete = walks.map((walk) => walk.run())
  return { differences: walks.flatMap(({ found }) => [...found.values()]), complete: complete.every(Boolean) }
}

type Asked = Omit<Question, 'path'>

function isOfPaths(operation: Operation): boolean {
  return operation === 'exec' || operation === 'read' || operation === 'write'
}

/** Without a source, as the owner and without a terminal first: what these show is not shown again for others. */
function questionsOf(sources: readonly Uint8Array[], wanted: (operation: Operation) => boolean): readonly Asked[] {
  const given = [[], ...sources.map((source) => [source])]
  const cases = CASES.filter(({ operation }) => wanted(operation)).sort((a, b) => Number(b.owner) - Number(a.owner) || Number(a.tty) - Number(b.tty))
  return given.flatMap((each) => cases.flatMap(({ operation, owner, tty }) => (tty ? [{ operation, owner, tty, sources: each }] : [{ operation, owner, sources: each }])))
}

/** Over all paths, or over all keys. */
class Walk {
  readonly found = new Map<string, Difference>()
  private readonly before: Table
  private readonly after: Table
  private readonly asked: readonly Asked[]
  private readonly paths: boolean
  private readonly places: Place[]

  constructor(before: Table, after: Table, asked: readonly Asked[], paths: boolean) {
    this.before = before
    this.after = after
    this.asked = asked
    this.paths = paths
    this.places = paths
      ? [{ before: before.step(before.start, SLASH), after: after.step(after.start, SLASH), from: -1, byte: SLASH }]
      : [{ before: before.keyStart, after: after.keyStart, from: -1, byte: 0 }]
  }

  /** False where there are too many places. */
  run(): boolean {
    const bytes = representatives(this.before, this.after)
    const seen = new Set<string>()
    for (let at = 0; at < this.places.length; at += 1) {
      const place = this.places[at]!
      // Paths do not end in a slash, but for the root itself.
      if (!this.paths || place.byte !== SLASH || at === 0) this.compareAt(at)
      for (const byte of bytes) {
        if (this.paths && byte === SLASH && place.byte === SLASH) continue
        const next = { before: this.before.step(place.before, byte), after: this.after.step(place.after, byte), from: at, byte }
        const key = `${next.before.join()} ${next.after.join()} ${this.paths && byte === SLASH}`
        if (seen.has(key)) continue
        seen.add(key)
        if (this.places.length >= MOST_PLACES) return false
        this.places.push(next)
      }
    }
    return true
  }

  private compareAt(at: number): void {
    const place = this.places[at]!
    for (const each of this.asked) {
      const old = this.before.decideAt(place.before, each)
      const now = this.after.decideAt(place.after, each)
      const key = `${each.operation} ${old.clause} ${now.clause}`
      if (old.verdict === now.verdict || this.found.has(key)) continue
      const question = questionAt(each, this.pathTo(at), this.paths)
      if (question !== undefined) this.found.set(key, { question, before: old, after: now })
    }
  }

  private pathTo(last: number): Uint8Array {
    const bytes: number[] = []
    for (let at = last; at >= 0; at = this.places[at]!.from) bytes.push(this.places[at]!.byte)
    if (!this.paths) bytes.pop()
    return Uint8Array.from(bytes.reverse())
  }
}

const KINDS: Readonly<Record<Operation, number | undefined>> = {
  exec: KEY.invoked, read: undefined, write: undefined, network: KEY.network, dns: KEY.domain, capability: KEY.capability,
  syscall: KEY.syscall, device: KEY.device, preset: KEY.preset, ingress: KEY.ingress, egress: KEY.egress,
}

/** A question that leads there; undefined where a key is none of the operation's. */
function questionAt(asked: Asked, path: Uint8Array, paths: boolean): Question | undefined {
  if (paths) return { ...asked, path }
  if (path[0] !== KINDS[asked.operation]) return undefined
  if (asked.operation !== 'exec') return { ...asked, path }
  const slash = path.indexOf(SLASH)
  return slash > 0 ? { ...asked, invoked: path.slice(1, slash), path: path.slice(slash) } : undefined
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
