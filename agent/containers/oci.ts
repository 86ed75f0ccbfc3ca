// SPDX-License-Identifier: Apache-2.0
// Containers from the state directories of OCI runtimes: crun writes <root>/<id>/status, runc <root>/<id>/state.json. Both
// write it before the container's first instruction runs.
import { existsSync, readFileSync, statSync, watch, type FSWatcher } from 'node:fs'
import { join } from 'node:path'
import { cgroupIdOf, childrenOf } from './cgroups.ts'
import { readAnnotations } from './identity.ts'
import type { Container, ContainerSource } from './source.ts'

/** State directories of runtimes as distributions and container engines set them. */
export const STATE_DIRECTORIES: readonly string[] = [
  '/run/crun', '/run/runc', '/run/containerd/runc/k8s.io', '/run/containerd/runc/default', '/run/docker/runtime-runc/moby',
]

interface Cached {
  readonly changed: number
  readonly container: Container | undefined
}

type Json = Readonly<Record<string, unknown>>
type Reader = (state: Json, id: string, cgroupRoot: string) => Omit<Container, 'cgroupId'> | undefined

export class OciSource implements ContainerSource {
  readonly name: string
  readonly #root: string
  readonly #cgroupRoot: string
  #cache = new Map<string, Cached>()

  /** `root`: a runtime's state directory; it need not exist yet. */
  constructor(root: string, cgroupRoot: string) {
    this.name = `oci:${root}`
    this.#root = root
    this.#cgroupRoot = cgroupRoot
  }

  list(): Container[] {
    const cache = new Map<string, Cached>()
    for (const id of childrenOf(this.#root)) {
      const entry = this.#read(id)
      if (entry) cache.set(id, entry)
    }
    this.#cache = cache
    // A container's state stays until `delete`, its cgroup may go earlier.
    return [...cache.values()].flatMap(({ container }) => (container && existsSync(container.cgroupPath) ? [container] : []))
  }

  watch(onChange: () => void): { close(): void } {
    const watchers = new Map<string, FSWatcher>()
    const follow = (path: string): void => {
      if (watchers.has(path) || !existsSync(path)) return
      try {
        const watcher = watch(path, changed)
        watcher.on('error', () => { watcher.close(); watchers.delete(path) })
        watchers.set(path, watcher)
      } catch {
        // Gone again, or out of inotify watches: the regular listing sees it.
      }
    }
    const changed = (): void => {
      follow(this.#root)
      // A new container's directory comes before its state file: that file is waited for in there.
      for (const id of childrenOf(this.#root)) if (this.#cache.get(id)?.container === undefined) follow(join(this.#root, id))
      for (const [path, watcher] of watchers) if (!existsSync(path)) { watcher.close(); watchers.delete(path) }
      onChange()
    }
    follow(this.#root)
    return { close: () => { for (const watcher of watchers.values()) watcher.close() } }
  }

  #read(id: string): Cached | undefined {
    for (const [file, reader] of READERS) {
      const path = join(this.#root, id, file)
      const changed = statSync(path, { throwIfNoEntry: false })?.mtimeMs
      if (changed === undefined) continue
      const cached = this.#cache.get(id)
      if (cached?.changed === changed && cached.container) return cached
      return { changed, container: this.#parse(path, id, reader) }
    }
    return undefined
  }

  #parse(path: string, id: string, reader: Reader): Container | undefined {
    try {
      const found = reader(JSON.parse(readFileSync(path, 'utf8')) as Json, id, this.#cgroupRoot)
      const cgroupId = found && cgroupIdOf(found.cgroupPath)
      return found && cgroupId !== undefined ? { ...found, cgroupId } : undefined
    } catch {
      // Half written: a change of the file brings us here again.
      return undefined
    }
  }
}

const READERS: readonly (readonly [string, Reader])[] = [['status', readCrun], ['state.json', readRunc]]

function readCrun(state: Json, id: string, cgroupRoot: string): Omit<Container, 'cgroupId'> | undefined {
  const cgroup = state['cgroup-path']
  if (typeof cgroup !== 'string' || cgroup === '') return undefined
  return describe(id, 'crun', below(cgroupRoot, cgroup), bundleAnnotations(state['bundle']))
}

function readRunc(state: Json, id: string, cgroupRoot: string): Omit<Container, 'cgroupId'> | undefined {
  const paths = state['cgroup_paths'] as Record<string, string> | undefined
  // With cgroup v2 there is one path, under the empty name.
  const cgroup = paths?.['']
  if (cgroup === undefined || cgroup === '') return undefined
  const config = state['config'] as { labels?: readonly string[] } | undefined
  const labels = Object.fromEntries((config?.labels ?? []).map((label): [string, string] => {
    const at = label.indexOf('=')
    return at < 0 ? [label, ''] : [label.slice(0, at), label.slice(at + 1)]
  }))
  // runc adds the bundle's path to the annotations as a label of its own.
  const { bundle: _bundle, ...annotations } = labels
  return describe(id, 'runc', below(cgroupRoot, cgroup), annotations)
}

/** crun gives a path below the hierarchy's root, runc an absolute one. */
function below(cgroupRoot: string, path: string): string {
  return path.startsWith(`${cgroupRoot}/`) ? path : join(cgroupRoot, path)
}

/** crun keeps no annotations in its state: they are in the bundle. */
function bundleAnnotations(bundle: unknown): Record<string, string> {
  if (typeof bundle !== 'string') return {}
  try {
    const config = JSON.parse(readFileSync(join(bundle, 'config.json'), 'utf8')) as { annotations?: Record<string, string> }
    return config.annotations ?? {}
  } catch {
    return {}
  }
}

function describe(id: string, runtime: string, cgroupPath: string, annotations: Readonly<Record<string, string>>): Omit<Container, 'cgroupId'> {
  const { isSandbox, ...identity } = readAnnotations(annotations, id)
  // What runs in a sandbox is the pause program. It is not one of the pod's containers: it goes with the pod's own cgroup.
  return { id, runtime, cgroupPath, ...identity, container: isSandbox ? '' : identity.container }
}
