// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { arbitraryCase } from '../test/support/generate.ts'
import { compile } from './compile.ts'
import { differences, type Side } from './diff.ts'
import { evaluate } from './evaluate.ts'
import { isWholeKey, isWholePath, keyFormAfter, pathFormAfter, type KeyForm, type PathForm } from './forms.ts'
import { readDigits } from './keys.ts'
import { CAPABILITIES } from './names.ts'
import { makePlan } from './plan.ts'
import { policy, rule, WORKLOAD } from './testing.ts'
import type { Plan, Question, Rule } from './types.ts'
import { wordsFor } from './words.ts'

const planOf = (rules: readonly Rule[]): Plan => makePlan([policy('p', rules)], WORKLOAD, { filePosture: 'block' })

function sideOf(plan: Plan): Side {
  const compiled = compile(plan)
  assert.ok(compiled.ok)
  return { plan, table: compiled.table }
}

function changes(before: readonly Rule[], after: readonly Rule[]): readonly string[] {
  const found = differences(sideOf(planOf(before)), sideOf(planOf(after)))
  assert.ok(found.complete)
  return found.differences.map(({ question, ...verdicts }) => {
    const { operation, owner, sources, args, overQuota } = question
    const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
    const from = sources.length === 0 ? '' : ` from ${sources.map(decode).join(' and ')}`
    const given = args === undefined ? '' : ` with [${args.slice(1).map(decode).join()}]`
    return `${operation} ${wordsFor(question)}${given}${owner || !['exec', 'read', 'write'].includes(operation) ? '' : ' not owner'}${from}${overQuota === true ? ' over quota' : ''}: ${verdicts.before.verdict} ${verdicts.after.verdict}`
  })
}

test('the shortest operation for each change', () => {
  const block = rule({ match: { kind: 'dir', dir: '/etc/', recursive: true } })
  assert.deepEqual(changes([block], [block]), [])
  assert.deepEqual(changes([], [block]), ['read /etc: Allow Block', 'write /etc: Allow Block'])
  assert.deepEqual(changes([block], [block, rule({ action: 'Allow', match: { kind: 'path', path: '/etc/x' } })]), [
    'read /: Allow Block', 'write /: Allow Block', 'read /etc/x: Block Allow', 'write /etc/x: Block Allow',
  ])
})

test('flags and sources show in the example', () => {
  const path = { kind: 'path', path: '/a' } as const
  assert.deepEqual(changes([rule({ match: path })], [rule({ match: path, ownerOnly: true })]), ['read /a: Block Allow', 'write /a: Block Allow'])
  assert.deepEqual(changes([], [rule({ match: path, ownerOnly: true })]), ['read /a not owner: Allow Block', 'write /a not owner: Allow Block'])
  assert.deepEqual(changes([], [rule({ section: 'process', match: path, sources: ['/opt/s'] })]), ['exec /a from /opt/s: Allow Block'])
})

test('rules that are written otherwise and mean the same are no change', () => {
  const star = rule({ match: { kind: 'pattern', pattern: '/a/**' } })
  assert.deepEqual(changes([star], [rule({ match: { kind: 'pattern', pattern: '/a/{**,*}' } })]), [])
})

test('arguments: as few as show the change', () => {
  const path = { kind: 'path', path: '/a' } as const
  const before = [rule({ section: 'process', match: path, allowedArgs: ['-x', '-y'] })]
  assert.deepEqual(changes(before, before), [])
  assert.deepEqual(changes(before, [rule({ section: 'process', match: path, allowedArgs: ['-x', '-z'] })]), ['exec /a with [-y]: Allow Block', 'exec /a with [-z]: Block Allow'])
  assert.deepEqual(changes([rule({ section: 'process', match: path })], before), ['exec /a with []: Block Allow'])
})

test('two executables together, of which each alone changes nothing', () => {
  const from = (source: string, action: Rule['action'], match: Rule['match']): Rule => rule({ section: 'process', match, sources: [source], action })
  const [exact, directory] = [{ kind: 'path', path: '/d/x' }, { kind: 'dir', dir: '/d/', recursive: false }] as const
  // Before, what the shell says goes first, and after what the server says.
  const before = [from('/sh', 'Audit', exact), from('/srv', 'Block', directory), from('/srv', 'Block', { kind: 'path', path: '/d/y' })]
  const after = [from('/sh', 'Audit', directory), from('/srv', 'Block', directory), from('/srv', 'Block', exact), from('/srv', 'Block', { kind: 'path', path: '/d/y' })]
  assert.ok(changes(before, after).includes('exec /d/x from /srv and /sh: Audit Block'), changes(before, after).join('\n'))
})

