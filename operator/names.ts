// SPDX-License-Identifier: Apache-2.0
// Which of a pod's containers one is. A cgroup tells the pod and the container's id; whose id that is, the API says when the container is about to start.
// Where policies are about some of a pod's containers by name, the others must not get their rules, nor these start without them: each waits for its name.
import type { Policy, Workload } from '../policy/types.ts'
import type { FoundPod, ReportedWorkload } from './identity.ts'
import type { PodManifest, PolicyLibrary } from './library.ts'
import type { Settings } from './world.ts'

/** Whether a policy is about containers of these names alone. */
export function namesContainers({ selector }: Policy): boolean {
  return selector.containers.length > 0
}

/** Whether policies make a difference between a pod's containers. `workload`: one of them, or the pod. */
export function haveOwnRules({ containers }: PodManifest, workload: Workload, policies: Iterable<Policy>, { selects, settings }: Pick<PolicyLibrary, 'selects'> & { readonly settings: Settings }): boolean {
  for (const policy of policies) {
    if (namesContainers(policy) && containers.some(({ name }) => selects(policy, { ...workload, container: name }, settings))) return true
  }
  return false
}

/** The cgroup of a pod itself, or of its sandbox where a runtime tells that apart. */
export function isPodItself({ container, pod_uid }: ReportedWorkload): boolean {
  return pod_uid !== '' && container === ''
}

/**
 * Whether nobody has said yet which of its pod's containers this is. The one that is none of them, and that the API never names, is the sandbox: once
 * all others are there.
 */
export function isNameless({ id, container, pod_uid }: ReportedWorkload, { pod, container: found }: FoundPod, isThere: (id: string) => boolean): boolean {
  if (pod_uid === '' || found !== undefined || container !== id) return false
  return !pod.containers.every((each) => each.id !== undefined && (each.isPassing === true || isThere(each.id)))
}
