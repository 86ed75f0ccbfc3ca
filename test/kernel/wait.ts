// SPDX-License-Identifier: Apache-2.0
import { setTimeout as delay } from 'node:timers/promises'

/** Waits for something that will be so. */
export async function until<T>(what: string, look: () => T | undefined): Promise<T> {
  const started = Date.now()
  for (;;) {
    const found = look()
    if (found !== undefined) return found
    if (Date.now() - started > 60_000) throw new Error(`There was no ${what} within 60 s`)
    await delay(20)
  }
}
