// SPDX-License-Identifier: Apache-2.0
// How the operator proves itself and knows its agents: the options, and what they open. What they do not ask for is not loaded.
import { chmod, mkdir, rename, writeFile } from 'node:fs/promises'
import { dirname, isAbsolute, join } from 'node:path'
import { checkTransport } from '../runtime/address.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Target } from '../runtime/connect.ts'
import { Endpoints } from '../runtime/endpoints.ts'
import type { Logger } from '../runtime/log.ts'
import type { KubeApi } from './kube/api.ts'
import type { OperatorSecurity, SecurityOptions } from './security.ts'

export const TRANSPORT_HELP = `  --tls kubernetes|DIR           serve agents by TLS and give them certificates. kubernetes: the authority is a Secret, tokens are service
                                 accounts'. DIR: the authority is kept there, DIR/ca.crt is for agents, and DIR/tokens says who they are,
                                 in lines of "agent NODE TOKEN" or "relay TOKEN"
  --feeder-tls                   also keep the authority that KubeArmor's clients make their certificates with
  --plaintext                    no TLS, although agents or the relay are on other machines
`

export const TRANSPORT_OPTIONS = {
  tls: { type: 'string' },
  'feeder-tls': { type: 'boolean', default: false },
  plaintext: { type: 'boolean', default: false },
} as const

export interface TransportSettings {
  readonly tls: { readonly kind: 'off' } | { readonly kind: 'kubernetes' } | { readonly kind: 'directory'; readonly path: string }
  readonly feederTls: boolean
}

export type TransportResult = { readonly ok: true; readonly value: TransportSettings } | { readonly ok: false; readonly message: string }

export interface TransportValues {
  readonly tls?: string | undefined
  readonly 'feeder-tls': boolean
  readonly plaintext: boolean
}

export function parseTransport(values: TransportValues, addresses: readonly string[]): TransportResult {
  const { tls, 'feeder-tls': feederTls, plaintext } = values
  const problem = checkTransport(addresses, tls !== undefined, plaintext)
  if (problem !== undefined) return { ok: false, message: problem }
  if (tls === undefined) return feederTls ? { ok: false, message: '--feeder-tls needs --tls' } : { ok: true, value: { tls: { kind: 'off' }, feederTls } }
  if (tls === 'kubernetes') return { ok: true, value: { tls: { kind: 'kubernetes' }, feederTls } }
  return isAbsolute(tls) ? { ok: true, value: { tls: { kind: 'directory', path: tls }, feederTls } } : { ok: false, message: `--tls must be kubernetes or an absolute path, not "${tls}"` }
}

/** What `--tls kubernetes` needs of the cluster. */
export interface ClusterIdentity {
  readonly api: Pick<KubeApi, 'call'>
  /** The operator's own, where its Secrets are and the accounts of agents and relay. */
  readonly namespace: string
}

export interface TransportContext {
  readonly clock: Clock
  readonly logger: Logger
  readonly cluster?: ClusterIdentity
}

/** Undefined: plaintext. Throws where the stores cannot be used. */
export async function openTransport(settings: TransportSettings, context: TransportContext): Promise<OperatorSecurity | undefined> {
  const { tls, feederTls } = settings
  if (tls.kind === 'off') return undefined
  const { openSecurity } = await import('./security.ts')
  const places = tls.kind === 'directory' ? await inDirectory(tls.path) : await inCluster(context.cluster)
  const { feeder, ...rest } = places
  return openSecurity({ ...rest, ...(feederTls ? { feeder } : {}), clock: context.clock, logger: context.logger })
}

type Places = Pick<SecurityOptions, 'store' | 'publish' | 'review'> & Required<Pick<SecurityOptions, 'feeder'>>

async function inDirectory(path: string): Promise<Places> {
  const [{ FileSecretStore }, { fileReviewer }] = await Promise.all([import('./secrets.ts'), import('./reviewers.ts')])
  await mkdir(path, { recursive: true, mode: 0o755 })
  return {
    store: new FileSecretStore(join(path, 'authority.json')),
    publish: (trust) => replaceFile(join(path, 'ca.crt'), trust, 0o644),
    review: fileReviewer(join(path, 'tokens')),
    feeder: {
      store: new FileSecretStore(join(path, 'feeder/authority.json')),
      publish: async (_trust, { certificate, privateKey }) => {
        await replaceFile(join(path, 'feeder/ca.crt'), certificate, 0o644)
        await replaceFile(join(path, 'feeder/ca.key'), privateKey, 0o600)
      },
      dnsNames: ['kubearmor'],
    },
  }
}

async function replaceFile(path: string, text: string, mode: number): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(`${path}.new`, text, { mode })
  await chmod(`${path}.new`, mode)
  await rename(`${path}.new`, path)
}

/** Names that the chart, agents and KubeArmor's clients count on. */
const AUTHORITY_SECRET = 'merlon-authority'
const FEEDER_AUTHORITY_SECRET = 'merlon-feeder-authority'
const TRUST_CONFIG_MAP = 'merlon-ca'
const KUBEARMOR_CA_SECRET = 'kubearmor-ca'
const AGENT_ACCOUNT = 'merlon-agent'
const RELAY_ACCOUNT = 'merlon-relay'
const LABELS = { 'app.kubernetes.io/name': 'merlon', 'app.kubernetes.io/managed-by': 'merlon-operator' }

async function inCluster(cluster: ClusterIdentity | undefined): Promise<Places> {
  if (!cluster) throw new Error('Cannot use --tls kubernetes without a cluster: the operator reads a directory')
  const [{ KubeSecretStore, putConfigMap, putSecret }, { kubernetesReviewer }] = await Promise.all([import('./kube/secrets.ts'), import('./reviewers.ts')])
  const { api, namespace } = cluster
  const object = (name: string, labels: Record<string, string> = {}): { namespace: string; name: string; labels: Record<string, string> } => ({ namespace, name, labels: { ...LABELS, ...labels } })
  const account = (name: string): string => `system:serviceaccount:${namespace}:${name}`
  return {
    store: new KubeSecretStore(api, object(AUTHORITY_SECRET)),
    publish: (trust) => putConfigMap(api, object(TRUST_CONFIG_MAP), { 'ca.crt': trust }),
    review: kubernetesReviewer(api, { agent: account(AGENT_ACCOUNT), relay: account(RELAY_ACCOUNT) }),
    feeder: {
      store: new KubeSecretStore(api, object(FEEDER_AUTHORITY_SECRET)),
      publish: (_trust, { certificate, privateKey }) => putSecret(api, object(KUBEARMOR_CA_SECRET, { 'kubearmor-app': 'kubearmor-ca' }), { 'tls.crt': certificate, 'tls.key': privateKey }),
      dnsNames: [`kubearmor.${namespace}`, `kubearmor.${namespace}.svc`, `kubearmor.${namespace}.svc.cluster.local`, 'kubearmor'],
    },
  }
}

/** The relay, for the operator's own messages. */
export async function relayTarget(address: string, security: OperatorSecurity | undefined): Promise<Target> {
  const endpoints = new Endpoints(address, { random: Math.random })
  if (!security) return { endpoints }
  const { RELAY_ID } = await import('../proto/enrolment.ts')
  return { endpoints, secure: { ready: Promise.resolve(security.own), peerId: RELAY_ID } }
}
