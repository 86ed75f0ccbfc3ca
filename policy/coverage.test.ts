// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { planAlone } from './alone.ts'
import { classCoverage } from './coverage.ts'
import { readResource } from './resource.ts'
import { policy, rule } from './testing.ts'
import type { Operation, Plan, Rule } from './types.ts'
import { wordsFor } from './words.ts'

const UTF8 = new TextEncoder()
const planOf = (...rules: readonly Rule[]): Plan => planAlone([policy('p', rules)], { filePosture: 'audit' })
const path = (text: string): Rule => rule({ match: { kind: 'path', path: text } })
const dir = (text: string, recursive = true): Rule => rule({ match: { kind: 'dir', dir: text, recursive } })

/** How many classes there are, and an example of each that was not asked about. */
function covered(plan: Plan, ...asked: readonly string[]): readonly [number, readonly string[]] {
  const found = classCoverage(plan, asked.map((text) => ({ operation: 'read', path: UTF8.encode(text) })))
  assert.ok(found !== undefined)
  return [found.classes, found.missed.map((each) => wordsFor(each)).sort()]
}

test('what no rule names is a class, and the only one without rules', () => {
  assert.deepEqual(covered(planOf()), [1, ['/']])
  assert.deepEqual(covered(planOf(), '/x'), [1, []])
})

test('paths that the same rules decide are one class, whoever names them', () => {
  const plan = planOf(path('/a'), dir('/d/'))
  assert.deepEqual(covered(plan, '/a', '/d/x/y', '/none'), [3, []])
  assert.deepEqual(covered(plan, '/d', '/none'), [3, ['/a']])
})

test('rules that overlap make classes of their own, which no list of rules shows', () => {
  // Below both directories the longer one decides, and an exact path before either.
  const plan = planOf(dir('/d/'), dir('/d/e/', false), path('/d/e/f'))
  assert.deepEqual(covered(plan, '/d/x', '/none'), [4, ['/d/e', '/d/e/f']])
})

test('sources and flags tell classes apart', () => {
  const plan = planOf({ ...path('/a'), sources: ['/s'] }, { ...path('/b'), readOnly: true })
  assert.deepEqual(covered(plan, '/none'), [3, ['/a', '/b']])
})

/** The same of what is no path, for questions as people write them. */
function coveredKeys(rules: readonly Rule[], ...asked: readonly (readonly [operation: Operation, resource: string])[]): readonly [number, readonly string[]] {
  const questions = asked.map(([operation, text]) => {
    const resource = readResource(operation, text)
    assert.ok(resource.ok, text)
    return { operation, path: resource.path }
  })
  const found = classCoverage(planOf(...rules), [...questions, { operation: 'read', path: UTF8.encode('/none') }])
  assert.ok(found !== undefined)
  return [found.classes, found.missed.map((each) => wordsFor(each)).sort()]
}

const dns = rule({ section: 'dns', match: { kind: 'domain', domain: 'a.example' } })
const capability = rule({ section: 'capabilities', match: { kind: 'capability', capability: 'net_raw' } })
const preset = rule({ section: 'preset', match: { kind: 'preset', preset: 'protectEnv' } })

test('of capabilities, presets and names each section has its own classes, and what no rule names is one of them', () => {
  // Beside the class of paths that no rule names.
  assert.deepEqual(coveredKeys([capability]), [3, ['capability chown', 'capability net_raw']])
  assert.deepEqual(coveredKeys([capability], ['capability', 'net_raw']), [3, ['capability chown']])
  assert.deepEqual(coveredKeys([capability, preset], ['capability', 'net_raw'], ['capability', 'bpf'], ['preset', 'protectEnv']), [5, ['preset filelessExec']])
  const [classes, missed] = coveredKeys([dns], ['dns', 'b.example'])
  // The name itself, and with each of the three suffixes of a pod.
  assert.deepEqual([classes, missed.filter((each) => each.startsWith('the name a.example'))], [6, missed])
  assert.equal(missed.length, 4)
})

test('questions about what is no path say nothing of paths, and the other way round', () => {
  assert.deepEqual(coveredKeys([capability, path('/a')], ['capability', 'net_raw']), [4, ['/a', 'capability chown']])
  const found = classCoverage(planOf(capability), [{ operation: 'capability', path: UTF8.encode('/none') }])
  assert.ok(found?.missed.some((each) => wordsFor(each) === '/'))
  assert.deepEqual(coveredKeys([], ['capability', 'net_raw']), [1, []])
})

test('sockets, devices, packets and system calls', () => {
  const tcp = rule({ section: 'network', match: { kind: 'protocol', protocol: 'tcp' } })
  assert.deepEqual(coveredKeys([tcp], ['network', 'tcp'], ['network', 'unix']), [3, []])
  assert.equal(coveredKeys([tcp], ['network', 'udp'])[1].length, 1)
  const usb = rule({ section: 'device', match: { kind: 'device', class: 8 } })
  assert.deepEqual(coveredKeys([usb], ['device', 'MASS-STORAGE'], ['device', '3']), [3, []])
  const out = rule({ section: 'egress', match: { kind: 'flow', cidrs: ['10.0.0.0/8', '10.1.0.0/16'], ports: [], interfaces: [] } })
  assert.deepEqual(coveredKeys([out], ['egress', '10.1.0.1:80/tcp'], ['egress', '10.2.0.1:80/tcp'], ['egress', '[fd00::1]:80/tcp']), [4, []])
  const call = rule({ section: 'syscalls', match: { kind: 'syscall', syscall: 'unlink', path: { kind: 'path', path: '/x' } } })
  assert.deepEqual(coveredKeys([call], ['syscall', 'unlink']), [3, ['system call unlink on /x']])
  assert.deepEqual(coveredKeys([call], ['syscall', 'unlink /x'], ['syscall', 'mount']), [3, []])
})

test('what a source or a used-up limit tells apart is a class', () => {
  const limited = rule({ section: 'egress', match: { kind: 'flow', cidrs: [], ports: [{ first: 443, last: 443, protocol: 'TCP' }], interfaces: [] }, quota: { limit: 5, seconds: 60, level: 'pod' } })
  assert.equal(coveredKeys([limited], ['egress', '10.0.0.1:443/tcp'])[1].length, 1)
  assert.deepEqual(coveredKeys([{ ...capability, sources: ['/bin/ping'] }], ['capability', 'bpf']), [3, ['capability net_raw']])
})

test('a plan that has no table has no classes to speak of', () => {
  assert.equal(classCoverage(planOf(rule({ match: { kind: 'pattern', pattern: `/**a${'?'.repeat(40)}` } })), []), undefined)
})
