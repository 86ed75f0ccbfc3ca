// SPDX-License-Identifier: Apache-2.0
// What rule, section and spec may each say, the innermost one counting.
import type { Node } from './document.ts'
import { field, integer, strings, text } from './tree.ts'
import type { Action, Rule } from './types.ts'

export type Attributes = Pick<Rule, 'action' | 'severity' | 'tags' | 'message'>

/** KubeArmor's default action. Severity 0 stands for none: the schema begins at 1. */
export const UNSAID: Attributes = { action: 'Block', severity: 0, tags: [], message: '' }

const NAMES = ['action', 'severity', 'tags', 'message'] as const

/** What rules have unless they say otherwise. */
export const PLAIN: Pick<Rule, 'readOnly' | 'ownerOnly' | 'sources'> = { readOnly: false, ownerOnly: false, sources: [] }

export function attributes(node: Node | undefined, inherited: Attributes): Attributes {
  if (node?.kind === 'map' && !NAMES.some((name) => node.entries.has(name))) return inherited
  const tags = strings(field(node, 'tags'))
  const action = text(node, 'action')
  return {
    action: isAction(action) ? action : inherited.action,
    severity: integer(node, 'severity') ?? inherited.severity,
    tags: tags.length > 0 ? tags : inherited.tags,
    message: text(node, 'message') || inherited.message,
  }
}

function isAction(value: string | undefined): value is Action {
  return value === 'Allow' || value === 'Audit' || value === 'Block'
}
