// SPDX-License-Identifier: Apache-2.0
// Mounts that are more than a place: overlays, whose layers the kernel opens by itself, and mounts that give files other owners.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { after, afterEach, before, test } from 'node:test'
import { BIND } from '../../agent/abi.ts'
import { enter, Node, policy, testCgroup } from './node.ts'
import { hostTrial, O, type Trial } from './trial.ts'

const TOP = '/run/merlon-mounts'
/** On the guest's disk: before Linux 6.3 a tmpfs gives nobody other owners. */
const ON_DISK = '/var/merlon-mounts'
const CLONE_NEWNS = 0x20000
const MS_PRIVATE_REC = 0x44000
const ROOT = '/sys/fs/cgroup'

let node: Node
let directory: string
let trial: Trial | undefined

before(() => {
  node = new Node()
  directory = testCgroup('mounts')
})
after(() => {
  const errors = node.errors()
  node.close()
  assert.deepEqual(errors, {})
})
afterEach(async () => {
  await trial?.end()
  trial = undefined
  node.unbindAll()
})

function bind(spec: string): void {
  node.bind(directory, node.load(policy(spec)).slot.slot, BIND.PLAIN)
}

test('an overlay whose layers are whole file systems (an image that is mounted layer by layer): directories can be read, files are decided', () => {
  const [lower, upper, merged] = ['lower', 'upper', 'merged'].map((each) => `${TOP}/${each}`) as [string, string, string]
  for (const each of [lower, upper, merged]) mkdirSync(each, { recursive: true })
  for (const each of [lower, upper]) execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', each])
  for (const each of [`${upper}/upper`, `${upper}/work`, `${lower}/sub`]) mkdirSync(each)
  for (const each of ['open', 'secret', 'sub/secret']) writeFileSync(`${lower}/${each}`, each)
  execFileSync('mount', ['-t', 'overlay', '-o', `lowerdir=${lower},upperdir=${upper}/upper,workdir=${upper}/work`, 'overlay', merged])
  try {
    bind(`  file:\n    matchPaths: [{path: ${merged}/secret}, {path: ${merged}/sub/secret}]\n  action: Block`)
    enter(directory)
    node.drain()
    assert.deepEqual(readdirSync(merged), ['open', 'secret', 'sub'])
    writeFileSync(`${merged}/open`, 'copied up')
    assert.deepEqual([readdirSync(merged), readdirSync(`${merged}/sub`)], [['open', 'secret', 'sub'], ['secret']])
    assert.equal(readFileSync(`${merged}/open`, 'utf8'), 'copied up')
    assert.deepEqual(node.drain(), [])
    for (const each of [`${merged}/secret`, `${merged}/sub/secret`]) assert.throws(() => readFileSync(each), { code: 'EACCES' })
    assert.deepEqual(node.drain().map(({ path }) => path), [`${merged}/secret`, `${merged}/sub/secret`])
  } finally {
    enter(ROOT)
    for (const each of [merged, lower, upper]) execFileSync('umount', [each])
    rmSync(TOP, { recursive: true, force: true })
  }
})

/** Files by the id that owns them in the file system. */
const OWNERS = [0, 1000, 1001]

/** `ok` or EACCES of each file in turn, for a process with this fsuid. */
async function opens(place: string, fsuid: number): Promise<string> {
  await trial?.must('fsuid', fsuid)
  const replies = []
  for (const owner of OWNERS) replies.push((await trial?.ask('open', `${place}/${owner}`, O.RDONLY))?.error)
  return replies.join(' ')
}

/** `map`: as /proc/PID/uid_map has it. */
async function mountWithIds(map: string): Promise<string> {
  const [from, place] = [ON_DISK, `${ON_DISK}-mounted`]
  for (const each of [from, place]) mkdirSync(each, { recursive: true })
  for (const owner of OWNERS) {
    writeFileSync(`${from}/${owner}`, '')
    chmodSync(`${from}/${owner}`, 0o666)
    chownSync(`${from}/${owner}`, owner, owner)
  }
  const { trial: started, pid } = hostTrial()
  trial = started
  enter(directory, pid)
  await trial.must('unshare', CLONE_NEWNS)
  await trial.must('mount', 'none', '/', 'none', MS_PRIVATE_REC)
  await trial.must('idmap', from, place, map)
  bind(`  file:\n    matchDirectories: [{dir: ${place}/, ownerOnly: true}, {dir: ${from}/, ownerOnly: true}]\n  action: Block`)
  return place
}

test('a mount that gives files other owners, as volumes of pods with user namespaces have it: ownerOnly goes by those', async () => {
  const place = await mountWithIds('0 1000 1\n1000 0 1')
  assert.equal(await opens(place, 0), 'EACCES ok EACCES')
  assert.equal(await opens(place, 1000), 'ok EACCES EACCES')
  assert.equal(await opens(place, 1001), 'EACCES EACCES EACCES', 'who has no id there owns nothing there')
  assert.equal(await opens(ON_DISK, 0), 'ok EACCES EACCES')
  assert.equal(await opens(ON_DISK, 1001), 'EACCES EACCES ok')
})

test('the same with more ranges than a map holds in place', async () => {
  const ranges = Array.from({ length: 20 }, (_, i) => `${2000 + 2 * i} ${3000 + 2 * i} 1`)
  const place = await mountWithIds([...ranges, '0 1000 1', '1000 2000 2'].join('\n'))
  assert.equal(await opens(place, 1000), 'ok EACCES EACCES')
  assert.equal(await opens(place, 2001), 'EACCES EACCES ok')
})
