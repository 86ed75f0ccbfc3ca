// SPDX-License-Identifier: Apache-2.0
// make bench-cluster: the operator on a real API server with up to 1,000 nodes, 5,000 pods and 200 policies, and an agent for every node that speaks the real protocol over
// TLS. Writes bench/cluster/RESULTS.md and growth.svg. Wall-clock figures: for a quiet machine. `--sizes 10,100` for less of it.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Cluster, type KubeClient } from '../../test/support/cluster.ts'
import type { Told } from './agents.ts'
import { Agents, Identities, OperatorProcess } from './parties.ts'
import { growthPlot, type Quantiles, type SizeResult } from './plot.ts'
import { createPolicies, EVERYWHERE, grow, inParallel, installResources, nodeName, pod, PODS_PER_NODE, POLICIES, probe } from './world.ts'

const POLICY_COUNT = 200
const now = (): number => performance.timeOrigin + performance.now()
const sleep = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms) })

function quantiles(values: readonly number[]): Quantiles {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
  return { p50: at(0.5), p99: at(0.99), max: at(1) }
}

/** From before the request until each agent has acknowledged, over several policies. */
async function latency(client: KubeClient, agents: Agents, count: number, { rounds, node }: { readonly rounds: number; readonly node?: (round: number) => string }): Promise<Quantiles> {
  const all: number[] = []
  const path = `${POLICIES}/namespaces/${EVERYWHERE}/kubearmorpolicies`
  for (let round = 0; round < rounds; round++) {
    const name = `probe-${node ? 'one' : 'all'}-${round}-${Math.floor(now())}`
    agents.expect(name)
    // The expectation is with the agents before the policy is with anybody.
    await sleep(50)
    const acknowledged = agents.gather(node ? 1 : count, (told) => (told.kind === 'acknowledged' && told.policy === name ? told.node : undefined))
    const start = now()
    await client.create(path, probe(name, node?.(round)))
    for (const told of (await acknowledged).values()) all.push((told as Extract<Told, { kind: 'acknowledged' }>).at - start)
    await client.delete(`${path}/${name}`)
    await sleep(300)
  }
  return quantiles(all)
}

interface Bench {
  readonly cluster: Cluster
  readonly identities: Identities
  readonly directory: string
  readonly restSeconds: number
  readonly rounds: number
}

async function measure(bench: Bench, nodes: number, more?: (running: { operator: OperatorProcess; agents: Agents }) => Promise<void>): Promise<SizeResult> {
  const { cluster, identities, directory, restSeconds, rounds } = bench
  // Made before anything is timed.
  for (let node = 0; node < nodes; node++) identities.of(nodeName(node))
  const agents = new Agents(nodes > 200 ? 2 : 1)
  await sleep(1500)
  const operator = new OperatorProcess(cluster.kubeconfig, identities.directory, join(directory, `operator-${nodes}.log`))
  try {
    const address = await operator.address
    const readyMs = now() - operator.startedAt
    const synced = agents.gather(nodes, (told) => (told.kind === 'synced' ? told.node : undefined))
    agents.start(address, nodes, identities)
    const last = Math.max(...[...(await synced).values()].map((told) => (told as Extract<Told, { kind: 'synced' }>).at))
    console.log(`${nodes} nodes: ready after ${readyMs.toFixed(0)} ms, all in sync after ${(last - operator.startedAt).toFixed(0)} ms`)
    await settle(cluster.client)
    const before = { cpu: operator.cpuSeconds(), at: now() }
    await sleep(restSeconds * 1000)
    const restCpuPercent = ((operator.cpuSeconds() - before.cpu) / ((now() - before.at) / 1000)) * 100
    const rssMb = operator.memoryMb('VmRSS')
    const all = await latency(cluster.client, agents, nodes, { rounds })
    const one = await latency(cluster.client, agents, nodes, { rounds: rounds * 2, node: (round) => nodeName((round * 37) % nodes) })
    console.log(`  at rest ${restCpuPercent.toFixed(2)} % of a core, ${rssMb.toFixed(0)} MB; all agents ${show(all)}; one agent ${show(one)}`)
    await more?.({ operator, agents })
    return { nodes, coldStartMs: last - operator.startedAt, readyMs, rssMb: operator.memoryMb('VmRSS'), restCpuPercent, all, one }
  } finally {
    await agents.stop()
    await operator.stop()
  }
}

const show = ({ p50, p99, max }: Quantiles): string => `p50 ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms, worst ${max.toFixed(0)} ms`

/** After a start, the status of every policy is written, ten a second at most: rest begins after that. */
async function settle(client: KubeClient): Promise<void> {
  for (let last = -1, current = await operatorWrites(client); current > last; last = current, current = await operatorWrites(client)) await sleep(5_000)
}

/** Writes of the operator so far, its Lease left out, which is renewed whatever happens, by what the API server counts: status and Events are its alone here. */
async function operatorWrites(client: KubeClient): Promise<number> {
  const lines = String((await client.get('/metrics'))['text']).split('\n').filter((line) => line.startsWith('apiserver_request_total{') && /verb="(POST|PUT|PATCH|APPLY|DELETE)"/.test(line))
  const ours = lines.filter((line) => /group="security.kubearmor.com".*subresource="status"|group="events.k8s.io"/.test(line))
  return ours.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
}

interface RollResult {
  readonly pods: number
  readonly seconds: number
  readonly lag: Quantiles
  readonly missing: number
  readonly writesPerSecond: number
  readonly cpuPercent: number
}

