// SPDX-License-Identifier: Apache-2.0
// Pods and containers from the names that the kubelet and its runtime give to cgroups. The pod's cgroup exists before its containers.
//
//   cgroupfs driver  kubepods/burstable/pod<uid>/<id>
//   systemd driver   kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid with _>.slice/cri-containerd-<id>.scope
//   mixed            kubepods-burstable-pod<uid with _>.slice:cri-containerd:<id>, where the kubelet is set to systemd and its runtime is not: in
//                    the cgroup that the runtime itself is in
//
// kubepods may lie in a cgroup of the kubelet's own (kind, --cgroup-root), whose name the systemd driver puts before all others.
import { existsSync, watch, type FSWatcher } from 'node:fs'
import { join } from 'node:path'
import { cgroupIdOf, childrenOf } from './cgroups.ts'
import { podWorkload, type Container, type ContainerSource } from './source.ts'

/** A static pod's uid is the 32 hex digits of its manifest's hash. */
const POD = /(?:^|-)pod(?<uid>[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?$/
const CONTAINER = /^(?:(?:cri-containerd|crio|docker|libpod)-)?(?<id>[0-9a-f]{64})(?:\.scope)?$/
const KUBEPODS = /^(?:.+-)?kubepods(?:\.slice)?$/
const CLASS = /^(?:(?:.+-)?kubepods-)?(?:burstable|besteffort)(?:\.slice)?$/
const RUNTIME = /^(?:.*containerd|docker|crio|cri-o|k3s.*|rke2.*|k0s.*)\.service$/
const MIXED = /^(?<pod>.+\.slice):(?:cri-containerd|crio|docker):(?<id>[0-9a-f]{64})$/

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
    const mixed = [...this.#tops(), ...this.#runtimes()].flatMap((path) => childrenOf(path).flatMap((name) => readMixed(path, name)))
    return [...mixed, ...this.#pods().flatMap((pod) => [
      ...describe(pod, pod.path, podWorkload(pod.uid), ''),
      ...childrenOf(pod.path).flatMap((name) => {
        const id = containerIdOf(name)
        return id === undefined ? [] : describe(pod, join(pod.path, name), id, id)
      }),
    ])]
  }

  watch(onChange: () => void): { close(): void } {
    const watchers = new Map<string, FSWatcher>()
    const follow = (): void => {
      const before = watchers.size
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
      // What was made in a directory after it had been listed, and before it was watched, gives no event.
      if (watchers.size > before) follow()
    }
    const changed = (): void => {
      for (const [path, watcher] of watchers) if (!existsSync(path)) { watcher.close(); watchers.delete(path) }
      follow()
      onChange()
    }
    follow()
    return { close: () => { for (const watcher of watchers.values()) watcher.close() } }
  }

  /** Where kubepods may be: in the root, or one level down. */
  #tops(): string[] {
    return [this.#cgroupRoot, ...childrenOf(this.#cgroupRoot).map((name) => join(this.#cgroupRoot, name))]
  }

  /** Services that container runtimes are in. */
  #runtimes(): string[] {
    const services = join(this.#cgroupRoot, 'system.slice')
    return childrenOf(services).filter((name) => RUNTIME.test(name)).map((name) => join(services, name))
  }

  /** Directories that hold pods: kubepods and its QoS classes. */
  #above(): string[] {
    const chosen = (path: string, names: RegExp): string[] => childrenOf(path).filter((name) => names.test(name)).map((name) => join(path, name))
    return this.#tops().flatMap((top) => chosen(top, KUBEPODS)).flatMap((kubepods) => [kubepods, ...chosen(kubepods, CLASS)])
  }

  #pods(): PodDirectory[] {
    return this.#above().flatMap((parent) => childrenOf(parent).flatMap((name) => {
      const uid = podUidOf(name)
      return uid === undefined ? [] : [{ path: join(parent, name), uid }]
    }))
  }
}

function readMixed(path: string, name: string): Container[] {
  const { pod = '', id = '' } = MIXED.exec(name)?.groups ?? {}
  const uid = podUidOf(pod)
  return uid === undefined ? [] : describe({ path, uid }, join(path, name), id, id)
}

function describe(pod: PodDirectory, cgroupPath: string, id: string, container: string): Container[] {
  const cgroupId = cgroupIdOf(cgroupPath)
  if (cgroupId === undefined) return []
  return [{ id, cgroupPath, cgroupId, namespace: '', pod: '', podUid: pod.uid, container, image: '', labels: {}, runtime: 'kubepods' }]
}
