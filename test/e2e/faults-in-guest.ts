// SPDX-License-Identifier: Apache-2.0
// Run inside a guest, by faults.test.ts: merlon up when things go wrong, one after the other, each on what the one before left.
import assert from 'node:assert/strict'
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { ABI_VERSION, BINDING } from '../../agent/abi.ts'
import { childPid, Lines, merlon } from './merlon.ts'
import { run, startContainer, type CommandResult, type Container } from './oci.ts'

const EXAMPLE = new URL('../../examples/demo', import.meta.url).pathname
/** Far beyond what a starved machine needs: it ends a wait that would never end. */
const SECONDS = 600
const BINDINGS = `/sys/fs/bpf/merlon/v${ABI_VERSION}/maps/bindings`
const directory = mkdtempSync('/tmp/merlon-faults-')
const policies = join(directory, 'policies')
const stateDir = join(directory, 'state')
const blockFile = join(policies, 'block-shell-tools.yaml')
/** Each is to be ended, or the guest would not end after a test that failed. */
const followers: Lines[] = []
let up: Lines | undefined
let container: Container | undefined

const start = (): Lines => new Lines(['up', policies, '--state-dir', stateDir])
const isRefused = ({ status, output }: CommandResult): boolean => status === 126 && output.includes('Permission denied')

async function assertBlocked(when: string): Promise<void> {
  const result = await container?.exec('find /etc -maxdepth 0')
  assert.ok(result && isRefused(result), `find ran ${when}: ${JSON.stringify(result)}`)
}

function running(): Lines {
  assert.ok(up, 'merlon up does not run')
  return up
}

after(async () => {
  await Promise.all(followers.map((each) => each.stop()))
  await up?.stop()
  await merlon('rescue', '--yes')
  await container?.remove()
})

test('what cannot be started says why, in a line, and ends with 2', async () => {
  const open = join(directory, 'open')
  mkdirSync(open)
  chmodSync(open, 0o1777)
  const refused: readonly (readonly [readonly string[], RegExp])[] = [
    [['up'], /Name the directory that holds the policies/],
    [['up', '/nowhere'], /There is no directory \/nowhere: create it.*MERLON_CLI_NO_DIRECTORY/],
    [['up', join(EXAMPLE, 'web.yaml')], /is not a directory: name the directory that the file is in/],
    [['up', EXAMPLE, '--state-dir', '/dev/null/merlon'], /Cannot use the state directory \/dev\/null\/merlon: ENOTDIR.*choose another --state-dir/],
    [['up', EXAMPLE, '--state-dir', open], /Cannot use the state directory .*: others may write to it \(mode 1777\)/],
  ]
  for (const [args, said] of refused) {
    const { status, output } = await merlon(...args)
    assert.deepEqual([status, said.test(output)], [2, true], output)
  }
  const main = new URL('../../build/bundle/cli/main.mjs', import.meta.url).pathname
  const asNobody = await run('setpriv', ['--reuid', '65534', '--regid', '65534', '--clear-groups', process.execPath, main, 'up', EXAMPLE], '/')
  assert.deepEqual([asNobody.status, /Only root may load programs.*sudo merlon up/.test(asNobody.output)], [2, true], asNobody.output)
})

test('the demo here would run here; as nobody, without sudo, in a guest, with the reason', async () => {
  const demo = [new URL('./demo.ts', import.meta.url).pathname, '--where']
  const asRoot = await run(process.execPath, demo, '/')
  assert.deepEqual([asRoot.status, asRoot.output], [0, 'On this machine\n'])
  const asNobody = await run('setpriv', ['--reuid', '65534', '--regid', '65534', '--clear-groups', process.execPath, ...demo], '/')
  assert.equal(asNobody.status, 0, asNobody.output)
  assert.match(asNobody.output, /^Not on this machine: Only root may load programs into the kernel, and there is no sudo/)
})

