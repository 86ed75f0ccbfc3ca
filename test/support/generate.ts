// SPDX-License-Identifier: Apache-2.0
// Random plans and questions to put to them, for every test that holds matchers equal. Few names and short ones, so that rules meet;
// most paths are made from the rules' own and then bent a little, so that they end near the edges of what a rule matches.
import fc from 'fast-check'
import { parseGlob, setBytes, type GlobNode } from '../../policy/glob.ts'
import { makePlan } from '../../policy/plan.ts'
import { OPERATIONS, type Action, type PathMatch, type Plan, type Policy, type Posture, type Question, type Rule, type Workload } from '../../policy/types.ts'

const UTF8 = new TextEncoder()

const NAMES = ['a', 'b', 'ab', 'aa', 'bin', 'usr', 'lib', 'run', 'var', 'x.sh', 'y.sh', 'é', '日本', ' ', '-', 'a*b'] as const
const EXECUTABLES = ['/bin/a', '/usr/bin/a', '/bin/b', '/a', '/run/x.sh', '/usr/é'] as const
const PIECES = ['a', 'b', 'ab', '.sh', '*', '**', '?', '[ab]', '[!a]', '[a-é]', '[!é]', '{a,b}', '{a,bb/,}', '{,*b}', '/', '/', '/**/', '\\*', 'é'] as const

const name = fc.constantFrom(...NAMES)
const path = fc.array(name, { minLength: 1, maxLength: 4 }).map(names => `/${names.join('/')}`)
const directory = fc.oneof({ weight: 6, arbitrary: path.map(text => `${text}/`) }, { weight: 1, arbitrary: fc.constantFrom('/', '/bin/', '/usr/bin/', '/usr/') })
const pattern = fc.array(fc.constantFrom(...PIECES), { minLength: 1, maxLength: 7 }).map(pieces => `/${pieces.join('')}`)

const match: fc.Arbitrary<PathMatch> = fc.oneof(
  fc.oneof(path, fc.constantFrom(...EXECUTABLES)).map((text): PathMatch => ({ kind: 'path', path: text })),
  fc.record({ dir: directory, recursive: fc.boolean() }).map((value): PathMatch => ({ kind: 'dir', ...value })),
  name.map((text): PathMatch => ({ kind: 'name', name: text })),
  pattern.filter(text => parseGlob(text).ok).map((text): PathMatch => ({ kind: 'pattern', pattern: text })),
)

const rule: fc.Arbitrary<Omit<Rule, 'position'>> = fc.record({
  section: fc.constantFrom('process', 'file'),
  match,
  action: fc.constantFrom<Action[]>('Allow', 'Audit', 'Block'),
  readOnly: fc.boolean(),
  ownerOnly: fc.boolean(),
  sources: fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: fc.uniqueArray(fc.constantFrom(...EXECUTABLES), { minLength: 1, maxLength: 3 }) }),
  severity: fc.constant(1),
  tags: fc.constant([]),
  message: fc.constant(''),
})

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
      rules: fc.array(rule, { maxLength: rules }),
      posture: fc.constantFrom<Posture[]>('audit', 'block'),
      questions: fc.array(question, { minLength: questions, maxLength: questions }),
    })
    .map(value => {
      const plan = planOf(value.rules, value.posture)
      return { plan, questions: value.questions.map(spec => questionOf(plan, spec)) }
    })
}

/** The plan of some rules, spread over two policies. */
export function planOf(rules: readonly Omit<Rule, 'position'>[], posture: Posture): Plan {
  const policies = [0, 1].map((half): Policy => ({
    kind: 'KubeArmorPolicy',
    name: `policy-${half}`,
    namespace: 'default',
    selector: { matchLabels: {}, matchExpressions: [], containers: [] },
    rules: rules.map((value, i) => ({ ...value, position: { file: `${half}.yaml`, line: i + 1, column: 1 } })).filter((_, i) => i % 2 === half),
    position: { file: `${half}.yaml`, line: 1, column: 1 },
  }))
  return makePlan(policies, WORKLOAD, { filePosture: posture })
}

interface QuestionSpec {
  readonly operation: Question['operation']
  readonly owner: boolean
  readonly target: Target
  readonly fit: boolean
  readonly wild: Uint8Array | undefined
  readonly sources: readonly Uint8Array[]
}

function questionOf(plan: Plan, spec: QuestionSpec): Question {
  const { rule, choice } = spec.target
  const clause = plan.clauses[rule % Math.max(1, plan.clauses.length)]
  const path = spec.wild ?? targetPath(clause?.matches, spec.target)
  if (clause === undefined || !spec.fit) return { operation: spec.operation, owner: spec.owner, path, sources: limit(spec.operation, spec.sources) }
  const planes = [0, 1, 2, 3, 4, 5].filter(bit => ((clause.planes >> bit) & 1) === 1)
  const plane = planes[choice % planes.length] ?? 0
  const operation = OPERATIONS[plane >> 1] ?? 'exec'
  const own = clause.sources.slice(choice % Math.max(1, clause.sources.length)).map(text => UTF8.encode(text))
  return { operation, owner: plane % 2 === 1, path, sources: limit(operation, choice % 2 === 0 ? [...own, ...spec.sources] : [...spec.sources, ...own]) }
}

/** An exec has up to two executables that count as its source, a file operation one. */
function limit(operation: Question['operation'], sources: readonly Uint8Array[]): readonly Uint8Array[] {
  return sources.slice(0, operation === 'exec' ? 2 : 1)
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

type Draw = (below: number) => number

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
function realise(match: PathMatch, draw: Draw): Uint8Array {
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
