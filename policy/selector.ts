// SPDX-License-Identifier: Apache-2.0
// Selectors of policies, from the tree.
import type { Node } from './document.ts'
import type { Notes } from './notes.ts'
import { CONTAINER_LABEL, containerNames, HOST_REGEX_LABELS, hostRegex } from './select.ts'
import { field, items, stringMap, strings, text } from './tree.ts'
import type { LabelExpression, Selector } from './types.ts'

type Operator = LabelExpression['operator']
const OPERATORS: readonly string[] = ['In', 'NotIn', 'Exists', 'DoesNotExist'] satisfies readonly Operator[]

export function podSelector(node: Node | undefined, notes: Notes): Selector {
  const { [CONTAINER_LABEL]: restriction, ...matchLabels } = stringMap(field(node, 'matchLabels'))
  if (restriction !== undefined) checkBrackets(node, restriction, notes)
  const matchExpressions = items(field(node, 'matchExpressions')).map((item) => expression(item, notes))
  return { matchLabels, matchExpressions, containers: restriction === undefined ? [] : containerNames(restriction) }
}

export function hostSelector(node: Node | undefined, notes: Notes): Selector {
  const matchLabels = stringMap(field(node, 'matchLabels'))
  checkHostLabels(node, matchLabels, notes)
  return { matchLabels, matchExpressions: [], containers: [] }
}

/** The schema requires neither key nor operator; an expression without one holds for nobody. */
function expression(item: Node, notes: Notes): LabelExpression {
  const key = text(item, 'key')
  const operator = text(item, 'operator')
  const values = strings(field(item, 'values'))
  if ((key !== 'label' && key !== 'namespace') || !isOperator(operator)) {
    notes.say('MERLON_POLICY_SELECTS_NOTHING', item, { problem: 'an expression lacks its key or operator', suggestion: 'add both' })
    return { key: 'label', operator: 'In', values: [] }
  }
  const named = operator === 'Exists' || operator === 'DoesNotExist'
  const odd = key === 'label' ? values.find((value) => value.includes('=') === named) : undefined
  if (odd !== undefined && named) notes.say('MERLON_POLICY_SELECTS_NOTHING', item, { problem: `${odd} is no key of a label`, suggestion: 'write the key alone' })
  else if (odd !== undefined) notes.say('MERLON_POLICY_SELECTS_NOTHING', item, { problem: `${odd} is no label`, suggestion: 'write values as key=value' })
  return { key, operator, values }
}

function isOperator(value: string | undefined): value is Operator {
  return value !== undefined && OPERATORS.includes(value)
}

function checkHostLabels(node: Node | undefined, labels: Readonly<Record<string, string>>, notes: Notes): void {
  const place = field(node, 'matchLabels') ?? node
  if (place === undefined) return
  if (Object.keys(labels).length === 0) {
    notes.say('MERLON_POLICY_SELECTS_NOTHING', place, {
      problem: 'an empty nodeSelector selects no host',
      suggestion: 'use kubearmor.io/hostname: "*" for every host',
    })
  }
  for (const label of HOST_REGEX_LABELS) {
    const value = labels[label]
    if (value !== undefined && hostRegex(value) === undefined) notes.say('MERLON_POLICY_INVALID_REGEX', field(place, label) ?? place)
  }
}

function checkBrackets(node: Node | undefined, restriction: string, notes: Notes): void {
  const place = field(field(node, 'matchLabels'), CONTAINER_LABEL)
  if (place !== undefined && restriction.trim().startsWith('[') !== restriction.trim().endsWith(']')) notes.say('MERLON_POLICY_CONTAINER_LIST', place)
}
