// SPDX-License-Identifier: Apache-2.0
// make bench-node: one-shot pods on a real node (test/support/node), each of which runs at once what its profile blocks. One that ran was not subject
// to its profile from its first instruction. Once with each setting for containers that no profile is bound to.
//
//   node bench/node.ts [--pods 40] [--unbound allow]... [--processors 1] [--write]
//
// With two processors it takes a third of the time, and QEMU before 8.1 may end the guest with an oops: then it is to be started again.

import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { KubeObject } from '../test/support/cluster.ts'
import { helm } from '../test/support/kube/helm.ts'
import { Kubectl } from '../test/support/node/kubectl.ts'
import { TestNode } from '../test/support/node/node.ts'
import { TREE } from '../test/support/vm/guest.ts'
import { writeSection } from './results.ts'

const NAMESPACE = 'oneshot'
/** At once: what the kubelet starts side by side. */
const BATCH = 4
const MINUTE = 60_000

const POLICY = `
apiVersion: v1
kind: Namespace
metadata: {name: ${NAMESPACE}}
---
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata: {name: block-cat, namespace: ${NAMESPACE}}
spec:
  selector: {matchLabels: {app: oneshot}}
  process: {matchPaths: [{path: /bin/cat}]}
  action: Block
`

interface Outcome {
  /** Ended as a command that was refused ends. */
  refused: number
  /** Ran without its profile. */
  ran: number
  /** Neither: the node could not start it. */
  other: string[]
  /** Execs that the kernel side stopped until the profile was there: it came later than the container. */
  held: number
  notHeld: number
  /** Pods of which a container's cgroup was there before their profile. */
  late: number
  /** How long before the cgroup of a pod's first container its profile was there: the least and the median, as ranges. */
  leads: string
}

async function measure(pods: number, unbound: string, processors: number): Promise<Outcome> {
  const node = await TestNode.start({ directory: join(TREE, 'build/results/bench-node'), timeoutSeconds: 7200, processors })
  try {
    const { ok, text } = await helm('install', 'merlon', join(TREE, 'charts/merlon'), '--kubeconfig', node.cluster.kubeconfig, '--namespace', 'kubearmor', '--create-namespace', '--set', `operator.replicas=1,agent.unbound=${unbound}`)
    if (!ok) throw new Error(text)
    await node.whenReady()
    await node.podsReady('kubearmor', 15 * MINUTE)
    const kubectl = await Kubectl.of(node.cluster.kubeconfig)
    await kubectl.apply(POLICY)
    const agent = await kubectl.forward('kubearmor', 'ds/kubearmor', 8081)
    const before = await stats(agent.address)
    const outcome: Outcome = { refused: 0, ran: 0, other: [], held: 0, notHeld: 0, late: 0, leads: '' }
    for (let first = 0; first < pods; first += BATCH) {
      await batch(node, { first, count: Math.min(BATCH, pods - first) }, outcome)
      console.log(`${unbound}: ${outcome.refused} refused, ${outcome.ran} ran, ${outcome.other.length} other ends, of ${pods}`)
    }
    // The agent reads its counters every three seconds.
    await new Promise((resolve) => setTimeout(resolve, 4_000))
    const after = await stats(agent.address)
    outcome.held = after.held - before.held
    outcome.notHeld = after.notHeld - before.notHeld
    outcome.late = after.late - before.late
    outcome.leads = [1, Math.ceil(pods / 2)].map((rank) => leadOf(rank, before.leads, after.leads)).join(' / ')
    agent.close()
    return outcome
  } finally {
    await node.stop()
  }
}

