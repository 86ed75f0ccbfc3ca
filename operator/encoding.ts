// SPDX-License-Identifier: Apache-2.0
// Messages to agents as bytes. A change concerns a thousand agents with the same few tables and profiles: each of those is encoded once, and messages
// are put together from the pieces, which protobuf allows for repeated fields.
import type { OperatorMessage } from '../proto/gen/merlon/v1/OperatorMessage.ts'
import { encodeOperatorMessage, NodeSync } from '../proto/load.ts'

type Part = Pick<OperatorMessage, 'tables' | 'profiles'>

/** By the objects that the view hands out again and again (view.ts), and as long as they live. */
const encoded = new WeakMap<object, Buffer>()

function once(key: object, part: Part): Buffer {
  const known = encoded.get(key) ?? encodeOperatorMessage(part)
  encoded.set(key, known)
  return known
}

export function encodeMessage({ tables = [], profiles = [], ...rest }: OperatorMessage): Buffer {
  const parts = [...tables.map((table) => once(table, { tables: [table] })), ...profiles.map((profile) => once(profile, { profiles: [profile] }))]
  const head = encodeOperatorMessage(rest)
  return parts.length === 0 ? head : Buffer.concat([head, ...parts])
}

/** NodeSync, whose answers are encoded so. */
export const nodeSyncService: typeof NodeSync.service = { ...NodeSync.service, Sync: { ...NodeSync.service.Sync, responseSerialize: encodeMessage } }
