// SPDX-License-Identifier: Apache-2.0
// Every form of a rule, with what to try under it. What is to come of each try is nowhere here: evaluate.ts says it (expect.ts).
import type { Posture } from '../../policy/types.ts'
import type { Try } from './expect.ts'

export interface Form {
  readonly name: string
  /** Tried together with others, too. */
  readonly isCore?: true
  /** YAML of one rule, and the list that it belongs to. */
  readonly rule: string
  readonly list: 'matchPaths' | 'matchDirectories' | 'matchPatterns'
}

export const SECTIONS = ['process', 'file'] as const
export type SectionName = (typeof SECTIONS)[number]

/** What policies do, and what they do with the rest. */
export const MODES = [
  { action: 'Block', posture: 'block' }, { action: 'Audit', posture: 'block' }, { action: 'Allow', posture: 'block' }, { action: 'Allow', posture: 'audit' },
] as const satisfies readonly { action: string; posture: Posture }[]
export type Mode = (typeof MODES)[number]

const fromA = 'fromSource: [{path: /t/agents/a}]'

const PROCESS: readonly Form[] = [
  { name: 'path', isCore: true, list: 'matchPaths', rule: '{path: /t/bin/one}' },
  { name: 'path through a merged-usr link', isCore: true, list: 'matchPaths', rule: '{path: /bin/linked}' },
  { name: 'execname', isCore: true, list: 'matchPaths', rule: '{execname: three}' },
  { name: 'directory', list: 'matchDirectories', rule: '{dir: /t/bin/}' },
  { name: 'directory, recursive', isCore: true, list: 'matchDirectories', rule: '{dir: /t/bin/, recursive: true}' },
  { name: 'pattern *', list: 'matchPatterns', rule: '{pattern: "/t/bin/t*"}' },
  { name: 'pattern **', isCore: true, list: 'matchPatterns', rule: '{pattern: "/t/**/t*"}' },
  { name: 'pattern ?', list: 'matchPatterns', rule: '{pattern: "/t/bin/?wo"}' },
  { name: 'pattern [a-o]', list: 'matchPatterns', rule: '{pattern: "/t/bin/[a-o]ne"}' },
  { name: 'pattern [!a-o]', list: 'matchPatterns', rule: '{pattern: "/t/bin/[!a-o]*"}' },
  { name: 'pattern {,}', list: 'matchPatterns', rule: '{pattern: "/t/bin/{two,deep/er/three}"}' },
  { name: 'pattern, ownerOnly', list: 'matchPatterns', rule: '{pattern: "/t/bin/o*", ownerOnly: true}' },
  { name: 'path from a source', isCore: true, list: 'matchPaths', rule: `{path: /t/bin/one, ${fromA}}` },
  { name: 'directory from a source', list: 'matchDirectories', rule: `{dir: /t/bin/, recursive: true, ${fromA}}` },
  { name: 'path, ownerOnly', isCore: true, list: 'matchPaths', rule: '{path: /t/bin/own, ownerOnly: true}' },
  { name: 'directory, ownerOnly, from a source', list: 'matchDirectories', rule: `{dir: /t/bin/, ownerOnly: true, ${fromA}}` },
]

