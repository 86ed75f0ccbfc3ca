// SPDX-License-Identifier: Apache-2.0
// Random plans and questions to put to them, for every test that holds matchers equal. Few names and short ones, so that rules meet;
// most paths are made from the rules' own and then bent a little, so that they end near the edges of what a rule matches.
import fc from 'fast-check'
import { parseGlob, setBytes, type GlobNode } from '../../policy/glob.ts'
import { makePlan } from '../../policy/plan.ts'
import { CASES } from '../../policy/planes.ts'
import { isPathMatch, OPERATIONS, type Action, type Clause, type Links, type Match, type PathMatch, type Plan, type Policy, type Posture, type Postures, type Question, type Rule, type Section, type Workload } from '../../policy/types.ts'
import { keyMatch, realiseKey, wildKey } from './generate-keys.ts'

const UTF8 = new TextEncoder()

const NAMES = ['a', 'b', 'ab', 'aa', 'bin', 'usr', 'lib', 'run', 'var', 'x.sh', 'y.sh', 'é', '日本', ' ', '-', 'a*b'] as const
const EXECUTABLES = ['/bin/a', '/usr/bin/a', '/bin/b', '/a', '/run/x.sh', '/usr/é'] as const
const PIECES = ['a', 'b', 'ab', '.sh', '*', '**', '?', '[ab]', '[!a]', '[a-é]', '[!é]', '{a,b}', '{a,bb/,}', '{,*b}', '/', '/', '/**/', '\\*', 'é'] as const

const name = fc.constantFrom(...NAMES)
const path = fc.array(name, { minLength: 1, maxLength: 4 }).map(names => `/${names.join('/')}`)
const directory = fc.oneof({ weight: 6, arbitrary: path.map(text => `${text}/`) }, { weight: 1, arbitrary: fc.constantFrom('/', '/bin/', '/usr/bin/', '/usr/') })
const pattern = fc.array(fc.constantFrom(...PIECES), { minLength: 1, maxLength: 7 }).map(pieces => `/${pieces.join('')}`)

const pathMatch: fc.Arbitrary<PathMatch> = fc.oneof(
  fc.oneof(path, fc.constantFrom(...EXECUTABLES)).map((text): PathMatch => ({ kind: 'path', path: text })),
  fc.record({ dir: directory, recursive: fc.boolean() }).map((value): PathMatch => ({ kind: 'dir', ...value })),
  name.map((text): PathMatch => ({ kind: 'name', name: text })),
  pattern.filter(text => parseGlob(text).ok).map((text): PathMatch => ({ kind: 'pattern', pattern: text })),
)

const ARGUMENTS = ['a', '-b', '', '/etc/é'] as const
const sources = fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: fc.uniqueArray(fc.constantFrom(...EXECUTABLES), { minLength: 1, maxLength: 3 }) })
const directories = fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: fc.array(fc.record({ dir: fc.constantFrom('/', '/bin/', '/usr/', '/usr/bin/', '/run/'), recursive: fc.boolean() }), { minLength: 1, maxLength: 2 }) })
const action = fc.constantFrom<Action[]>('Allow', 'Audit', 'Block')
const plain = { severity: fc.constant(1), tags: fc.constant([]), message: fc.constant('') }

const pathRule: fc.Arbitrary<Omit<Rule, 'position'>> = fc.record(
  {
    section: fc.constantFrom<Section[]>('process', 'file'),
    match: pathMatch,
    action,
    readOnly: fc.boolean(),
    ownerOnly: fc.boolean(),
    pts: fc.boolean(),
    allowedArgs: fc.uniqueArray(fc.constantFrom(...ARGUMENTS), { maxLength: 3 }),
    sources,
    ...plain,
  },
  { requiredKeys: ['section', 'match', 'action', 'readOnly', 'ownerOnly', 'sources', 'severity', 'tags', 'message'] },
)

/** Every kind of rule that is about no path. */
const keyRule: fc.Arbitrary<Omit<Rule, 'position'>> = fc
  .record({ chosen: keyMatch, action, pts: fc.option(fc.boolean(), { nil: undefined }), limited: fc.boolean(), sources, directories, ...plain })
  .map(({ chosen: { section, match }, pts, limited, directories: dirs, ...rest }) => ({
    ...rest,
    section,
    match,
    readOnly: false,
    ownerOnly: false,
    ...(pts !== undefined && section === 'network' ? { pts } : {}),
    ...(limited && (section === 'ingress' || section === 'egress') ? { quota: { limit: 1000, seconds: 60, level: 'pod' as const } } : {}),
    ...(section === 'syscalls' ? { sourceDirectories: dirs } : {}),
  }))

