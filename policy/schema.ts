// SPDX-License-Identifier: Apache-2.0
// What the API server checks before it stores a policy: KubeArmor's custom resource definitions, as data. `validate.ts` applies them.
import type { Kind } from './types.ts'

export type Schema =
  | { readonly type: 'object'; readonly fields: Readonly<Record<string, Schema>>; readonly required: readonly string[] }
  /** Any keys, values of one kind. */
  | { readonly type: 'map'; readonly values: Schema }
  | { readonly type: 'list'; readonly items: Schema; readonly most?: number }
  | { readonly type: 'string'; readonly format?: Format; readonly longest?: number; readonly oneOf?: readonly string[] }
  | { readonly type: 'integer'; readonly least?: number; readonly most?: number }
  | { readonly type: 'boolean' }
  | { readonly type: 'any' }

export interface Format {
  readonly pattern: RegExp
  /** Completes "must be ...". */
  readonly words: string
  readonly suggestion: string
}

type Fields = Readonly<Record<string, Schema>>

const object = (fields: Fields, required: readonly string[] = []): Schema => ({ type: 'object', fields, required })
const list = (items: Schema, most?: number): Schema => (most === undefined ? { type: 'list', items } : { type: 'list', items, most })
const text: Schema = { type: 'string' }
const flag: Schema = { type: 'boolean' }
const matching = (format: Format, longest?: number): Schema => (longest === undefined ? { type: 'string', format } : { type: 'string', format, longest })
const either = (...oneOf: readonly string[]): Schema => ({ type: 'string', oneOf })

const path = matching(
  { pattern: /^\/+.*[^/]$/, words: 'an absolute path without a slash at its end', suggestion: 'a directory belongs in matchDirectories, a path with wildcards in matchPatterns' },
  200,
)
const directory = matching({ pattern: /^\/$|^\/.*\/$/, words: 'an absolute path with a slash at its end', suggestion: 'begin and end it with a slash' })
const fileOrDirectory = matching({ pattern: /(^\/+.*[^/]$)|(^\/$|^\/.*\/$)/, words: 'an absolute path', suggestion: 'begin it with a slash' })
const execname = matching({ pattern: /^[^/]+$/, words: 'a file name without slashes', suggestion: 'a whole path belongs in path' })

// These two are anchored at their end only, as KubeArmor's are: lists such as `tcp,udp` and names such as `cap_net_raw` pass.
const protocol = matching({
  pattern:
    /(icmp|ICMP|tcp|TCP|udp|UDP|raw|RAW|sctp|SCTP|stream|STREAM|dgram|DGRAM|rdm|RDM|seqpacket|SEQPACKET|dccp|DCCP|packet|PACKET|icmpv6|ICMPV6|all|ALL)$/,
  words: 'a protocol',
  suggestion: 'use tcp, udp, icmp, icmpv6, sctp, raw, stream, dgram, seqpacket, rdm, dccp, packet or all',
})
const capability = matching({
  pattern:
    /(chown|dac_override|dac_read_search|fowner|fsetid|kill|setgid|setuid|setpcap|linux_immutable|net_bind_service|net_broadcast|net_admin|net_raw|ipc_lock|ipc_owner|sys_module|sys_rawio|sys_chroot|sys_ptrace|sys_pacct|sys_admin|sys_boot|sys_nice|sys_resource|sys_time|sys_tty_config|mknod|lease|audit_write|audit_control|setfcap|mac_override|mac_admin)$/,
  words: 'a capability',
  suggestion: 'use its name in lower case without CAP_, such as net_raw',
})

const action = either('Allow', 'Audit', 'Block')
const severity: Schema = { type: 'integer', least: 1, most: 10 }
/** What rules, sections and the spec all carry. */
const attributes: Fields = { severity, tags: list(text), message: text, action }
const { action: _, ...quietAttributes } = attributes

const sources = list(object({ path }))
const ownerOnly: Fields = { ownerOnly: flag }
const access: Fields = { readOnly: flag, ownerOnly: flag }
const rules = (fields: Fields, required: readonly string[] = []): Schema => list(object({ ...fields, ...attributes }, required))