async function batch(node: TestNode, { first, count }: { first: number; count: number }, outcome: Outcome): Promise<void> {
  const { client } = node.cluster
  const path = `/api/v1/namespaces/${NAMESPACE}/pods`
  const names = Array.from({ length: count }, (_, index) => `p${first + index}`)
  await Promise.all(names.map((name) => client.create(path, {
    metadata: { name, labels: { app: 'oneshot' } },
    spec: { restartPolicy: 'Never', automountServiceAccountToken: false, terminationGracePeriodSeconds: 0, containers: [{ name: 'main', image: 'debian:trixie-slim', command: ['/bin/cat', '/etc/hostname'] }] },
  })))
  const states = async (): Promise<State[]> => ((await client.get(path))['items'] as KubeObject[]).map(stateOf)
  await node.until(`${count} pods have ended`, 10 * MINUTE, async () => {
    const found = await states()
    return found.every(({ phase }) => phase === 'Succeeded' || phase === 'Failed') || JSON.stringify(found.filter(({ phase }) => phase !== 'Failed'))
  })
  for (const { name, phase, reason } of await states()) {
    // A container that was held has started for its runtime: what became of its exec is in its log.
    const said = `${reason} ${String((await client.get(`${path}/${name}/log`).catch((error: unknown) => ({ text: String(error) })))['text'])}`
    if (phase === 'Succeeded') outcome.ran++
    else if (/permission denied/i.test(said)) outcome.refused++
    else outcome.other.push(said)
  }
  await Promise.all(names.map((name) => client.delete(`${path}/${name}?gracePeriodSeconds=0`)))
}

interface State {
  readonly name: string
  readonly phase: string
  readonly reason: string
}

function stateOf({ metadata, status }: KubeObject): State {
  const { phase, containerStatuses } = status as { phase: string; containerStatuses?: { state?: { terminated?: { reason?: string; message?: string } } }[] }
  const ended = containerStatuses?.[0]?.state?.terminated
  return { name: metadata?.name ?? '', phase, reason: `${ended?.reason ?? ''} ${ended?.message ?? ''}` }
}

interface Stats {
  readonly held: number
  readonly notHeld: number
  readonly late: number
  /** Upper bounds in seconds, and how many were at most that. */
  readonly leads: readonly (readonly [bound: number, count: number])[]
}

/** Of the agent and its kernel side. */
async function stats(address: string): Promise<Stats> {
  const text = await (await fetch(`http://${address}/metrics`)).text()
  const of = (stat: string): number => Number(new RegExp(`^merlon_bpf_stats_total\\{stat="${stat}"\\} (\\d+)$`, 'm').exec(text)?.[1] ?? 0)
  const leads = [...text.matchAll(/^merlon_profile_lead_seconds_bucket\{le="([^"]+)"\} (\d+)$/gm)].map(([, bound, count]) => [bound === '+Inf' ? Infinity : Number(bound), Number(count)] as const)
  return { held: of('held'), notHeld: of('not_held'), late: Number(/^merlon_profile_late_total (\d+)$/m.exec(text)?.[1] ?? 0), leads }
}

/** The bucket that holds the lead of this rank, the shortest first. */
function leadOf(rank: number, before: Stats['leads'], after: Stats['leads']): string {
  const index = after.findIndex(([, count], at) => count - (before[at]?.[1] ?? 0) >= rank)
  if (index < 0) return 'none'
  const ms = (at: number): number => (after[at]?.[0] ?? 0) * 1000
  return `${ms(index - 1)}-${ms(index)} ms`
}

const HEAD = '| containers without a profile | pods | first command refused by the profile | ran without its profile | other ends | execs held | not held | profile later than the container | its lead, least / median |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|\n'

const { values } = parseArgs({ options: { pods: { type: 'string', default: '40' }, unbound: { type: 'string', multiple: true, default: ['allow', 'block'] }, processors: { type: 'string', default: '1' }, write: { type: 'boolean', default: false } } })
const pods = Number(values.pods)
const processors = Number(values.processors)
if (!Number.isSafeInteger(pods) || pods < 1) {
  console.error(`--pods must be a number of pods, not "${values.pods}"`)
  process.exit(2)
}
if (processors !== 1 && processors !== 2) {
  console.error(`--processors must be 1 or 2, not "${values.processors}"`)
  process.exit(2)
}
const rows: string[] = []
for (const unbound of values.unbound) {
  const { refused, ran, other, held, notHeld, late, leads } = await measure(pods, unbound, processors)
  rows.push(`| ${unbound} | ${pods} | ${refused} | ${ran} | ${other.length} | ${held} | ${notHeld} | ${late} | ${leads} |`)
  console.log(`${HEAD}${rows.at(-1)}`)
  if (other.length > 0) console.log(`Other ends: ${[...new Set(other)].slice(0, 5).join('; ')}`)
  // With "allow" that is what is counted; with "block" it must not be.
  if (ran > 0 && unbound === 'block') process.exitCode = 1
}
if (values.write) writeSection('one-shot pods', `${HEAD}${rows.join('\n')}`)
