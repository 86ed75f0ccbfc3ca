// SPDX-License-Identifier: Apache-2.0
// make bench-cluster: the operator on a real API server with up to 1,000 nodes, 5,000 pods and 200 policies, and an agent for every node that speaks the real protocol over
// TLS. Writes its section of bench/RESULTS.md and docs/picture/cluster.svg. Wall-clock figures: for a quiet machine, some five minutes. `--sizes 10,100` for less of it,
// which is printed and not written.
import { mkdirSync, writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Cluster, type KubeClient } from '../../test/support/cluster.ts'
import { writeSection } from '../results.ts'
import type { Told } from './agents.ts'
import { Agents, Identities, OperatorProcess } from './parties.ts'
import { growthPlot } from './plot.ts'
import { quantiles, report, show, type Quantiles, type RollResult, type SizeResult } from './report.ts'
import { createPolicies, EVERYWHERE, grow, inParallel, installResources, nodeName, pod, PODS_PER_NODE, POLICIES, probe } from './world.ts'

const POLICY_COUNT = 200
const SIZES = '10,100,1000'
const PLOT = 'docs/picture/cluster.svg'
const now = (): number => performance.timeOrigin + performance.now()
const sleep = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms) })

interface Running {
  readonly operator: OperatorProcess
  readonly agents: Agents
}

/** From before the request until each agent has acknowledged, over several policies; and the operator's processor time for one. */
async function latency(client: KubeClient, { agents, operator }: Running, count: number, { rounds, node }: { readonly rounds: number; readonly node?: (round: number) => string }): Promise<Quantiles & { readonly cpuMs: number }> {
  const all: number[] = []
  let cpu = 0
  const path = `${POLICIES}/namespaces/${EVERYWHERE}/kubearmorpolicies`
  for (let round = 0; round < rounds; round++) {
    const name = `probe-${node ? 'one' : 'all'}-${round}-${Math.floor(now())}`
    await agents.expect(name)
    const acknowledged = agents.gather(node ? 1 : count, (told) => (told.kind === 'acknowledged' && told.policy === name ? told.node : undefined))
    const [start, used] = [now(), operator.cpuSeconds()]
    await client.create(path, probe(name, node?.(round)))
    for (const told of (await acknowledged).values()) all.push((told as Extract<Told, { kind: 'acknowledged' }>).at - start)
    cpu += operator.cpuSeconds() - used
    await client.delete(`${path}/${name}`)
    // Until everybody has heard of that too.
    await sleep(node ? 100 : 300)
  }
  return { ...quantiles(all), cpuMs: (cpu * 1000) / rounds }
}

interface Bench {
  readonly cluster: Cluster
  readonly identities: Identities
  readonly directory: string
  readonly restSeconds: number
  readonly rounds: number
}

async function measure(bench: Bench, nodes: number, rollSeconds: number): Promise<SizeResult> {
  const { cluster, identities, directory, restSeconds, rounds } = bench
  // Made before anything is timed.
  for (let node = 0; node < nodes; node++) identities.of(nodeName(node))
  const agents = new Agents(nodes > 200 ? 2 : 1)
  await sleep(1500)
  const operator = new OperatorProcess(cluster.kubeconfig, identities.directory, join(directory, `operator-${nodes}.log`))
  const running = { operator, agents }
  try {
    const address = await operator.address
    const readyMs = now() - operator.startedAt
    const synced = agents.gather(nodes, (told) => (told.kind === 'synced' ? told.node : undefined))
    agents.start(address, nodes, identities)
    const last = Math.max(...[...(await synced).values()].map((told) => (told as Extract<Told, { kind: 'synced' }>).at))
    const coldStartMs = last - operator.startedAt
    console.log(`${nodes} agents: ready after ${readyMs.toFixed(0)} ms, all in sync after ${coldStartMs.toFixed(0)} ms`)
    await settle(cluster.client)
    const restCpuPercent = await atRest(operator, restSeconds)
    const rssMb = operator.memoryMb('VmRSS')
    console.log(`  at rest ${restCpuPercent.toFixed(2)} % of a core, ${rssMb.toFixed(0)} MB (${await operator.heapMb()})`)
    const all = await latency(cluster.client, running, nodes, { rounds })
    const one = await latency(cluster.client, running, nodes, { rounds: rounds * 2, node: (round) => nodeName((round * 37) % nodes) })
    console.log(`  a policy to all agents ${show(all)} (${all.cpuMs.toFixed(0)} ms of the operator's CPU); to one ${show(one)}`)
    const rolled = rollSeconds > 0 ? await roll(bench, nodes, running, rollSeconds) : undefined
    if (rolled) console.log(`  ${rolled.pods} pods rolled in ${rolled.seconds.toFixed(0)} s: ${show(rolled.lag)}, ${rolled.missing} missing, ${rolled.writesPerSecond.toFixed(1)} writes/s, ${rolled.cpuPercent.toFixed(0)} % CPU`)
    return { nodes, coldStartMs, readyMs, rssMb, peakMb: operator.memoryMb('VmHWM'), restCpuPercent, cpuPerPolicyMs: all.cpuMs, all, one, ...(rolled ? { roll: rolled } : {}) }
  } finally {
    await agents.stop()
    await operator.stop()
  }
}

