// SPDX-License-Identifier: Apache-2.0
// Manifests for tests, as people write them.

export interface PolicyText {
  readonly name: string
  readonly namespace?: string
  readonly path?: string
  readonly action?: string
  readonly app?: string
  readonly message?: string
}

export function policyText({ name, namespace = 'default', path = '/bin/ls', action = 'Block', app = 'web', message = '' }: PolicyText): string {
  return `---
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata: {name: ${name}, namespace: ${namespace}}
spec:
  message: "${message}"
  selector: {matchLabels: {app: ${app}}}
  process:
    matchPaths: [{path: ${path}}]
  action: ${action}
`
}

export function hostPolicyText(name: string, label: string): string {
  return `---
apiVersion: security.kubearmor.com/v1
kind: KubeArmorHostPolicy
metadata: {name: ${name}}
spec:
  nodeSelector: {matchLabels: {${label}}}
  process:
    matchPaths: [{path: /bin/ls}]
  action: Block
`
}

export function podText(name: string, app: string, parts: { readonly namespace?: string; readonly uid?: string; readonly containers?: readonly string[] } = {}): string {
  const { namespace = 'default', uid = '', containers = ['main'] } = parts
  return `---
apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: ${namespace}, uid: "${uid}", labels: {app: ${app}}}
spec:
  containers: [${containers.map((container) => `{name: ${container}, image: "image-of-${container}"}`).join(', ')}]
`
}

export function namespaceText(name: string, posture: string): string {
  return `---
apiVersion: v1
kind: Namespace
metadata: {name: ${name}, annotations: {kubearmor-file-posture: ${posture}}}
`
}

/** Not YAML, in the third line. */
export const BROKEN = 'apiVersion: security.kubearmor.com/v1\nkind: KubeArmorPolicy\nmetadata: {name: [\n'
