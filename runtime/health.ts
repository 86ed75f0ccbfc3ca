// SPDX-License-Identifier: Apache-2.0
// grpc.health.v1, for kubelet probes and load balancers. Its messages have one field each, so they are encoded here by hand.
import { status, type ServerWritableStream, type ServiceDefinition, type UntypedServiceImplementation, type handleUnaryCall } from '@grpc/grpc-js'

const SERVING = 1
const NOT_SERVING = 2
const SERVICE_UNKNOWN = 3
/** No service has this name. */
const UNREADABLE = '?'

// An object, because grpc-js takes a falsy request for a missing one.
interface Request {
  readonly service: string
}

const request = {
  requestSerialize: ({ service }: Request): Buffer => {
    const name = Buffer.from(service)
    return name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a, name.length]), name])
  },
  // Field 1, length-delimited. Names of services are shorter than 128 bytes, so that the length is one byte: whatever else comes is no service of ours.
  requestDeserialize: (bytes: Buffer): Request => {
    const isName = bytes[0] === 0x0a && bytes.length === 2 + (bytes[1] ?? 0)
    return { service: isName ? bytes.subarray(2).toString() : bytes.length === 0 ? '' : UNREADABLE }
  },
}

const response = {
  responseSerialize: (value: number): Buffer => Buffer.from([0x08, value]),
  responseDeserialize: (bytes: Buffer): number => bytes[1] ?? 0,
}

export const healthService = {
  Check: { path: '/grpc.health.v1.Health/Check', requestStream: false, responseStream: false, ...request, ...response },
  Watch: { path: '/grpc.health.v1.Health/Watch', requestStream: false, responseStream: true, ...request, ...response },
} satisfies ServiceDefinition<UntypedServiceImplementation>

/** Everything in `services`, and the server as a whole (the empty name), serves as long as it answers at all, and `isServing` says so. */
export function health(services: readonly string[], isServing: () => boolean = () => true): { readonly implementation: UntypedServiceImplementation; end(): void } {
  const known = new Set(['', ...services])
  const state = (): number => (isServing() ? SERVING : NOT_SERVING)
  const open = new Set<ServerWritableStream<Request, number>>()
  const check: handleUnaryCall<Request, number> = (call, reply) => {
    if (known.has(call.request.service)) reply(null, state())
    else reply({ code: status.NOT_FOUND, details: `unknown service ${JSON.stringify(call.request.service)}` })
  }
  const watch = (stream: ServerWritableStream<Request, number>): void => {
    open.add(stream)
    stream.on('cancelled', () => open.delete(stream))
    stream.write(known.has(stream.request.service) ? state() : SERVICE_UNKNOWN)
  }
  return {
    implementation: { Check: check, Watch: watch },
    end: () => {
      for (const stream of open) stream.end()
    },
  }
}
