// SPDX-License-Identifier: Apache-2.0
// Which classes of permitted operations of a workload are recorded: docs/semantics.md, "What is recorded".

/** Classes of operations that are recorded although no rule is about them, as KubeArmor names them; `none` is an empty list. */
export type Visibility = readonly string[]

export const CLASSES: readonly string[] = ['process', 'file', 'network', 'capabilities', 'dns', 'ima']
/** Those of which Merlon records anything. */
export const RECORDED: readonly string[] = ['process', 'file']

/** What each of those who may say something says; absent: nothing. */
export interface VisibilitySaid {
  /** A container's namespace, or the node of a host. */
  readonly own?: Visibility | undefined
  /** The settings' `visibility`, or of a host `hostVisibility`. */
  readonly settings?: Visibility | undefined
  /** A container's pod. */
  readonly pod?: Visibility | undefined
}

/**
 * In the order of CLASSES. A namespace or node that says something, be it `none`, does not inherit. A pod only narrows: KubeArmor's controller writes every
 * class onto every pod.
 */
export function visibleClasses({ own, settings, pod }: VisibilitySaid): Visibility {
  const asked = own ?? settings ?? []
  return CLASSES.filter((name) => asked.includes(name) && (pod === undefined || pod.includes(name)))
}

/** The words of an annotation or a setting, with commas between them. */
export function listed(text: string): readonly string[] {
  return text.split(',').map((word) => word.trim()).filter((word) => word !== '')
}

export function visibilityOf(text: string): Visibility {
  return listed(text).filter((word) => CLASSES.includes(word))
}
