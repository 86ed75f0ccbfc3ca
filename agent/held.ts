// SPDX-License-Identifier: Apache-2.0
// What the kernel side has stopped (map `held`), read and let go: by the agent that holds (hold.ts), and by whoever ends enforcement or
// finds that no agent can start, so that no container waits for an agent that does not come.
import { join } from 'node:path'
import type { BpfMap, NativeBinding } from '../native/types.ts'
import { CONTROL, encodeHeld, HELD, HELD_ENTRY, HOLD, u64, view } from './abi.ts'
import { Control } from './control.ts'
import { cgroupIdOf, cgroupOfProcess, processesIn } from './containers/cgroups.ts'
import { list } from './pins.ts'

export interface HeldEntry {
  readonly cgroupId: bigint
  readonly tgid: number
  /** HELD */
  readonly state: number
  /** Of its cgroup; undefined where that is gone, or the process has moved. */
  readonly path: string | undefined
}

/** Where to look. */
export interface Places {
  readonly cgroupRoot: string
  readonly proc?: string
}

/** Sends SIGCONT. A process that is gone is no error. */
export type Resume = (pid: number) => void

export const resumeProcess: Resume = (pid) => {
  try {
    process.kill(pid, 'SIGCONT')
  } catch {
    // Gone.
  }
}

export function readHeld(held: BpfMap, places: Places): HeldEntry[] {
  const { keys, values, count } = held.entries()
  return Array.from({ length: count }, (_, index) => {
    const cgroupId = view(keys).getBigUint64(index * 8, true)
    const entry = view(values.subarray(index * HELD_ENTRY.bytes))
    const tgid = entry.getUint32(HELD_ENTRY.tgid, true)
    return { cgroupId, tgid, state: entry.getUint32(HELD_ENTRY.state, true), path: heldPath(cgroupId, tgid, places) }
  })
}

/** Path of the cgroup that a process was held in; undefined where it is gone, or the process has moved. */
export function heldPath(cgroupId: bigint, tgid: number, { cgroupRoot, proc }: Places): string | undefined {
  const path = cgroupOfProcess(tgid, cgroupRoot, proc)
  return path !== undefined && cgroupIdOf(path) === cgroupId ? path : undefined
}

/** Lets one cgroup go. Whoever ends in the middle of it leaves RELEASED: the next one sends SIGCONT again. */
export function release(held: BpfMap, { cgroupId, tgid, path }: { readonly cgroupId: bigint; readonly tgid: number; readonly path: string }, resume: Resume): void {
  // Before SIGCONT: an exec that runs again while the entry still waits would be stopped again.
  held.update(u64(cgroupId), encodeHeld(HELD.RELEASED, tgid))
  for (const pid of processesIn(path)) resume(pid)
  held.update(u64(cgroupId), encodeHeld(HELD.RESUMED, tgid))
}

/** Lets everything go that stands still. Returns how many cgroups. */
export function releaseAll(held: BpfMap, places: Places, resume: Resume): number {
  const stopped = readHeld(held, places).flatMap(({ state, path, ...entry }) => (state === HELD.RESUMED || path === undefined ? [] : [{ ...entry, path }]))
  for (const entry of stopped) release(held, entry, resume)
  return stopped.length
}

/** The `held` maps of every set that is pinned here, of other ABI versions and set aside too; the caller closes them. */
export function pinnedHeld(native: NativeBinding, pinDirectory: string): BpfMap[] {
  return list(pinDirectory).flatMap((set) => {
    let map: BpfMap
    try {
      map = native.openPinnedMap(join(pinDirectory, set, 'maps/held'))
    } catch {
      return []
    }
    if (map.info.keySize === 8 && map.info.valueSize === HELD_ENTRY.bytes) return [map]
    map.close()
    return []
  })
}

/** Nobody is held from here on, until an agent says so again. */
function stopHolding(native: NativeBinding, pinDirectory: string): void {
  for (const set of list(pinDirectory)) {
    let map: BpfMap
    try {
      map = native.openPinnedMap(join(pinDirectory, set, 'maps/control'))
    } catch {
      continue
    }
    if (map.info.keySize === 4 && map.info.valueSize === CONTROL.bytes) new Control(map).setHold(HOLD.OFF)
    map.close()
  }
}

/** Lets go of what agents before this moment hold, wherever they pinned it. Returns how many cgroups. */
export function releasePinned(native: NativeBinding, pinDirectory: string, places: Places, resume: Resume = resumeProcess): number {
  stopHolding(native, pinDirectory)
  return pinnedHeld(native, pinDirectory).reduce((sum, map) => {
    const count = releaseAll(map, places, resume)
    map.close()
    return sum + count
  }, 0)
}