const FILE: readonly Form[] = [
  { name: 'path', isCore: true, list: 'matchPaths', rule: '{path: /t/data/a.txt}' },
  { name: 'path that is not ASCII', list: 'matchPaths', rule: '{path: /t/data/é.txt}' },
  { name: 'directory', list: 'matchDirectories', rule: '{dir: /t/data/}' },
  { name: 'directory, recursive', isCore: true, list: 'matchDirectories', rule: '{dir: /t/data/, recursive: true}' },
  { name: 'pattern *', list: 'matchPatterns', rule: '{pattern: "/t/data/*.txt"}' },
  { name: 'pattern **', isCore: true, list: 'matchPatterns', rule: '{pattern: "/t/**.txt"}' },
  { name: 'pattern ?', list: 'matchPatterns', rule: '{pattern: "/t/data/?.txt"}' },
  { name: 'pattern [!a]', list: 'matchPatterns', rule: '{pattern: "/t/data/[!a].txt"}' },
  { name: 'pattern {,}', list: 'matchPatterns', rule: '{pattern: "/t/{data/a,data}.{txt,log}"}' },
  { name: 'pattern, readOnly', list: 'matchPatterns', rule: '{pattern: "/t/data/*.txt", readOnly: true}' },
  { name: 'pattern, ownerOnly', list: 'matchPatterns', rule: '{pattern: "/t/data/o*", ownerOnly: true}' },
  { name: 'path from a source', isCore: true, list: 'matchPaths', rule: `{path: /t/data/a.txt, ${fromA}}` },
  { name: 'directory from a source', list: 'matchDirectories', rule: `{dir: /t/data/, recursive: true, ${fromA}}` },
  { name: 'path, readOnly', isCore: true, list: 'matchPaths', rule: '{path: /t/data/a.txt, readOnly: true}' },
  { name: 'directory, readOnly', list: 'matchDirectories', rule: '{dir: /t/data/, recursive: true, readOnly: true}' },
  { name: 'path, ownerOnly', isCore: true, list: 'matchPaths', rule: '{path: /t/data/own.txt, ownerOnly: true}' },
  { name: 'directory, readOnly, ownerOnly', isCore: true, list: 'matchDirectories', rule: '{dir: /t/data/, readOnly: true, ownerOnly: true}' },
  { name: 'path, readOnly, from a source', list: 'matchPaths', rule: `{path: /t/data/a.txt, readOnly: true, ${fromA}}` },
]

export const FORMS: Readonly<Record<SectionName, readonly Form[]>> = { process: PROCESS, file: FILE }

const A = '/t/agents/a'
const B = '/t/agents/b'

export const TRIES: Readonly<Record<SectionName, readonly Try[]>> = {
  process: [
    ...['/t/bin/one', '/t/bin/two', '/t/bin/deep/er/three', '/bin/linked', '/usr/bin/plain', '/t/bin/own'].map((path): Try => ({ verb: 'exec', path })),
    { verb: 'exec', path: '/t/bin/own', uid: 1000 },
    { verb: 'exec', path: '/t/bin/one', uid: 1000 },
    { verb: 'exec', path: '/t/bin/one', via: [A] },
    { verb: 'exec', path: '/t/bin/one', via: [B] },
    { verb: 'exec', path: '/t/bin/two', via: [A, B] },
    { verb: 'read', path: '/t/bin/one' },
  ],
  file: [
    ...['/t/data/a.txt', '/t/data/b.log', '/t/data/sub/c.txt', '/t/data/é.txt', '/t/data.txt', '/t/data/own.txt'].map((path): Try => ({ verb: 'read', path })),
    { verb: 'write', path: '/t/data/a.txt' },
    { verb: 'write', path: '/t/data/own.txt' },
    { verb: 'read', path: '/t/data/own.txt', uid: 1000 },
    { verb: 'write', path: '/t/data/own.txt', uid: 1000 },
    { verb: 'read', path: '/t/data/a.txt', via: [A] },
    { verb: 'write', path: '/t/data/a.txt', via: [A] },
    { verb: 'read', path: '/t/data/a.txt', via: [B] },
  ],
}

/** Spec of a policy with some forms. An allow-list names the agents as well, which could not start otherwise. */
export function specOf(section: SectionName, forms: readonly Form[], { action }: Mode): string {
  const lists = { matchPaths: [] as string[], matchDirectories: action === 'Allow' ? ['{dir: /t/agents/}'] : [], matchPatterns: [] as string[] }
  for (const form of forms) lists[form.list].push(form.rule)
  const lines = Object.entries(lists).filter(([, rules]) => rules.length > 0).map(([list, rules]) => `    ${list}: [${rules.join(', ')}]\n`)
  return `  ${section}:\n${lines.join('')}  action: ${action}`
}
