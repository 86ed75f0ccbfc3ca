// SPDX-License-Identifier: Apache-2.0
// The services and messages of proto/, ready for grpc-js. Field names are as written in the .proto files (KubeArmor's are in
// PascalCase and must stay so). 64-bit numbers are JavaScript numbers, exact up to 2^53: of all fields only time_unix_ns is larger, and
// is read in steps of 256 ns. Enums are their names, bytes are Buffers, absent fields have their defaults, an absent message is null.
import { loadPackageDefinition, type GrpcObject, type MethodDefinition, type ServiceClientConstructor } from '@grpc/grpc-js'
import { loadSync, type Options } from '@grpc/proto-loader'
import type { ProtoGrpcType as EventsTypes } from './gen/events.ts'
import type { ProtoGrpcType as FeederTypes } from './gen/kubearmor.ts'
import type { ProtoGrpcType as SyncTypes } from './gen/sync.ts'
import type { Alert, Alert__Output } from './gen/feeder/Alert.ts'
import type { Log, Log__Output } from './gen/feeder/Log.ts'
import type { Message, Message__Output } from './gen/feeder/Message.ts'
import type { EventBatch, EventBatch__Output } from './gen/merlon/v1/EventBatch.ts'
import type { AgentMessage, AgentMessage__Output } from './gen/merlon/v1/AgentMessage.ts'
import type { OperatorMessage, OperatorMessage__Output } from './gen/merlon/v1/OperatorMessage.ts'

/** Relative to this folder. */
export const PROTO_FILES: readonly string[] = ['merlon/v1/sync.proto', 'merlon/v1/events.proto', 'feeder/kubearmor.proto']
/** Loaded on demand only, by enrolment.ts. */
export const PROTO_FILES_ON_DEMAND: readonly string[] = ['merlon/v1/enrolment.proto']

export const OPTIONS: Options = { keepCase: true, longs: Number, enums: String, defaults: true, oneofs: true, includeDirs: [import.meta.dirname] }

const root = loadPackageDefinition(loadSync([...PROTO_FILES], OPTIONS)) as GrpcObject & EventsTypes & FeederTypes & SyncTypes & {
  // Each generated type knows its own file's part of the package.
  merlon: { v1: EventsTypes['merlon']['v1'] & SyncTypes['merlon']['v1'] }
}

/** Client constructors; `.service` is the definition that a server adds. */
export const NodeSync = root.merlon.v1.NodeSync
export const EventSink = root.merlon.v1.EventSink
export const LogService = root.feeder.LogService

/** One message of a service method, to bytes and back. Encoding throws on a value of the wrong type. */
interface Codec<In, Out> {
  readonly encode: (value: In) => Buffer
  readonly decode: (bytes: Uint8Array) => Out
}

type Direction = 'request' | 'response'

function codec<In, Out>(service: ServiceClientConstructor | { service: object }, method: string, direction: Direction): Codec<In, Out> {
  const definition = (service.service as Record<string, MethodDefinition<In & Out, In & Out>>)[method]
  if (definition === undefined) throw new Error(`Cannot find method "${method}" in proto/`)
  const [encode, decode] = direction === 'request'
    ? [definition.requestSerialize, definition.requestDeserialize]
    : [definition.responseSerialize, definition.responseDeserialize]
  return { encode: (value) => encode(value as In & Out), decode: (bytes) => decode(asBuffer(bytes)) }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

export const { encode: encodeAlert, decode: decodeAlert } = codec<Alert, Alert__Output>(LogService, 'WatchAlerts', 'response')
export const { encode: encodeLog, decode: decodeLog } = codec<Log, Log__Output>(LogService, 'WatchLogs', 'response')
/** feeder.Message: what KubeArmor's clients get from WatchMessages. */
export const { encode: encodeFeederMessage, decode: decodeFeederMessage } = codec<Message, Message__Output>(LogService, 'WatchMessages', 'response')
export const { encode: encodeEventBatch, decode: decodeEventBatch } = codec<EventBatch, EventBatch__Output>(EventSink, 'Push', 'request')
export const { encode: encodeAgentMessage, decode: decodeAgentMessage } = codec<AgentMessage, AgentMessage__Output>(NodeSync, 'Sync', 'request')
export const { encode: encodeOperatorMessage, decode: decodeOperatorMessage } = codec<OperatorMessage, OperatorMessage__Output>(NodeSync, 'Sync', 'response')

/** LogService for a server that already holds its responses as bytes: requests are decoded, what is written to a Watch call is a Buffer. */
export const logServiceOfBytes = Object.fromEntries(Object.entries(LogService.service).map(([name, method]) => {
  const definition = method as MethodDefinition<object, object>
  return [name, definition.responseStream ? { ...definition, responseSerialize: (bytes: Buffer) => bytes } : definition]
})) as unknown as typeof LogService.service
