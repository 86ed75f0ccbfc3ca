// SPDX-License-Identifier: Apache-2.0
// A control plane to try things on: `make cluster` starts it or says that it runs, `make cluster-stop` ends it and forgets what it held.
//
//   node test/support/kube/main.ts start|stop|build

import { existsSync, readFileSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Cluster } from '../cluster.ts'
import { cacheDirectory } from '../vm/cache.ts'
import { provideKube, provideProgram } from './binaries.ts'

const DIRECTORY = join(cacheDirectory(), 'cluster')
const PIDS = join(DIRECTORY, 'pids')

/** Those of ours that still run: a pid alone may be another program's by now. */
function running(): number[] {
  if (!existsSync(PIDS)) return []
  return readFileSync(PIDS, 'utf8').split('\n').filter(Boolean).map(Number).filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(DIRECTORY)
    } catch {
      return false
    }
  })
}

async function start(): Promise<void> {
  if (running().length === 0) {
    await rm(DIRECTORY, { recursive: true, force: true })
    await mkdir(DIRECTORY, { recursive: true, mode: 0o700 })
    const cluster = await Cluster.start({ directory: DIRECTORY, detached: true, controllers: ['*'], scheduler: true })
    await writeFile(PIDS, [...cluster.parts.values()].map((part) => `${part.pid}\n`).join(''))
    cluster.client.close()
  }
  const kubectl = await provideProgram('kubectl')
  console.log(`A Kubernetes API runs: etcd, kube-apiserver, kube-controller-manager, kube-scheduler; no nodes. Logs and data: ${DIRECTORY}
  export KUBECONFIG=${join(DIRECTORY, 'kubeconfig')}
  ${kubectl} get namespaces
  ${kubectl} apply --server-side -f crds/
make cluster-stop ends it.`);
}

async function stop(): Promise<void> {
  const pids = running()
  for (const pid of pids.toReversed()) process.kill(pid, 'SIGTERM')
  while (running().length > 0) await new Promise((resolve) => setTimeout(resolve, 100))
  await rm(DIRECTORY, { recursive: true, force: true })
  console.log(pids.length > 0 ? 'Ended the control plane.' : 'No control plane was running.')
}

const verb = process.argv[2]
if (verb === 'start') await start()
else if (verb === 'stop') await stop()
else if (verb === 'build') console.log(await provideKube())
else {
  console.error('Usage: node test/support/kube/main.ts start|stop|build')
  process.exitCode = 2
}
