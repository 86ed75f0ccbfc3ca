// SPDX-License-Identifier: Apache-2.0
// containerd: the programs of its version on PATH where they are, else built by Go, once, into the cache. Kubernetes 1.36 wants 2.x; Debian 12 has 1.6.

import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { findGo } from '../kube/go.ts'
import { cached } from '../vm/cache.ts'
import { command } from '../vm/command.ts'

const VERSION = 'v2.4.2'
export const CONTAINERD = ['containerd', 'containerd-shim-runc-v2', 'ctr'] as const

/** Where each of them is. */
export async function provideContainerd(): Promise<Readonly<Record<string, string>>> {
  const installed = CONTAINERD.map((name) => [name, findStatic(name)] as const)
  if (installed.every(([, path]) => path !== undefined)) return Object.fromEntries(installed.map(([name, path]) => [name, path ?? '']))
  const directory = await cached('containerd', VERSION, async (into) => {
    console.error(`Building containerd ${VERSION} into the cache: two to four minutes, once.`)
    const programs = CONTAINERD.map((name) => `github.com/containerd/containerd/v2/cmd/${name}@${VERSION}`)
    await command(findGo(), ['install', '-trimpath', '-ldflags', '-s -w', ...programs], { cwd: into, env: { ...process.env, GOBIN: into, CGO_ENABLED: '0' } })
  })
  return Object.fromEntries(CONTAINERD.map((name) => [name, join(directory, name)]))
}

/** A guest has libraries of its own: only what needs none can be copied there. */
function findStatic(name: string): string | undefined {
  try {
    const path = execFileSync('which', [name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
    const version = execFileSync(path, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    if (!/\bv?2\.\d+\.\d+/.test(version)) return undefined
    return /statically linked|not a dynamic/.test(execFileSync('sh', ['-c', 'ldd "$1" 2>&1 || true', 'ldd', path], { encoding: 'utf8' })) ? path : undefined
  } catch {
    return undefined
  }
}
