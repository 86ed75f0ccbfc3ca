// SPDX-License-Identifier: Apache-2.0
// Tests of policies, written beside them: for a workload and an operation, the verdict and who gives it. Run by the evaluator.
import { askingOf, PATH_WORDS, WORDS, type Asked } from './asking.ts'
import { parseDocuments, type Node, type Source } from './document.ts'
import { explain, type Explanation } from './explain.ts'
import { optionsFor, type Surroundings } from './postures.ts'
import type { Schema } from './schema.ts'
import { VERDICTS, type Finding, type Policy, type Position, type Posture, type Question, type Verdict, type Workload } from './types.ts'
import { field, stringMap, strings, text } from './tree.ts'
import { validate } from './validate.ts'

export interface PolicyTest {
  readonly name: string
  readonly workload: Workload
  /** Absent: what the namespace says, or else audit. */
  readonly posture?: Posture
  readonly question: Question
  readonly expect: Verdict
  /** Name of the policy that must decide; `DefaultPosture` for a default. Absent: any. */
  readonly policy?: string
  /** The rule that must decide, as `merlon why` writes it, such as `process path /bin/ls`. */
  readonly rule?: string
  readonly position: Position
}

export interface PolicyTests {
  /** Manifests that are tested, relative to the file; empty: those beside it. */
  readonly manifests: readonly string[]
  readonly tests: readonly PolicyTest[]
  /** All are errors; a test with one is left out. */
  readonly findings: readonly Finding[]
}

export interface Outcome {
  readonly ok: boolean
  /** What was expected and what came, in a sentence; empty where they agree. */
  readonly problem: string
  readonly explanation: Explanation
}

