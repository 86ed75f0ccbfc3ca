// SPDX-License-Identifier: Apache-2.0
// What the specification expects of tries in a container: the questions that the kernel is asked for each, in order, what evaluate.ts
// answers to them, and therefore which error the program sees, which events come and what is counted.
import assert from 'node:assert/strict'
import { EVENT_FLAG, EVENT_KIND, OP, VERDICT } from '../../agent/abi.ts'
import { evaluate } from '../../policy/evaluate.ts'
import type { Answer, Plan, Question } from '../../policy/types.ts'
import type { KernelEvent } from '../../agent/records.ts'
import type { Loaded, Node } from './node.ts'
import { O, parse, TRIAL, type Reply, type Trial } from './trial.ts'

/** What one try is: `read`, `write` or `exec` a path, by the trial or by programs that start each other. */
export interface Try {
  readonly verb: 'read' | 'write' | 'exec'
  readonly path: string
  /** Whose fsuid asks. Default 0. */
  readonly uid?: number
  /** Executables that the trial starts first, one from the other; the last one tries. For an exec the last one replaces itself. */
  readonly via?: readonly string[]
}

/** Where paths lead and whose files they are, as the container's kernel sees them. */
export interface World {
  readonly resolve: (path: string) => string
  readonly owner: (path: string) => number
}

interface Asked {
  readonly question: Question
  readonly args: readonly string[]
  readonly exe: string
  /** Which process asks: 0 the trial, 1 its child, 2 the child's child. */
  readonly depth: number
}

const encoder = new TextEncoder()

function asked(world: World, operation: Question['operation'], path: string, by: { exe: string; parent: string; uid: number; args: readonly string[]; depth: number }): Asked {
  const seen = world.resolve(path)
  const sources = operation === 'exec' ? [by.exe, by.parent] : [by.exe]
  return {
    question: { operation, owner: world.owner(path) === by.uid, path: encoder.encode(seen), sources: sources.map((each) => encoder.encode(world.resolve(each))) },
    args: by.args, exe: world.resolve(by.exe), depth: by.depth,
  }
}

/** An exec asks twice: the kernel opens the file for reading, then asks whether it may be executed. */
function execQuestions(world: World, path: string, by: { exe: string; parent: string; uid: number; args: readonly string[]; depth: number }, args: readonly string[]): Asked[] {
  return [asked(world, 'read', path, by), asked(world, 'exec', path, { ...by, args })]
}

function command(one: Try): string[] {
  if (one.verb === 'exec') return [(one.via ?? []).length > 0 ? 'replace' : 'exec', one.path]
  return ['open', one.path, String(one.verb === 'read' ? O.RDONLY : O.WRONLY)]
}

/** The words that make the trial do it. */
export function wordsOf(one: Try): string[] {
  return (one.via ?? []).toReversed().reduce((words, program) => ['exec', program, 'once', ...words], command(one))
}

function questionsOf(world: World, one: Try): Asked[] {
  const uid = one.uid ?? 0
  const via = one.via ?? []
  const list: Asked[] = []
  let words = wordsOf(one)
  let by = { exe: TRIAL, parent: TRIAL, uid, args: [TRIAL, 'serve'] as readonly string[], depth: 0 }
  for (const program of via) {
    // The trial, or the program before, forks: the child still has its parent's executable and arguments.
    const child = { ...by, parent: by.exe, depth: by.depth + 1 }
    const args = words.slice(1)
    list.push(...execQuestions(world, program, child, args))
    words = words.slice(3)
    by = { exe: program, parent: by.exe, uid: 0, args, depth: child.depth }
  }
  if (one.verb !== 'exec') list.push(asked(world, one.verb, one.path, by))
  else if (via.length > 0) list.push(...execQuestions(world, one.path, by, words.slice(1)))
  else list.push(...execQuestions(world, one.path, { ...by, parent: by.exe, depth: 1 }, words.slice(1)))
  return list
}

/** What is expected of some tries in a row. */
export class Expectation {
  readonly hits = new Map<number, number>()
  readonly events: (Asked & { answer: Answer })[] = []
  readonly answers = new Set<string>()
  readonly #plan: Plan
  readonly #world: World

