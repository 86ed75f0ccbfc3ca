// SPDX-License-Identifier: Apache-2.0
// make demo: the main job on real parts, one line for each step as it happens. Runs here where the kernel can enforce, else in a guest.
// Exit code 0 when every step came about; 1 with the name of the step that did not.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { readHostFacts, shortcomings } from '../../cli/preflight.ts'
import { cacheDirectory } from '../support/vm/cache.ts'
import { runInGuest } from '../support/vm/guest.ts'
import { isKernelName } from '../support/vm/kernels.ts'
import { runSteps } from './demo-steps.ts'

const USAGE = 'Usage: node test/e2e/demo.ts [--here | --guest] [--kernel 6.12]'
const GUEST_SECONDS = 420

/**
 * Compiled code goes from one run to the next: without it each process spends most of its start on reading TypeScript. In one file, since
 * hundreds of small ones take longer over 9p than they save.
 */
const IN_GUEST = `
mkdir /tmp/compiled
[ ! -f /results/compiled.tar ] || tar xf /results/compiled.tar -C /tmp/compiled
NODE_COMPILE_CACHE=/tmp/compiled node test/e2e/demo.ts --here
status=$?
tar cf /results/new.tar -C /tmp/compiled . && mv /results/new.tar /results/compiled.tar
exit $status
`

/** Why the demo cannot run on this machine itself; undefined: it can. */
async function obstacle(): Promise<string | undefined> {
  const facts = await readHostFacts()
  // Where securityfs is not mounted the kernel does not say whether it asks BPF programs: a guest is certain to.
  if (facts.lsm === undefined) return 'This kernel does not say which security modules are active.'
  const missing = shortcomings(facts)[0]
  if (missing !== undefined) return missing.sentence
  return existsSync('/usr/bin/crun') ? undefined : 'There is no crun here (apt-get install crun).'
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { here: { type: 'boolean', default: false }, guest: { type: 'boolean', default: false }, kernel: { type: 'string', default: '6.12' } } })
  if (values.here) return runSteps()
  const why = values.guest ? 'as you asked' : await obstacle()
  if (why === undefined) return runSteps()
  if (!isKernelName(values.kernel)) {
    console.error(USAGE)
    return 2
  }
  console.log(`Not on this machine: ${why}\nIn a guest with Linux ${values.kernel} instead, under software emulation`)
  const { status } = await runInGuest({
    kernel: values.kernel,
    script: IN_GUEST,
    results: join(cacheDirectory(), 'compiled'),
    timeoutSeconds: GUEST_SECONDS,
    onOutput: (chunk) => void process.stdout.write(chunk),
  })
  return status
}

process.exitCode = await main()