/** Every pod is replaced by another of the same application on its node, evenly over a minute. */
async function roll({ cluster: { client } }: Bench, nodes: number, { operator, agents }: { operator: OperatorProcess; agents: Agents }, seconds: number): Promise<RollResult> {
  const seen = new Map<string, number>()
  const boundAt = new Map<string, number>()
  const stop = agents.listen((told) => {
    if (told.kind === 'bound') for (const uid of told.uids) if (!boundAt.has(uid)) boundAt.set(uid, told.at)
  })
  const pods = Array.from({ length: nodes * PODS_PER_NODE }, (_, index) => ({ node: index % nodes, slot: Math.floor(index / nodes) }))
  const start = now()
  const before = { writes: await operatorWrites(client), cpu: operator.cpuSeconds() }
  await inParallel(pods, async ({ node, slot }, index) => {
    await sleep(Math.max(0, start + (index / pods.length) * seconds * 1000 - now()))
    const old = pod(node, slot, 0)
    const fresh = pod(node, slot, 1)
    const created = await client.create(`/api/v1/namespaces/${fresh.metadata.namespace}/pods`, fresh)
    seen.set(created.metadata?.uid ?? '', now())
    await client.send('DELETE', `/api/v1/namespaces/${old.metadata.namespace}/pods/${old.metadata.name}`, { gracePeriodSeconds: 0 })
  })
  const took = (now() - start) / 1000
  const cpuPercent = ((operator.cpuSeconds() - before.cpu) / took) * 100
  await sleep(5_000)
  const writesPerSecond = ((await operatorWrites(client)) - before.writes) / (took + 5)
  stop()
  const lags = [...seen].flatMap(([uid, at]) => (boundAt.has(uid) ? [Math.max(0, (boundAt.get(uid) ?? 0) - at)] : []))
  return { pods: pods.length, seconds: took, lag: quantiles(lags), missing: seen.size - lags.length, writesPerSecond, cpuPercent }
}

function report(results: readonly SizeResult[], rolled: RollResult | undefined, load: number): string {
  const rows = results.map(({ nodes, all, one, rssMb, restCpuPercent, coldStartMs, readyMs }) =>
    `| ${nodes} | ${all.p50.toFixed(0)} / ${all.p99.toFixed(0)} | ${one.p50.toFixed(0)} / ${one.p99.toFixed(0)} | ${rssMb.toFixed(0)} | ${restCpuPercent.toFixed(2)} | ${(readyMs / 1000).toFixed(1)} | ${(coldStartMs / 1000).toFixed(1)} |`)
  const rolling = rolled && `Every pod replaced (${rolled.pods} in ${rolled.seconds.toFixed(0)} s): from the API server's answer to the agent's acknowledgement of the new pod's profile ${show(rolled.lag)};
${rolled.missing} pods without one. Meanwhile the operator used ${rolled.cpuPercent.toFixed(0)} % of a core and wrote to the API ${rolled.writesPerSecond.toFixed(1)} times a second.`
  return `# The operator and a thousand agents

A real kube-apiserver and etcd, nodes with ${PODS_PER_NODE} pods each, ${POLICY_COUNT} policies of ten rules, and one simulated agent for every node, which speaks the real protocol over TLS. All of it on one machine:
${availableParallelism()} processors (${cpus()[0]?.model.trim() ?? 'unknown'}), load average at the start ${load.toFixed(1)}. The agents, the API server and etcd use the same processors as the operator does. Repeat with \`make bench-cluster\`.

| nodes | policy to all agents, p50 / p99 ms | to one agent, p50 / p99 ms | RSS MB | CPU at rest, % of a core | ready, s | all in sync, s |
|--:|--:|--:|--:|--:|--:|--:|
${rows.join('\n')}

Latency is from before the request that creates the policy to the acknowledgement of each agent that it concerns. *Ready* and *in sync* are from the start of the operator's process.

${rolling ?? ''}

![Growth from 10 to 1,000 agents](growth.svg)
`
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { sizes: { type: 'string', default: '10,100,300,1000' }, rest: { type: 'string', default: '30' }, rounds: { type: 'string', default: '20' }, roll: { type: 'string', default: '60' }, out: { type: 'string', default: import.meta.dirname } } })
  const sizes = values.sizes.split(',').map(Number)
  const [load = 0] = loadavg()
  mkdirSync('build/bench', { recursive: true })
  const cluster = await Cluster.start()
  const bench: Bench = { cluster, identities: new Identities(join(cluster.directory, 'identities')), directory: 'build/bench', restSeconds: Number(values.rest), rounds: Number(values.rounds) }
  try {
    await installResources(cluster.client)
    await createPolicies(cluster.client, POLICY_COUNT)
    const results: SizeResult[] = []
    let rolled: RollResult | undefined
    for (const [index, nodes] of sizes.entries()) {
      await grow(cluster.client, sizes[index - 1] ?? 0, nodes)
      const isLast = index === sizes.length - 1 && Number(values.roll) > 0
      results.push(await measure(bench, nodes, isLast ? async (running) => { rolled = await roll(bench, nodes, running, Number(values.roll)) } : undefined))
    }
    writeFileSync(join(values.out, 'growth.svg'), growthPlot(results))
    writeFileSync(join(values.out, 'RESULTS.md'), report(results, rolled, load))
    console.log(readFileSync(join(values.out, 'RESULTS.md'), 'utf8'))
  } finally {
    await cluster.stop()
  }
}

if (import.meta.main) await main()
