// SPDX-License-Identifier: Apache-2.0
// Static pods. The kubelet starts them from a file and shows each to the API by a mirror: an object with a uid of its own, and an annotation with the
// uid that the pod's cgroup has. Anybody who may make pods may write that annotation, so the object that was there first counts: a later one does not
// take a running pod over into its own namespace, and its end takes nothing away.
import type { PodManifest } from '../library.ts'
import type { KubeMetadata } from './api.ts'

const ANNOTATION = 'kubernetes.io/config.mirror'
/** A hash. Never an ordinary pod's uid. */
const STATIC_UID = /^[0-9a-f]{32}$/

/** As cgroups and runtimes call the pod. */
export function podUid({ uid = '', annotations }: KubeMetadata = {}): string {
  const shown = annotations?.[ANNOTATION] ?? ''
  return STATIC_UID.test(shown) ? shown : uid
}

/** By the pod's uid; undefined: gone. */
type Changed = ReadonlyMap<string, PodManifest | undefined>

export class Mirrors {
  /** The object that counts for each static pod, by the pod's uid; and the other way round. */
  readonly #objects = new Map<string, string>()
  readonly #shown = new Map<string, string>()
  /** Those that do not count, by their own uids. */
  readonly #others = new Map<string, PodManifest>()

  /** From changes by the objects' own uids to changes by those of the pods. */
  resolve(objects: Changed): Changed {
    const changed = new Map<string, PodManifest | undefined>()
    for (const [own, pod] of objects) {
      const before = this.#shown.get(own) ?? own
      this.#others.delete(own)
      if (before !== own && before !== pod?.uid) this.#release(before, changed)
      if (pod && pod.uid !== own) this.#show(own, pod, changed)
      else if (pod || before === own) changed.set(own, pod)
    }
    return changed
  }

  #show(own: string, pod: PodManifest, changed: Map<string, PodManifest | undefined>): void {
    if ((this.#objects.get(pod.uid) ?? own) !== own) {
      this.#others.set(own, pod)
      return
    }
    this.#objects.set(pod.uid, own)
    this.#shown.set(own, pod.uid)
    changed.set(pod.uid, pod)
  }

  #release(uid: string, changed: Map<string, PodManifest | undefined>): void {
    this.#shown.delete(this.#objects.get(uid) ?? '')
    this.#objects.delete(uid)
    changed.set(uid, undefined)
    const next = [...this.#others].find(([, pod]) => pod.uid === uid)
    if (!next) return
    this.#others.delete(next[0])
    this.#show(...next, changed)
  }
}
