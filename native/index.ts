// SPDX-License-Identifier: Apache-2.0
// Loads the addon. Nothing is loaded on import, so that code which only names the types runs without it.
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import type { NativeBinding } from './types.ts'

export type * from './types.ts'

const built = fileURLToPath(new URL('../build/native/merlon_bpf.node', import.meta.url))

/**
 * The addon; loaded once however often this is called. `path` names another build of it (the sanitizers', an image's).
 * Throws an Error with code MERLON_NATIVE_MISSING where it has not been built, and MERLON_NATIVE_LOAD where the system
 * refuses it, as without libbpf.
 */
export function loadBinding(path: string = built): NativeBinding {
  if (!existsSync(path)) {
    throw Object.assign(new Error(`The native addon is not at ${path}: build it with \`make -C native\``), {
      code: 'MERLON_NATIVE_MISSING',
    })
  }
  try {
    return createRequire(import.meta.url)(path) as NativeBinding
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw Object.assign(new Error(`The native addon does not load (are libbpf and libelf installed?): ${reason}`, { cause }), {
      code: 'MERLON_NATIVE_LOAD',
    })
  }
}
