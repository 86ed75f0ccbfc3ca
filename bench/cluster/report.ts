// SPDX-License-Identifier: Apache-2.0
// The section of the results page: what was demanded, what was measured, and how it grows.
import { availableParallelism, cpus } from 'node:os'
import { PODS_PER_NODE } from './world.ts'

export interface Quantiles {
  readonly p50: number
  readonly p99: number
  readonly max: number
}

export interface RollResult {
  readonly pods: number
  readonly seconds: number
  readonly lag: Quantiles
  readonly missing: number
  readonly writesPerSecond: number
  readonly cpuPercent: number
}

export interface SizeResult {
  readonly nodes: number
  readonly coldStartMs: number
  readonly readyMs: number
  readonly rssMb: number
  readonly peakMb: number
  readonly restCpuPercent: number
  /** Of the operator, for one policy until all have acknowledged it. */
  readonly cpuPerPolicyMs: number
  readonly all: Quantiles
  readonly one: Quantiles
  readonly roll?: RollResult
}

export interface Context {
  readonly policies: number
  /** When the bench began. */
  readonly load: number
  readonly seconds: number
}

export function quantiles(values: readonly number[]): Quantiles {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
  return { p50: at(0.5), p99: at(0.99), max: at(1) }
}

export const show = ({ p50, p99, max }: Quantiles): string => `p50 ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms, worst ${max.toFixed(0)} ms`

interface Row {
  readonly what: string
  readonly must: string
  readonly aim: string
  readonly measured: string
  readonly holds: boolean
}

function rows({ nodes, all, one, rssMb, restCpuPercent, coldStartMs, roll }: SizeResult, policies: number): Row[] {
  const pods = nodes * PODS_PER_NODE
  const pair = ({ p50, p99 }: Quantiles): string => `${p50.toFixed(0)} / ${p99.toFixed(0)} ms`
  return [
    { what: `policy applied → acknowledged by all of ${count(nodes)} agents, p50 / p99`, must: '300 ms / 1 s', aim: '60 / 150 ms', measured: pair(all), holds: all.p50 <= 300 && all.p99 <= 1000 },
    { what: 'the same for one agent of one node', must: '100 / 300 ms', aim: '30 / 100 ms', measured: pair(one), holds: one.p50 <= 100 && one.p99 <= 300 },
    { what: `operator RSS at ${count(nodes)} nodes, ${count(pods)} pods, ${policies} policies`, must: '350 MB', aim: '220 MB', measured: `${rssMb.toFixed(0)} MB`, holds: rssMb <= 350 },
    { what: 'CPU at rest, same', must: '3 %', aim: '0.5 %', measured: `${restCpuPercent.toFixed(2)} %`, holds: restCpuPercent <= 3 },
    { what: `cold start to all ${count(nodes)} agents in sync`, must: '20 s', aim: '5 s', measured: `${(coldStartMs / 1000).toFixed(1)} s`, holds: coldStartMs <= 20_000 },
    ...(roll === undefined ? [] : [
      { what: `${count(roll.pods)} pods rolled in ${roll.seconds.toFixed(0)} s: worst lag pod created → its agent has acknowledged its profile`, must: '1 s', aim: '150 ms', measured: `${roll.lag.max.toFixed(0)} ms (p50 ${roll.lag.p50.toFixed(0)}, p99 ${roll.lag.p99.toFixed(0)})${roll.missing > 0 ? `, ${roll.missing} pods never` : ''}`, holds: roll.lag.max <= 1000 && roll.missing === 0 },
      { what: 'API writes in that roll', must: '10/s', aim: '1/s', measured: `${roll.writesPerSecond.toFixed(1)}/s`, holds: roll.writesPerSecond <= 10 },
    ]),
  ]
}

const count = (number: number): string => number.toLocaleString('en')

export function report(results: readonly SizeResult[], { policies, load, seconds }: Context): string {
  const last = results.at(-1)
  if (last === undefined) return ''
  const targets = rows(last, policies).map(({ what, must, aim, measured, holds }) => `| ${what} | ${must} | ${aim} | ${measured} | ${holds ? 'yes' : '**no**'} |`)
  const growth = results.map(({ nodes, all, one, cpuPerPolicyMs, rssMb, peakMb, restCpuPercent, coldStartMs, readyMs }) =>
    `| ${count(nodes)} | ${all.p50.toFixed(0)} / ${all.p99.toFixed(0)} / ${all.max.toFixed(0)} | ${one.p50.toFixed(0)} / ${one.p99.toFixed(0)} | ${cpuPerPolicyMs.toFixed(0)} | ${rssMb.toFixed(0)} / ${peakMb.toFixed(0)} | ${restCpuPercent.toFixed(2)} | ${(readyMs / 1000).toFixed(1)} | ${(coldStartMs / 1000).toFixed(1)} |`)
  return `Measured on ${availableParallelism()} processors (${cpus()[0]?.model.trim() ?? 'unknown'}), load average at the start ${load.toFixed(1)}, in ${seconds.toFixed(0)} s.
The agents, the API server, etcd and this bench use the same processors as the operator does.

| what | must | aim | measured | must held |
|---|--:|--:|--:|---|
${targets.join('\n')}

Latency is from before the request that creates a policy to the acknowledgement of each agent that it concerns; a cold start is from the start of the operator's process.${last.roll === undefined ? '' : `
During the roll the operator used ${last.roll.cpuPercent.toFixed(0)} % of a core.`}

| agents | policy to all, p50 / p99 / worst ms | to one, p50 / p99 ms | operator's CPU for a policy to all, ms | RSS / peak MB | CPU at rest, % | ready, s | all in sync, s |
|--:|--:|--:|--:|--:|--:|--:|--:|
${growth.join('\n')}

![What grows with the number of agents](../docs/picture/cluster.svg)`
}
