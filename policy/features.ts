// SPDX-License-Identifier: Apache-2.0
// What rules may ask for that the kernel side does not enforce yet. Who enforces refuses a policy that asks for it, whole and aloud: a policy
// that is enforced in part looks like one that is enforced. To lift a feature, delete its line here.
import type { FindingCode } from './findings.ts'
import type { Rule, Section } from './types.ts'

const SECTIONS: Readonly<Partial<Record<Section, FindingCode>>> = {
  network: 'MERLON_POLICY_UNSUPPORTED_NETWORK',
  dns: 'MERLON_POLICY_UNSUPPORTED_DNS',
  capabilities: 'MERLON_POLICY_UNSUPPORTED_CAPABILITIES',
  syscalls: 'MERLON_POLICY_UNSUPPORTED_SYSCALLS',
  device: 'MERLON_POLICY_UNSUPPORTED_DEVICE',
  preset: 'MERLON_POLICY_UNSUPPORTED_PRESETS',
  ingress: 'MERLON_POLICY_UNSUPPORTED_FLOWS',
  egress: 'MERLON_POLICY_UNSUPPORTED_FLOWS',
}

const FIELDS: readonly (readonly [asks: (rule: Rule) => boolean, code: FindingCode])[] = [
  [({ pts }) => pts !== undefined, 'MERLON_POLICY_UNSUPPORTED_PTS'],
  [({ allowedArgs = [] }) => allowedArgs.length > 0, 'MERLON_POLICY_UNSUPPORTED_ARGUMENTS'],
]

const NONE: readonly FindingCode[] = []

/** Codes of what a rule asks for in vain, each once. */
export function unenforced(rule: Rule): readonly FindingCode[] {
  const section = SECTIONS[rule.section]
  // Most rules: policies have ten thousand of them.
  if (section === undefined && !FIELDS.some(([asks]) => asks(rule))) return NONE
  return [...(section === undefined ? [] : [section]), ...FIELDS.flatMap(([asks, code]) => (asks(rule) ? [code] : []))]
}