  constructor(plan: Plan, world: World) {
    this.#plan = plan
    this.#world = world
  }

  /** Whether the last program of the try gets what it asks for. */
  add(one: Try): boolean {
    for (const each of questionsOf(this.#world, one)) {
      const answer = evaluate(this.#plan, each.question)
      this.answers.add(`${answer.verdict} ${answer.clause}`)
      if (answer.clause > 0) this.hits.set(answer.clause, (this.hits.get(answer.clause) ?? 0) + 1)
      if (answer.verdict !== 'Allow') this.events.push({ ...each, answer })
      if (answer.verdict === 'Block') return false
    }
    return true
  }
}

/** Whether the try was allowed: every program on the way says so or is denied. */
function allowed(one: Try, reply: Reply): boolean {
  let last = reply
  for (const _ of one.via ?? []) {
    if (last.error === 'EACCES') return false
    assert.equal(last.error, 'ok', last.text)
    if (last.text === 'ran') return true
    last = parse(`${last.text} `)
  }
  assert.ok(last.error === 'ok' || last.error === 'EACCES', `${one.verb} ${one.path}: ${last.error} ${last.text}`)
  if (last.error === 'ok' && one.verb === 'exec') assert.equal(last.text, 'ran')
  return last.error === 'ok'
}

export interface Stage {
  readonly node: Node
  readonly trial: Trial
  readonly pid: number
  readonly world: World
}

/** Tries everything and compares what happened with what was to be expected: errors, events, counters. */
export async function checkTries({ node, trial, pid, world }: Stage, { plan, slot }: Loaded, tries: readonly Try[]): Promise<Expectation> {
  const expected = new Expectation(plan, world)
  node.drain()
  const seen: string[] = []
  const wanted: string[] = []
  for (const one of tries) {
    if (one.uid !== undefined) await trial.must('fsuid', one.uid)
    const reply = await trial.ask(...wordsOf(one))
    if (one.uid !== undefined) await trial.must('fsuid', 0)
    const name = `${one.uid ?? 0} ${(one.via ?? []).join(' > ')} ${one.verb} ${one.path}`
    seen.push(`${name}: ${allowed(one, reply) ? 'allowed' : 'denied'}`)
    wanted.push(`${name}: ${expected.add(one) ? 'allowed' : 'denied'}`)
  }
  assert.deepEqual(seen, wanted)
  checkEvents({ node, pid, slot, expected })
  const hits = Object.fromEntries(Array.from({ length: slot.range.clauses }, (_, i) => [i + 1, node.hits(slot, i + 1)]))
  const counts = Object.fromEntries(Array.from({ length: slot.range.clauses }, (_, i) => [i + 1, expected.hits.get(i + 1) ?? 0]))
  assert.deepEqual(hits, counts)
  return expected
}

function checkEvents({ node, pid, slot, expected }: { readonly node: Node; readonly pid: number; readonly slot: Loaded['slot']; readonly expected: Expectation }): void {
  const events = node.drain()
  // Denials and audits come through rings of their own: only the order within each is certain.
  const inOrder = [...events].sort((a, b) => Number(a.timeNs - b.timeNs))
  assert.deepEqual(inOrder.map(briefly), expected.events.map(({ question, answer, args, exe }) => ({
    op: OP[question.operation.toUpperCase() as keyof typeof OP], verdict: VERDICT[answer.verdict.toUpperCase() as keyof typeof VERDICT], clause: answer.clause,
    path: Buffer.from(question.path).toString(), exe, args: [...args], owner: question.owner, kind: EVENT_KIND.DECISION, generation: slot.generation, serial: slot.serial,
  })))
  for (const [i, event] of inOrder.entries()) {
    if (expected.events[i]?.depth === 0) assert.equal(event.hostPid, pid)
    if (expected.events[i]?.depth === 1) assert.equal(event.hostPpid, pid)
  }
}

function briefly(event: KernelEvent): object {
  const { op, verdict, clause, path, exe, args, kind, generation, serial } = event
  return { op, verdict, clause, path, exe, args: [...args], owner: (event.flags & EVENT_FLAG.OWNER) !== 0, kind, generation, serial }
}