const processSection = object({
  matchPaths: rules({ path, execname, allowedArgs: list(text, 20), pts: flag, fromSource: sources, ...ownerOnly }),
  matchDirectories: rules({ dir: directory, recursive: flag, pts: flag, fromSource: sources, ...ownerOnly }, ['dir']),
  matchPatterns: rules({ pattern: text, ...ownerOnly }, ['pattern']),
  ...attributes,
})
const fileSection = object({
  matchPaths: rules({ path, pts: flag, fromSource: sources, ...access }, ['path']),
  matchDirectories: rules({ dir: directory, recursive: flag, pts: flag, fromSource: sources, ...access }, ['dir']),
  matchPatterns: rules({ pattern: text, ...access }, ['pattern']),
  ...attributes,
})
const networkSection = (extra: Fields, required: readonly string[]): Schema =>
  object({
    matchProtocols: rules({ protocol, fromSource: sources, ...extra }, ['protocol', ...required]),
    matchDNSQueries: rules({ domain: text, fromSource: sources }, ['domain']),
    ...attributes,
  })
const capabilitiesSection = (required: readonly string[]): Schema =>
  object({ matchCapabilities: rules({ capability, fromSource: sources }, ['capability', ...required]), ...attributes })

// KubeArmor's own manifests write these directories without a slash at the end.
const syscallSources = list(object({ path, dir: fileOrDirectory, recursive: flag }))
const quietRules = (fields: Fields): Schema => list(object({ ...fields, ...quietAttributes }))
// The names of system calls are not checked yet: such a policy is refused as unsupported in any case.
const syscallsSection = object({
  matchSyscalls: quietRules({ syscall: list(text), fromSource: syscallSources }),
  matchPaths: quietRules({ path: fileOrDirectory, recursive: flag, syscall: list(text), fromSource: syscallSources }),
  ...quietAttributes,
})
const presets = list(object({ name: text, action }))
const level: Schema = { type: 'integer', least: 1, most: 2 ** 31 - 1 }
const int32: Schema = { type: 'integer', least: -(2 ** 31), most: 2 ** 31 - 1 }
const deviceSection = object({
  matchDevice: rules({ class: text, subClass: int32, protocol: int32, level }, ['class']),
  ...attributes,
})

const labels: Schema = { type: 'map', values: text }
const expressions = (...keys: readonly string[]): Schema => list(object({ key: either(...keys), operator: either('In', 'NotIn'), values: list(text) }))

const common: Fields = { process: processSection, file: fileSection, syscalls: syscallsSection, apparmor: text, ...attributes }
const inPods: Fields = { ...common, network: networkSection({ pts: flag }, []), capabilities: capabilitiesSection([]), presets }
const onHosts: Fields = {
  ...common,
  network: networkSection({}, ['fromSource']),
  capabilities: capabilitiesSection(['fromSource']),
  device: deviceSection,
}

/** Fields of ObjectMeta whose content nobody writes by hand are taken as they are. */
const any: Schema = { type: 'any' }
export const METADATA_SCHEMA: Schema = object({
  name: text,
  generateName: text,
  namespace: text,
  labels,
  annotations: labels,
  uid: text,
  resourceVersion: text,
  generation: { type: 'integer' },
  selfLink: text,
  creationTimestamp: any,
  deletionTimestamp: any,
  deletionGracePeriodSeconds: any,
  finalizers: list(text),
  ownerReferences: any,
  managedFields: any,
})
const policyKind = (spec: Schema): Schema => object({ apiVersion: text, kind: text, metadata: METADATA_SCHEMA, spec, status: object({ status: text }) })

/** Whole objects of each kind, apiVersion security.kubearmor.com/v1. */
export const POLICY_SCHEMAS: Readonly<Record<Exclude<Kind, 'KubeArmorNetworkPolicy'>, Schema>> = {
  KubeArmorPolicy: policyKind(object({ selector: object({ matchLabels: labels, matchExpressions: expressions('label') }), ...inPods })),
  KubeArmorClusterPolicy: policyKind(object({ selector: object({ matchExpressions: expressions('namespace', 'label') }), ...inPods })),
  KubeArmorHostPolicy: policyKind(object({ nodeSelector: object({ matchLabels: labels }), ...onHosts }, ['nodeSelector'])),
}
