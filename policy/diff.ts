// SPDX-License-Identifier: Apache-2.0
// What changes between two plans, as operations that get another verdict: found by walking the automata of both tables side by side, so no
// change is missed, whatever the rules look like.
import { formClassOf, isWholeKey, isWholePath, keyFormAfter, keyOfForm, pathFormAfter, type KeyForm, type PathForm } from './forms.ts'
import { capabilityKey, KEY } from './keys.ts'
import { openTable, type Table } from './lookup.ts'
import { CAPABILITIES } from './names.ts'
import { CASES, isOfPaths } from './planes.ts'
import type { Answer, Operation, Plan, Question } from './types.ts'

export interface Difference {
  /** An operation as short as any that shows this change. */
  readonly question: Question
  readonly before: Answer
  readonly after: Answer
}

export interface Differences {
  /** One for each operation and pair of clauses that change places. */
  readonly differences: readonly Difference[]
  /** False: there were more states, sources or arguments than could be gone through, and there may be more differences. */
  readonly complete: boolean
}

/** A plan with the table that it compiles to. */
export interface Side {
  readonly plan: Plan
  readonly table: Uint8Array
}

const SLASH = 0x2f
const MOST_PLACES = 300_000
/** Of an exec two executables count: beyond so many not every two are tried. */
const MOST_PAIRED = 40
const MOST_LISTS = 64
const UTF8 = new TextEncoder()

/** Of operations on paths, and keys, that can be decided: of at most 4,095 bytes. */
export function differences(before: Side, after: Side): Differences {
  const { asked, complete } = questionsOf([before.plan, after.plan])
  const tables = [openTable(before.table), openTable(after.table)] as const
  const found = new Map<string, Difference>()
  const walks = [new Walk(tables, asked, 'paths', found), new Walk(tables, asked, 'keys', found)]
  return { complete: walks.map((walk) => walk.run()).every(Boolean) && complete, differences: [...found.values()] }
}

/* ---- What is asked of each path and key ---- */

type Asked = Omit<Question, 'path'>

/** Without a source, as the owner and without a terminal first: what these show is not shown again for others. */
function questionsOf(plans: readonly Plan[]): { readonly asked: readonly Asked[]; readonly complete: boolean } {
  const single = executablesOf(plans).map((source) => [UTF8.encode(source)])
  const paired = single.length > MOST_PAIRED ? [] : single.flatMap(([one], index) => single.slice(index + 1).map(([two]) => [one!, two!]))
  const { lists, complete } = argumentLists(plans)
  const cases = [...CASES].sort((a, b) => Number(b.owner) - Number(a.owner) || Number(a.tty) - Number(b.tty))
  const asked = [[], ...single, ...paired].flatMap((sources) =>
    cases.filter(({ operation }) => sources.length < 2 || operation === 'exec').flatMap(({ operation, owner, tty }) => {
      const plain = { operation, owner, sources, ...(tty ? { tty } : {}) }
      if (operation === 'exec') return [plain, ...lists.map((args) => ({ ...plain, args }))]
      return operation === 'ingress' || operation === 'egress' ? [plain, { ...plain, overQuota: true }] : [plain]
    }),
  )
  return { asked, complete: complete && single.length <= MOST_PAIRED }
}

/** Executables that rules name, and one below each directory that they name. */
function executablesOf(plans: readonly Plan[]): readonly string[] {
  const clauses = plans.flatMap((plan) => plan.clauses)
  const named = clauses.flatMap(({ sources }) => sources)
  const directories = clauses.flatMap(({ sourceDirectories }) => sourceDirectories)
  let stranger = 'x'
  while (named.some((each) => each.includes(stranger)) || directories.some(({ dir }) => dir.includes(stranger))) stranger += 'x'
  return [...new Set([...named, ...directories.flatMap(({ dir, recursive }) => [`${dir}${stranger}`, ...(recursive ? [`${dir}${stranger}/${stranger}`] : [])])])]
}

/** Lists of arguments: one for every way in which the sets of the rules can hold all of a list or not. */
function argumentLists(plans: readonly Plan[]): { readonly lists: readonly (readonly Uint8Array[])[]; readonly complete: boolean } {
  const sets = plans.flatMap(({ conditions }) => conditions.flatMap((condition) => (condition.kind === 'arguments' ? [condition.allowed] : [])))
  if (sets.length === 0) return { lists: [], complete: true }
  const known = [...new Set(sets.flat())]
  let stranger = 'x'
  while (known.includes(stranger)) stranger += 'x'
  const holding = (list: readonly string[]): string => sets.map((set) => Number(list.every((each) => set.includes(each)))).join('')
  const found = new Map<string, readonly string[]>([[holding([]), []]])
  // A map goes on over what is added on the way.
  for (const list of found.values()) {
    for (const argument of [stranger, ...known]) {
      if (found.size < MOST_LISTS && !found.has(holding([...list, argument]))) found.set(holding([...list, argument]), [...list, argument])
    }
  }
  return { lists: [...found.values()].map((list) => ['', ...list].map((each) => UTF8.encode(each))), complete: found.size < MOST_LISTS }
}

/* ---- The walk ---- */

/** A place in both tables, and how it was reached. */
interface Place {
  /** Of the automata of paths, and of that of keys: before the change and after it. */
  readonly states: readonly [before: readonly number[], after: readonly number[]]
  readonly keys: readonly [before: readonly number[], after: readonly number[]]
  readonly path: PathForm
  readonly key: KeyForm
  readonly byte: number
  readonly from: Place | undefined
}

