// SPDX-License-Identifier: Apache-2.0
// make vm: a shell in a guest, or one script whose exit status is ours.

import { parseArgs } from 'node:util'
import { provideGo } from '../kube/go.ts'
import { runInGuest, shellInGuest } from './guest.ts'
import { provideImage } from './image.ts'
import { isKernelName, KERNEL_NAMES, provideKernel } from './kernels.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    kernel: { type: 'string', default: '6.12' }, timeout: { type: 'string', default: '600' }, icount: { type: 'boolean', default: false },
    cpus: { type: 'string', default: '1' }, memory: { type: 'string', default: '1024' }, results: { type: 'string' },
    forward: { type: 'string', multiple: true, default: [] }, fetch: { type: 'boolean', default: false },
  },
})

/** Fetches kernels and compilers and builds the image, so that later runs need no network for them. */
async function fetchAll(): Promise<void> {
  for (const name of KERNEL_NAMES) {
    console.log(`kernel ${name}: ${(await provideKernel(name)).release}`)
  }
  console.log(`guest image: ${await provideImage()}`)
  console.log(`Go, for Kubernetes: ${await provideGo()}`)
}

async function main(): Promise<number> {
  if (values.fetch) {
    await fetchAll()
    return 0
  }
  if (!isKernelName(values.kernel)) {
    console.error(`MERLON_TEST_KERNEL: There is no kernel "${values.kernel}": use one of ${KERNEL_NAMES.join(', ')}`)
    return 2
  }
  const forwards = values.forward.map((each) => {
    const [host = 0, guest = host] = each.split(':').map(Number)
    return { host, guest }
  })
  const options = {
    kernel: values.kernel, icount: values.icount, cpus: Number(values.cpus), memoryMb: Number(values.memory), forwards,
    ...(values.results === undefined ? {} : { results: values.results }),
  }
  const [script, ...args] = positionals
  if (script === undefined) return shellInGuest(options)
  const onOutput = (chunk: Buffer): void => void process.stdout.write(chunk)
  const { status } = await runInGuest({ ...options, script, args, timeoutSeconds: Number(values.timeout), onOutput })
  // make turns every failure into 2.
  if (status !== 0) console.error(`${script} ended with status ${status} in the ${values.kernel} guest`)
  return status
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 125
}