const rule = fc.oneof({ weight: 3, arbitrary: pathRule }, { weight: 1, arbitrary: keyRule })
/** Sets of rules of one kind as well, so that rules meet. */
const ruleSet = (most: number): fc.Arbitrary<Omit<Rule, 'position'>[]> =>
  fc.oneof({ weight: 2, arbitrary: fc.array(pathRule, { maxLength: most }) }, { weight: 2, arbitrary: fc.array(rule, { maxLength: most }) }, { weight: 1, arbitrary: fc.array(keyRule, { maxLength: most }) })

/** What is found in a root: nothing yet, no links, or some with a binary that goes by its name. */
const links: fc.Arbitrary<Links | undefined> = fc.oneof(
  { weight: 2, arbitrary: fc.constant(undefined) },
  { weight: 1, arbitrary: fc.constantFrom<Links[]>({ targets: {}, multicall: [] }, { targets: { '/bin/a': '/bin/b', '/usr/bin/a': '/bin/b', '/bin/ab': '/run/x.sh', '/usr': '/' }, multicall: ['/bin/b'] }) },
)

/** How to bend a path. `at` is taken modulo the length. */
interface Edit {
  readonly kind: 'truncate' | 'extend' | 'insert' | 'replace' | 'remove' | 'double'
  readonly at: number
  readonly byte: number
}

const byte = fc.oneof({ weight: 3, arbitrary: fc.constantFrom(0x2f, 0x61, 0x62, 0x2a, 0xc3, 0xa9) }, { weight: 2, arbitrary: fc.integer({ min: 1, max: 255 }) })
const edit: fc.Arbitrary<Edit> = fc.record({
  kind: fc.constantFrom('truncate', 'extend', 'insert', 'replace', 'remove', 'double'),
  at: fc.nat(40),
  byte,
})

/** A path made from what rule number `rule` matches, or from nothing. `choice` decides what stands for its stars. */
interface Target {
  readonly rule: number
  readonly choice: number
  readonly edits: readonly Edit[]
}

const target: fc.Arbitrary<Target> = fc.record({
  rule: fc.nat(30),
  choice: fc.nat(0xffff),
  edits: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, { weight: 3, arbitrary: fc.array(edit, { maxLength: 3 }) }),
})

const executable = fc.oneof(
  fc.constantFrom(...EXECUTABLES).map(text => UTF8.encode(text)),
  fc.constantFrom('/bin/c', '/usr/bin', '/', '/run/x.shh').map(text => UTF8.encode(text)),
)

const question = fc.record({
  operation: fc.constantFrom(...OPERATIONS),
  owner: fc.boolean(),
  tty: fc.boolean(),
  overQuota: fc.boolean(),
  args: fc.option(fc.array(fc.oneof(fc.constantFrom(...ARGUMENTS, 'b', 'aa').map(text => UTF8.encode(text)), fc.uint8Array({ min: 1, max: 255, maxLength: 5 })), { maxLength: 4 }), { nil: undefined }),
  invoked: fc.option(fc.constantFrom('a', 'ab', 'x', '').map(text => UTF8.encode(text)), { nil: undefined }),
  target,
  /** Ask for what the clause is about: an operation and an executable of its own. */
  fit: fc.nat(3).map(value => value > 0),
  wild: fc.oneof({ weight: 7, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: fc.uint8Array({ min: 1, max: 255, maxLength: 12 }) }),
  sources: fc.array(executable, { maxLength: 2 }),
})

export interface Case {
  readonly plan: Plan
  readonly questions: readonly Question[]
}

const WORKLOAD: Workload = { host: false, namespace: 'default', pod: 'pod', container: 'main', labels: {} }

/** Plans of up to `rules` rules over two policies, with `questions` questions each. */
export function arbitraryCase(rules: number, questions: number): fc.Arbitrary<Case> {
  return fc
    .record({
      rules: ruleSet(rules),
      posture: fc.constantFrom<Posture[]>('audit', 'block'),
      links,
      questions: fc.array(question, { minLength: questions, maxLength: questions }),
    })
    .map(value => {
      const plan = planOf(value.rules, value.posture, value.links)
      return { plan, questions: value.questions.map(spec => questionOf(plan, spec)) }
    })
}