test('executables below directories that rules name', () => {
  const match = { kind: 'path', path: '/a' } as const
  assert.deepEqual(changes([], [rule({ match, sourceDirectories: [{ dir: '/opt/', recursive: false }] })]), ['read /a from /opt/x: Allow Block', 'write /a from /opt/x: Allow Block'])
})

test('keys are such as there are', () => {
  assert.deepEqual(changes([], [rule({ section: 'dns', match: { kind: 'domain', domain: 'a.example' } })]), ['', '.cluster.local', '.svc.cluster.local', '.shop.svc.cluster.local'].map((suffix) => `dns the name a.example${suffix}: Allow Block`))
  assert.deepEqual(changes([], [rule({ section: 'network', match: { kind: 'protocol', protocol: 'udp' } })]), ['network a socket of family inet, type stream, protocol udp: Allow Block'])
  assert.deepEqual(changes([], [rule({ section: 'capabilities', match: { kind: 'capability', capability: 'net_raw' } })]), ['capability capability net_raw: Allow Block'])
  // An allow-list of all that there are changes nothing, and one that lacks some shows one of those.
  const allowed = CAPABILITIES.map((capability) => rule({ section: 'capabilities', match: { kind: 'capability', capability }, action: 'Allow' }))
  assert.deepEqual(changes([], allowed), [])
  assert.deepEqual(changes([], allowed.filter((_, number) => number !== CAPABILITIES.indexOf('sys_boot'))), ['capability capability sys_boot: Allow Audit'])
  // Every socket is named on both sides, so that what would become of others changes nothing.
  const all = rule({ section: 'network', match: { kind: 'protocol', protocol: 'all' }, action: 'Allow' })
  assert.deepEqual(changes([all], [all, rule({ section: 'network', match: { kind: 'protocol', protocol: 'all' }, action: 'Allow' })]), [])
  const quota = { limit: 5, seconds: 60, level: 'pod' } as const
  const flow = { kind: 'flow', cidrs: ['10.0.0.0/8'], ports: [], interfaces: [] } as const
  assert.deepEqual(changes([rule({ section: 'egress', match: flow, action: 'Allow' })], [rule({ section: 'egress', match: flow, action: 'Allow', quota })]).length, 1)
})

test('no question has another answer where no difference is found, and every difference is one', () => {
  let compared = 0
  fc.assert(
    fc.property(arbitraryCase(6, 20), arbitraryCase(6, 20), (one, two) => {
      const found = differences(sideOf(one.plan), sideOf(two.plan))
      for (const { question, before, after } of found.differences) {
        assert.deepEqual([evaluate(one.plan, question), evaluate(two.plan, question)], [before, after])
        assert.notEqual(before.verdict, after.verdict)
      }
      if (!found.complete) return
      const shown = new Set(found.differences.map(({ question, before, after }) => `${question.operation} ${before.clause} ${after.clause}`))
      for (const question of [...one.questions, ...two.questions].filter(isPossible)) {
        const [before, after] = [evaluate(one.plan, question), evaluate(two.plan, question)]
        if (before.verdict === after.verdict) continue
        compared++
        assert.ok(shown.has(`${question.operation} ${before.clause} ${after.clause}`), JSON.stringify(question))
      }
    }),
    { numRuns: 60, seed: 5 },
  )
  assert.ok(compared > 100, `${compared} questions with another answer`)
})

/** Generated paths and keys may be such as there are none. */
function isPossible({ operation, path, invoked }: Question): boolean {
  const isFile = operation === 'exec' || operation === 'read' || operation === 'write'
  const name = invoked === undefined ? '' : Buffer.from(invoked).toString('latin1')
  if (path.length >= 4000 || name.includes('/') || name.includes('\0')) return false
  if (isFile) {
    const form = [...path].reduce<PathForm | undefined>((at, byte) => (at === undefined ? undefined : pathFormAfter(at, byte)), 'before')
    return form !== undefined && isWholePath(form)
  }
  const form = [...path].reduce<KeyForm | undefined>((at, byte) => (at === undefined ? undefined : keyFormAfter(at, byte)), { at: 'start' })
  return form !== undefined && isWholeKey(form) && isKnown(operation, path)
}

function isKnown(operation: Question['operation'], path: Uint8Array): boolean {
  return operation !== 'capability' || (readDigits(path, 1, 2) ?? Infinity) < CAPABILITIES.length
}