test('a port in use: named last, with what to do; the others are stopped', async () => {
  mkdirSync(policies)
  const server = createServer().listen(32_767, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const lines = start()
  assert.equal(await lines.ended, 2)
  server.close()
  assert.match(lines.tail(2), /The relay did not start: exit code 2\..*32767: another process listens there: stop it or choose another address/)
  assert.ok(!existsSync(join(stateDir, 'up.json')))
})

test('an empty directory: says that nothing is enforced, and takes the first files; a second up is refused', async () => {
  up = start()
  await up.until((line) => line.includes('nothing is enforced until there is one'), SECONDS)
  await up.until((line) => line.includes('Ready in'), SECONDS)
  const second = await merlon('up', policies, '--state-dir', stateDir)
  assert.deepEqual([second.status, /already runs .*\(pid \d+\).*MERLON_CLI_ALREADY_UP/.test(second.output)], [2, true], second.output)
  for (const name of readdirSync(EXAMPLE)) copyFileSync(join(EXAMPLE, name), join(policies, name))
  container = await startContainer('demo-web', directory)
  await up.until((line) => line.includes('policy=block-shell-tools state=programmed'), SECONDS)
  await assertBlocked('once the policy was there')
})

test('a broken edit: file, line, column and what to do; the last good version holds, through the death of the operator too', async () => {
  const good = readFileSync(blockFile, 'utf8')
  const from = running().count
  writeFileSync(blockFile, good.replace('action: Block', 'action: Blok'))
  await running().until((line) => /block-shell-tools\.yaml:19:11: .*Blok: use one of Allow, Audit, Block/.test(line), SECONDS, from)
  await running().until((line) => /1 policy of an earlier version of it stays in force/.test(line), SECONDS, from)
  const status = await merlon('status', '--state-dir', stateDir)
  assert.equal(status.status, 1)
  assert.match(status.output, /its file has errors, the version before them is in force/)
  await assertBlocked('after a broken edit')
  const again = running().count
  process.kill(await childPid(stateDir, 'operator'), 'SIGKILL')
  await running().until((line) => /The operator ended \(signal SIGKILL\); starting it again/.test(line), SECONDS, again)
  await running().until((line) => /operator: Started/.test(line), SECONDS, again)
  await running().until((line) => /operator: Changed the state of a node .*connected=true canary=\{"ran":true/.test(line), SECONDS, again)
  await assertBlocked('after the operator came back to a broken file')
  assert.match((await merlon('status', '--state-dir', stateDir)).output, /the version before them is in force/)
  writeFileSync(blockFile, good)
})

test('what is no manifest is said or left alone, and takes nothing away', async () => {
  const from = running().count
  writeFileSync(join(policies, 'binary.yaml'), Buffer.from([0, 1, 255, 254]))
  writeFileSync(join(policies, 'bad.yaml'), 'a: [b\n c: d')
  mkdirSync(join(policies, 'directory.yaml'))
  symlinkSync('/nowhere', join(policies, 'dangling.yaml'))
  await running().until((line) => /binary\.yaml: the file is not UTF-8 text: save it as UTF-8/.test(line), SECONDS, from)
  await running().until((line) => /bad\.yaml:1:5: not readable as YAML/.test(line), SECONDS, from)
  await assertBlocked('beside files that are none')
})

test('the directory goes away: everything stays in force, and that is said', async () => {
  const from = running().count
  renameSync(policies, `${policies}.away`)
  await running().until((line) => /the policies that were read last stay in force/.test(line), SECONDS, from)
  await assertBlocked('without the directory')
  renameSync(`${policies}.away`, policies)
})

test('a second merlon up beside this one, and a rescue: each says that an agent runs, and changes nothing', async () => {
  const beside = new Lines(['up', policies, '--state-dir', `${stateDir}-2`, '--listen', '127.0.0.1:32766'])
  assert.equal(await beside.ended, 2)
  assert.match(beside.tail(2), /The agent did not start: exit code 1\. agent: An agent runs here that holds .*MERLON_AGENT_ALREADY_RUNS/)
  const rescue = await merlon('rescue', '--yes')
  assert.deepEqual([rescue.status, /An agent runs here.*Stop it first/.test(rescue.output)], [1, true], rescue.output)
  await assertBlocked('after what was refused')
})

/** `merlon events`, connected. */
async function follow(...options: string[]): Promise<Lines> {
  const events = new Lines(['events', '-o', 'json', ...options])
  followers.push(events)
  await events.until((line) => line.startsWith('-- Connected'), SECONDS)
  return events
}

test('the relay hangs: events wait for it, and all arrive', async () => {
  const events = await follow()
  const relay = await childPid(stateDir, 'relay')
  // In less than the half minute after which the follower takes a relay that says nothing for lost, however slow the machine.
  const attempts = 10
  process.kill(relay, 'SIGSTOP')
  const tried = await container?.exec(`i=0; while [ $i -lt ${attempts} ]; do find /etc -name no-$i; i=$((i+1)); done`)
  process.kill(relay, 'SIGCONT')
  assert.equal(tried?.output.match(/Permission denied/g)?.length, attempts, JSON.stringify(tried))
  const arrived = new Set<string>()
  await events.until((line) => {
    const name = line.includes('"PolicyName":"block-shell-tools"') ? /-name (no-\d+)/.exec(line)?.[1] : undefined
    if (name !== undefined) arrived.add(name)
    return arrived.size === attempts
  }, SECONDS)
  await events.stop()
})

/** How many bindings in the kernel have something recorded. */
async function recordingBindings(): Promise<number> {
  const { output } = await run('bpftool', ['-j', 'map', 'dump', 'pinned', BINDINGS], '/')
  return (JSON.parse(output) as { value: string[] }[]).filter(({ value }) => Number(value[BINDING.visible]) !== 0).length
}

test('what a namespace makes visible is recorded while somebody follows logs, and no longer', async () => {
  const web = readFileSync(join(policies, 'web.yaml'), 'utf8')
  writeFileSync(join(policies, 'web.yaml'), web.replace('  name: demo\n---', '  name: demo\n  annotations: {kubearmor-visibility: "process,file"}\n---'))
  assert.equal(await recordingBindings(), 0, 'nobody has asked')
  const events = await follow('--filter', 'system')
  const until = async (what: RegExp, command: string): Promise<string> => {
    for (let tries = 0; tries < 60; tries++) {
      const from = events.count
      await container?.exec(command)
      const found = await events.until((line) => what.test(line), 10, from).catch(() => undefined)
      if (found !== undefined) return found
    }
    assert.fail(`no ${String(what)}: ${events.tail(10)}`)
  }
  const log = JSON.parse(await until(/"Operation":"File","Resource":"\/etc\/debian_version"/, 'cat /etc/debian_version')) as Record<string, unknown>
  assert.deepEqual([log['NamespaceName'], log['PodName'], log['Type'], log['Result']], ['demo', 'demo-web', 'ContainerLog', 'Passed'])
  await until(/"Operation":"Process","Resource":"\/usr\/bin\/id"/, 'id')
  await assertBlocked('where it is recorded')
  assert.ok(await recordingBindings() > 0)
  await events.stop()
  const end = Date.now() + SECONDS * 1000
  while (await recordingBindings() > 0) assert.ok(Date.now() < end, 'it is still recorded, for nobody')
  writeFileSync(join(policies, 'web.yaml'), web)
})

test('the agent hangs while more happens than a ring holds: verdicts stand, what is lost is counted and said, and no denial is', async () => {
  const events = await follow()
  const agent = await childPid(stateDir, 'agent')
  const attempts = 8000
  process.kill(agent, 'SIGSTOP')
  const tried = await container?.exec(`i=0; while [ $i -lt ${attempts} ]; do : < /etc/passwd; i=$((i+1)); done`)
  await assertBlocked('while the agent hangs')
  process.kill(agent, 'SIGCONT')
  assert.equal(tried?.status, 0, JSON.stringify(tried))
  const seen = { denials: 0, audits: 0, lost: 0 }
  await events.until((line) => {
    if (line.includes('"PolicyName":"block-shell-tools"')) seen.denials += 1
    else if (line.includes('"PolicyName":"audit-accounts"')) seen.audits += 1
    // By the kernel and the agent; by the relay, for one who reads too slowly.
    else seen.lost += Number(/Lost (\d+) (events on node|alerts of the subscriber)/.exec(line)?.[1] ?? 0)
    return seen.denials > 0 && seen.audits + seen.lost >= attempts
  }, SECONDS).catch((cause: unknown) => assert.fail(`${JSON.stringify(seen)}: ${String(cause)}`))
  assert.ok(seen.lost > 0, `nothing was lost: ${attempts} audits are too few to fill a ring`)
  await events.stop()
})

test('kill -9 of relay and agent: the kernel goes on, each comes back', async () => {
  const from = running().count
  process.kill(await childPid(stateDir, 'relay'), 'SIGKILL')
  process.kill(await childPid(stateDir, 'agent'), 'SIGKILL')
  await assertBlocked('while agent and relay were dead')
  await running().until((line) => /relay: Listening/.test(line), SECONDS, from)
  await running().until((line) => /agent: Started.*kernelSide=adopted/.test(line), SECONDS, from)
})

test('pins removed by hand: that is noticed and said, and the next agent loads everything anew', async () => {
  const from = running().count
  assert.equal((await run('rm', ['-r', '/sys/fs/bpf/merlon'], '/')).status, 0)
  await running().until((line) => /agent: .*Somebody has removed pins/.test(line), SECONDS, from)
  await running().until((line) => /agent: Started.*kernelSide=fresh/.test(line), SECONDS, from)
  const end = Date.now() + SECONDS * 1000
  while (!isRefused((await container?.exec('find /etc -maxdepth 0')) ?? { status: 0, output: '' })) assert.ok(Date.now() < end, 'it is not enforced again')
})

test('kill -9 of merlon up: the next one stops what was left, adopts the kernel side and is ready', async () => {
  const { pid } = JSON.parse(readFileSync(join(stateDir, 'up.json'), 'utf8')) as { pid: number }
  process.kill(pid, 'SIGKILL')
  await running().ended
  await assertBlocked('while nothing of Merlon ran as it should')
  up = start()
  for (const name of ['operator', 'relay', 'agent']) await up.until((line) => line.includes(`Stopping the ${name}`) && line.includes('left behind'), SECONDS)
  await up.until((line) => /agent: Started.*kernelSide=adopted/.test(line), SECONDS)
  await up.until((line) => line.includes('Ready in'), SECONDS)
  await assertBlocked('under the next one')
})

test('SIGTERM: status 0, enforcement goes on and says so, status says that nobody keeps it; rescue ends it', async () => {
  assert.equal(await running().stop(), 0)
  assert.match(running().tail(2), /Stopped\. The kernel goes on enforcing what was loaded; merlon rescue ends that/)
  up = undefined
  await assertBlocked('after merlon up')
  const status = await merlon('status', '--state-dir', stateDir)
  assert.deepEqual([status.status, /no merlon up keeps it current now/.test(status.output)], [1, true], status.output)
  const unsure = await merlon('rescue')
  assert.deepEqual([unsure.status, /merlon rescue --yes to do it/.test(unsure.output)], [2, true])
  assert.equal((await merlon('rescue', '--yes')).status, 0)
  assert.equal((await container?.exec('find /etc -maxdepth 0'))?.status, 0)
})
