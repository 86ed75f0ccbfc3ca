// SPDX-License-Identifier: Apache-2.0
// What the annotations of an OCI bundle say about a container.

export interface OciIdentity {
  readonly namespace: string
  readonly pod: string
  readonly podUid: string
  readonly container: string
  readonly image: string
  readonly labels: Readonly<Record<string, string>>
  /** The container that only holds a pod's namespaces. */
  readonly isSandbox: boolean
}

/** First of these annotations that is there: containerd's, then those of CRI-O and cri-dockerd. */
const KEYS = {
  namespace: ['io.kubernetes.cri.sandbox-namespace', 'io.kubernetes.pod.namespace'],
  pod: ['io.kubernetes.cri.sandbox-name', 'io.kubernetes.pod.name'],
  podUid: ['io.kubernetes.cri.sandbox-uid', 'io.kubernetes.pod.uid'],
  container: ['io.kubernetes.cri.container-name', 'io.kubernetes.container.name'],
  image: ['io.kubernetes.cri.image-name', 'io.kubernetes.cri-o.ImageName', 'org.opencontainers.image.ref.name'],
} as const

const CONTAINER_TYPES = ['io.kubernetes.cri.container-type', 'io.kubernetes.cri-o.ContainerType']

/** Annotations that describe the container to its runtime, and would only be noise as labels. */
const INTERNAL = /^(io\.kubernetes\.|io\.container|org\.opencontainers\.|org\.systemd\.|run\.oci\.|kubernetes\.io\/)/

/** `id` names a container that has no name of its own. */
export function readAnnotations(annotations: Readonly<Record<string, string>>, id: string): OciIdentity {
  const first = (keys: readonly string[]): string => annotations[keys.find((key) => annotations[key] !== undefined) ?? ''] ?? ''
  const labels = Object.fromEntries(Object.entries(annotations).filter(([key]) => !INTERNAL.test(key)))
  return {
    namespace: first(KEYS.namespace),
    pod: first(KEYS.pod),
    podUid: first(KEYS.podUid),
    container: first(KEYS.container) || id,
    image: first(KEYS.image),
    labels,
    isSandbox: first(CONTAINER_TYPES) === 'sandbox',
  }
}
