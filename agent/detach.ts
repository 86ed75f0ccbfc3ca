// SPDX-License-Identifier: Apache-2.0
// The end of enforcement on this machine. Somebody may be in a hurry for it, and things may be broken: it needs no gRPC, and where the native
// addon does not load, programs and pins go all the same.
import { existsSync } from 'node:fs'
import { loadBinding } from '../native/index.ts'
import type { NativeBinding } from '../native/types.ts'
import { findCgroupRoot } from './containers/cgroups.ts'
import { reasonOf } from './errors.ts'
import { releasePinned } from './held.ts'
import { detachAll } from './pins.ts'
import { isBpffs } from './preflight.ts'

export interface Detached {
  /** False: there was nothing to detach. */
  readonly found: boolean
  /** Containers that a dead agent had stopped before their first instruction, and that run now. */
  readonly released: number
  /** Why containers that an agent holds, if there are any, could not be let go. */
  readonly problem: string | undefined
}

export function detach(pinDirectory: string, load: () => NativeBinding = loadBinding, isPlace: (path: string) => boolean = isBpffs): Detached {
  // Files are removed there: a slip of the pen must not name somebody's home.
  if (!isPlace(pinDirectory)) return { found: false, released: 0, problem: existsSync(pinDirectory) ? `${pinDirectory} is not in a bpffs: nothing was touched` : undefined }
  const { released, problem } = letGo(pinDirectory, load)
  return { found: detachAll(pinDirectory), released, problem }
}

/** Lets go of what a dead agent holds; enforcement goes on. */
export function letGo(pinDirectory: string, load: () => NativeBinding = loadBinding): Pick<Detached, 'released' | 'problem'> {
  const cgroupRoot = findCgroupRoot()
  if (cgroupRoot === undefined) return { released: 0, problem: undefined }
  try {
    return { released: releasePinned(load(), pinDirectory, { cgroupRoot }), problem: undefined }
  } catch (error) {
    return { released: 0, problem: `Cannot look for containers that are held (${reasonOf(error)}): kill -CONT wakes their processes, which are stopped (state T)` }
  }
}
