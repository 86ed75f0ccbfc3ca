// SPDX-License-Identifier: Apache-2.0
// When a child works, seen from outside: it answers, and what it is to bring about has come about. Its word for it is not asked.
import { sleep, systemClock } from '../runtime/clock.ts'
import { connect } from 'node:net'
import { parseAddress } from '../runtime/address.ts'
import { isCurrent, readStatus, type Status } from './status-file.ts'

const POLL_MS = 150
/** Under software emulation a process takes many seconds to start, and the verifier as many to load the programs. */
const START_MS = 600_000

/** It listens, and it has written its first status. */
export async function operatorReady(address: string, statusFile: string, signal: AbortSignal): Promise<boolean> {
  const before = await timeOf(statusFile)
  return poll(START_MS, signal, async () => (await answers(address)) && (await freshStatus(statusFile, before)) !== undefined)
}

/** It answers a HealthCheck as KubeArmor's clients send it. */
export async function relayReady(address: string, signal: AbortSignal): Promise<boolean> {
  return poll(START_MS, signal, async () => {
    if (!(await answers(address))) return false
    // Only now: Node's HTTP/2 takes as long to load as the rest of this process.
    const { isHealthy } = await import('./health.ts')
    return isHealthy(address)
  })
}

/** The operator has an acknowledgement from it: what is to be in force is in force. */
export async function agentReady(statusFile: string, signal: AbortSignal): Promise<boolean> {
  const before = await timeOf(statusFile)
  return poll(START_MS, signal, async () => (await freshStatus(statusFile, before))?.nodes.some(isCurrent) === true)
}

/** The status, unless it is the one that an earlier run left. The clock does not tell: at boot it is often set, forwards or backwards. */
async function freshStatus(file: string, before: string | undefined): Promise<Status | undefined> {
  const read = await readStatus(file)
  return read.ok && read.value.time !== before ? read.value : undefined
}

/** When the status was written. */
async function timeOf(file: string): Promise<string | undefined> {
  const read = await readStatus(file)
  return read.ok ? read.value.time : undefined
}

async function poll(limitMs: number, signal: AbortSignal, isReady: () => Promise<boolean>): Promise<boolean> {
  const end = systemClock.monotonic() + limitMs
  while (!signal.aborted && systemClock.monotonic() < end) {
    if (await isReady()) return true
    await sleep(systemClock, POLL_MS, signal)
  }
  return false
}

async function answers(address: string): Promise<boolean> {
  const parsed = parseAddress(address)
  if (!parsed.ok) return false
  const target = parsed.value.kind === 'unix' ? { path: parsed.value.path } : { host: parsed.value.host, port: parsed.value.port }
  return new Promise((resolve) => {
    const socket = connect(target)
    const settle = (answer: boolean) => (): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('connect', settle(true))
    socket.once('error', settle(false))
  })
}
