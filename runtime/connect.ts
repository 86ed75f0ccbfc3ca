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

type Constructor<C> = new (...args: ConstructorParameters<ServiceClientConstructor>) => C

/** A client of its own connection to the next replica; undefined: `signal` aborted before there was a certificate. */
export function connectTo<C extends Client>(constructor: Constructor<C>, target: Target, signal: AbortSignal): Promise<C | undefined> {
  return connectAt(constructor, { ...target, address: () => target.endpoints.next() }, signal)
}

export interface Place extends Pick<Target, 'secure'> {
  /** Asked when there is a certificate; undefined: nowhere. */
  readonly address: () => Promise<string | undefined>
}

/** As connectTo(), to one replica. */
export async function connectAt<C extends Client>(constructor: Constructor<C>, { secure, address: find }: Place, signal: AbortSignal): Promise<C | undefined> {
  const credentials = secure && (await unlessAborted(secure.ready, signal))
  if (secure && !credentials) return undefined
  const address = await find()
  if (signal.aborted || address === undefined) return undefined
  return openClient(constructor, address, secure && credentials?.forClient(secure.peerId))
}

function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  if (signal.aborted) return Promise.resolve(undefined)
  return new Promise((resolve, reject) => {
    const onAbort = (): void => resolve(undefined)
    signal.addEventListener('abort', onAbort, { once: true })
    promise.finally(() => signal.removeEventListener('abort', onAbort)).then(resolve, reject)
  })
}
