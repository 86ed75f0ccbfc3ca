// SPDX-License-Identifier: Apache-2.0
import { setTimeout as delay } from 'node:timers/promises'

/** Far beyond what an emulated processor needs that shares a busy machine: it ends a wait that would never end. */
const LIMIT_MS = 600_000

/** Waits for something that will be so. */
export async function until<T>(what: string, look: () => T | undefined | Promise<T | undefined>): Promise<T> {
  const started = Date.now()
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    if (Date.now() - started > LIMIT_MS) throw new Error(`There was no ${what} within ${LIMIT_MS / 1000} s`)
    await delay(20)
  }
}
