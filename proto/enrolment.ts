// SPDX-License-Identifier: Apache-2.0
// The names that certificates carry, and what is signed to get one.

/** SPIFFE IDs. A peer is believed to be what its certificate's URI says, whatever address it was reached at. */
const TRUST_DOMAIN = 'spiffe://merlon/'
export const OPERATOR_ID = `${TRUST_DOMAIN}operator`
export const RELAY_ID = `${TRUST_DOMAIN}relay`

export function agentId(node: string): string {
  return `${TRUST_DOMAIN}agent/${encodeURIComponent(node)}`
}

/** The node of an agent's ID; undefined: the ID is not an agent's. */
export function nodeOfAgentId(id: string): string | undefined {
  const prefix = `${TRUST_DOMAIN}agent/`
  if (!id.startsWith(prefix)) return undefined
  try {
    const node = decodeURIComponent(id.slice(prefix.length))
    return node !== '' && agentId(node) === id ? node : undefined
  } catch {
    return undefined
  }
}

/** What a caller signs: its proof is good for this request only. */
export function enrolmentProof(role: string, node: string, token: string): Buffer {
  return Buffer.from(JSON.stringify(['merlon.v1.Enrolment/Enrol', role, node, token]))
}
