// SPDX-License-Identifier: Apache-2.0
// What the API server holds in the bench: nodes, five pods on each, policies. Written straight to it, by name, so that it grows from one size to the
// next.
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import type { Workload } from '../../proto/gen/merlon/v1/Workload.ts'
import type { KubeClient, KubeObject } from '../../test/support/cluster.ts'

const TREE = join(import.meta.dirname, '../..')
export const POLICIES = '/apis/security.kubearmor.com/v1'
export const PODS_PER_NODE = 5
const NAMESPACES = 20
/** Where every node has one pod: a policy here reaches all of them. */
export const EVERYWHERE = 'bench-everywhere'
/** Requests on their way at once. */
const WIDTH = 48

export const nodeName = (index: number): string => `bench-${String(index).padStart(4, '0')}`

export async function inParallel<T>(items: readonly T[], work: (item: T, index: number) => Promise<unknown>): Promise<void> {
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++
      await work(items[index] as T, index)
    }
  }
  await Promise.all(Array.from({ length: WIDTH }, lane))
}

async function ensure(client: KubeClient, path: string, object: KubeObject): Promise<void> {
  if ((await client.find(`${path}/${object.metadata?.name}`)) === undefined) await client.create(path, object)
}

export async function installResources(client: KubeClient): Promise<void> {
  for (const path of globSync('crds/*.yaml', { cwd: TREE })) {
    const crd = parse(readFileSync(join(TREE, path), 'utf8'), { merge: true }) as KubeObject
    await client.apply(`/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${crd.metadata?.name}`, crd)
  }
  for (let ready = false; !ready;) {
    const crds = (await client.get('/apis/apiextensions.k8s.io/v1/customresourcedefinitions'))['items'] as { status?: { conditions?: { type: string; status: string }[] } }[]
    ready = crds.length >= 5 && crds.every(({ status }) => status?.conditions?.some(({ type, status: value }) => type === 'Established' && value === 'True'))
  }
  const namespaces = ['kubearmor', EVERYWHERE, ...Array.from({ length: NAMESPACES }, (_, index) => `bench-${index}`)]
  for (const name of namespaces) await ensure(client, '/api/v1/namespaces', { metadata: { name } })
}

/** Pod `slot` of a node: the first one is everywhere, the others are of 80 applications in 20 namespaces. */
export function pod(node: number, slot: number, revision: number): KubeObject & { readonly metadata: { readonly name: string; readonly namespace: string } } {
  const kind = (node * PODS_PER_NODE + slot) % 80
  const namespace = slot === 0 ? EVERYWHERE : `bench-${kind % NAMESPACES}`
  const labels = { app: slot === 0 ? 'everywhere' : `app-${kind}`, node: nodeName(node), 'app.kubernetes.io/managed-by': 'bench' }
  return {
    metadata: { name: `${nodeName(node)}-${slot}-r${revision}`, namespace, labels },
    spec: { nodeName: nodeName(node), containers: [{ name: 'main', image: 'bench.example/app:1' }, { name: 'side', image: 'bench.example/side:1' }] },
  }
}

/** Nodes and pods `from` up to `to`. Resolves with what runs on each: an agent reports the containers, the operator knows their pods. */
export async function grow(client: KubeClient, from: number, to: number): Promise<void> {
  const nodes = Array.from({ length: to - from }, (_, index) => from + index)
  await inParallel(nodes, (index) => client.create('/api/v1/nodes', { metadata: { name: nodeName(index), labels: { 'kubernetes.io/hostname': nodeName(index), 'kubernetes.io/os': 'linux' } } }))
  const pods = nodes.flatMap((node) => Array.from({ length: PODS_PER_NODE }, (_, slot) => pod(node, slot, 0)))
  await inParallel(pods, (object) => client.create(`/api/v1/namespaces/${object.metadata.namespace}/pods`, object))
}

/** Ten rules of files and processes each, for the 80 applications. */
export async function createPolicies(client: KubeClient, count: number): Promise<void> {
  await inParallel(Array.from({ length: count }, (_, index) => index), (index) => {
    const namespace = `bench-${index % NAMESPACES}`
    const files = Array.from({ length: 5 }, (_, rule) => ({ path: `/etc/app-${index}/secret-${rule}.conf`, readOnly: rule % 2 === 0 }))
    const directories = Array.from({ length: 2 }, (_, rule) => ({ dir: `/var/lib/app-${index}/data-${rule}/`, recursive: true }))
    const programs = Array.from({ length: 3 }, (_, rule) => ({ path: `/usr/bin/tool-${index}-${rule}` }))
    const spec = { selector: { matchLabels: { app: `app-${index % 80}` } }, file: { matchPaths: files, matchDirectories: directories }, process: { matchPaths: programs }, action: 'Block' }
    return client.create(`${POLICIES}/namespaces/${namespace}/kubearmorpolicies`, { apiVersion: 'security.kubearmor.com/v1', kind: 'KubeArmorPolicy', metadata: { name: `policy-${index}`, namespace }, spec })
  })
}

/** One policy whose acknowledgement is timed: for all nodes, or for one. */
export function probe(name: string, node?: string): KubeObject {
  const labels = { app: 'everywhere', ...(node === undefined ? {} : { node }) }
  return {
    apiVersion: 'security.kubearmor.com/v1', kind: 'KubeArmorPolicy', metadata: { name, namespace: EVERYWHERE },
    spec: { selector: { matchLabels: labels }, process: { matchPaths: [{ path: `/usr/bin/${name}` }] }, action: 'Block' },
  }
}

/** By node; the operator is told nothing that it does not find out from the API too. */
export function reported(node: number): { readonly node: string; readonly workloads: readonly Workload[] } {
  return { node: nodeName(node), workloads: [] }
}