/** What a plan is made from. */
interface Situation {
  readonly policies: readonly Policy[]
  readonly workload: Workload
  readonly options: Required<Postures>
}

/** Situations and questions to them, for what explains plans. */
export function arbitrarySituation(rules: number, questions: number): fc.Arbitrary<Situation & { readonly questions: readonly Question[] }> {
  return fc
    .record({ rules: ruleSet(rules), posture: fc.constantFrom<Posture[]>('audit', 'block'), links, questions: fc.array(question, { minLength: questions, maxLength: questions }) })
    .map(value => {
      const situation = situationOf(value.rules, value.posture, value.links)
      const plan = makePlan(situation.policies, situation.workload, situation.options)
      return { ...situation, questions: value.questions.map(spec => questionOf(plan, spec)) }
    })
}

/** The plan of some rules, spread over two policies. */
export function planOf(rules: readonly Omit<Rule, 'position'>[], posture: Posture, found?: Links): Plan {
  const { policies, workload, options } = situationOf(rules, posture, found)
  return makePlan(policies, workload, options)
}

function situationOf(rules: readonly Omit<Rule, 'position'>[], posture: Posture, found?: Links): Situation {
  const policies = [0, 1].map((half): Policy => ({
    kind: 'KubeArmorPolicy',
    mode: 'Enforce',
    name: `policy-${half}`,
    namespace: 'default',
    selector: { matchLabels: {}, matchExpressions: [], containers: [] },
    rules: rules.map((value, i) => ({ ...value, position: { file: `${half}.yaml`, line: i + 1, column: 1 } })).filter((_, i) => i % 2 === half),
    position: { file: `${half}.yaml`, line: 1, column: 1 },
  }))
  const workload = found === undefined ? WORKLOAD : { ...WORKLOAD, links: found }
  return { policies, workload, options: { filePosture: posture, networkPosture: posture, capabilitiesPosture: posture, devicePosture: posture } }
}

interface QuestionSpec extends Pick<Question, 'operation' | 'owner' | 'overQuota' | 'sources'> {
  readonly tty: boolean
  readonly args: readonly Uint8Array[] | undefined
  readonly invoked: Uint8Array | undefined
  readonly target: Target
  readonly fit: boolean
  readonly wild: Uint8Array | undefined
}

function questionOf(plan: Plan, spec: QuestionSpec): Question {
  const { rule, choice } = spec.target
  const clause = plan.clauses[rule % Math.max(1, plan.clauses.length)]
  const chosen = clause?.matches[choice % clause.matches.length]
  const { operation, owner, tty } = casesOf(spec, clause)
  const own = clause === undefined ? [] : sourcesOf(clause, choice)
  const given = limit(operation, choice % 2 === 0 ? [...own, ...spec.sources] : [...spec.sources, ...own])
  const question: Question = { operation, owner, tty, sources: given, ...objectOf(operation, chosen, spec), ...(spec.overQuota === true ? { overQuota: true } : {}) }
  return operation === 'exec' && spec.args !== undefined ? { ...question, args: argsOf(plan, clause, spec) } : question
}

/** One that the clause is about, where the question is to fit. */
function casesOf({ operation, owner, tty, fit, target }: QuestionSpec, clause: Clause | undefined): Pick<QuestionSpec, 'operation' | 'owner' | 'tty'> {
  const fitting = clause === undefined || !fit ? [] : CASES.filter(each => each.section === clause.section && ((clause.planes >> each.plane) & 1) === 1)
  return fitting[target.choice % Math.max(1, fitting.length)] ?? { operation, owner, tty }
}

function sourcesOf({ sources: keys, sourceDirectories }: Clause, choice: number): readonly Uint8Array[] {
  const inside = sourceDirectories.map(({ dir }) => `${dir}${['', 'a', 'a/b'][choice % 3]}`.replace(/(.)\/$/, '$1'))
  const all = [...keys, ...inside]
  return all.slice(choice % Math.max(1, all.length)).map(text => UTF8.encode(text))
}

/** Arguments of the clause's own, when it has a condition and the question is to fit. */
function argsOf(plan: Plan, clause: Clause | undefined, { args = [], fit }: QuestionSpec): readonly Uint8Array[] {
  const condition = clause?.condition === undefined ? undefined : plan.conditions[clause.condition.index]
  if (condition?.kind !== 'arguments' || !fit) return args
  return args.map((argument, i) => (i === 0 ? argument : UTF8.encode(condition.allowed[argument.length % condition.allowed.length])))
}

