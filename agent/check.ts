// SPDX-License-Identifier: Apache-2.0
// Whether this machine can enforce, found out by trying: a kernel with everything in it may still refuse this process.
import { readFileSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { loadBinding } from '../native/index.ts'
import type { NativeBinding } from '../native/types.ts'
import { describe, reasonOf, type AgentProblem } from './errors.ts'
import { tryLoad } from './kernel.ts'
import type { AgentOptions } from './options.ts'
import { judge, lookAround, type Preflight } from './preflight.ts'

/** Nothing can be enforced on this machine as it is. */
export const EXIT_CANNOT_ENFORCE = 4

export interface Footing {
  readonly native: NativeBinding
  /** The BPF object file. */
  readonly object: Uint8Array
  readonly cgroupRoot: string
  /** Inode number of the node's own mount namespace: pid 1's, which in a container needs hostPID. */
  readonly hostMountNamespace: number
  readonly abilities: Preflight['abilities']
}

type FootingResult = { readonly ok: true; readonly value: Footing } | { readonly ok: false; readonly problems: readonly AgentProblem[] }

/** What an agent stands on. Throws where the addon cannot be read. */
export function findFooting(options: Pick<AgentOptions, 'bpfObject' | 'pinDirectory'>): FootingResult {
  const machine = lookAround(dirname(options.pinDirectory))
  const { problems, canEnforce, abilities } = judge(machine)
  const { cgroupRoot } = machine
  if (!canEnforce || cgroupRoot === undefined) return { ok: false, problems }
  const native = loadBinding()
  let object: Uint8Array
  try {
    object = readFileSync(options.bpfObject)
  } catch (error) {
    return { ok: false, problems: [{ code: 'MERLON_AGENT_NO_PROGRAMS', message: `Cannot read the BPF programs: ${reasonOf(error)}` }] }
  }
  try {
    return { ok: true, value: { native, object, cgroupRoot, hostMountNamespace: statSync('/proc/1/ns/mnt').ino, abilities } }
  } catch (error) {
    return { ok: false, problems: [{ code: 'MERLON_AGENT_NOT_PERMITTED', message: `Cannot see the mount namespace of this machine: ${reasonOf(error)}` }] }
  }
}

/** agent --check: says what is missing; returns the exit status. */
export function check(options: Pick<AgentOptions, 'bpfObject' | 'pinDirectory'>): number {
  const footing = findFooting(options)
  if (!footing.ok) return cannotEnforce(footing.problems)
  const problem = tryLoad(footing.value)
  if (problem !== undefined) return cannotEnforce([problem])
  process.stdout.write('This machine can enforce: its kernel took the programs\n')
  return 0
}

export function cannotEnforce(problems: readonly AgentProblem[]): number {
  for (const problem of problems) process.stderr.write(`${describe(problem)}\n`)
  process.stderr.write('Nothing can be enforced on this machine. Policies can still be written, checked and explained here.\n')
  return EXIT_CANNOT_ENFORCE
}
