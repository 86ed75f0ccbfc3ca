// SPDX-License-Identifier: Apache-2.0
// The relay's side of the protocols: service definitions loaded from proto/, with the event streams left encoded.
import { fileURLToPath } from 'node:url'
import { loadSync } from '@grpc/proto-loader'
import type { MethodDefinition, ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js'

/** One encoded feeder.Alert, feeder.Log or feeder.Message. */
export type Payload = Buffer

export type FeedName = 'alerts' | 'logs' | 'messages'

/** merlon.v1.Event.Type, in its numeric order. */
export const FEED_OF_TYPE: readonly FeedName[] = ['alerts', 'logs', 'messages']

export interface RelayedEvent {
  readonly type: number
  readonly payload: Payload
}

export interface Loss {
  readonly where: string
  readonly count: number
}

export interface EventBatch {
  readonly sequence: number
  readonly node: string
  readonly events: readonly RelayedEvent[]
  readonly losses: readonly Loss[]
}

/** feeder.Message, the fields that Merlon fills in. */
export interface Message {
  readonly Timestamp: number
  readonly UpdatedTime: string
  readonly ClusterName: string
  readonly HostName: string
  readonly Type: string
  readonly Level: 'INFO' | 'WARN' | 'ERROR'
  readonly Message: string
}

type Definition = ServiceDefinition<UntypedServiceImplementation>

const definitions = loadSync(['feeder/kubearmor.proto', 'merlon/v1/events.proto'], {
  includeDirs: [fileURLToPath(new URL('../proto', import.meta.url))],
  keepCase: true,
  longs: Number,
  defaults: true,
  arrays: true,
})

function service(name: string): Definition {
  const found = definitions[name]
  if (found === undefined || 'format' in found) throw new Error(`proto/ has no service ${name}`)
  return found
}

/** The service with its responses sent as the bytes that they are handed over as. */
function forwarding(from: Definition, methods: readonly string[]): Definition {
  const changed = methods.map((name) => [name, { ...method(from, name), responseSerialize: (bytes: Payload) => bytes }])
  return { ...from, ...(Object.fromEntries(changed) as Definition) }
}

function method(from: Definition, name: string): MethodDefinition<object, object> {
  const found = from[name]
  if (found === undefined) throw new Error(`proto/ has no method ${name}`)
  return found as MethodDefinition<object, object>
}

const feeder = service('feeder.LogService')

export const eventSinkService = service('merlon.v1.EventSink')
export const logService = forwarding(feeder, ['WatchAlerts', 'WatchLogs', 'WatchMessages'])

export function encodeMessage(message: Message): Payload {
  return method(feeder, 'WatchMessages').responseSerialize(message)
}
