// SPDX-License-Identifier: Apache-2.0
// Classes of objects that tests of policies have looked at, of all that the rules tell apart: paths are in one class where every operation on
// them is decided by the same rules, and so are sockets, capabilities and all else (key-coverage.ts). Classes say more than rules do: two
// directories that overlap make three.
import { compile } from './compile.ts'
import { Keys, type Example } from './key-coverage.ts'
import { openTable, type Table } from './lookup.ts'
import { CASES, isOfPaths } from './planes.ts'
import { search, type Space } from './search.ts'
import type { Plan, Question } from './types.ts'

export interface ClassCoverage {
  /** Paths that no rule names are a class, too. */
  readonly classes: number
  /** For each class that no question was about an example, as short as any; of paths a read. */
  readonly missed: readonly Example[]
}

interface Walk {
  readonly states: readonly number[]
  readonly byte: number
  readonly before: Walk | undefined
}

const LIMIT = 50_000
const SLASH = 0x2f
const DOT = 0x2e
/** What people can read comes first. */
const BYTES = [...Array.from('abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-_', (each) => each.charCodeAt(0)), ...Array.from({ length: 255 }, (_, index) => index + 1)]

/** Of the plan of one workload; undefined where it has no table, or too large a one to walk. */
export function classCoverage(plan: Plan, questions: readonly Example[]): ClassCoverage | undefined {
  const compiled = compile(plan)
  if (!compiled.ok) return undefined
  const table = openTable(compiled.table)
  const [paths, keys] = [new Classes(table, plan), new Keys(table, plan)]
  const [allPaths, allKeys] = [paths.all(), keys.all()]
  if (allPaths === undefined || allKeys === undefined) return undefined
  const asked = new Set(questions.map((each) => (isOfPaths(each.operation) ? paths.of(each.path) : keys.of(each))))
  const all = [...[...allPaths].map(([key, path]): readonly [string, Example] => [key, { operation: 'read', path }]), ...allKeys]
  return { classes: all.length, missed: all.filter(([key]) => !asked.has(key)).map(([, example]) => example) }
}

class Classes {
  private readonly table: Table
  private readonly asked: readonly Omit<Question, 'path'>[]
  private readonly keys = new Map<string, string>()

  constructor(table: Table, plan: Plan) {
    this.table = table
    const sources = [...new Set(plan.clauses.flatMap((clause) => clause.sources))].map((source) => [new TextEncoder().encode(source)])
    const cases = CASES.filter(({ section }) => section === 'process' || section === 'file')
    this.asked = cases.flatMap(({ operation, owner, tty }) => [[], ...sources].map((each) => ({ operation, owner, tty, sources: each })))
  }

  of(path: Uint8Array): string {
    return this.at(path.reduce((states, byte) => this.table.step(states, byte), this.table.start))
  }

  private at(states: readonly number[]): string {
    const place = states.join()
    let key = this.keys.get(place)
    if (key === undefined) {
      key = this.asked.map((each) => this.table.decideAt(states, each).clause).join()
      this.keys.set(place, key)
    }
    return key
  }

  /** A shortest path of each class. */
  all(): ReadonlyMap<string, Uint8Array> | undefined {
    const found = new Map<string, Uint8Array>()
    const space: Space<Walk> = {
      key: ({ states, byte, before }) => `${states.join()} ${before === undefined ? '' : byte === SLASH}`,
      // No component is empty; one of dots alone does not come up, as the dot is gone by only where rules name it.
      next: (before, byte) => ((before.byte === 0) !== (byte === SLASH) && (before.byte === 0 || before.byte === SLASH) ? undefined : { states: this.table.step(before.states, byte), byte, before }),
      wanted: (walk) => {
        const isPath = walk.before !== undefined && (walk.byte !== SLASH || walk.before.before === undefined)
        if (isPath && !found.has(this.at(walk.states))) found.set(this.at(walk.states), pathTo(walk))
        return false
      },
    }
    const ended = search({ states: this.table.start, byte: 0, before: undefined }, space, this.bytes(), LIMIT)
    return 'exceeded' in ended ? undefined : found
  }

  /** One of each class, and the slash; the dot only where rules tell it from all others. */
  private bytes(): readonly number[] {
    const ofClass = new Map<number, number>()
    for (const byte of BYTES) {
      if (byte !== SLASH && byte !== DOT && !ofClass.has(this.table.classOf[byte]!)) ofClass.set(this.table.classOf[byte]!, byte)
    }
    const dots = ofClass.has(this.table.classOf[DOT]!) ? [] : [DOT]
    return [SLASH, ...ofClass.values(), ...dots]
  }
}

function pathTo(walk: Walk): Uint8Array {
  const bytes: number[] = []
  for (let at: Walk | undefined = walk; at?.before !== undefined; at = at.before) bytes.push(at.byte)
  return Uint8Array.from(bytes.reverse())
}
