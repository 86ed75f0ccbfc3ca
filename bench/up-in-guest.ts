// SPDX-License-Identifier: Apache-2.0
// Run inside a guest whose clock counts instructions, by bench/up.ts: from the start of merlon up to enforcement, from an edit to enforcement, and
// memory. Prints one line of JSON.
import { mkdirSync, mkdtempSync, openSync, closeSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { childPid, Lines, merlon } from '../test/e2e/merlon.ts'

export interface Measured {
  /** Milliseconds from the start of the process to the line "Ready", of the first start ever and of later ones. */
  readonly starts: readonly number[]
  /** Milliseconds from the write of a policy's file to the first operation that it decides. */
  readonly edits: readonly number[]
  readonly memory: Readonly<Record<string, { readonly rssMb: number; readonly privateMb: number }>>
}

const SECONDS = 1_000
const [STARTS, EDITS] = [3, 11]
const directory = mkdtempSync(join(tmpdir(), 'merlon-bench-'))
const manifests = join(directory, 'manifests')
const policies = join(manifests, 'policies.yaml')
const stateDir = join(directory, 'state')
const target = join(directory, 'secret')
const policy = (action: string): string => `apiVersion: security.kubearmor.com/v1\nkind: KubeArmorHostPolicy\nmetadata: {name: secret}\nspec:\n  nodeSelector: {matchLabels: {kubernetes.io/hostname: "*"}}\n  file: {matchPaths: [{path: ${target}}]}\n  action: ${action}\n`

function isRefused(): boolean {
  try {
    closeSync(openSync(target, 'r'))
    return false
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error
    return true
  }
}

async function start(): Promise<{ up: Lines; took: number }> {
  const began = performance.now()
  const up = new Lines(['up', manifests, '--state-dir', stateDir])
  const line = await up.until((text) => /Ready in|ended with status/.test(text), SECONDS)
  if (!line.includes('Ready in') || !isRefused()) throw new Error(`merlon up does not enforce:\n${up.tail(20)}`)
  return { up, took: performance.now() - began }
}

async function edit(refused: boolean): Promise<number> {
  const began = performance.now()
  writeFileSync(policies, policy(refused ? 'Block' : 'Audit'))
  while (isRefused() !== refused) await wait(1)
  return performance.now() - began
}

async function memoryOf(name: string): Promise<{ rssMb: number; privateMb: number }> {
  const text = readFileSync(`/proc/${await childPid(stateDir, name)}/smaps_rollup`, 'utf8')
  const kb = (field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1])
  return { rssMb: Math.round(kb('Rss') / 1024), privateMb: Math.round((kb('Private_Clean') + kb('Private_Dirty')) / 1024) }
}

async function measure(): Promise<Measured> {
  mkdirSync(manifests)
  writeFileSync(target, '')
  writeFileSync(policies, policy('Block'))
  const starts: number[] = []
  for (let round = 0; round < STARTS - 1; round++) {
    const { up, took } = await start()
    starts.push(took)
    await up.stop()
    await merlon('rescue', '--yes')
  }
  const { up, took } = await start()
  starts.push(took)
  const edits: number[] = []
  for (let round = 0; round < EDITS; round++) {
    edits.push(await edit(round % 2 === 1))
    // What follows a change (status, acknowledgement) is over before the next.
    await wait(2_000)
  }
  await wait(5_000)
  const memory = { operator: await memoryOf('operator'), relay: await memoryOf('relay'), agent: await memoryOf('agent') }
  await up.stop()
  await merlon('rescue', '--yes')
  return { starts, edits, memory }
}

// Compiled for guests, it is imported on the host.
if (import.meta.main) console.log(JSON.stringify(await measure()))
