// SPDX-License-Identifier: Apache-2.0
// Texts that are made to cost time or memory. Run as a worker of heavy.test.ts, which bounds its memory: reads those that it is sent the names of, and says how that went.
import { parentPort } from 'node:worker_threads'
import { evaluate } from '../../policy/evaluate.ts'
import { lint } from '../../policy/lint.ts'
import { makePlan } from '../../policy/plan.ts'
import { readManifests } from '../../policy/read.ts'
import { ask } from '../../policy/testing.ts'

export interface Heard {
  readonly policies: number
  readonly codes: readonly string[]
}

const policy = (spec: string): string => `apiVersion: security.kubearmor.com/v1\nkind: KubeArmorPolicy\nmetadata: {name: p, namespace: shop}\nspec:\n  ${spec}\n`
const pattern = (text: string): string => policy(`file: {matchPatterns: [{pattern: ${JSON.stringify(text)}}]}`)
const patterns = (count: number, text: (index: number) => string): string => policy(`file:\n    matchPatterns:\n${Array.from({ length: count }, (_, i) => `    - pattern: ${JSON.stringify(text(i))}`).join('\n')}`)
const laughs = (levels: number, line: (level: number) => string): string => ['a0: &a0 {k: v}', ...Array.from({ length: levels }, (_, i) => line(i + 1))].join('\n')

/** By name, so that a worker makes its own text: none is carried over. */
export const HEAVY: Readonly<Record<string, () => string>> = {
  'a star after every letter': () => pattern('/a*a*a*a*b'),
  'a thousand stars': () => pattern(`/${'a*'.repeat(1000)}b`),
  'stars across directories': () => pattern(`/${'**/a*'.repeat(300)}/b`),
  'ten thousand braces that open': () => pattern(`/${'{'.repeat(10_000)}`),
  'four thousand braces that open': () => pattern(`/${'{'.repeat(4000)}`),
  'ten thousand braces in YAML': () => '{'.repeat(10_000),
  'braces within braces': () => pattern(`/${'{a,'.repeat(16)}b${'}'.repeat(16)}`),
  'five hundred choices': () => pattern(`/${'{a,b}'.repeat(500)}`),
  'a thousand empty choices': () => pattern(`/${'{,}'.repeat(500)}*`),
  'choices of stars': () => pattern(`/${'{*,**,?}'.repeat(200)}x`),
  'question marks after a star': () => pattern(`/**a${'?'.repeat(60)}`),
  'sets of all of Unicode': () => pattern(`/${'[!a-\u{10ffff}]'.repeat(200)}`),
  'a thousand patterns that multiply': () => patterns(1000, (i) => `/**/a${i}*b*c`),
  'patterns that remember': () => patterns(8, (i) => `/**${String.fromCharCode(97 + (i % 26))}?????????${i}`),
  'ten thousand paths': () => policy(`file:\n    matchPaths:\n${Array.from({ length: 10_000 }, (_, i) => `    - {path: /srv/${i % 97}/${i}}`).join('\n')}`),
  'lists within lists': () => '['.repeat(50_000),
  'maps within maps': () => '{a: '.repeat(20_000),
  'nested by indentation': () => Array.from({ length: 3000 }, (_, i) => `${' '.repeat(i)}a:`).join('\n'),
  'a closed nest in a policy': () => policy(`file: {matchPaths: ${'['.repeat(2000)}${']'.repeat(2000)}}`),
  'lists that double': () => laughs(40, (i) => `a${i}: &a${i} [*a${i - 1}, *a${i - 1}]`),
  'merges that double': () => laughs(40, (i) => `a${i}: &a${i} {<<: [*a${i - 1}, *a${i - 1}], k${i}: *a${i - 1}}`),
  'an alias within itself': () => 'a: &a {b: [*a, *a], <<: *a}',
  'anchors without number': () => Array.from({ length: 20_000 }, (_, i) => `- &a${i} x`).join('\n'),
  'an anchor of a megabyte': () => `&${'a'.repeat(1 << 20)} x`,
  'a key of a megabyte': () => `${'k'.repeat(1 << 20)}: x`,
  'a path of a megabyte': () => policy(`file: {matchPaths: [{path: /${'a'.repeat(1 << 20)}}]}`),
  'a label of a megabyte': () => policy(`selector: {matchLabels: {a: ${'b'.repeat(1 << 20)}}}`),
  'fifty thousand documents': () => '---\n'.repeat(50_000),
  'two thousand policies': () => `${policy('file: {matchPaths: [{path: /x}]}')}---\n`.repeat(2000),
  'the same key, again and again': () => 'a: 1\n'.repeat(20_000),
  'the same path, again and again': () => policy(`file: {matchPaths: [${'{path: /x}, '.repeat(5000)}]}`),
  'a string that is not closed': () => `a: "${'x\n'.repeat(200_000)}`,
  'a block that is indented far': () => `a: |9\n${' '.repeat(1 << 20)}x`,
  'eight megabytes of comment': () => `#${'x'.repeat(8 * 1024 * 1024 - 2)}`,
  'more than eight megabytes': () => 'x'.repeat(8 * 1024 * 1024 + 1),
  'a long number': () => `a: ${'9'.repeat(1 << 20)}`,
  'a regular expression that goes back': () =>
    `apiVersion: security.kubearmor.com/v1\nkind: KubeArmorHostPolicy\nmetadata: {name: p}\nspec: {nodeSelector: {matchLabels: {kubearmor.io/hostnamereg: "(a+)+b"}}, file: {matchPaths: [{path: /x}]}}\n`,
  'tabs, two hundred thousand': () => `a: b${'\t'.repeat(200_000)}`,
  'names that nearly fit': () => `apiVersion: security.kubearmor.com/v1\nkind: KubeArmorPolicy\nmetadata: {name: ${'a-'.repeat(100_000)}}\nspec: {}\n`,
}

/** The linter reads, compiles and looks through each policy; the evaluator is asked apart. */
function hear(text: string): Heard {
  const { policies, findings } = readManifests(text, 'x.yaml')
  const codes = new Set([...findings, ...lint([{ file: 'x.yaml', text }]).findings].map(({ code }) => code))
  for (const policy of policies) {
    const workload = { host: policy.kind === 'KubeArmorHostPolicy', namespace: policy.namespace, pod: '', container: '', labels: policy.selector.matchLabels }
    const plan = makePlan([policy], workload, { filePosture: 'block' })
    // A path that nearly matches is what makes a matcher go back.
    if (plan.clauses.length < 100) evaluate(plan, ask('read', `/${'a'.repeat(2000)}/${'a'.repeat(2000)}`))
    if (policies.length > 10) break
  }
  return { policies: policies.length, codes: [...codes] }
}

parentPort?.on('message', (name: string) => parentPort!.postMessage(hear(HEAVY[name]!())))
