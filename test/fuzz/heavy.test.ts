// SPDX-License-Identifier: Apache-2.0
// What is made to cost time or memory gets an answer, within the memory that a small node has for it.
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { HEAVY, type Heard } from './heavy.ts'

/** Of JavaScript's heap, for the text, its tree and its table. */
const MOST_MEGABYTES = 384
/** A hang has no end; everything here ends in some seconds of an idle machine. */
const MOST_MILLISECONDS = 300_000

/** One worker for all texts, as long as it lives: to start one takes longer than most texts. */
class Reader {
  private readonly worker = new Worker(new URL('heavy.ts', import.meta.url), { resourceLimits: { maxOldGenerationSizeMb: MOST_MEGABYTES } })
  private answer: PromiseWithResolvers<Heard> | undefined
  ended = false

  constructor() {
    this.worker.on('message', (heard: Heard) => this.answer?.resolve(heard))
    this.worker.on('error', (error) => this.answer?.reject(error))
    this.worker.on('exit', (status) => {
      this.ended = true
      this.answer?.reject(new Error(`It ended with ${status} and said nothing: it hung`))
    })
  }

  async read(name: string): Promise<Heard> {
    const timer = setTimeout(() => void this.end(), MOST_MILLISECONDS)
    this.answer = Promise.withResolvers()
    this.worker.postMessage(name)
    return this.answer.promise.finally(() => clearTimeout(timer))
  }

  async end(): Promise<void> {
    await this.worker.terminate()
  }
}

let reader = new Reader()
after(() => reader.end())

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
  'a path of a megabyte': 'MERLON_POLICY_TOO_LONG',
  'a label of a megabyte': 'MERLON_POLICY_TOO_LONG',
  'a thousand stars': 'MERLON_POLICY_TOO_MANY_STATES',
  'stars across directories': 'MERLON_POLICY_TOO_MANY_STATES',
  'choices of stars': 'MERLON_POLICY_TOO_MANY_STATES',
  'question marks after a star': 'MERLON_POLICY_TOO_MANY_STATES',
  'patterns that remember': 'MERLON_POLICY_TOO_MANY_STATES',
}

for (const name of Object.keys(HEAVY)) {
  test(name, async () => {
    if (reader.ended) reader = new Reader()
    const { policies, codes } = await reader.read(name)
    const expected = COMPLAINTS[name]
    if (expected !== undefined) assert.ok(codes.some((code) => code.startsWith(expected)), codes.join())
    else if (HEAVY[name]!().includes('apiVersion')) assert.ok(policies > 0 || codes.length > 0)
  })
}
