// SPDX-License-Identifier: Apache-2.0
// What namespaces, nodes and settings say that cannot be understood or done. They have no status that could tell it.
import type { Finding } from '../../policy/types.ts'
import type { PolicyLibrary } from '../library.ts'
import type { KubeObject } from './api.ts'

const PREFIX = 'kubearmor-'

/** Of the annotations that mean something here; most objects have none. */
export function remarksOn(kind: 'Namespace' | 'Node', { metadata }: KubeObject, library: Pick<PolicyLibrary, 'readObject'>): { readonly findings?: readonly Finding[] } {
  const { name = '', annotations = {} } = metadata ?? {}
  const ours = Object.entries(annotations).filter(([key]) => key.startsWith(PREFIX))
  if (ours.length === 0) return {}
  const { findings } = library.readObject({ apiVersion: 'v1', kind, metadata: { name, annotations: Object.fromEntries(ours) } }, `${kind}/${name}`)
  return findings.length === 0 ? {} : { findings }
}

/** Says each finding once, for as long as its object has it. */
export class Remarks {
  readonly #say: (finding: Finding) => void
  readonly #said = new Map<string, ReadonlySet<string>>()

  constructor(say: (finding: Finding) => void) {
    this.#say = say
  }

  /** `object` names what the findings are about; none: it is gone, or has none any more. */
  note(object: string, findings: readonly Finding[] = []): void {
    const before = this.#said.get(object)
    const texts = new Map(findings.map((finding) => [JSON.stringify(finding), finding]))
    if (texts.size === 0) this.#said.delete(object)
    else this.#said.set(object, new Set(texts.keys()))
    for (const [text, finding] of texts) if (before?.has(text) !== true) this.#say(finding)
  }
}
