// SPDX-License-Identifier: Apache-2.0
// The programs of a Kubernetes control plane: those of KUBEBUILDER_ASSETS, else those on PATH, else built from source by Go, once, into the cache.

import { createHash } from 'node:crypto'
import { accessSync, constants, readFileSync } from 'node:fs'
import { copyFile, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { cached } from '../vm/cache.ts'
import { command } from '../vm/command.ts'
import { findGo } from './go.ts'

const SOURCE = import.meta.dirname
const VERSION = 'v1.36.3'
const BUILT = ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubelet', 'kube-proxy', 'kubectl'] as const
/** Without symbols it is 127 MB. Debian's helm and ours look at the version. */
const LINKER = `-s -w -X k8s.io/component-base/version.gitVersion=${VERSION} -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36`

export type Program = (typeof BUILT)[number] | 'etcd'

/** Where a program is. Builds it where it is not there yet, which takes minutes the first time. */
export async function provideProgram(name: Program): Promise<string> {
  const found = findProgram(name)
  if (found !== undefined) return found
  if (name === 'etcd') throw new Error('MERLON_TEST_NO_ETCD: Cannot find etcd: install the package etcd-server (make setup does), or set KUBEBUILDER_ASSETS')
  return join(await provideKube(), name)
}

function findProgram(name: Program): string | undefined {
  const assets = process.env['KUBEBUILDER_ASSETS']
  // A kubectl of any other version may be on PATH: for that one, the version matters more than the seconds.
  const path = name === 'kubectl' ? [] : (process.env['PATH'] ?? '').split(':')
  return [...(assets === undefined ? [] : [assets]), ...path].map((directory) => join(directory, name)).find(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** The directory with `kube` and links to it. */
export async function provideKube(): Promise<string> {
  const sources = ['go.mod', 'go.sum', 'main.go']
  const key = createHash('sha256').update(LINKER)
  for (const name of sources) key.update(readFileSync(join(SOURCE, name)))
  return cached('kube', key.digest('hex').slice(0, 16), async (into) => {
    console.error(`Building Kubernetes ${VERSION} into the cache: some 12 minutes on two cores, once (set KUBEBUILDER_ASSETS to use programs that you have).`)
    for (const name of sources) await copyFile(join(SOURCE, name), join(into, name))
    await command(findGo(), ['build', '-trimpath', '-ldflags', LINKER, '-o', 'kube', '.'], { cwd: into, env: { ...process.env, CGO_ENABLED: '0' } })
    for (const name of BUILT) await symlink('kube', join(into, name))
  })
}
