// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compile } from '../policy/compile.ts'
import { makePlan } from '../policy/plan.ts'
import { HEADER } from '../policy/table.ts'
import { policy, rule, WORKLOAD } from '../policy/testing.ts'
import type { Rule } from '../policy/types.ts'
import { describeLack, lackOf } from './enforced.ts'

function flagsOf(...rules: readonly Rule[]): number {
  const compiled = compile(makePlan([policy('p', rules)], WORKLOAD, { filePosture: 'audit' }))
  assert.ok(compiled.ok)
  return new DataView(compiled.table.buffer).getUint32(HEADER.flags, true)
}

const path = { kind: 'path', path: '/bin/a' } as const

test('a table of process and file rules, with owners, sources and terminals, lacks nothing', () => {
  const rules = [rule({ section: 'process', match: path, ownerOnly: true }), rule({ match: path, sources: ['/bin/b'], pts: false })]
  assert.deepEqual(lackOf(flagsOf(...rules)), [])
  assert.deepEqual(lackOf(flagsOf()), [])
})

test('what no program asks about is named: sections, arguments, names of links', () => {
  const network = rule({ section: 'network', match: { kind: 'protocol', protocol: 'tcp' } })
  const dns = rule({ section: 'dns', match: { kind: 'domain', domain: 'a.example' } })
  const args = rule({ section: 'process', match: path, allowedArgs: ['-l'] })
  assert.deepEqual(lackOf(flagsOf(network, dns, args)), ['network', 'dns', 'arguments'])
  assert.deepEqual(lackOf(flagsOf(network, dns, args), ['process', 'file', 'network', 'arguments']), ['dns'])
  assert.match(describeLack(['network', 'arguments']), /does not enforce network, allowedArgs \(they count as not satisfied\); the rest/)
})
