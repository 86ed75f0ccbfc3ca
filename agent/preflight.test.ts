// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describe } from './errors.ts'
import { judge, lookAround, type Machine } from './preflight.ts'

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
