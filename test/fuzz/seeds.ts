// SPDX-License-Identifier: Apache-2.0
// Manifests in the shapes that people write, to be mutated: every kind, section and way of writing YAML. MERLON_CORPUS adds those of a directory.
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const head = (kind: string, name: string, namespace = ''): string =>
  `apiVersion: security.kubearmor.com/v1\nkind: ${kind}\nmetadata:\n  name: ${name}\n${namespace === '' ? '' : `  namespace: ${namespace} # change it\n`}`

const OWN: readonly string[] = [
  `${head('KubeArmorPolicy', 'block-shells', 'shop')}spec:
  severity: 5
  tags: ["MITRE", "T1059"]
  message: "A shell was started"
  selector:
    matchLabels:
      app: web
      kubearmor.io/container.name: "[web, sidecar]"
  process:
    matchPaths:
    - path: /bin/sh
      fromSource:
      - path: /usr/sbin/nginx
    - path: /usr/bin/wget
      ownerOnly: true
    - execname: nc
    matchDirectories:
    - dir: /tmp/
      recursive: true
    matchPatterns:
    - pattern: /opt/**/run-[a-z0-9]*.{sh,py}
  action:
    Block
`,
  `# Audits what is read.
${head('KubeArmorPolicy', 'audit-secrets', 'default')}spec:
    message: |
      secrets
      were read
    file:
      severity: 7
      action: Audit
      matchPaths: &paths
        - {path: /etc/shadow, readOnly: true, ownerOnly: true}
        - path: /etc/passwd
      matchDirectories:
        - dir: /var/run/secrets/kubernetes.io/
          recursive: true
          fromSource: [{path: /bin/cat}, {path: "/usr/bin/le ss"}]
      matchPatterns:
        - pattern: "/home/*/.ssh/{id_*,known_hosts}"
          action: Allow
    selector: {matchExpressions: [{key: label, operator: NotIn, values: [tier=db, "app=x y"]}]}
`,
  `${head('KubeArmorClusterPolicy', 'everywhere')}spec:
  selector:
    matchExpressions:
      - key: namespace
        operator: In
        values: [shop, bank]
      - {key: label, operator: Exists, values: [app]}
  process:
    matchDirectories: [{dir: /usr/sbin/, action: Allow}]
  network:
    matchProtocols:
    - protocol: tcp,UDP
      fromSource:
      - path: /usr/bin/curl
    - protocol: raw
  capabilities: {matchCapabilities: [{capability: net_raw}, {capability: SYS_ADMIN, fromSource: [{path: /bin/ping}]}]}
  action: Block
`,
  `${head('KubeArmorHostPolicy', 'host')}spec:
  nodeSelector: {matchLabels: {kubearmor.io/hostname: "*", kubernetes.io/hostnamereg: "node-.*"}}
  syscalls:
    matchSyscalls: [{syscall: [unlink, rmdir], fromSource: [{path: /bin/bash}, {dir: /usr/bin/, recursive: true}]}]
    matchPaths: [{syscall: [unlink], path: /home/, recursive: true}]
  device:
    matchDevice: [{class: MASS-STORAGE, level: 1}, {class: "0x08"}]
  file: {matchPaths: [{path: /etc/hosts}]}
`,
  `${head('KubeArmorPolicy', 'newer', 'shop')}spec:
  mode: Audit
  network: {matchDNSQueries: [{domain: evil.example.com}, {domain: "x.y."}]}
  presets: [{name: filelessExec, action: Block}, {name: cryptoMiner}]
  apparmor: |
    /etc/hosts r,
    deny network inet stream,
  process: {matchPaths: [{path: /usr/bin/python3, allowedArgs: ["-c", "x"], pts: false}]}
`,
  `${head('KubeArmorNetworkPolicy', 'net')}spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - from: [{ipBlock: {cidr: 10.0.0.0/8}}]
    ports: [{port: "80", endPort: 90, protocol: TCP}]
  egress:
  - to: [{ipBlock: {cidr: "fd00::/8"}}]
    action: Audit
`,
  `apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Namespace
  metadata: {name: shop, annotations: {kubearmor-file-posture: block, kubearmor-visibility: "process,file"}}
- apiVersion: v1
  kind: Pod
  metadata: {name: web-1, namespace: shop, labels: {app: web}, annotations: {kubearmor-policy: audited}}
  spec: {initContainers: [{name: init}], containers: [{name: web, image: "w:1"}]}
- apiVersion: v1
  kind: Node
  metadata: {name: node-1, labels: {kubernetes.io/hostname: node-1}}
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: web}
---
apiVersion: operator.kubearmor.com/v1
kind: KubeArmorConfig
metadata: {name: kubearmorconfig-default, namespace: kubearmor}
spec:
  defaultFilePosture: block
  defaultVisibility: process,network
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kubearmor-config, namespace: kubearmor}
data: {defaultFilePosture: audit, visibility: none}
`,
  '{"apiVersion":"security.kubearmor.com/v1","kind":"KubeArmorPolicy","metadata":{"name":"json","namespace":"shop"},"spec":{"selector":{"matchLabels":{}},"file":{"matchPaths":[{"path":"/a\\u0062"},{"path":"/é"}]},"action":"Block"}}',
  `${head('KubeArmorPolicy', 'merge', 'shop')}x: &rule {path: /bin/ls, severity: 4}
spec:
  process:
    matchPaths:
    - *rule
    - <<: *rule
      path: /bin/cat
---
${head('KubeArmorPolicy', 'crlf', 'shop')}spec: {file: {matchPatterns: [{pattern: "/a/**"}]}}
`.replaceAll('\n', '\r\n'),
]

/** Seeds, the project's own first. */
export function seeds(): readonly string[] {
  const corpus = process.env['MERLON_CORPUS']
  if (corpus === undefined) return OWN
  const files = globSync('**/*.{yaml,yml}', { cwd: corpus }).sort()
  if (files.length === 0) throw new Error(`MERLON_CORPUS holds no manifests: ${corpus}`)
  return [...OWN, ...files.map((file) => readFileSync(join(corpus, file), 'utf8')).filter((text) => text.length < 20_000)]
}