const OPERATIONS: ReadonlyMap<number, Operation> = new Map([
  [KEY.invoked, 'exec'], [KEY.network, 'network'], [KEY.domain, 'dns'], [KEY.capability, 'capability'], [KEY.syscall, 'syscall'],
  [KEY.device, 'device'], [KEY.preset, 'preset'], [KEY.ingress, 'ingress'], [KEY.egress, 'egress'],
])

/** Over all paths, or over all keys. */
class Walk {
  private readonly tables: readonly [before: Table, after: Table]
  private readonly asked: readonly Asked[]
  private readonly over: 'paths' | 'keys'
  private readonly found: Map<string, Difference>
  /** Objects of both sides, with the operation that they were asked about: every place of theirs has the same answers. */
  private readonly compared = new Set<string>()

  constructor(tables: readonly [before: Table, after: Table], asked: readonly Asked[], over: 'paths' | 'keys', found: Map<string, Difference>) {
    this.tables = tables
    this.asked = asked
    this.over = over
    this.found = found
  }

  /** False where there are too many places. */
  run(): boolean {
    const bytes = representatives(...this.tables)
    const [before, after] = this.tables
    const places: Place[] = [{ states: [before.start, after.start], keys: [before.keyStart, after.keyStart], path: 'before', key: { at: 'start' }, byte: 0, from: undefined }]
    if (this.over === 'keys') this.compareCapabilities(places[0]!)
    const seen = new Set<string>()
    for (const place of places) {
      this.compareAt(place)
      for (const byte of bytes) {
        const next = isOfCapability(place.key) ? undefined : this.step(place, byte)
        const key = next === undefined ? undefined : `${next.states.join(' ')} ${next.keys.join(' ')} ${next.path} ${keyOfForm(next.key)}`
        if (next === undefined || key === undefined || seen.has(key)) continue
        seen.add(key)
        if (places.length >= MOST_PLACES) return false
        places.push(next)
      }
    }
    return true
  }

  /** One by one: a walk cannot tell those that exist from other numbers, of which an allow-list says something too. */
  private compareCapabilities(start: Place): void {
    for (const number of CAPABILITIES.keys()) {
      const end = capabilityKey(number).reduce<Place | undefined>((place, byte) => place && this.step(place, byte), start)
      if (end !== undefined) this.compareAt(end)
    }
  }

  private step(place: Place, byte: number): Place | undefined {
    if (this.over === 'paths') {
      const path = pathFormAfter(place.path, byte)
      return path === undefined ? undefined : { ...place, states: this.both(place.states, byte), path, byte, from: place }
    }
    const key = keyFormAfter(place.key, byte)
    if (key === undefined) return undefined
    // Of an executed file the path counts by itself, too.
    const counts = key.at === 'path' && key.kind === KEY.invoked
    return { ...place, keys: this.both(place.keys, byte), ...(counts ? { states: this.both(place.states, byte) } : {}), key, byte, from: place }
  }

  private both([before, after]: Place['states'], byte: number): Place['states'] {
    return [this.tables[0].step(before, byte), this.tables[1].step(after, byte)]
  }

  private compareAt(place: Place): void {
    if (!(this.over === 'paths' ? isWholePath(place.path) : isWholeKey(place.key))) return
    const [before, after] = this.statesAt(place)
    const kind = 'kind' in place.key ? OPERATIONS.get(place.key.kind) : undefined
    const objects = `${kind} ${this.tables[0].objectsAt(before).join()} ${this.tables[1].objectsAt(after).join()}`
    if (this.compared.has(objects)) return
    this.compared.add(objects)
    for (const each of this.asked) {
      if (kind === undefined ? !isOfPaths(each.operation) : each.operation !== kind) continue
      const [old, now] = [this.tables[0].decideAt(before, each), this.tables[1].decideAt(after, each)]
      const change = `${each.operation} ${old.clause} ${now.clause}`
      if (old.verdict === now.verdict || this.found.has(change)) continue
      this.found.set(change, { question: questionAt(each, place), before: old, after: now })
    }
  }

  /** Of an executed file both its path and its key. */
  private statesAt({ states, keys, key }: Place): Place['states'] {
    if (this.over === 'paths') return states
    return 'kind' in key && key.kind === KEY.invoked ? [[...states[0], ...keys[0]], [...states[1], ...keys[1]]] : keys
  }
}

function isOfCapability(key: KeyForm): boolean {
  return key.at !== 'start' && key.kind === KEY.capability
}

function questionAt(asked: Asked, place: Place): Question {
  const bytes: number[] = []
  for (let at: Place | undefined = place; at?.from !== undefined; at = at.from) bytes.push(at.byte)
  const path = Uint8Array.from(bytes.reverse())
  if (path[0] !== KEY.invoked) return { ...asked, path }
  const slash = path.indexOf(SLASH)
  return { ...asked, invoked: path.slice(1, slash), path: path.slice(slash) }
}

/** One byte of each class of both tables and of the forms, letters where there are some. */
function representatives(before: Table, after: Table): readonly number[] {
  const letters = Array.from('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_', (letter) => letter.charCodeAt(0))
  const byClass = new Map<string, number>()
  for (const byte of [...letters, ...Array.from({ length: 255 }, (_, index) => index + 1)]) {
    const key = `${before.classOf[byte]} ${after.classOf[byte]} ${formClassOf(byte)}`
    if (!byClass.has(key)) byClass.set(key, byte)
  }
  return [...byClass.values()]
}
