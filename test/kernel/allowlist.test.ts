// SPDX-License-Identifier: Apache-2.0
// A container under allow-lists that block everything else starts with both runtimes, although neither runtime's start-up code is listed;
// what enters it later is held to the lists from its first exec.
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { EVENT_FLAG, OP, STATS, VERDICT } from '../../agent/abi.ts'
import type { KernelEvent } from '../../agent/records.ts'
import { ROOTS, RUNTIMES } from '../support/container.ts'
import { Node, policy } from './node.ts'
import { O, TRIAL, TrialContainer } from './trial.ts'
import { furnish } from './world.ts'

const PROGRAMS = `matchPaths: [{path: ${TRIAL}}, {path: /t/bin/one}, {execname: sh}, {execname: busybox}, {path: /bin/cat}, {path: /usr/bin/dash}]`
/** What a shell and cat open, dynamically linked or not. */
const FILES = `matchPaths: [{path: ${TRIAL}}, {path: /t/bin/one}, {path: /t/data/a.txt}, {path: /etc/ld.so.cache}]\n    matchDirectories: [{dir: /usr/, recursive: true}, {dir: /bin/, recursive: true}, {dir: /lib64/}]`
const SPEC = `  process:\n    ${PROGRAMS}\n  file:\n    ${FILES}\n  action: Allow`

let node: Node
before(() => { node = new Node() })
after(() => {
  assert.deepEqual(node.errors(), {})
  node.close()
})

const denials = (): KernelEvent[] => node.drain().filter((event) => event.verdict === VERDICT.BLOCK)

for (const runtime of RUNTIMES) {
  for (const root of ROOTS) {
    describe(`${runtime}, ${root} root`, () => {
      let place: TrialContainer
      let exempted = 0
      before(async () => {
        const { slot } = node.load(policy(SPEC), 'block')
        exempted = node.stat(STATS.indexOf('entering'))
        place = await TrialContainer.start({ runtime, root }, (container) => {
          furnish(container)
          mkdirSync(container.cgroup, { recursive: true })
          node.bind(container.cgroup, slot.slot)
        })
      })
      after(async () => {
        await place.delete()
        node.unbindAll()
      })

      test('it starts, and what its runtime opened for that is counted as exempted, not denied', () => {
        assert.deepEqual(denials().map(({ path, exe }) => ({ path, exe })), [])
        assert.ok(node.stat(STATS.indexOf('entering')) > exempted)
      })

      test('it may do what is listed and nothing else', async () => {
        const { trial, pid } = place
        assert.equal((await trial.ask('open', '/t/data/a.txt', O.RDWR)).error, 'ok')
        assert.equal(await trial.must('exec', '/t/bin/one'), 'ran')
        assert.deepEqual(denials(), [])
        assert.equal((await trial.ask('open', '/t/data/b.log', O.RDONLY)).error, 'EACCES')
        assert.equal((await trial.ask('open', '/etc/passwd', O.RDONLY)).error, 'EACCES')
        assert.equal((await trial.ask('exec', '/t/agents/a')).error, 'EACCES')
        const events = denials()
        assert.deepEqual(events.map(({ op, path, exe, flags }) => ({ op, path, exe, entering: (flags & EVENT_FLAG.ENTERING) !== 0 })), [
          { op: OP.READ, path: '/t/data/b.log', exe: TRIAL, entering: false },
          { op: OP.READ, path: '/etc/passwd', exe: TRIAL, entering: false },
          { op: OP.READ, path: '/t/agents/a', exe: TRIAL, entering: false },
        ])
        assert.equal(events[0]?.hostPid, pid)
      })

      test('the runtime may enter it with what is listed', async () => {
        const { container } = place
        const before = node.stat(STATS.indexOf('entering'))
        assert.deepEqual(await container.exec(['/t/bin/one']), { status: 0, output: 'ran' })
        assert.ok(node.stat(STATS.indexOf('entering')) > before)
        assert.deepEqual(denials().map(({ path, exe }) => ({ path, exe })), [])
        const shell = await container.exec(['sh', '-c', 'cat /t/data/a.txt; cat /etc/passwd'])
        assert.match(shell.output, /^\/t\/data\/a\.txt/)
        assert.match(shell.output, /permission denied/i)
        assert.deepEqual(denials().map(({ op, path }) => ({ op, path })).filter(({ path }) => path === '/etc/passwd'), [{ op: OP.READ, path: '/etc/passwd' }])
      })

      test('and with nothing else', async () => {
        const { status, output } = await place.container.exec(['/t/agents/b'])
        assert.notEqual(status, 0)
        assert.match(output, /permission denied/i)
        const [event, ...others] = denials()
        assert.deepEqual([event?.op, event?.path, (event?.flags ?? 0) & EVENT_FLAG.ENTERING, others.length], [OP.EXEC, '/t/agents/b', EVENT_FLAG.ENTERING, 0])
      })
    })
  }
}