/** Per cent of a core. */
async function atRest(operator: OperatorProcess, seconds: number): Promise<number> {
  const [used, at] = [operator.cpuSeconds(), now()]
  await sleep(seconds * 1000)
  return ((operator.cpuSeconds() - used) / ((now() - at) / 1000)) * 100
}

/** After a start, the status of every policy is written, ten a second at most: rest begins after that. */
async function settle(client: KubeClient): Promise<void> {
  for (let last = -1, current = await operatorWrites(client); current > last; last = current, current = await operatorWrites(client)) await sleep(2_000)
}

/** Writes of the operator so far, its Lease left out, which is renewed whatever happens, by what the API server counts: status and Events are its alone here. */
async function operatorWrites(client: KubeClient): Promise<number> {
  const lines = String((await client.get('/metrics'))['text']).split('\n').filter((line) => line.startsWith('apiserver_request_total{') && /verb="(POST|PUT|PATCH|APPLY|DELETE)"/.test(line))
  const ours = lines.filter((line) => /group="security.kubearmor.com".*subresource="status"|group="events.k8s.io"/.test(line))
  return ours.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
}

/** Every pod is replaced by another of the same application on its node, evenly over a minute. */
async function roll({ cluster: { client } }: Bench, nodes: number, { operator, agents }: Running, seconds: number): Promise<RollResult> {
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

const HELP = `Usage: node bench/cluster/run.ts [options]
  --sizes N,N,...   numbers of agents, growing (default ${SIZES}; with others nothing is written down)
  --rest SECONDS    how long the processor time at rest is measured (default 15)
  --rounds N        policies to all agents; twice as many to one (default 15)
  --roll SECONDS    in which all pods are replaced; 0: they are not, and nothing is written down (default 60)
`

/** Undefined: all is said. */
function parseOptions(): { readonly sizes: string; readonly rest: string; readonly rounds: string; readonly roll: string } | undefined {
  try {
    const { values } = parseArgs({ options: { help: { type: 'boolean', default: false }, sizes: { type: 'string', default: SIZES }, rest: { type: 'string', default: '15' }, rounds: { type: 'string', default: '15' }, roll: { type: 'string', default: '60' } } })
    if (!values.help) return values
    process.stdout.write(HELP)
  } catch (error) {
    process.stderr.write(`Cannot start the bench: ${(error as Error).message}\n${HELP}`)
    process.exitCode = 2
  }
  return undefined
}

async function main(): Promise<void> {
  const values = parseOptions()
  if (!values) return
  const sizes = values.sizes.split(',').map(Number)
  const [load = 0] = loadavg()
  const started = now()
  mkdirSync('build/bench', { recursive: true })
  const cluster = await Cluster.start()
  const bench: Bench = { cluster, identities: new Identities(join(cluster.directory, 'identities')), directory: 'build/bench', restSeconds: Number(values.rest), rounds: Number(values.rounds) }
  try {
    await installResources(cluster.client)
    await createPolicies(cluster.client, POLICY_COUNT)
    const results: SizeResult[] = []
    for (const [index, nodes] of sizes.entries()) {
      await grow(cluster.client, sizes[index - 1] ?? 0, nodes)
      results.push(await measure(bench, nodes, index === sizes.length - 1 ? Number(values.roll) : 0))
    }
    const text = report(results, { policies: POLICY_COUNT, load, seconds: (now() - started) / 1000 })
    console.log(text)
    if (values.sizes !== SIZES || values.roll === '0') return
    writeFileSync(PLOT, growthPlot(results))
    writeSection('cluster', text)
  } finally {
    await cluster.stop()
  }
}

if (import.meta.main) await main()
