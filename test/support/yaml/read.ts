// SPDX-License-Identifier: Apache-2.0
// The reader of YAML that kubectl and the API server have (main.go), as a function. Built by Go, once, into the cache.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { provideGo } from '../kube/go.ts'
import { cached } from '../vm/cache.ts'
import { command } from '../vm/command.ts'

const SOURCES = ['go.mod', 'go.sum', 'main.go'] as const

/** What is read, as JSON; or why it is not. */
export type Reading = { readonly json: string; readonly error: string }

export async function readByGo(texts: readonly string[]): Promise<readonly Reading[]> {
  const key = createHash('sha256')
  for (const name of SOURCES) key.update(readFileSync(join(import.meta.dirname, name)))
  const directory = await cached('yaml', key.digest('hex').slice(0, 16), async (into) => {
    for (const name of SOURCES) await copyFile(join(import.meta.dirname, name), join(into, name))
    await command(await provideGo(), ['build', '-trimpath', '-o', 'yaml', '.'], { cwd: into, env: { ...process.env, CGO_ENABLED: '0' } })
  })
  const output = await command(join(directory, 'yaml'), [], { input: texts.map((text) => JSON.stringify(text)).join('\n') })
  const readings = output.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as Reading)
  if (readings.length !== texts.length) throw new Error(`There are ${readings.length} answers to ${texts.length} texts`)
  return readings
}
