// SPDX-License-Identifier: Apache-2.0
// Go, which builds Kubernetes and other parts of the cluster tests: the one on PATH where it is new enough, else Debian's newest, in the cache.

import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheDirectory, cached } from '../vm/cache.ts'
import { command } from '../vm/command.ts'
import { aptFor } from '../vm/debian.ts'

const VERSION = '1.26'
const SUITE = 'forky'
/** From 1.21 on, Go fetches the newer one that a module asks for by itself. */
const OLDEST_MINOR = 21
const CACHED = join(cacheDirectory(), `go-${VERSION}`, `usr/lib/go-${VERSION}/bin`)

/** The path of a Go that is new enough, or undefined. */
function lookForGo(): string | undefined {
  const directories = [...(process.env['PATH'] ?? '').split(':'), '/usr/local/go/bin', `/usr/lib/go-${VERSION}/bin`, CACHED]
  return directories.map((directory) => join(directory, 'go')).find((path) => existsSync(path) && isNewEnough(path))
}

function isNewEnough(go: string): boolean {
  try {
    const [, major, minor] = /go(\d+)\.(\d+)/.exec(execFileSync(go, ['version'], { encoding: 'utf8' })) ?? []
    return Number(major) > 1 || Number(minor) >= OLDEST_MINOR
  } catch {
    return false
  }
}

/** Throws where there is none: `make setup` sees to it that there is. */
export function findGo(): string {
  const go = lookForGo()
  if (go === undefined) throw new Error('MERLON_TEST_NO_GO: Cannot build Kubernetes: there is no Go 1.21 or newer: run make setup, or set KUBEBUILDER_ASSETS to a directory with etcd, kube-apiserver and kubectl')
  return go
}

/** Fetches Go where there is none that is new enough. Debian 12's own is too old to build Kubernetes, and too old to fetch a newer one. */
export async function provideGo(): Promise<string> {
  const found = lookForGo()
  if (found !== undefined) return found
  await cached('go', VERSION, async (into) => {
    const apt = await aptFor(SUITE)
    const download = join(into, 'download')
    await mkdir(download)
    for (const part of ['go', 'src']) await apt.download(`golang-${VERSION}-${part}`, download)
    for (const file of await readdir(download)) await command('dpkg-deb', ['-x', join(download, file), into])
    await rm(download, { recursive: true })
  })
  return findGo()
}
