// SPDX-License-Identifier: Apache-2.0
// Who a token is: asked of the API server in a cluster, looked up in a file elsewhere.
import { createHash, timingSafeEqual } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { KubeApi } from './kube/api.ts'
import { AUDIENCE, type Review, type Reviewer } from './enrol.ts'

/** User names of service accounts: system:serviceaccount:NAMESPACE:NAME. */
export interface Accounts {
  readonly agent: string
  readonly relay: string
}

/** In the tokens of pods since Kubernetes 1.30. */
const NODE_NAME = 'authentication.kubernetes.io/node-name'

/** As the API server answers a TokenReview. */
interface TokenStatus {
  readonly authenticated?: boolean
  readonly audiences?: readonly string[]
  readonly error?: string
  readonly user?: { readonly username?: string; readonly extra?: Readonly<Record<string, readonly string[]>> }
}

export function kubernetesReviewer(api: Pick<KubeApi, 'call'>, accounts: Accounts): Reviewer {
  return async (token) => {
    const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token, audiences: [AUDIENCE] } }
    const answer = await api.call({ method: 'POST', path: '/apis/authentication.k8s.io/v1/tokenreviews', body })
    const status = answer['status'] as TokenStatus | undefined
    if (!status?.authenticated) return { ok: false, message: `the API server does not accept this token${status?.error ? `: ${status.error}` : ''}` }
    // An API server that knows nothing of audiences would accept any token and say none.
    if (!status.audiences?.includes(AUDIENCE)) return { ok: false, message: `this token is not for the audience "${AUDIENCE}"` }
    return reviewUser(status.user ?? {}, accounts)
  }
}

function reviewUser({ username = '', extra = {} }: NonNullable<TokenStatus['user']>, accounts: Accounts): Review {
  if (username === accounts.relay) return { ok: true, role: 'RELAY' }
  if (username !== accounts.agent) return { ok: false, message: `"${username}" is neither an agent (${accounts.agent}) nor the relay (${accounts.relay})` }
  const node = extra[NODE_NAME]?.[0]
  if (!node) return { ok: false, message: 'this token does not name a node: it must be projected into a pod, by Kubernetes 1.30 or later' }
  return { ok: true, role: 'AGENT', node }
}

/** Lines of `agent NODE TOKEN` or `relay TOKEN`; # begins a comment. Read for each review, so that an edit holds at once. */
export function fileReviewer(path: string): Reviewer {
  return async (token) => {
    const wanted = digest(token)
    const lines = (await readFile(path, 'utf8')).split('\n').map((line) => line.replace(/#.*/, '').trim().split(/\s+/))
    let found: Review = { ok: false, message: 'this token is not in the operator\'s list' }
    // Every line is compared, in constant time: how long this takes says nothing about the tokens.
    for (const [role, ...rest] of lines) {
      const isAgent = role === 'agent' && rest.length === 2
      if (!isAgent && !(role === 'relay' && rest.length === 1)) continue
      const [node = '', known = ''] = isAgent ? rest : ['', ...rest]
      if (timingSafeEqual(digest(known), wanted)) found = isAgent ? { ok: true, role: 'AGENT', node } : { ok: true, role: 'RELAY' }
    }
    return found
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
