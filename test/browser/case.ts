// SPDX-License-Identifier: Apache-2.0
// What the browser is asked to do: everything that policy/ does for a user, from text to a proven table and an explained verdict.
import { compile } from '../../policy/compile.ts'
import { dump, DUMPS } from '../../policy/dump.ts'
import { explain } from '../../policy/explain.ts'
import { lint } from '../../policy/lint.ts'
import { openTable } from '../../policy/lookup.ts'
import { makePlan } from '../../policy/plan.ts'
import { readPolicyTests, runPolicyTest } from '../../policy/policytest.ts'
import { NOWHERE } from '../../policy/postures.ts'
import { prove } from '../../policy/prove.ts'
import { readManifests } from '../../policy/read.ts'
import { renderJson, renderText } from '../../policy/render.ts'
import type { Question, Workload } from '../../policy/types.ts'
import { verifyTable } from '../../policy/verify.ts'

const MANIFEST = `apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata: {name: browser, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  severity: 3
  message: in a browser
  process:
    matchPaths:
      - path: /bin/sh
        fromSource: [{path: /usr/sbin/nginx}]
      - execname: nc
  file:
    matchDirectories: [{dir: /srv/é/, recursive: true, action: Allow, ownerOnly: true}]
    matchPatterns: [{pattern: "/**/{a,b,[0-9ä-ü]}?.k*y", action: Block}]
  nonsense: true
---
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata: {name: valid, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  process: {matchPaths: [{path: /bin/sh, fromSource: [{path: /usr/sbin/nginx}]}, {execname: nc}]}
  file:
    matchDirectories: [{dir: /srv/é/, recursive: true, action: Allow, ownerOnly: true}]
    matchPatterns: [{pattern: "/**/{a,b,[0-9ä-ü]}?.k*y", action: Block}]
`
const TESTS = `workload: {namespace: shop, labels: {app: web}}
tests:
  - {exec: /usr/bin/nc, expect: Block, policy: valid}
  - {open: /srv/é/x, expect: Allow}
  - {open: /etc/b1.key, write: true, expect: Block}
`
const WORKLOAD: Workload = { host: false, namespace: 'shop', pod: '', container: 'web', labels: { app: 'web' } }

function question(operation: Question['operation'], path: string, source?: string): Question {
  const encode = (text: string): Uint8Array => new TextEncoder().encode(text)
  return { operation, owner: true, path: encode(path), sources: source === undefined ? [] : [encode(source)] }
}

const QUESTIONS: readonly Question[] = [
  question('exec', '/usr/bin/sh', '/usr/sbin/nginx'),
  question('exec', '/usr/bin/sh'),
  question('exec', '/opt/nc'),
  question('read', '/srv/é/x/y'),
  question('write', '/tmp/ü1.kkey'),
  question('write', '/tmp/ß1.kkey'),
]

/** All answers as JSON, the same text wherever it runs. */
export function runCase(): string {
  const { policies } = readManifests(MANIFEST, 'browser.yaml')
  const options = { filePosture: 'block' } as const
  const plan = makePlan(policies, WORKLOAD, options)
  const report = lint([{ file: 'browser.yaml', text: MANIFEST }])
  const compiled = compile(plan)
  if (!compiled.ok) return JSON.stringify(compiled)
  const table = openTable(compiled.table)
  return JSON.stringify({
    hash: compiled.hash,
    stats: compiled.stats,
    verified: verifyTable(compiled.table),
    proof: prove(plan, compiled.table),
    dumps: DUMPS.map((step) => dump(plan, step)),
    lint: [renderJson(report), renderText(report, new Map([['browser.yaml', MANIFEST]]))],
    answers: QUESTIONS.map((each) => [table.decide(each), explain({ policies, workload: WORKLOAD, options }, each)]),
    tests: readPolicyTests(TESTS, 'browser.policytest.yaml').tests.map((test) => runPolicyTest(test, policies, NOWHERE).problem),
  })
}
