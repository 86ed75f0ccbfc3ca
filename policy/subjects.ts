// SPDX-License-Identifier: Apache-2.0
// Executables folded to subject classes: those that the same clauses name as their source.
import { byteString } from './expression.ts'
import { KEY } from './keys.ts'
import type { Clause, Directory, Plan } from './types.ts'

export interface SourceDirectory extends Directory {
  /** `dir` as bytes, one character each. */
  readonly bytes: string
  /** Of lists of sources that hold it. */
  readonly lists: readonly number[]
}

/** Class 0: executables that no clause names. */
export interface Subjects {
  readonly count: number
  /** Class of each executable that some clause names by its key, as a byte string. */
  readonly classOf: ReadonlyMap<string, number>
  readonly directories: readonly SourceDirectory[]
  /** The class of an executable that no clause names by its key, and that lies in these directories (indices). */
  readonly ofDirectories: (directories: readonly number[]) => number
  /** For each clause the classes of its sources, ascending; empty: any source. */
  readonly ofClause: readonly (readonly number[])[]
}

const NO_CLASSES: readonly number[] = []

export function isInvoked(key: string): boolean {
  return key.charCodeAt(0) === KEY.invoked
}

export function makeSubjects(plan: Plan): Subjects {
  const lists = new Map<string, number>()
  const ofClause = plan.clauses.map((clause) => listOf(clause, lists))
  const literals = new Map<string, number[]>()
  const byDirectory = new Map<string, { readonly directory: Directory; readonly lists: number[] }>()
  const seen = new Set<number>()
  for (let index = 0; index < ofClause.length; index++) {
    const list = ofClause[index]!
    if (list < 0 || seen.has(list)) continue
    const { sources, sourceDirectories } = plan.clauses[index]!
    seen.add(list)
    for (const source of new Set(sources.map(byteString))) add(literals, source, list)
    for (const directory of sourceDirectories) {
      const key = `${directory.dir} ${directory.recursive}`
      if (!byDirectory.has(key)) byDirectory.set(key, { directory, lists: [] })
      byDirectory.get(key)!.lists.push(list)
    }
  }
  const directories = [...byDirectory.values()].map(({ directory, lists: of }): SourceDirectory => ({ ...directory, bytes: byteString(directory.dir), lists: of }))
  return classes(literals, directories, ofClause)
}

/** Number of the list of a clause's sources; -1: any. */
function listOf({ sources, sourceDirectories }: Clause, lists: Map<string, number>): number {
  if (sources.length === 0 && sourceDirectories.length === 0) return -1
  const key = sourceDirectories.length === 0 ? sources.join('\0') : JSON.stringify([sources, sourceDirectories])
  let list = lists.get(key)
  if (list === undefined) lists.set(key, (list = lists.size))
  return list
}

function add(map: Map<string, number[]>, key: string, value: number): void {
  const values = map.get(key)
  if (values === undefined) map.set(key, [value])
  else values.push(value)
}

function classes(literals: ReadonlyMap<string, readonly number[]>, directories: readonly SourceDirectory[], listOfClause: readonly number[]): Subjects {
  const ids = new Map<string, number>([['', 0]])
  const ofList = new Map<number, Set<number>>()
  const idOf = (lists: readonly number[]): number => {
    const sorted = [...new Set(lists)].sort((a, b) => a - b)
    const key = sorted.join()
    let id = ids.get(key)
    if (id === undefined) {
      ids.set(key, (id = ids.size))
      for (const list of sorted) ofList.set(list, (ofList.get(list) ?? new Set()).add(id))
    }
    return id
  }
  const around = (path: string): readonly number[] => directories.flatMap((directory) => (covers(directory, path) ? directory.lists : []))
  const classOf = new Map([...literals].map(([path, lists]) => [path, idOf(isInvoked(path) ? lists : [...lists, ...around(path)])]))
  // All that directories can tell apart: each itself, what lies in it, and what lies deeper.
  for (const { bytes } of directories) for (const path of [bytes.slice(0, -1), `${bytes}\0`, `${bytes}\0/\0`]) idOf(around(path))
  const byDirectories = new Map<string, number>()
  return {
    count: ids.size,
    classOf,
    directories,
    ofDirectories: (inside) => {
      const key = inside.join()
      let id = byDirectories.get(key)
      if (id === undefined) byDirectories.set(key, (id = idOf(inside.flatMap((index) => directories[index]!.lists))))
      return id
    },
    ofClause: listOfClause.map((list) => (list < 0 ? NO_CLASSES : [...(ofList.get(list) ?? [])].sort((a, b) => a - b))),
  }
}

function covers({ bytes, recursive }: SourceDirectory, path: string): boolean {
  if (path === bytes.slice(0, -1)) return true
  return path.startsWith(bytes) && (recursive || !path.includes('/', bytes.length))
}
