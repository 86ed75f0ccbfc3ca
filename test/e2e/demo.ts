// SPDX-License-Identifier: Apache-2.0
// make demo: the main job on real parts, one line for each step as it happens. Runs here where the kernel can enforce, else in a guest.
// Exit code 0 when every step came about; 1 with the name of the step that did not.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { readHostFacts, shortcomings } from '../../cli/preflight.ts'
import { bundle } from '../../bundle.ts'
import { runInGuest, TREE } from '../support/vm/guest.ts'
import { isKernelName, type KernelName } from '../support/vm/kernels.ts'

const USAGE = 'Usage: node test/e2e/demo.ts [--here | --guest] [--kernel 6.12]'
const GUEST_SECONDS = 420

/**
 * The demo itself as one file: under emulation, reading its sources would take longer than a step does. As deep below the tree as its
 * source is, so that it finds the same things.
 */
const HERE = 'build/demo/here.mjs'

/** Why the demo cannot run on this machine itself; undefined: it can. */
async function obstacle(): Promise<string | undefined> {
  const facts = await readHostFacts()
  // Where securityfs is not mounted the kernel does not say whether it asks BPF programs: a guest is certain to.
  if (facts.lsm === undefined) return 'This kernel does not say which security modules are active.'
  const missing = shortcomings(facts)[0]
  if (missing !== undefined) return missing.sentence
  return existsSync('/usr/bin/crun') ? undefined : 'There is no crun here (apt-get install crun).'
}

function onThisMachine(): Promise<number> {
  const here = join(TREE, HERE)
  const [file, args] = process.getuid?.() === 0 ? [process.execPath, [here]] : ['sudo', [process.execPath, here]]
  const child = spawn(file, args, { stdio: 'inherit' })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status) => resolve(status ?? 1))
  })
}

async function inGuest(kernel: KernelName): Promise<number> {
  const onOutput = (chunk: Buffer): void => void process.stdout.write(chunk)
  const { status } = await runInGuest({ kernel, script: `exec node ${HERE}`, timeoutSeconds: GUEST_SECONDS, onOutput })
  return status
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { here: { type: 'boolean', default: false }, guest: { type: 'boolean', default: false }, kernel: { type: 'string', default: '6.12' } } })
  if (!isKernelName(values.kernel)) {
    console.error(USAGE)
    return 2
  }
  await bundle({ here: 'test/e2e/demo-here.ts' }, dirname(HERE))
  const why = values.here ? undefined : values.guest ? 'as you asked' : await obstacle()
  if (why === undefined) return onThisMachine()
  console.log(`Not on this machine: ${why}\nIn a guest with Linux ${values.kernel} instead, under software emulation`)
  return inGuest(values.kernel)
}

process.exitCode = await main()
