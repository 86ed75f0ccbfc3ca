// SPDX-License-Identifier: Apache-2.0
// From mutated patterns to tables: what is no pattern is refused with a place, and what is one means what a regular expression that knows nothing of
// the compiler says, in the evaluator and in the table. MERLON_FUZZ sets how many patterns there are (1,000); with MERLON_SEED a run is the same again.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { planAlone } from '../../policy/alone.ts'
import { compile, LIMITS } from '../../policy/compile.ts'
import { evaluate } from '../../policy/evaluate.ts'
import { GLOB_LIMITS, parseGlob } from '../../policy/glob.ts'
import { openTable } from '../../policy/lookup.ts'
import { prove } from '../../policy/prove.ts'
import { ask, policy, rule } from '../../policy/testing.ts'
import { verifyTable } from '../../policy/verify.ts'
import { realise } from '../support/generate.ts'
import { referenceGlob } from './reference-glob.ts'

const COUNT = Number(process.env['MERLON_FUZZ'] ?? 1000)
const SEED = Number(process.env['MERLON_SEED'] ?? 13)
/** As in reader.test.ts: far beyond what anything takes. */
const MOST_MICROSECONDS = 20_000_000
/** Derivatives, which most proofs need some thousands of. */
const PROOF = { work: 1 << 18 }

/** As people write them. */
const SEEDS = [
  '/etc/*hado?', '/opt/**/run-[a-z0-9]*.{sh,py}', '/home/*/.ssh/{id_*,known_hosts}', '/**/*.key', '/tmp/**', '/usr/{,local/}bin/{nc,ncat,n[ce]tcat}', '/proc/[0-9]*/mem', '/var/lib/[!.]*/data', '/srv/é/*', '/a\\*b\\[c', '/{a,{b,c}*}/x',
]
const PIECES = ['*', '**', '/**/', '?', '[', ']', '[!', '[^', '[a-z]', '[z-a]', '[]a]', '[a-]', '-', '{', '}', ',', '{a,b}', '{,}', '\\', '/', 'a', 'é', '日', '\u{1f600}', '.', '\0', '\ud800', '\n', '!', '^', '$', '(', '+'] as const

interface Edit {
  readonly at: number
  readonly remove: number
  readonly piece: string
}
const edit: fc.Arbitrary<Edit> = fc.record({ at: fc.nat(60), remove: fc.nat(3), piece: fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...PIECES) }, { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 2 }) }) })
const pattern = fc
  .tuple(fc.constantFrom(...SEEDS), fc.array(edit, { minLength: 1, maxLength: 5 }))
  .map(([seed, edits]) => edits.reduce((text, { at, remove, piece }) => `/${text.slice(1, 1 + (at % text.length))}${piece}${text.slice(1 + (at % text.length) + remove)}`, seed))

/** Paths that the pattern covers or just does not. */
function pathsOf(text: string, choices: readonly number[]): readonly string[] {
  const made = choices.map((choice) => new TextDecoder().decode(realise({ kind: 'pattern', pattern: text }, (below) => (choice >>> below % 7) % below)))
  const bent = made.flatMap((path) => [path, `${path}a`, `${path}/a`, path.slice(0, -1), path.replace('a', 'b'), path.replace('/', '//'), path.replace(/.$/su, '/')])
  // A byte that is no text is none of the reference's business.
  return [...bent, '/', '/a/b.sh', text].filter((path) => path.startsWith('/') && path.isWellFormed() && !path.includes('\0') && !path.includes('\ufffd') && path.length < 80)
}

/** The rule's verdict: does the pattern match? Undefined where it is refused because states multiply. */
function check(text: string, choices: readonly number[], reference: RegExp, provable: boolean): boolean {
  const plan = planAlone([policy('p', [rule({ match: { kind: 'pattern', pattern: text } })])], { filePosture: 'audit' })
  const compiled = compile(plan)
  if (!compiled.ok) {
    assert.ok(compiled.findings.length > 0 && compiled.findings.every(({ code, hint }) => code === 'MERLON_POLICY_TOO_MANY_STATES' && hint !== ''))
    return false
  }
  assert.ok(compiled.stats.states <= LIMITS.states)
  assert.deepEqual(verifyTable(compiled.table), { ok: true })
  const table = openTable(compiled.table)
  // Each byte from 0x80 on also counts as a character of its own, to question marks and negated sets: the reference knows characters only.
  const ofBytes = /\?|\[[!^]/.test(text)
  for (const path of pathsOf(text, choices)) {
    const question = ask('read', path)
    const decided = table.decide(question).verdict
    // oxlint-disable-next-line no-control-regex -- ASCII has them
    const expected = ofBytes && !/^[\0-\x7f]*$/.test(path) ? decided : reference.test(path) ? 'Block' : 'Allow'
    assert.deepEqual([evaluate(plan, question).verdict, decided], [expected, expected], `${JSON.stringify(text)} on ${JSON.stringify(path)}`)
  }
  if (provable) {
    const proof = prove(plan, compiled.table, PROOF)
    assert.ok(proof.ok || 'unknown' in proof, `${JSON.stringify(text)} is not proven: ${JSON.stringify(proof)}`)
  }
  return true
}

test('mutated patterns: refused with a place, or decided as a regular expression decides', () => {
  const seen = { compiled: 0, multiplied: 0, refused: new Set<string>() }
  fc.assert(
    fc.property(pattern, fc.array(fc.nat(), { minLength: 4, maxLength: 4 }), fc.nat(7), (text, choices, turn) => {
      const before = process.cpuUsage()
      const parsed = parseGlob(text)
      const reference = referenceGlob(text)
      assert.equal(parsed.ok, reference !== undefined, JSON.stringify(text))
      if (!parsed.ok) {
        assert.ok(parsed.at >= 0 && parsed.length > 0 && parsed.at + parsed.length <= text.length, JSON.stringify([text, parsed]))
        seen.refused.add(parsed.problem)
      } else if (reference !== undefined) seen[check(text, choices, reference, turn === 0) ? 'compiled' : 'multiplied'] += 1
      assert.ok(process.cpuUsage(before).user < MOST_MICROSECONDS, `${JSON.stringify(text)} took too long`)
    }),
    { numRuns: COUNT, seed: SEED },
  )
  assert.ok(seen.compiled > COUNT / 3 && seen.refused.size >= 6, JSON.stringify({ ...seen, refused: [...seen.refused] }))
})

const SIZED: readonly (readonly [make: (size: number) => string, limit: number, problem: string])[] = [
  [(size) => `/${'a'.repeat(size - 1)}`, GLOB_LIMITS.bytes, 'too long'],
  [(size) => `/${'é'.repeat((size - 1) / 2)}${'a'.repeat((size - 1) % 2)}`, GLOB_LIMITS.bytes, 'too long'],
  [(size) => `/${'*'.repeat(size - 1)}`, GLOB_LIMITS.bytes, 'too long'],
  [(size) => `/${'{'.repeat(size)}a${'}'.repeat(size)}`, GLOB_LIMITS.depth, 'too deep'],
  [(size) => `/{${'a,'.repeat(size - 1)}b}`, GLOB_LIMITS.alternatives, 'too many alternatives'],
]

test('patterns at and beyond the limits of size are refused with the limit that they break, and nothing else is', () => {
  for (const [make, limit, problem] of SIZED) {
    for (const beyond of [-1, 0, 1, 2]) {
      const parsed = parseGlob(make(limit + beyond))
      assert.equal(parsed.ok ? 'none' : parsed.problem, beyond > 0 ? problem : 'none', `${problem} ${beyond}`)
    }
  }
})
