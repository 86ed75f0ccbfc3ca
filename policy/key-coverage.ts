// SPDX-License-Identifier: Apache-2.0
// Classes of what is no path: sockets, names, capabilities, system calls, devices, presets and packets, of all that the rules of each section tell apart.
import { formClassOf, isWholeKey, keyFormAfter, keyOfForm, type KeyForm } from './forms.ts'
import { capabilityKey, KEY, presetKey, syscallKey } from './keys.ts'
import type { Table } from './lookup.ts'
import { CAPABILITIES, PRESETS } from './names.ts'
import { CASES } from './planes.ts'
import { search, type Space } from './search.ts'
import { SYSCALL_NUMBERS } from './syscalls.ts'
import type { Operation, Plan, Question } from './types.ts'

export type Example = Pick<Question, 'operation' | 'path'>

/** By what sets a class apart, an example of it. */
export type KeyClasses = Map<string, Example>

interface Walk {
  readonly states: readonly number[]
  readonly form: KeyForm
  readonly byte: number
  readonly before: Walk | undefined
}

/** Kinds of keys that are too many to go through one by one. */
const WALKED: Readonly<Partial<Record<Operation, number>>> = { network: KEY.network, dns: KEY.domain, device: KEY.device, ingress: KEY.ingress, egress: KEY.egress }
const LIMIT = 50_000
const UTF8 = new TextEncoder()
/** What people can read comes first. */
const BYTES = [...Array.from('abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNO@-_', (each) => each.charCodeAt(0)), ...Array.from({ length: 255 }, (_, index) => index + 1)]

/** Of the plan's table. What no rule of a section names is a class of it; a section without rules has none. */
export class Keys {
  private readonly table: Table
  private readonly plan: Plan
  private readonly operations: readonly Operation[]
  private readonly asked: readonly Omit<Question, 'path'>[]

  constructor(table: Table, plan: Plan) {
    this.table = table
    this.plan = plan
    const sections = new Set(plan.clauses.map(({ section }) => section))
    const cases = CASES.filter(({ section }) => section !== 'process' && section !== 'file' && sections.has(section))
    this.operations = [...new Set(cases.map(({ operation }) => operation))]
    const directories = plan.clauses.flatMap(({ sourceDirectories }) => sourceDirectories.flatMap(({ dir }) => [`${dir}x`, `${dir}x/x`]))
    const sources = [[], ...[...new Set([...plan.clauses.flatMap((clause) => clause.sources), ...directories])].map((source) => [UTF8.encode(source)])]
    this.asked = cases.flatMap(({ operation, owner, tty }) => sources.flatMap((each) => [false, true].map((overQuota) => ({ operation, owner, tty, overQuota, sources: each }))))
  }

  /** The class of what a question is about; undefined where its section has no rules. */
  of({ operation, path }: Example): string | undefined {
    return this.operations.includes(operation) ? this.at(operation, this.run(path)) : undefined
  }

  private run(key: Uint8Array): readonly number[] {
    return key.reduce((states, byte) => this.table.step(states, byte), this.table.keyStart)
  }

  private at(operation: Operation, states: readonly number[]): string {
    return `${operation} ${this.asked.filter((each) => each.operation === operation).map((each) => this.table.decideAt(states, each).clause).join()}`
  }

  /** Undefined where there are too many places to go through. */
  all(): KeyClasses | undefined {
    const found: KeyClasses = new Map()
    const isComplete = this.operations.every((operation) => {
      for (const path of listOf(operation)) this.note(found, { operation, path }, this.run(path))
      const kind = WALKED[operation]
      const starts = kind !== undefined ? [Uint8Array.of(kind)] : operation === 'syscall' ? this.callsWithPaths() : []
      return starts.every((start) => this.walk(found, operation, start))
    })
    return isComplete ? found : undefined
  }

  private note(found: KeyClasses, example: Example, states: readonly number[]): void {
    const key = this.at(example.operation, states)
    if (!found.has(key)) found.set(key, example)
  }

  /** Of the others a path makes no difference. */
  private callsWithPaths(): readonly Uint8Array[] {
    const names = this.plan.clauses.flatMap(({ matches }) => matches.flatMap((match) => (match.kind === 'syscall' && match.path !== undefined ? [match.syscall] : [])))
    return [...new Set(names)].flatMap((name) => {
      const number = SYSCALL_NUMBERS.get(name)
      return number === undefined ? [] : [syscallKey(number)]
    })
  }

  /** Over all keys that begin with `start`. */
  private walk(found: KeyClasses, operation: Operation, start: Uint8Array): boolean {
    let first: Walk | undefined = { states: this.table.keyStart, form: { at: 'start' }, byte: 0, before: undefined }
    for (const byte of start) first = first && this.step(first, byte)
    if (first === undefined) return true
    const space: Space<Walk> = {
      key: ({ states, form }) => `${states.join()} ${keyOfForm(form)}`,
      next: (before, byte) => this.step(before, byte),
      wanted: (walk) => {
        if (isWholeKey(walk.form)) this.note(found, { operation, path: keyOf(walk) }, walk.states)
        return false
      },
    }
    return !('exceeded' in search(first, space, this.bytes(), LIMIT))
  }

  private step(before: Walk, byte: number): Walk | undefined {
    const form = keyFormAfter(before.form, byte)
    return form === undefined ? undefined : { states: this.table.step(before.states, byte), form, byte, before }
  }

  /** One of each class of the table and of the forms. */
  private bytes(): readonly number[] {
    const ofClass = new Map<string, number>()
    for (const byte of BYTES) {
      const key = `${this.table.classOf[byte]} ${formClassOf(byte)}`
      if (!ofClass.has(key)) ofClass.set(key, byte)
    }
    return [...ofClass.values()]
  }
}

/** All keys of a kind of which there are few. */
function listOf(operation: Operation): readonly Uint8Array[] {
  if (operation === 'capability') return CAPABILITIES.map((_, number) => capabilityKey(number))
  if (operation === 'preset') return PRESETS.map((_, number) => presetKey(number))
  return operation === 'syscall' ? [...SYSCALL_NUMBERS.values()].map((number) => syscallKey(number)) : []
}

function keyOf(walk: Walk): Uint8Array {
  const bytes: number[] = []
  for (let at: Walk | undefined = walk; at?.before !== undefined; at = at.before) bytes.push(at.byte)
  return Uint8Array.from(bytes.reverse())
}
