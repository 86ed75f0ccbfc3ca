// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { describe } from './errors.ts'
import { isBpffs, judge, lookAround, mountBpffs, type Machine } from './preflight.ts'

const WHOLE: Machine = { isLittleEndian: true, isRoot: true, hasBtf: true, lsms: ['capability', 'bpf'], cgroupRoot: '/sys/fs/cgroup', bpffsProblem: undefined }
const codes = (change: Partial<Machine>): string[] => judge({ ...WHOLE, ...change }).problems.map((problem) => problem.code)

test('a machine with everything can enforce', () => {
  assert.deepEqual(judge(WHOLE), { problems: [], canEnforce: true, abilities: { bpf_lsm: true, btf: true, cgroup_v2: true, reasons: [] } })
})

test('each missing thing has its own code, and nothing else is complained about', () => {
  assert.deepEqual(codes({ isLittleEndian: false }), ['MERLON_AGENT_BIG_ENDIAN'])
  assert.deepEqual(codes({ isRoot: false }), ['MERLON_AGENT_NOT_ROOT'])
  assert.deepEqual(codes({ hasBtf: false }), ['MERLON_AGENT_NO_BTF'])
  assert.deepEqual(codes({ lsms: ['capability'] }), ['MERLON_AGENT_NO_BPF_LSM'])
  assert.deepEqual(codes({ cgroupRoot: undefined }), ['MERLON_AGENT_NO_CGROUP2'])
  assert.deepEqual(codes({ bpffsProblem: 'x' }), ['MERLON_AGENT_NO_BPFFS'])
})

test('a message is one sentence on what is missing and one on what to do', () => {
  const [problem] = judge({ ...WHOLE, lsms: ['capability', 'landlock'] }).problems
  assert.ok(problem)
  assert.match(describe(problem), /^bpf is not among the active LSMs \(capability,landlock\)\. Add bpf to the lsm= parameter .*\[MERLON_AGENT_NO_BPF_LSM\]$/)
})

test('an LSM whose name contains bpf is not bpf', () => {
  assert.deepEqual(codes({ lsms: ['bpfish'] }), ['MERLON_AGENT_NO_BPF_LSM'])
})

test('lookAround() never throws, whatever the machine', () => {
  const machine = lookAround('/proc/nowhere')
  assert.equal(typeof machine.isLittleEndian, 'boolean')
  assert.notEqual(machine.bpffsProblem, undefined)
})

test('no bpffs is mounted over what is there', (context) => {
  const directory = mkdtempSync(join(tmpdir(), 'merlon-preflight-'))
  context.after(() => rmSync(directory, { recursive: true }))
  const file = join(directory, 'file')
  writeFileSync(file, '')
  for (const path of [directory, file, '/']) assert.match(mountBpffs(path, true) ?? '', /is not one, and not an empty directory/)
  assert.match(lookAround(directory).bpffsProblem ?? '', /not an empty directory|only root/)
  assert.ok(!readFileSync('/proc/self/mounts', 'utf8').includes(directory))
})

test('a directory that is still to be made is where its parent is', (context) => {
  if (!isBpffs('/sys/fs/bpf')) return context.skip('SKIPPED: this machine has no bpffs')
  assert.ok(isBpffs('/sys/fs/bpf/to/be/made'))
  assert.ok(!isBpffs('/sys/fs/nowhere/at/all'))
})