const STRING: Schema = { type: 'string' }
const FLAG: Schema = { type: 'boolean' }
const PATH: Schema = { type: 'string', format: { pattern: /^\//, words: 'an absolute path', suggestion: 'begin it with a slash' } }
const POSTURE: Schema = { type: 'string', oneOf: ['audit', 'block'] }
const WORKLOAD: Schema = {
  type: 'object',
  fields: { namespace: STRING, labels: { type: 'map', values: STRING }, nodeLabels: { type: 'map', values: STRING }, container: STRING, host: FLAG },
  required: [],
}
const TEST: Schema = {
  type: 'object',
  fields: {
    name: STRING, workload: WORKLOAD, posture: POSTURE, ...Object.fromEntries(WORDS.map((word) => [word, PATH_WORDS.includes(word) ? PATH : STRING])),
    write: FLAG, source: PATH, parent: PATH, notOwner: FLAG, terminal: FLAG, invoked: STRING, args: { type: 'list', items: STRING }, overQuota: FLAG,
    expect: { type: 'string', oneOf: VERDICTS }, policy: STRING, rule: STRING,
  },
  required: ['expect'],
}
const FILE: Schema = {
  type: 'object',
  fields: { manifests: { type: 'list', items: STRING }, workload: WORKLOAD, posture: POSTURE, tests: { type: 'list', items: TEST } },
  required: ['tests'],
}

/** Reads a *.policytest.yaml. Never throws. `workload` and `posture` of the file hold for tests that have none. */
export function readPolicyTests(content: string, file: string): PolicyTests {
  const { source, roots, findings } = parseDocuments(content, file)
  const found = [...findings, ...roots.flatMap((root) => validate(root, FILE, source))]
  if (found.length > 0) return { manifests: [], tests: [], findings: found }
  const manifests = roots.flatMap((root) => items(root, 'manifests').flatMap((item) => (item.kind === 'scalar' ? [String(item.value)] : [])))
  const read = roots.flatMap((root) => items(root, 'tests').map((test) => readTest(test, root, source)))
  return { manifests, tests: read.flatMap((each) => (each.ok ? [each.test] : [])), findings: read.flatMap((each) => (each.ok ? [] : [each.finding])) }
}

function items(node: Node, name: string): readonly Node[] {
  const list = field(node, name)
  return list?.kind === 'list' ? list.items : []
}

type Read = { readonly ok: true; readonly test: PolicyTest } | { readonly ok: false; readonly finding: Finding }

function readTest(test: Node, root: Node, source: Source): Read {
  const { position, text: written } = source.place(test.span)
  const wrong = (message: string, hint: string): Read => ({ ok: false, finding: { code: 'MERLON_POLICY_REQUIRED', severity: 'error', message, position, text: written.split('\n', 1)[0] ?? '', hint } })
  const words = WORDS.filter((word) => field(test, word) !== undefined)
  const [word] = words
  if (word === undefined || words.length > 1) return wrong(`a test is about one operation, and this is about ${words.length === 0 ? 'none' : words.join(' and ')}`, `write one of ${WORDS.join(', ')}, such as exec: PATH or open: PATH`)
  const resource = text(test, word) ?? ''
  const asking = askingOf({ operation: word, resource, ...circumstancesOf(test) })
  if (!asking.ok) return wrong(asking.problem, 'docs/cli.md has all forms')
  return {
    ok: true,
    test: {
      name: text(test, 'name') ?? `${word} ${resource}`,
      workload: workloadOf(field(test, 'workload') ?? field(root, 'workload')),
      question: asking.question,
      ...expectationOf(test, root),
      position,
    },
  }
}

/** What is to come out, and under which default posture. */
function expectationOf(test: Node, root: Node): Pick<PolicyTest, 'posture' | 'expect' | 'policy' | 'rule'> {
  const [posture, policy, rule] = [text(test, 'posture') ?? text(root, 'posture'), text(test, 'policy'), text(test, 'rule')]
  return {
    ...(posture === 'audit' || posture === 'block' ? { posture } : {}),
    expect: VERDICTS.find((verdict) => verdict === text(test, 'expect')) ?? 'Allow',
    ...(policy === undefined ? {} : { policy }),
    ...(rule === undefined ? {} : { rule }),
  }
}

/** All that a test says of an operation but the operation itself. */
function circumstancesOf(test: Node): Omit<Asked, 'operation' | 'resource'> {
  const args = field(test, 'args')
  return {
    write: isTrue(test, 'write'),
    notOwner: isTrue(test, 'notOwner'),
    tty: isTrue(test, 'terminal'),
    overQuota: isTrue(test, 'overQuota'),
    invoked: text(test, 'invoked'),
    args: args === undefined ? undefined : strings(args),
    source: text(test, 'source'),
    parent: text(test, 'parent'),
  }
}

function workloadOf(node: Node | undefined): Workload {
  const host = isTrue(node, 'host')
  const nodeLabels = field(node, 'nodeLabels')
  return { host, namespace: host ? '' : (text(node, 'namespace') ?? 'default'), pod: '', container: text(node, 'container') ?? '', labels: stringMap(field(node, 'labels')), ...(nodeLabels === undefined ? {} : { nodeLabels: stringMap(nodeLabels) }) }
}

function isTrue(node: Node | undefined, name: string): boolean {
  const found = field(node, name)
  return found?.kind === 'scalar' && found.value === true
}

/* ---- Running ---- */

/** Puts the test's question to the policies. */
export function runPolicyTest(test: PolicyTest, policies: readonly Policy[], surroundings: Surroundings): Outcome {
  const explanation = explain({ policies, workload: test.workload, options: optionsFor(test.workload, surroundings, test.posture) }, test.question)
  const problem = problemOf(test, explanation)
  return { ok: problem === '', problem, explanation }
}

function problemOf(test: PolicyTest, { verdict, origin }: Explanation): string {
  const { expect, policy, rule } = test
  const [decidingPolicy, decidingRule] = [origin?.policy ?? 'none', origin?.text ?? 'none']
  const problems = [
    ...(verdict === expect ? [] : [`expected ${expect}, and the verdict is ${verdict}`]),
    ...(policy === undefined || policy === decidingPolicy ? [] : [`expected the policy ${policy} to decide, and it is ${decidingPolicy}`]),
    ...(rule === undefined || rule === decidingRule ? [] : [`expected the rule "${rule}" to decide, and it is "${decidingRule}"`]),
  ]
  return problems.join('; ')
}
