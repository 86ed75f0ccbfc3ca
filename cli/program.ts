// SPDX-License-Identifier: Apache-2.0
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The main file of an app beside this one: a source file where this is one, a bundle where this is bundled (bundle.ts keeps the layout). */
export function programPath(app: 'agent' | 'operator' | 'relay'): string {
  return fileURLToPath(new URL(`../${app}/main${extname(import.meta.url)}`, import.meta.url))
}
