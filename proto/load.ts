// SPDX-License-Identifier: Apache-2.0
// The services and messages of proto/, ready for grpc-js. Field names are as written in the .proto files (KubeArmor's are in
// PascalCase and must stay so). 64-bit numbers are JavaScript numbers, exact up to 2^53: of all fields only time_unix_ns is larger, and
// is read in steps of 256 ns. Enums are their names, bytes are Buffers, absent fields have their defaults, an absent message is null.
// The descriptors are read from a JSON file that proto/generate.ts writes, and only protobufjs' light build is loaded: parsing .proto files, and
// loading the parser, would be half of what a process needs for its start.
import { makeGenericClientConstructor, type MethodDefinition, type ServiceClientConstructor } from '@grpc/grpc-js'
import protobuf, { type IConversionOptions, type INamespace, type Method, type Type } from 'protobufjs/light.js'
import descriptor from './gen/descriptor.json' with { type: 'json' }
import type { ProtoGrpcType as EnrolmentTypes } from './gen/enrolment.ts'
import type { ProtoGrpcType as EventsTypes } from './gen/events.ts'
import type { ProtoGrpcType as FeederTypes } from './gen/kubearmor.ts'
import type { ProtoGrpcType as SyncTypes } from './gen/sync.ts'
import type { Alert, Alert__Output } from './gen/feeder/Alert.ts'
import type { Log, Log__Output } from './gen/feeder/Log.ts'
import type { Message, Message__Output } from './gen/feeder/Message.ts'
import type { EventBatch, EventBatch__Output } from './gen/merlon/v1/EventBatch.ts'
import type { AgentMessage, AgentMessage__Output } from './gen/merlon/v1/AgentMessage.ts'
import type { OperatorMessage, OperatorMessage__Output } from './gen/merlon/v1/OperatorMessage.ts'

/** As proto/generate.ts says them to the generator of the types. */
const OPTIONS: IConversionOptions = { longs: Number, enums: String, defaults: true, oneofs: true }

const root = protobuf.Root.fromJSON(descriptor as INamespace)

function toBytes(type: Type): (value: object) => Buffer {
  return (value) => asBuffer(type.encode(type.fromObject(value)).finish())
}

function fromBytes(type: Type): (bytes: Buffer) => object {
  return (bytes) => type.toObject(type.decode(bytes), OPTIONS)
}

/** The client constructor of a service; its `.service` is the definition that a server adds. */
function client(name: string): ServiceClientConstructor {
  const methods = root.lookupService(name).methodsArray.map((method): [string, MethodDefinition<object, object>] => {
    const { resolvedRequestType: request, resolvedResponseType: response } = method.resolve() as Method
    if (!request || !response) throw new Error(`Cannot find the messages of ${name}/${method.name} in proto/`)
    return [method.name, {
      path: `/${name}/${method.name}`, requestStream: method.requestStream === true, responseStream: method.responseStream === true,
      requestSerialize: toBytes(request), requestDeserialize: fromBytes(request), responseSerialize: toBytes(response), responseDeserialize: fromBytes(response),
    }]
  })
  return makeGenericClientConstructor(Object.fromEntries(methods), name)
}

// The generated types describe exactly these: a test compares the definitions with those of @grpc/proto-loader, which the types are made for.
export const NodeSync = client('merlon.v1.NodeSync') as unknown as SyncTypes['merlon']['v1']['NodeSync']
export const EventSink = client('merlon.v1.EventSink') as unknown as EventsTypes['merlon']['v1']['EventSink']
export const Enrolment = client('merlon.v1.Enrolment') as unknown as EnrolmentTypes['merlon']['v1']['Enrolment']
export const LogService = client('feeder.LogService') as unknown as FeederTypes['feeder']['LogService']

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
