// SPDX-License-Identifier: Apache-2.0
// Writes what is generated from crds/*.yaml: node crds/generate.ts (make generated). A test compares what is committed.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readDefinitions } from './definitions.ts'
import { resourceModule } from './resources.ts'
import { schemaModule } from './schemas.ts'

/** Contents by path from the root of the project. */
export function generate(): ReadonlyMap<string, string> {
  const definitions = readDefinitions()
  return new Map([
    ['policy/crd-schemas.ts', schemaModule(definitions)],
    ['policy/resources.ts', resourceModule(definitions)],
  ])
}

if (import.meta.main) for (const [path, text] of generate()) writeFileSync(join(import.meta.dirname, '..', path), text)
