// SPDX-License-Identifier: Apache-2.0
// Which version of a file is in force, and what all files together say. Pure.
import type { Finding, Policy } from '../policy/types.ts'
import type { Manifests, NamespaceManifest, NodeManifest, PodManifest, Refusal, SettingsManifest } from './library.ts'
import type { FoundFile } from './scan.ts'

/** Everything that the directory says now. */
export interface Snapshot {
  readonly policies: readonly Policy[]
  readonly refused: readonly Refusal[]
  readonly namespaces: readonly NamespaceManifest[]
  readonly pods: readonly PodManifest[]
  readonly nodes?: readonly NodeManifest[]
  readonly settings?: readonly SettingsManifest[]
  /** All that is to be said about the files as they are now. */
  readonly findings: readonly Finding[]
  /** Files of which an older version is in force, because the present one has errors. */
  readonly stale: readonly string[]
}

export interface KnownFile extends Manifests {
  readonly path: string
  readonly fingerprint: string
  /** What is in force has no errors. */
  readonly good: boolean
  /** What is in force is older than the file. */
  readonly stale: boolean
}

/**
 * A file is taken whole: a version with errors leaves the last good one in force. Where there was none yet (a bundle with a policy that
 * is not supported), what can be read of it holds, and a policy that could be read before and cannot now stays.
 */
export function inForce(file: FoundFile, before: KnownFile | undefined, read: Manifests): KnownFile {
  const { policies, refused, namespaces, pods, nodes = [], settings = [], findings } = read
  const head = { path: file.path, fingerprint: file.fingerprint, refused, nodes, settings }
  if (isGood(read)) return { ...head, policies, namespaces, pods, findings, good: true, stale: false }
  if (before?.good) {
    const kept = { policies: before.policies, namespaces: before.namespaces, pods: before.pods, nodes: before.nodes ?? [], settings: before.settings ?? [] }
    return { ...head, ...kept, findings: [...findings, staleFinding(file.path, kept.policies.length)], good: true, stale: true }
  }
  const kept = missing(before?.policies ?? [], policies)
  const note = kept.length > 0 ? [staleFinding(file.path, kept.length)] : []
  return { ...head, policies: [...policies, ...kept], namespaces, pods, findings: [...findings, ...note], good: false, stale: kept.length > 0 }
}

export function isGood({ findings }: Pick<Manifests, 'findings'>): boolean {
  return findings.every((finding) => finding.severity !== 'error')
}

function missing(before: readonly Policy[], now: readonly Policy[]): readonly Policy[] {
  const names = new Set(now.map(nameOf))
  return before.filter((policy) => !names.has(nameOf(policy)))
}

export function nameOf(policy: Pick<Policy, 'kind' | 'namespace' | 'name'>): string {
  return `${policy.kind}/${policy.namespace}/${policy.name}`
}

/** `files` in the order of their paths: of two objects of one name the first counts, as there can only be one in a cluster. */
export function combine(files: readonly KnownFile[]): Snapshot {
  const policies = new Map<string, Policy>()
  const findings: Finding[] = []
  for (const file of files) {
    findings.push(...file.findings)
    for (const policy of file.policies) {
      const first = policies.get(nameOf(policy))
      if (first === undefined) policies.set(nameOf(policy), policy)
      else findings.push(duplicateFinding(policy, first))
    }
  }
  return {
    policies: [...policies.values()],
    refused: files.flatMap((file) => file.refused),
    namespaces: files.flatMap((file) => file.namespaces),
    pods: files.flatMap((file) => file.pods),
    nodes: files.flatMap((file) => file.nodes ?? []),
    settings: files.flatMap((file) => file.settings ?? []),
    findings,
    stale: files.filter((file) => file.stale).map((file) => file.path),
  }
}

export function fileFinding(code: string, file: string, message: string, hint: string): Finding {
  return { code, severity: 'error', message, position: { file, line: 0, column: 0 }, text: '', hint }
}

function staleFinding(file: string, count: number): Finding {
  const what = count === 1 ? '1 policy of an earlier version' : `${count} policies of an earlier version`
  return { ...fileFinding('MERLON_OPERATOR_LAST_GOOD', file, `the file has errors: ${what} of it stays in force`, 'correct the errors, and the file as it is then takes over'), severity: 'warning' }
}

function duplicateFinding(policy: Policy, first: Policy): Finding {
  const { file, line } = first.position
  return {
    code: 'MERLON_OPERATOR_DUPLICATE_POLICY',
    severity: 'error',
    message: `${policy.kind} ${policy.name} is already defined at ${file}:${line}, which is in force; this one is not`,
    position: policy.position,
    text: policy.name,
    hint: 'give one of them another name, or remove it',
  }
}
