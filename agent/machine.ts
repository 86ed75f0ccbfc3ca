// SPDX-License-Identifier: Apache-2.0
// What this machine calls itself.
import { readFileSync, statSync } from 'node:fs'

let cached: string | undefined

/** machine-id(5), read once; empty where there is none. */
export function machineId(): string {
  if (cached === undefined) {
    const path = ['/etc/machine-id', '/var/lib/dbus/machine-id'].find((candidate) => statSync(candidate, { throwIfNoEntry: false })?.isFile())
    cached = path === undefined ? '' : readFileSync(path, 'utf8').trim()
  }
  return cached
}

/** Another one after each boot. */
export const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
