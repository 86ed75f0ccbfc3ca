// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { cgroupOfProcess, ownCgroup } from './cgroups.ts'

let root = ''
let proc = ''
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'merlon-cgroups-'))
  proc = mkdtempSync(join(tmpdir(), 'merlon-proc-'))
})
afterEach(() => { for (const path of [root, proc]) rmSync(path, { recursive: true }) })

function cgroup(path: string, ...pids: number[]): void {
  mkdirSync(join(root, path), { recursive: true })
  writeFileSync(join(root, path, 'cgroup.procs'), pids.map((pid) => `${pid}\n`).join(''))
}

/** What /proc says of a process's cgroup to whoever asks. */
function shown(pid: number, path: string): void {
  mkdirSync(join(proc, String(pid)))
  writeFileSync(join(proc, String(pid), 'cgroup'), `1:name=systemd:/x\n0::${path}\n`)
}

test('ownCgroup() takes what /proc says where that is so', () => {
  cgroup('system.slice/agent.service', 7)
  shown(7, '/system.slice/agent.service')
  assert.equal(ownCgroup(root, 7, proc), join(root, 'system.slice/agent.service'))
})

test('ownCgroup() looks for the process where a cgroup namespace hides its path', () => {
  cgroup('kubepods/burstable/pod1/aa', 6)
  cgroup('kubepods/burstable/pod1/ab', 17, 7)
  shown(7, '/')
  assert.equal(ownCgroup(root, 7, proc), join(root, 'kubepods/burstable/pod1/ab'))
})

test('ownCgroup() finds none for a process of the root, or for one that is nowhere', () => {
  cgroup('other', 1)
  shown(7, '/')
  assert.equal(ownCgroup(root, 7, proc), undefined)
})

test('cgroupOfProcess() of a process that is gone is undefined', () => {
  shown(7, '/a/b')
  assert.equal(cgroupOfProcess(7, root, proc), join(root, 'a/b'))
  assert.equal(cgroupOfProcess(8, root, proc), undefined)
})
