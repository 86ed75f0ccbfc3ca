// SPDX-License-Identifier: Apache-2.0
// What is made to cost time or memory gets an answer, within the memory that a small node has for it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { HEAVY, type Heard } from './heavy.ts'

/** Of JavaScript's heap, for the text, its tree and its table. */
const MOST_MEGABYTES = 384
/** A hang has no end; everything here ends in some seconds of an idle machine. */
const MOST_MILLISECONDS = 300_000

function listenTo(name: string): Promise<Heard> {
  const worker = new Worker(new URL('heavy.ts', import.meta.url), { workerData: name, resourceLimits: { maxOldGenerationSizeMb: MOST_MEGABYTES } })
  const timer = setTimeout(() => void worker.terminate(), MOST_MILLISECONDS)
  return new Promise<Heard>((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
    worker.once('exit', (status) => reject(new Error(`It ended with ${status} and said nothing: it hung`)))
  }).finally(() => clearTimeout(timer))
}

/** What has to be refused or complained of; all else has to be taken as it is. */
const COMPLAINTS: Readonly<Record<string, string>> = {
  'ten thousand braces that open': 'MERLON_POLICY_TOO_LONG',
  'four thousand braces that open': 'MERLON_POLICY_INVALID_PATTERN',
  'ten thousand braces in YAML': 'MERLON_POLICY_YAML_SYNTAX',
  'lists within lists': 'MERLON_POLICY_YAML_SYNTAX',
  'maps within maps': 'MERLON_POLICY_YAML_SYNTAX',
  'lists that double': 'MERLON_POLICY_TOO_LARGE',
  'merges that double': 'MERLON_POLICY_TOO_LARGE',
  'an alias within itself': 'MERLON_POLICY_YAML_SYNTAX',
  'more than eight megabytes': 'MERLON_POLICY_TOO_LARGE',
  'the same key, again and again': 'MERLON_POLICY_DUPLICATE_KEY',
  'a path of a megabyte': 'MERLON_POLICY_',
}

for (const name of Object.keys(HEAVY)) {
  test(name, async () => {
    const { policies, codes } = await listenTo(name)
    const expected = COMPLAINTS[name]
    if (expected !== undefined) assert.ok(codes.some((code) => code.startsWith(expected)), codes.join())
    else if (HEAVY[name]!().includes('apiVersion')) assert.ok(policies > 0 || codes.length > 0)
  })
}
