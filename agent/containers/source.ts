// SPDX-License-Identifier: Apache-2.0
// Where containers are learned from. CRI, docker and podman will be further sources behind the same interface.

/** The workload that stands for a pod's own cgroup. Pods are known to the operator before their cgroups exist; containers only from this node. */
export const podWorkload = (uid: string): string => `pod/${uid}`

export const isPodWorkload = (id: string): boolean => id.startsWith(podWorkload(''))

export interface Container {
  /** Container id of its runtime; podWorkload() for a pod's own cgroup. */
  readonly id: string
  /** Absolute path of the cgroup v2 directory. */
  readonly cgroupPath: string
  /** Inode number of that directory: what bpf_get_current_cgroup_id() returns. */
  readonly cgroupId: bigint
  /** Empty where unknown. */
  readonly namespace: string
  readonly pod: string
  readonly podUid: string
  /** Name within the pod; empty for a pod's own cgroup and its sandbox. */
  readonly container: string
  readonly image: string
  readonly labels: Readonly<Record<string, string>>
  /** crun, runc, kubepods */
  readonly runtime: string
}

export interface ContainerSource {
  readonly name: string
  /** What is there now. Never throws: what cannot be read is not there. */
  list(): Container[]
  /** Calls `onChange` when a new list may differ. May miss changes: whoever needs all of them also lists from time to time. */
  watch(onChange: () => void): { close(): void }
}
