// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { policyLibrary } from './library.ts'
import { asks, NOT_ENFORCED, notHonoured } from './honour.ts'
import type { Session } from './session.ts'
import { policyText } from './testing/manifests.ts'
import type { Policy } from '../policy/types.ts'

const [FILES] = policyLibrary.read(policyText({ name: 'p' }), 'p.yaml').policies as [Policy]
const path = FILES.rules[0]!
const MORE: Policy = { ...FILES, rules: [...FILES.rules, { ...path, section: 'network', match: { kind: 'protocol', protocol: 'tcp' } }, { ...path, pts: false, allowedArgs: ['-l'] }] }
const PLACE = { node: 'n1', workload: 'w' }

function sessionOf(enforced?: string[]): Session {
  return { hello: enforced === undefined ? {} : { abilities: { enforced } } } as unknown as Session
}

describe('what a node does not honour', () => {
  it('is what a policy asks beyond what the agent says that it enforces', () => {
    assert.deepEqual(asks(MORE), ['process', 'network', 'terminal', 'arguments'])
    const [lack] = notHonoured(MORE, sessionOf(['process', 'file', 'terminal']), PLACE)
    assert.deepEqual([lack?.code, lack?.node, lack?.workload], [NOT_ENFORCED, 'n1', 'w'])
    assert.match(lack?.message ?? '', /does not enforce network, arguments; the rest/)
    assert.deepEqual(notHonoured(MORE, sessionOf(['process', 'network', 'terminal', 'arguments']), PLACE), [])
  })

  it('leaves policies alone that ask for nothing of that, and nodes whose agent has not come', () => {
    assert.deepEqual(notHonoured(FILES, sessionOf(['process']), PLACE), [])
    assert.deepEqual(notHonoured(MORE, undefined, PLACE), [])
  })

  it('takes an agent that does not say for one of processes and files', () => {
    assert.equal(notHonoured(MORE, sessionOf(), PLACE).length, 1)
    assert.deepEqual(notHonoured(FILES, sessionOf(), PLACE), [])
  })
})
