// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HELP, parseOptions, type AgentOptions } from './options.ts'

const DEFAULTS = { bpfObject: '/lib/merlon.bpf.o', hostName: 'box' }

function parse(...argv: string[]): AgentOptions {
  const result = parseOptions(argv, DEFAULTS)
  assert.equal(result.kind, 'options')
  assert.ok(result.kind === 'options')
  return result.value
}

function problem(...argv: string[]): string {
  const result = parseOptions(argv, DEFAULTS)
  return result.kind === 'problem' ? result.message : ''
}

test('without options the agent is one of a single host', () => {
  const options = parse()
  assert.equal(options.node, 'box')
  assert.equal(options.bpfObject, '/lib/merlon.bpf.o')
  assert.equal(options.pinDirectory, '/sys/fs/bpf/merlon')
  assert.equal(options.unbound, 'allow')
  assert.ok(options.stateDirectories.includes('/run/crun'))
})

test('options are taken over, lists are added to', () => {
  const options = parse('--unbound', 'block', '--state-directory', '/a', '--state-directory', '/b', '--node-label', 'zone=x=y', '--detach', '--relay', '127.0.0.1:1')
  assert.equal(options.unbound, 'block')
  assert.deepEqual(options.stateDirectories.slice(-2), ['/a', '/b'])
  assert.deepEqual(options.nodeLabels, { zone: 'x=y' })
  assert.equal(options.detach, true)
  assert.equal(options.relay, '127.0.0.1:1')
})

test('what is wrong is named', () => {
  assert.match(problem('--log-level', 'loud'), /--log-level "loud"/)
  assert.equal(problem('--unbound', 'maybe'), 'Cannot use --unbound "maybe": it is allow, audit or block')
  assert.match(problem('--node-label', 'x'), /--node-label "x"/)
  assert.match(problem('--nonsense'), /nonsense/)
  assert.match(problem('stray'), /stray/)
  assert.equal(problem('--pin-directory', 'merlon'), 'Cannot use --pin-directory "merlon": it is an absolute path in a bpffs')
  assert.match(problem('--node', ''), /--node ""/)
  assert.match(problem('--check', '--detach'), /--check and --detach together/)
})

test('--help names every option', () => {
  assert.equal(parseOptions(['--help'], DEFAULTS).kind, 'help')
  for (const name of ['operator', 'relay', 'node', 'cluster', 'unbound', 'state-directory', 'node-label', 'bpf-object', 'pin-directory', 'detach', 'release']) {
    assert.match(HELP, new RegExp(`--${name}\\b`))
  }
})