function objectOf(operation: Question['operation'], chosen: Match | undefined, spec: QuestionSpec): Pick<Question, 'path' | 'invoked'> {
  const ofPath = operation === 'exec' || operation === 'read' || operation === 'write'
  return ofPath ? fileOf(operation === 'exec', chosen, spec) : { path: keyFor(operation, chosen, spec) }
}

function fileOf(exec: boolean, chosen: Match | undefined, spec: QuestionSpec): Pick<Question, 'path' | 'invoked'> {
  if (exec && chosen?.kind === 'invoked' && spec.fit) return { path: UTF8.encode(chosen.path), invoked: UTF8.encode(chosen.name) }
  const path = spec.wild ?? targetPath(chosen !== undefined && isPathMatch(chosen) ? [chosen] : undefined, spec.target)
  return exec && spec.invoked !== undefined ? { path, invoked: spec.invoked } : { path }
}

function keyFor(operation: Question['operation'], chosen: Match | undefined, { wild, target }: QuestionSpec): Uint8Array {
  const draw = draws(target.choice)
  if (chosen === undefined || isPathMatch(chosen)) return wild ?? wildKey(operation, draw)
  return Uint8Array.from(target.edits.reduce(bend, [...realiseKey(chosen, operation, draw)]))
}

/** An exec has up to two executables that count as its source, the others one. */
function limit(operation: Question['operation'], all: readonly Uint8Array[]): readonly Uint8Array[] {
  return all.slice(0, operation === 'exec' ? 2 : 1)
}

function targetPath(matches: readonly PathMatch[] | undefined, { choice, edits }: Target): Uint8Array {
  const chosen = matches?.[choice % matches.length] ?? { kind: 'path', path: '/a/b' }
  return Uint8Array.from(edits.reduce(bend, [...realise(chosen, draws(choice))]).slice(0, 4095))
}

function bend(bytes: readonly number[], { kind, at, byte }: Edit): readonly number[] {
  const i = bytes.length === 0 ? 0 : at % bytes.length
  switch (kind) {
    case 'truncate':
      return bytes.slice(0, i)
    case 'extend':
      return [...bytes, byte]
    case 'insert':
      return [...bytes.slice(0, i), byte, ...bytes.slice(i)]
    case 'replace':
      return [...bytes.slice(0, i), byte, ...bytes.slice(i + 1)]
    case 'remove':
      return [...bytes.slice(0, i), ...bytes.slice(i + 1)]
    case 'double':
      return [...bytes, ...bytes.slice(i)]
  }
}

export type Draw = (below: number) => number

/** A small generator of its own: the same choice always makes the same path. */
function draws(choice: number): Draw {
  let state = choice * 2 + 1
  return below => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    return (state >>> 16) % below
  }
}

const FILLERS = ['', '', 'a', 'b', 'ab', '/', 'a/b', '/a/', 'é', '\u0001']

/** One of the paths that a match covers, and some that it just does not. */
export function realise(match: PathMatch, draw: Draw): Uint8Array {
  switch (match.kind) {
    case 'path':
      return UTF8.encode(match.path)
    case 'name':
      return UTF8.encode(`${['', '/', '/a/', '/usr/bin/', '/b/a/'][draw(5)]}${match.name}`)
    case 'dir':
      return UTF8.encode([match.dir.slice(0, -1), match.dir, `${match.dir}a`, `${match.dir}x.sh`, `${match.dir}a/b`, `${match.dir}/a`][draw(6)])
    case 'pattern': {
      const parsed = parseGlob(match.pattern)
      return Uint8Array.from(parsed.ok ? parsed.nodes.flatMap(node => realiseNode(node, draw)) : [])
    }
  }
}

function realiseNode(node: GlobNode, draw: Draw): number[] {
  switch (node.kind) {
    case 'literal':
      return [...node.bytes]
    case 'component':
    case 'across':
      return [...UTF8.encode(FILLERS[draw(FILLERS.length)])]
    case 'set': {
      const sequences = setBytes(node)
      const ranges = sequences[draw(Math.max(1, sequences.length))] ?? []
      return ranges.map(([first, last]) => first + draw(last - first + 1))
    }
    case 'either':
      return node.branches[draw(node.branches.length)]!.flatMap(inner => realiseNode(inner, draw))
  }
}
