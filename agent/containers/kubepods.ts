// SPDX-License-Identifier: Apache-2.0
// Pods and containers from the names that the kubelet and its runtime give to cgroups. The pod's cgroup exists before its containers.
//
//   cgroupfs driver  kubepods/burstable/pod<uid>/<id>
//   systemd driver   kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid with _>.slice/cri-containerd-<id>.scope
import { existsSync, watch, type FSWatcher } from 'node:fs'
import { join } from 'node:path'
import { cgroupIdOf, childrenOf } from './cgroups.ts'
import type { Container, ContainerSource } from './source.ts'

/** A static pod's uid is the 32 hex digits of its manifest's hash. */
const POD = /(?:^|-)pod(?<uid>[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?$/
const CONTAINER = /^(?:(?:cri-containerd|crio|docker|libpod)-)?(?<id>[0-9a-f]{64})(?:\.scope)?$/
/** Levels above the pods: the kubelet's own root where it has one (kind, --cgroup-root), kubepods, the QoS class. */
const ABOVE = /^(?:kubelet|(?:kubelet-)?kubepods(?:-burstable|-besteffort)?)(?:\.slice)?$|^(?:burstable|besteffort)$/

/** uid of the pod that a cgroup directory's name stands for. */
export function podUidOf(name: string): string | undefined {
  return POD.exec(name)?.groups?.['uid']?.replaceAll('_', '-')
}

/** Container id that a cgroup directory's name stands for. */
export function containerIdOf(name: string): string | undefined {
  return CONTAINER.exec(name)?.groups?.['id']
}

interface PodDirectory {
  readonly path: string
  readonly uid: string
}

export class KubepodsSource implements ContainerSource {
  readonly name = 'kubepods'
  readonly #cgroupRoot: string

  constructor(cgroupRoot: string) {
    this.#cgroupRoot = cgroupRoot
  }

  list(): Container[] {
    return this.#pods().flatMap((pod) => [
      ...describe(pod, pod.path, `pod/${pod.uid}`, ''),
      ...childrenOf(pod.path).flatMap((name) => {
        const id = containerIdOf(name)
        return id === undefined ? [] : describe(pod, join(pod.path, name), id, id)
      }),
    ])
  }

  watch(onChange: () => void): { close(): void } {
    const watchers = new Map<string, FSWatcher>()
    const follow = (): void => {
      for (const path of [this.#cgroupRoot, ...this.#above(), ...this.#pods().map((pod) => pod.path)]) {
        if (watchers.has(path)) continue
        try {
          // mkdir(2) and rmdir(2) in cgroupfs raise inotify events as in any file system.
          const watcher = watch(path, (event) => { if (event === 'rename') changed() })
          watcher.on('error', () => { watcher.close(); watchers.delete(path) })
          watchers.set(path, watcher)
        } catch {
          // Gone again, or out of inotify watches: the regular listing sees it.
        }
      }
    }
    const changed = (): void => {
      for (const [path, watcher] of watchers) if (!existsSync(path)) { watcher.close(); watchers.delete(path) }
      follow()
      onChange()
    }
    follow()
    return { close: () => { for (const watcher of watchers.values()) watcher.close() } }
  }

  /** Directories that hold pods or further such directories. */
  #above(path = this.#cgroupRoot): string[] {
    return childrenOf(path).filter((name) => ABOVE.test(name)).flatMap((name) => [join(path, name), ...this.#above(join(path, name))])
  }

  #pods(): PodDirectory[] {
    return this.#above().flatMap((parent) => childrenOf(parent).flatMap((name) => {
      const uid = podUidOf(name)
      return uid === undefined ? [] : [{ path: join(parent, name), uid }]
    }))
  }
}

function describe(pod: PodDirectory, cgroupPath: string, id: string, container: string): Container[] {
  const cgroupId = cgroupIdOf(cgroupPath)
  if (cgroupId === undefined) return []
  return [{ id, cgroupPath, cgroupId, namespace: '', pod: '', podUid: pod.uid, container, image: '', labels: {}, runtime: 'kubepods' }]
}
