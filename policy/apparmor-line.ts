// SPDX-License-Identifier: Apache-2.0
// One statement of AppArmor's language: those about files, capabilities and networks. Everything else is said to be something else.
import { capabilityName } from './object-rules.ts'
import { CAPABILITIES } from './names.ts'

export interface FileLine {
  readonly kind: 'file'
  /** AppArmor's glob; empty: every file (`file,`). */
  readonly path: string
  /** Letters of `rwalkmx`, each once; of an exec, how it goes on is not kept. */
  readonly permissions: string
  readonly owner: boolean
}

export type Line = { readonly deny: boolean; readonly audit: boolean } & (
  | FileLine
  | { readonly kind: 'capability'; readonly names: readonly string[] }
  | { readonly kind: 'network'; readonly protocol: string; readonly family: string }
)

export type LineResult = { readonly ok: true; readonly line: Line } | { readonly ok: false; readonly problem: string }

export interface Statement {
  readonly text: string
  /** Where it begins in the text that it is from. */
  readonly at: number
}

/**
 * One piece of the text: an escape, something quoted, a comment to the end of its line, an include to the end of its line, or a character.
 * AppArmor's include is the only statement without a comma.
 */
const PIECES = /\\[\s\S]|"(?:[^"\\]|\\[\s\S])*"|(?<=^|[\s,])#?include\b[^\n]*|(?<=^|[\s,])#[^\n]*|[\s\S]/g

/** Statements end at commas outside of quotes, braces and brackets. An unfinished one is one too. */
export function statements(text: string): readonly Statement[] {
  const found: Statement[] = []
  let statement = ''
  let start = 0
  let depth = 0
  const end = (): void => {
    const trimmed = statement.trim()
    if (trimmed !== '') found.push({ text: trimmed, at: start + statement.indexOf(trimmed) })
    statement = ''
  }
  for (const { 0: piece, index } of text.matchAll(PIECES)) {
    const whole = /^#?include/.test(piece)
    if (whole || statement === '') start = index
    if (whole) end()
    if (piece === ',' && depth <= 0) end()
    else if (whole || !piece.startsWith('#')) statement += piece
    if (whole) end()
    depth += '{['.includes(piece) ? 1 : '}]'.includes(piece) ? -1 : 0
  }
  end()
  return found
}

const QUALIFIERS = /^(?:(audit|deny|allow|owner|other)\b\s*)/

export function parseLine(statement: string): LineResult {
  const said = new Set<string>()
  let rest = statement
  for (let found = QUALIFIERS.exec(rest); found !== null; found = QUALIFIERS.exec(rest)) {
    said.add(found[1] ?? '')
    rest = rest.slice(found[0].length)
  }
  const common = { deny: said.has('deny'), audit: said.has('audit') }
  if (said.has('deny') && said.has('allow')) return no('it denies and allows')
  if (said.has('other')) return no('`other` has no counterpart')
  if (/^capability\b/.test(rest)) return capability(rest.slice('capability'.length), common)
  if (/^network\b/.test(rest)) return network(rest.slice('network'.length), common)
  return file(rest, { ...common, owner: said.has('owner') })
}

function no(problem: string): LineResult {
  return { ok: false, problem }
}

interface Common {
  readonly deny: boolean
  readonly audit: boolean
}

function capability(rest: string, common: Common): LineResult {
  const names = rest.split(/\s+/).filter((name) => name !== '').map(capabilityName)
  const unknown = names.find((name) => !CAPABILITIES.includes(name))
  if (unknown !== undefined) return no(`there is no capability ${unknown}`)
  return { ok: true, line: { ...common, kind: 'capability', names: names.length === 0 ? CAPABILITIES : names } }
}

const PROTOCOL_WORDS: readonly string[] = ['tcp', 'udp', 'icmp', 'icmpv6', 'sctp', 'dccp', 'stream', 'dgram', 'raw', 'rdm', 'seqpacket', 'packet']
/** Sockets of the two internet families that a type makes where the protocol is not named. */
const INTERNET: Readonly<Record<string, string>> = { stream: 'tcp', dgram: 'udp', tcp: 'tcp', udp: 'udp', icmp: 'icmp', icmpv6: 'icmpv6', sctp: 'sctp', dccp: 'dccp' }

function network(rest: string, common: Common): LineResult {
  const words = rest.split(/\s+/).filter((word) => word !== '')
  if (words[0] === 'inet' || words[0] === 'inet6') return internet(words[0], words.slice(1), common)
  const [protocol = 'all', ...more] = words
  if (more.length > 0) return no('only one type or protocol can be translated')
  if (protocol !== 'all' && !PROTOCOL_WORDS.includes(protocol)) return no(`${protocol} is no type and no protocol of which there are rules`)
  return { ok: true, line: { ...common, kind: 'network', protocol, family: '' } }
}

function internet(family: string, [word = '', ...more]: readonly string[], common: Common): LineResult {
  const protocol = INTERNET[word]
  if (protocol === undefined || more.length > 0) return no('a family without one protocol cannot be told apart')
  return { ok: true, line: { ...common, kind: 'network', protocol, family } }
}

/** Permissions, then perhaps how an execution goes on. */
const PERMISSIONS = /^(?:[rwalkm]|(?:[pPcCuU]?i?|[pPcC]?[uU]?)x)+$/

function file(rest: string, common: Common & { readonly owner: boolean }): LineResult {
  const [first = '', ...words] = tokens(rest)
  if (first === 'file' && words.length === 0) return { ok: true, line: { ...common, kind: 'file', path: '', permissions: 'rwx' } }
  const [one = '', other = '', ...more] = first === 'file' ? words : [first, ...words]
  const [path, permissions] = isPath(one) ? [one, other] : [other, one]
  if (!isPath(path)) return no('it is not about a file, a capability or a network')
  if (more.length > 0) return no('more follows the permissions')
  return fileLine(unquote(path), permissions, common)
}

function fileLine(path: string, permissions: string, common: Common & { readonly owner: boolean }): LineResult {
  if (!PERMISSIONS.test(permissions)) return no(permissions === '' ? 'it has no permissions' : `${permissions} are no permissions`)
  if (/[pPcCuU][iuU]?x/.test(permissions) && !common.deny) return no('how the execution goes on cannot be translated; only `ix` can')
  const expanded = expand(path)
  if (expanded === undefined) return no('the variable in its path is not known here')
  const letters = [...new Set(permissions.replaceAll(/[pPcCuUi]/g, ''))].sort().join('')
  return { ok: true, line: { ...common, kind: 'file', path: expanded, permissions: letters } }
}

function tokens(text: string): readonly string[] {
  return text.match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? []
}

function isPath(token: string): boolean {
  return /^(?:"?\/|"?@\{)/.test(token)
}

function unquote(token: string): string {
  return token.startsWith('"') && token.endsWith('"') ? token.slice(1, -1) : token
}

/** The variables of AppArmor's tunables that mean the same everywhere. */
const VARIABLES: Readonly<Record<string, string>> = { PROC: '/proc/', HOMEDIRS: '/home/', HOME: '/{home/*,root}/', sys: '/sys/', run: '/{,var/}run/', pid: '[1-9]*', pids: '[1-9]*', tid: '[1-9]*' }

function expand(path: string): string | undefined {
  let unknown = false
  const expanded = path.replaceAll(/@\{(\w+)\}/g, (_, name: string) => {
    const value = VARIABLES[name]
    unknown ||= value === undefined
    return value ?? ''
  })
  return unknown ? undefined : expanded.replaceAll(/\/{2,}/g, '/')
}
