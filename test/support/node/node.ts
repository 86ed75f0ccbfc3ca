// SPDX-License-Identifier: Apache-2.0
// A cluster of one real node: API server, controller-manager and scheduler on this machine, and in a guest kubelet, containerd, runc and kube-proxy.
// What a guest says and logs is kept in a directory when something fails.

import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Cluster } from '../cluster.ts'
import { provideKube } from '../kube/binaries.ts'
import { kubeconfigText } from '../kube/certificates.ts'
import { reservePorts } from '../ports.ts'
import { runInGuest, type GuestResult } from '../vm/guest.ts'
import { provideImage } from '../vm/image.ts'
import { provideContainerd } from './containerd.ts'
import { serveNames } from './names.ts'
import { nodeImages, PAUSE } from './node-images.ts'
import { provideStore } from './store.ts'
import { serveTunnel } from './tunnel.ts'

/** How a guest of QEMU reaches this machine's loopback. */
const HOST = '10.0.2.2'
const NAMES_ADDRESS = '10.96.0.10'
const PODS = '10.244.0.0/24'
const PACKAGES = ['iptables', 'containernetworking-plugins']
const READY_MS = 1_800_000

export interface NodeOptions {
  readonly name?: string
  /** Emptied at the start; has the logs of all parts afterwards. */
  readonly directory: string
  readonly timeoutSeconds: number
  /** More than one run at once, and now and then QEMU kills the guest with that (vm/qemu.ts). Default 1. */
  readonly processors?: number
}

/** What must be there before a node can start; takes minutes the first time. */
export async function provideNode(): Promise<{ readonly disk: string; readonly store: string }> {
  const [containerd, kube] = await Promise.all([provideContainerd(), provideKube()])
  const disk = await provideImage({ packages: PACKAGES, programs: { ...containerd, kube: join(kube, 'kube') } })
  return { disk, store: await provideStore(nodeImages()) }
}

export class TestNode {
  readonly name: string
  readonly cluster: Cluster
  readonly directory: string
  readonly #guest: Promise<GuestResult | Error>
  readonly #closers: (() => void | Promise<void>)[]
  #ended: GuestResult | Error | undefined

