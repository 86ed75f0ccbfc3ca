// SPDX-License-Identifier: Apache-2.0
// More processes than processors, on a kernel that takes the processor from them in the middle of a decision: each keeps its buffer, and no verdict
// may depend on how many others are at it.
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { constants, release } from 'node:os'
import { after, before, test } from 'node:test'
import { BIND, STATS } from '../../agent/abi.ts'
import { Node, policy, testCgroup } from './node.ts'
import { O, parse, PROGRAM } from './trial.ts'

const TOP = '/run/merlon-busy'
const DEBUGFS = '/sys/kernel/debug'
const PREEMPTION = `${DEBUGFS}/sched/preempt`
const [PROCESSES, OPENS] = [60, 300]

let node: Node
let directory: string

before(() => {
  node = new Node()
  directory = testCgroup('busy')
  if (!existsSync(PREEMPTION)) execFileSync('mount', ['-t', 'debugfs', 'debugfs', DEBUGFS])
})
after(() => {
  rmSync(TOP, { recursive: true, force: true })
  const errors = Object.keys(node.errors())
  node.close()
  // Before Linux 6.2 a task that is preempted in its storage keeps those that come after it out of theirs (ENOMEM): they find anew who they are, which is counted.
  assert.deepEqual(errors.filter((error) => !error.endsWith(`:${constants.errno.ENOMEM}`) || !release().startsWith('6.1.')), [])
})

/** What preempt= was set to at boot, in parentheses: `none (voluntary) full`. */
function preemption(): string {
  return /\((\w+)\)/.exec(readFileSync(PREEMPTION, 'utf8'))?.[1] ?? ''
}

/** Opens the path over and over in the cgroup: how often that succeeded, and how often it was refused. */
async function flood(path: string): Promise<string> {
  const child = spawn('sh', ['-c', `echo $$ > ${directory}/cgroup.procs; exec ${PROGRAM} once flood ${path} ${O.RDONLY} ${OPENS}`], { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => { said += chunk.toString() })
  await once(child, 'close')
  return parse(said).text
}

test('sixty processes that open what is permitted, on a kernel that preempts: none is refused', async () => {
  const deep = `${TOP}/${'x/'.repeat(300)}`
  mkdirSync(deep, { recursive: true })
  writeFileSync(`${deep}f`, '')
  node.bind(directory, node.load(policy(`  file:\n    matchPaths: [{path: ${TOP}/elsewhere}]\n  action: Block`)).slot.slot, BIND.PLAIN)
  const before = node.stat(STATS.indexOf('undecidable'))
  const was = preemption()
  writeFileSync(PREEMPTION, 'full')
  try {
    assert.equal(preemption(), 'full')
    const floods = await Promise.all(Array.from({ length: PROCESSES }, () => flood(`${deep}f`)))
    assert.deepEqual([...new Set(floods)], [`${OPENS} 0`])
    assert.equal(node.stat(STATS.indexOf('undecidable')), before)
  } finally {
    writeFileSync(PREEMPTION, was)
  }
})
