// SPDX-License-Identifier: Apache-2.0
// From a policy's tree, already valid by the schema, to a Policy: rules with everything inherited and names in normal form. Every rule that is
// written gives a Rule or a finding, at its place.
import { apparmorRules } from './apparmor.ts'
import { attributes, UNSAID } from './attributes.ts'
import { deviceRules } from './devices.ts'
import type { Node, Source } from './document.ts'
import { flowRules } from './flow-rules.ts'
import { Notes } from './notes.ts'
import { capabilityRules, networkRules, presetRules, syscallRules } from './object-rules.ts'
import { pathRules } from './path-rules.ts'
import { hostSelector, podSelector } from './selector.ts'
import { field, stringMap, text } from './tree.ts'
import { MODE_ANNOTATION, type Finding, type Kind, type Mode, type Policy, type Rule } from './types.ts'

export interface Identity {
  readonly kind: Kind
  readonly namespace: string
  readonly name: string
}

/** The policy, and findings; with an error among them the policy must not be used. */
export function normalise(root: Node, identity: Identity, source: Source): { readonly policy: Policy; readonly findings: readonly Finding[] } {
  const notes = new Notes(source)
  const spec = field(root, 'spec')
  const selection = selectionOf(spec, identity.kind, notes)
  const rules = rulesOf(spec, identity.kind, notes)
  if (rules.length === 0 && notes.findings.length === 0) notes.say('MERLON_POLICY_NO_RULES', root)
  const mode = modeOf(root, spec, notes)
  const policy: Policy = { ...identity, ...selection, ...(mode === undefined ? {} : { mode }), rules, position: notes.position(root) }
  return { policy, findings: notes.findings }
}

function rulesOf(spec: Node | undefined, kind: Kind, notes: Notes): readonly Rule[] {
  const inherited = attributes(spec, UNSAID)
  if (kind === 'KubeArmorNetworkPolicy') {
    const level = text(spec, 'level')?.toLowerCase()
    // Pods have a quota each unless the policy says otherwise; of a host there is one.
    const counted = level === 'policy' || (level === undefined && field(spec, 'selector') === undefined) ? 'policy' : 'pod'
    return (['ingress', 'egress'] as const).flatMap((section) => flowRules(section, spec, counted, { inherited, notes }))
  }
  return [
    ...pathRules('process', field(spec, 'process'), inherited, notes),
    ...pathRules('file', field(spec, 'file'), inherited, notes),
    ...networkRules(field(spec, 'network'), inherited, notes),
    ...capabilityRules(field(spec, 'capabilities'), inherited, notes),
    ...syscallRules(field(spec, 'syscalls'), inherited, notes),
    ...presetRules(field(spec, 'presets'), inherited, notes),
    ...deviceRules(field(spec, 'device'), inherited, notes),
    ...apparmorRules(field(spec, 'apparmor'), inherited, notes),
  ]
}

function selectionOf(spec: Node | undefined, kind: Kind, notes: Notes): Pick<Policy, 'selector' | 'nodeSelector' | 'selectsPods'> {
  const [pods, nodes] = [field(spec, 'selector'), field(spec, 'nodeSelector')]
  if (kind === 'KubeArmorHostPolicy') return { selector: hostSelector(nodes, notes) }
  if (kind !== 'KubeArmorNetworkPolicy') return { selector: podSelector(pods, notes) }
  if (pods === undefined) return { selector: hostSelector(nodes ?? spec, notes), selectsPods: false }
  const nodeSelector = stringMap(field(nodes, 'matchLabels'))
  return { selector: podSelector(pods, notes), selectsPods: true, ...(Object.keys(nodeSelector).length === 0 ? {} : { nodeSelector }) }
}

const MODES: readonly Mode[] = ['Enforce', 'Audit', 'Off']

/** The annotation counts before the spec, so that a policy can be switched without a change of what was reviewed. */
function modeOf(root: Node, spec: Node | undefined, notes: Notes): Mode | undefined {
  const annotation = field(field(field(root, 'metadata'), 'annotations'), MODE_ANNOTATION)
  if (annotation !== undefined) {
    const written = annotation.kind === 'scalar' ? String(annotation.value).toLowerCase() : ''
    const mode = MODES.find((each) => each.toLowerCase() === written)
    if (mode !== undefined) return mode
    notes.say('MERLON_POLICY_INVALID_MODE', annotation, { annotation: MODE_ANNOTATION })
  }
  const said = field(spec, 'mode')
  // YAML 1.1 reads an unquoted Off as false.
  if (said?.kind === 'scalar' && said.value === false) return 'Off'
  return MODES.find((each) => each === text(spec, 'mode'))
}
