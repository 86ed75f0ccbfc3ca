// SPDX-License-Identifier: Apache-2.0
// Opens connections to a service that has several replicas, with what proves us now.
import type { Client, ServiceClientConstructor } from '@grpc/grpc-js'
import type { Endpoints } from './endpoints.ts'
import { openClient } from './grpc.ts'
import type { Credentials } from './tls.ts'

export interface Target {
  readonly endpoints: Endpoints
  /** Absent: plaintext. */
  readonly secure?: {
    /** Resolves when we have a certificate. */
    readonly ready: Promise<Credentials>
    /** Whom we want to reach. */
    readonly peerId: string
  }
}

/** A client of its own connection to the next replica; undefined: `signal` aborted before there was a certificate. */
export async function connectTo<C extends Client>(constructor: new (...args: ConstructorParameters<ServiceClientConstructor>) => C, target: Target, signal: AbortSignal): Promise<C | undefined> {
  const credentials = target.secure && (await unlessAborted(target.secure.ready, signal))
  if (target.secure && !credentials) return undefined
  const address = await target.endpoints.next()
  if (signal.aborted) return undefined
  return openClient(constructor, address, target.secure && credentials?.forClient(target.secure.peerId))
}

function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  if (signal.aborted) return Promise.resolve(undefined)
  return new Promise((resolve, reject) => {
    const onAbort = (): void => resolve(undefined)
    signal.addEventListener('abort', onAbort, { once: true })
    promise.finally(() => signal.removeEventListener('abort', onAbort)).then(resolve, reject)
  })
}
