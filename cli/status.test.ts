// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { claim } from './claim.ts'
import { captured } from './testing.ts'
import { describe, isWell } from './status.ts'
import { isCurrent, summarise, type Status, type StatusNode, type StatusPolicy } from './status-file.ts'

const NODE: StatusNode = {
  node: 'node-1', connected: true, bpfLsm: true, reasons: [], workloads: 2, generation: { sent: 4, acknowledged: 4 }, errors: [],
  canary: { ran: true, refused: true, message: '' }, acknowledgedAt: '2026-11-22T06:49:51.650Z',
}
const POLICY: StatusPolicy = {
  kind: 'KubeArmorPolicy', namespace: 'demo', name: 'block', file: '/p/block.yaml', line: 2, state: 'programmed', stale: false,
  workloads: { selected: 1, programmed: 1 }, failures: [],
}
const WELL: Status = { version: 1, time: '2026-11-22T06:49:52Z', directory: '/p', policies: [POLICY], nodes: [NODE], findings: [] }
const FINDING = {
  code: 'MERLON_POLICY_UNKNOWN_FIELD', severity: 'error', message: 'Unknown field "matchPath"', position: { file: '/p/broken.yaml', line: 9, column: 5 },
  text: '    matchPath:', hint: 'Did you mean matchPaths?',
}

test('what is well is said to be', () => {
  assert.ok(isWell(WELL))
  assert.equal(describe(WELL, false), [
    '/p: 1 policy (1 programmed), 2 workloads, 0 errors, a forbidden probe was refused',
    'programmed KubeArmorPolicy demo/block: 1 of 1 workloads (/p/block.yaml:2)',
    'node node-1: holds generation 4; probe refused, as it must be',
    '',
  ].join('\n'))
})

test('a finding has file, line, column, text and hint', () => {
  const status = { ...WELL, findings: [FINDING] }
  assert.ok(!isWell(status))
  assert.match(describe(status, false), /^\/p\/broken\.yaml:9:5: error: Unknown field "matchPath" \(MERLON_POLICY_UNKNOWN_FIELD\)\n {8}matchPath:\n {2}Did you mean matchPaths\?$/m)
  assert.ok(isWell({ ...WELL, findings: [{ ...FINDING, severity: 'warning' }] }))
})

test('whatever keeps a policy from being enforced is not well', () => {
  const node = (changes: Partial<StatusNode>): Status => ({ ...WELL, nodes: [{ ...NODE, ...changes }] })
  const policy = (changes: Partial<StatusPolicy>): Status => ({ ...WELL, policies: [{ ...POLICY, ...changes }] })
  const failure = { node: 'node-1', workload: 'abc', code: 'MERLON_AGENT_X', message: 'No space' }
  const cases: readonly (readonly [Status, RegExp])[] = [
    [node({ connected: false }), /node node-1: not connected/],
    [node({ acknowledgedAt: '' }), /behind/],
    [node({ generation: { sent: 5, acknowledged: 4 } }), /behind: holds generation 4 of 5/],
    [node({ canary: { ran: true, refused: false, message: '' } }), /PROBE NOT REFUSED/],
    [node({ errors: [failure] }), /abc: No space \(MERLON_AGENT_X\)/],
    [{ ...WELL, nodes: [] }, /No agent is connected/],
    [policy({ state: 'refused' }), /^refused /m],
    [policy({ state: 'pending' }), /^pending /m],
    [policy({ state: 'failed', failures: [failure] }), /^failed .*\n {2}node-1 abc: No space \(MERLON_AGENT_X\)$/m],
    [policy({ stale: true }), /its file has errors, the version before them is in force/],
  ]
  for (const [status, pattern] of cases) {
    assert.ok(!isWell(status), String(pattern))
    assert.match(describe(status, false), pattern)
  }
})

test('a probe that did not run proves nothing, and is said not to', () => {
  const status = { ...WELL, nodes: [{ ...NODE, canary: null }] }
  assert.match(summarise(status), /no probe was run: enforcement is not proven/)
  assert.ok(isCurrent(status.nodes[0] as StatusNode))
  assert.match(summarise({ ...WELL, nodes: [{ ...NODE, canary: { ran: true, refused: false, message: '' } }] }), /NOT refused: nothing is enforced/)
})

test('what comes from manifests cannot act on the terminal', () => {
  const evil = '\u001b[2J\n'
  const status = { ...WELL, directory: evil, policies: [{ ...POLICY, name: evil, file: evil }], nodes: [{ ...NODE, node: evil, reasons: [evil] }], findings: [{ ...FINDING, message: evil, text: evil, hint: evil, position: { ...FINDING.position, file: evil } }] }
  assert.ok(!describe(status, false).includes('\u001b'))
  assert.equal(describe(status, false).split('\n').length, 8)
})

test('merlon status reads the file of the state directory, and says when it cannot', async (context) => {
  const directory = await mkdtemp(join(tmpdir(), 'merlon-status-'))
  context.after(() => rm(directory, { recursive: true }))
  const status = (...more: string[]) => captured(['status', '--state-dir', directory, ...more])
  assert.match((await status()).stderr, /There is no status in .*: is merlon up running/)
  await writeFile(join(directory, 'status.json'), JSON.stringify(WELL))
  assert.deepEqual(JSON.parse((await status('-o', 'json')).stdout), WELL)
  const stopped = await status()
  assert.equal(stopped.code, 1, 'a state that nobody keeps current is not well')
  assert.match(stopped.stderr, /no merlon up keeps it current now/)
  const claimed = await claim(directory)
  assert.ok(claimed.ok)
  await claimed.value.record([{ name: 'operator', pid: process.pid }])
  assert.deepEqual([(await status()).code, (await status()).stderr], [0, ''])
  await writeFile(join(directory, 'status.json'), JSON.stringify({ ...WELL, findings: [FINDING] }))
  assert.equal((await status()).code, 1)
  await writeFile(join(directory, 'status.json'), JSON.stringify({ ...WELL, version: 2 }))
  const newer = await status()
  assert.deepEqual([newer.code, newer.stdout], [2, ''])
  assert.match(newer.stderr, /it has version 2, this merlon reads version 1 \(MERLON_CLI_NO_STATUS\)/)
  await writeFile(join(directory, 'status.json'), '{"version":')
  assert.equal((await status()).code, 2)
})
