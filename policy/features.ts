// SPDX-License-Identifier: Apache-2.0
// Features that KubeArmor's schema allows and that we do not enforce yet. A policy that uses one is refused aloud, never partly enforced.
// To lift a feature, delete its line here and give normalise.ts its rules.
import type { Node, Source } from './document.ts'
import { finding, type FindingCode } from './findings.ts'
import type { Finding } from './types.ts'
import { field } from './validate.ts'

const SECTIONS: readonly (readonly [path: readonly string[], code: FindingCode])[] = [
  [['network', 'matchProtocols'], 'MERLON_POLICY_UNSUPPORTED_NETWORK'],
  [['network', 'matchDNSQueries'], 'MERLON_POLICY_UNSUPPORTED_DNS'],
  [['capabilities', 'matchCapabilities'], 'MERLON_POLICY_UNSUPPORTED_CAPABILITIES'],
  [['syscalls', 'matchSyscalls'], 'MERLON_POLICY_UNSUPPORTED_SYSCALLS'],
  [['syscalls', 'matchPaths'], 'MERLON_POLICY_UNSUPPORTED_SYSCALLS'],
  [['presets'], 'MERLON_POLICY_UNSUPPORTED_PRESETS'],
  [['apparmor'], 'MERLON_POLICY_UNSUPPORTED_APPARMOR'],
  [['device', 'matchDevice'], 'MERLON_POLICY_UNSUPPORTED_DEVICE'],
]

/** Fields of process and file rules. */
const RULE_FIELDS: readonly (readonly [name: string, code: FindingCode])[] = [
  ['pts', 'MERLON_POLICY_UNSUPPORTED_PTS'],
  ['allowedArgs', 'MERLON_POLICY_UNSUPPORTED_ARGUMENTS'],
]

/** One finding for each unsupported section, at the section. */
export function unsupportedSections(spec: Node | undefined, source: Source): readonly Finding[] {
  return SECTIONS.flatMap(([path, code]) => {
    const node = path.reduce<Node | undefined>(field, spec)
    return node === undefined || saysNothing(node) ? [] : [finding(code, source.place(node.span))]
  })
}

/** One finding for each unsupported field of a process or file rule. */
export function unsupportedFields(rule: Node, source: Source): readonly Finding[] {
  return RULE_FIELDS.flatMap(([name, code]) => {
    const node = field(rule, name)
    return node === undefined || saysNothing(node) ? [] : [finding(code, source.place(node.span))]
  })
}

function saysNothing(node: Node): boolean {
  if (node.kind === 'list') return node.items.length === 0
  return node.kind === 'scalar' && typeof node.value === 'string' && node.value.trim() === ''
}