  private constructor(setup: { name: string; cluster: Cluster; directory: string; guest: Promise<GuestResult | Error>; closers: (() => void | Promise<void>)[] }) {
    this.name = setup.name
    this.cluster = setup.cluster
    this.directory = setup.directory
    this.#guest = setup.guest
    this.#closers = setup.closers
    void setup.guest.then((end) => { this.#ended = end })
  }

  /** Resolves when guest and control plane are on their way: whenReady() waits for the node. */
  static async start(options: NodeOptions): Promise<TestNode> {
    const { name = 'node-1', directory } = options
    const { disk, store } = await provideNode()
    await rm(directory, { recursive: true, force: true })
    await mkdir(join(directory, 'etc'), { recursive: true })
    const [kubelet = 0] = await reservePorts(1)
    const tunnel = await serveTunnel(kubelet)
    const egress = join(directory, 'egress.json')
    await writeFile(egress, JSON.stringify({
      apiVersion: 'apiserver.k8s.io/v1beta1', kind: 'EgressSelectorConfiguration',
      egressSelections: [{ name: 'cluster', connection: { proxyProtocol: 'HTTPConnect', transport: { uds: { udsName: tunnel.path } } } }],
    }))
    const cluster = await Cluster.start({
      directory: join(directory, 'control-plane'), controllers: ['*'], scheduler: true, users: { [`system:node:${name}`]: ['system:nodes'], 'system:kube-proxy': ['system:node-proxier'] },
      apiServer: [`--egress-selector-config-file=${egress}`, `--advertise-address=${HOST}`],
    })
    const names = await serveNames(cluster.client)
    await writeSettings(join(directory, 'etc'), { name, cluster, kubelet })
    const guest = runInGuest({
      kernel: '6.12', script: 'test/support/node/start.sh', results: directory, disk, moreDisks: [store], memoryMb: 4096, cpus: options.processors ?? 1, atOnce: (options.processors ?? 1) > 1, timeoutSeconds: options.timeoutSeconds, forwards: [{ host: kubelet, guest: kubelet }],
    }).catch((error: unknown) => error as Error)
    const node = new TestNode({ name, cluster, directory, guest, closers: [() => names.close(), () => tunnel.close()] })
    await node.#announceNames(names.port)
    return node
  }

  /** Waits for the node to be Ready. */
  async whenReady(): Promise<void> {
    await this.until('the node is Ready', READY_MS, async () => {
      const node = await this.cluster.client.find(`/api/v1/nodes/${this.name}`)
      const ready = (node?.['status'] as { conditions?: { type: string; status: string; message: string }[] } | undefined)?.conditions?.find(({ type }) => type === 'Ready')
      return ready?.status === 'True' || `it is ${ready ? `${ready.status}: ${ready.message}` : 'not registered'}`
    })
  }

  /** Waits until all pods of a namespace are Ready, of which there is at least one. */
  async podsReady(namespace: string, ms: number): Promise<void> {
    await this.until(`all pods of ${namespace} are Ready`, ms, async () => {
      const list = await this.cluster.client.get(`/api/v1/namespaces/${namespace}/pods`)
      const pods = list['items'] as { metadata: { name: string }; status: { phase: string; conditions?: { type: string; status: string }[]; containerStatuses?: { state: object }[] } }[]
      const waiting = pods.filter(({ status }) => !status.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True'))
      if (pods.length > 0 && waiting.length === 0) return true
      return pods.length === 0 ? 'there are none' : waiting.map(({ metadata, status }) => `${metadata.name} is ${status.phase} ${JSON.stringify(status.containerStatuses?.map(({ state }) => state))}`).join('; ')
    })
  }

  /** Polls until `holds` is true; what it says else is in the error, and so is the guest's end where there was one. */
  async until(what: string, ms: number, holds: () => Promise<true | string>): Promise<void> {
    const deadline = performance.now() + ms
    for (;;) {
      const said = await holds().catch((error: unknown) => String(error))
      if (said === true) return
      if (this.#ended) throw new Error(`MERLON_TEST_NODE: Waited until ${what}, but the guest ended: ${this.#ended instanceof Error ? this.#ended.message : `status ${this.#ended.status}\n${this.#ended.output}`}; logs: ${this.directory}`)
      if (performance.now() > deadline) throw new Error(`MERLON_TEST_NODE: Waited ${ms / 1000} s in vain until ${what}: ${said}; logs: ${this.directory}`)
      await new Promise((resolve) => setTimeout(resolve, 250))
    }
  }

  /** When what of the guest was reached, in seconds of its own clock. */
  async marks(): Promise<string> {
    return readFile(join(this.directory, 'marks'), 'utf8').catch(() => '')
  }

  /** Ends the guest, which leaves the logs of its pods, and the control plane. */
  async stop(): Promise<void> {
    await writeFile(join(this.directory, 'stop'), '')
    await this.#guest
    for (const close of this.#closers) await close()
    await this.cluster.stop()
  }

  /** The Service that the kubelet gives pods as their name server; it leads to this process. */
  async #announceNames(port: number): Promise<void> {
    const { client } = this.cluster
    const metadata = { name: 'kube-dns', namespace: 'kube-system' }
    await client.create('/api/v1/namespaces/kube-system/services', { metadata, spec: { clusterIP: NAMES_ADDRESS, ports: [{ name: 'dns', port: 53, protocol: 'UDP' }] } })
    await client.create('/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices', {
      metadata: { ...metadata, labels: { 'kubernetes.io/service-name': 'kube-dns' } }, addressType: 'IPv4',
      ports: [{ name: 'dns', port, protocol: 'UDP' }], endpoints: [{ addresses: [HOST] }],
    })
  }
}

interface SettingsOf {
  readonly name: string
  readonly cluster: Cluster
  readonly kubelet: number
}

async function writeSettings(into: string, { name, cluster, kubelet }: SettingsOf): Promise<void> {
  const server = `https://${HOST}:${cluster.ports.api}`
  const credentials = (user: string): string => kubeconfigText(server, { ...cluster.trust, token: cluster.trust.tokens[user] ?? '' })
  const settings: Record<string, string> = {
    hostname: `${name}\n`,
    kubeconfig: credentials(`system:node:${name}`),
    'kube-proxy.kubeconfig': credentials('system:kube-proxy'),
    'kubelet.yaml': JSON.stringify({
      apiVersion: 'kubelet.config.k8s.io/v1beta1', kind: 'KubeletConfiguration', cgroupDriver: 'cgroupfs', containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock', port: kubelet,
      authentication: { anonymous: { enabled: true }, webhook: { enabled: false } }, authorization: { mode: 'AlwaysAllow' }, failSwapOn: false, clusterDNS: [NAMES_ADDRESS], clusterDomain: 'cluster.local',
      imageGCHighThresholdPercent: 100, evictionHard: { 'memory.available': '50Mi' }, registerWithTaints: [], nodeStatusUpdateFrequency: '5s', maxPods: 250,
    }),
    'kube-proxy.yaml': JSON.stringify({
      apiVersion: 'kubeproxy.config.k8s.io/v1alpha1', kind: 'KubeProxyConfiguration', mode: 'iptables', clientConnection: { kubeconfig: '/etc/kube-proxy.kubeconfig' }, clusterCIDR: PODS, hostnameOverride: name,
      conntrack: { maxPerCore: 0, min: 0 }, healthzBindAddress: '', metricsBindAddress: '127.0.0.1:10249', iptables: { minSyncPeriod: '0s' },
    }),
    'containerd.toml': `version = 3\n[plugins.'io.containerd.cri.v1.images'.pinned_images]\nsandbox = '${PAUSE}'\n[plugins.'io.containerd.cri.v1.runtime']\ndisable_apparmor = true\n[plugins.'io.containerd.cri.v1.runtime'.cni]\nbin_dirs = ['/usr/lib/cni']\nconf_dir = '/etc/cni/net.d'\n`,
  }
  for (const [path, text] of Object.entries(settings)) await writeFile(join(into, path), text)
  await mkdir(join(into, 'cni/net.d'), { recursive: true })
  await writeFile(join(into, 'cni/net.d/10-pods.conflist'), JSON.stringify({
    cniVersion: '1.0.0', name: 'pods', plugins: [{ type: 'bridge', bridge: 'cni0', isGateway: true, ipMasq: true, hairpinMode: true, ipam: { type: 'host-local', ranges: [[{ subnet: PODS }]], routes: [{ dst: '0.0.0.0/0' }] } }],
  }))
}
