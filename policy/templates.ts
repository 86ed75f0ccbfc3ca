// SPDX-License-Identifier: Apache-2.0
// Pods that do not exist yet: what Deployments and their like make. Only for checking selectors: who enforces looks at pods.
import type { Node } from './document.ts'
import { podFacts, type PodFacts } from './facts.ts'
import type { Notes } from './notes.ts'
import { field, text } from './tree.ts'

/** Where the template is, by API group and kind. */
const TEMPLATES: Readonly<Record<string, readonly string[]>> = {
  'apps Deployment': ['spec', 'template'],
  'apps StatefulSet': ['spec', 'template'],
  'apps DaemonSet': ['spec', 'template'],
  'apps ReplicaSet': ['spec', 'template'],
  'batch Job': ['spec', 'template'],
  'batch CronJob': ['spec', 'jobTemplate', 'spec', 'template'],
}

export const TEMPLATE_KINDS: readonly string[] = Object.keys(TEMPLATES).map((key) => key.slice(key.indexOf(' ') + 1))

/** The pod that an object makes, by the object's name; undefined where it makes none that can be known. */
export function podTemplate(root: Node, kind: string, version: string, notes: Notes): PodFacts | undefined {
  const key = `${version.split('/', 1)[0]} ${kind}`
  const path = Object.hasOwn(TEMPLATES, key) ? TEMPLATES[key] : undefined
  const template = path?.reduce<Node | undefined>((node, name) => field(node, name), root)
  if (template?.kind !== 'map') return undefined
  const metadata = field(root, 'metadata')
  return { ...podFacts(template, notes), name: text(metadata, 'name') ?? '', namespace: text(metadata, 'namespace') ?? 'default', position: notes.position(root) }
}
