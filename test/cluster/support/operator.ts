// SPDX-License-Identifier: Apache-2.0
// The operator's parts in this process, against a real API server, with real gRPC streams of agents that play their nodes.
import { readFileSync, globSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { Compiler } from '../../../operator/compiler.ts'
import { ClientNodeApi, loadConfig, type KubeApi } from '../../../operator/kube/api.ts'
import { Kubernetes } from '../../../operator/kube/start.ts'
import type { Finding } from '../../../policy/types.ts'
import { policyLibrary } from '../../../operator/library.ts'
import { Reconciler } from '../../../operator/reconcile.ts'
import { NodeSyncServer } from '../../../operator/serve.ts'
import { TestAgent, type TestAgentOptions } from '../../../operator/testing/agent.ts'
import type { Hello } from '../../../proto/gen/merlon/v1/Hello.ts'
import { systemClock, type Clock } from '../../../runtime/clock.ts'
import { createLogger, type LogRecord } from '../../../runtime/log.ts'
import { Cluster, type KubeClient, type KubeObject, type SharedCluster } from '../../support/cluster.ts'
import { TREE } from '../../support/vm/guest.ts'

export const NAMESPACE = 'kubearmor'
export const POLICIES = '/apis/security.kubearmor.com/v1'

/** The custom resources, established. */
export async function installResources(client: KubeClient): Promise<void> {
  for (const path of globSync('crds/*.yaml', { cwd: TREE })) {
    const crd = parse(readFileSync(join(TREE, path), 'utf8'), { merge: true }) as KubeObject
    await client.apply(`/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${crd.metadata?.name}`, crd)
  }
  await until('the resources are established', async () => {
    const list = await client.get('/apis/apiextensions.k8s.io/v1/customresourcedefinitions')
    const crds = list['items'] as { status?: { conditions?: { type: string; status: string }[] } }[]
    return crds.length >= 5 && crds.every(({ status }) => status?.conditions?.some(({ type, status: value }) => type === 'Established' && value === 'True'))
  })
  await ensure(client, '/api/v1/namespaces', { metadata: { name: NAMESPACE } })
}

/** A cluster of the test's own, with the custom resources, the namespace and a node n1. */
export async function startCluster(namespace: string): Promise<Cluster> {
  const cluster = await Cluster.start()
  await installResources(cluster.client)
  await ensure(cluster.client, '/api/v1/namespaces', { metadata: { name: namespace } })
  await ensure(cluster.client, '/api/v1/nodes', { metadata: { name: 'n1' } })
  return cluster
}

/** Creates it unless it is there. */
export async function ensure(client: KubeClient, path: string, object: KubeObject): Promise<void> {
  if ((await client.find(`${path}/${object.metadata?.name}`)) === undefined) await client.create(path, object)
}

/** Polls until it holds; what it waits for is in the error. Far more than anything here takes on a starved machine: it ends a wait that would never end. */
export async function until(what: string, holds: () => boolean | undefined | Promise<boolean | undefined>, ms = 600_000): Promise<void> {
  const deadline = performance.now() + ms
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`Waited ${ms / 1000} s in vain until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const TIMES = { durationMs: 3_000, renewMs: 2_000, retryMs: 500 }

export interface OperatorOptions {
  /** Something in between. */
  readonly api?: (real: KubeApi) => KubeApi
  readonly kubeconfig?: string
  readonly clock?: Clock
  /** Of the lease. Default: short ones. */
  readonly times?: typeof TIMES
}

export class TestOperator {
  readonly reconciler: Reconciler
  readonly server: NodeSyncServer
  readonly kubernetes: Kubernetes
  readonly log: LogRecord[] = []
  readonly findings: Finding[] = []
  readonly #compiler: Compiler
  #compiledMayGoOn: Promise<void> = Promise.resolve()
  readonly #agents: TestAgent[] = []

  constructor(cluster: Pick<SharedCluster, 'kubeconfig'>, options: OperatorOptions = {}) {
    const logger = createLogger('operator', (record) => this.log.push(record))
    const defaults = { postures: { filePosture: 'audit' }, hostPostures: { filePosture: 'audit' } } as const
    const clock = options.clock ?? systemClock
    const settings = { credentials: { kind: 'kubeconfig', file: options.kubeconfig ?? cluster.kubeconfig }, namespace: NAMESPACE } as const
    const real = new ClientNodeApi(() => loadConfig(settings.credentials))
    this.#compiler = new Compiler({ logger, clock })
    this.reconciler = new Reconciler({
      library: policyLibrary, settings: defaults, clock, logger, onNodes: (nodes) => this.server.notify(nodes), onSettled: () => this.kubernetes.changed(), compileElsewhere: async (plan) => {
        const compiled = await this.#compiler.compile(plan)
        await this.#compiledMayGoOn
        return compiled
      },
    })
    this.server = new NodeSyncServer({ address: '127.0.0.1:0', reconciler: this.reconciler, tableVersion: policyLibrary.tableVersion, nodeLabels: {}, believesAgents: false, clock, logger, onChange: () => this.kubernetes.changed() })
    this.kubernetes = new Kubernetes({
      settings, reconciler: this.reconciler, sessions: this.server.sessions, library: policyLibrary, defaults, clock, logger, random: Math.random, api: options.api?.(real) ?? real, times: options.times ?? TIMES, onFinding: (finding) => this.findings.push(finding),
    })
  }

  async start(): Promise<this> {
    await this.kubernetes.start(this.reconciler)
    await this.server.start()
    return this
  }

  /** An agent of a node, which has its host and nothing else until it reports more. */
  async agent(node: string, hello: Hello = {}, ack?: TestAgentOptions['ack']): Promise<TestAgent> {
    const agent = await new TestAgent(this.server.address, { hello: { node, table_versions: [policyLibrary.tableVersion], abilities: { bpf_lsm: true }, ...hello }, ...(ack ? { ack } : {}) }).start([{ id: 'host' }])
    this.#agents.push(agent)
    return agent
  }

  /** What the other thread compiles is not taken over before the returned function is called. */
  holdCompiled(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#compiledMayGoOn = promise
    return resolve
  }

  /** Twice is harmless. */
  async stop(): Promise<void> {
    for (const agent of this.#agents.splice(0)) agent.close()
    await this.server.stop()
    await this.kubernetes.stop()
    await this.#compiler.stop()
  }
}

/* ---- Objects ---- */

export function pod(name: string, parts: { readonly namespace: string; readonly labels?: Record<string, string>; readonly node?: string; readonly annotations?: Record<string, string> }): KubeObject {
  const { namespace, labels = {}, node, annotations = {} } = parts
  return { metadata: { name, namespace, labels, annotations }, spec: { ...(node === undefined ? {} : { nodeName: node }), containers: [{ name: 'main', image: 'image' }] } }
}

export interface PolicyParts {
  readonly namespace?: string
  readonly kind?: string
  readonly labels?: Record<string, string>
  readonly paths?: readonly string[]
  readonly action?: string
  readonly spec?: Record<string, unknown>
}

export function policy(name: string, { namespace, kind = 'KubeArmorPolicy', labels = { app: 'web' }, paths = ['/bin/ls'], action = 'Block', spec = {} }: PolicyParts): KubeObject {
  const selector = kind === 'KubeArmorHostPolicy' ? { nodeSelector: { matchLabels: labels } } : kind === 'KubeArmorClusterPolicy' ? { selector: {} } : { selector: { matchLabels: labels } }
  return {
    apiVersion: 'security.kubearmor.com/v1', kind, metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
    spec: { ...selector, process: { matchPaths: paths.map((path) => ({ path })) }, action, ...spec },
  }
}

export interface StatusOf {
  readonly status?: string
  readonly observedGeneration?: number
  readonly conditions?: readonly { readonly type: string; readonly status: string; readonly reason: string; readonly message: string; readonly lastTransitionTime: string }[]
  readonly [field: string]: unknown
}

export async function statusOf(client: KubeClient, path: string): Promise<StatusOf> {
  return ((await client.find(path))?.['status'] ?? {}) as StatusOf
}

export function condition(status: StatusOf, type: string): string {
  const found = status.conditions?.find((each) => each.type === type)
  return found === undefined ? '' : `${found.status} ${found.reason}`
}
