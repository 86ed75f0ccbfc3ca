// SPDX-License-Identifier: Apache-2.0
// Rules of what is no path: network, DNS, capabilities, system calls, presets and devices.
import { attributes, PLAIN, type Attributes } from './attributes.ts'
import type { Node } from './document.ts'
import { domainProblem, normaliseDomain } from './domain.ts'
import { CAPABILITIES, PRESETS, PROTOCOLS } from './names.ts'
import type { Notes } from './notes.ts'
import { pathOf, sourcesOf } from './path-rules.ts'
import { nearest } from './spelling.ts'
import { SYSCALL_NUMBERS } from './syscalls.ts'
import { field, items, stringOf, strings, text, triState, truth } from './tree.ts'
import type { Directory, Match, Rule, Section } from './types.ts'

export function networkRules(node: Node | undefined, spec: Attributes, notes: Notes): readonly Rule[] {
  if (node === undefined) return []
  const inherited = attributes(node, spec)
  const protocols = items(field(node, 'matchProtocols')).flatMap((rule) =>
    sourced('network', rule, names(rule, 'protocol', notes, (each) => each.toLowerCase()).flatMap((written): readonly Match[] => {
      const protocol = known(written, [...PROTOCOLS.keys()], field(rule, 'protocol') ?? rule, notes)
      return protocol === undefined ? [] : [{ kind: 'protocol', protocol }]
    }), { inherited, notes }),
  )
  const queries = items(field(node, 'matchDNSQueries')).flatMap((rule) => sourced('dns', rule, domains(rule, notes), { inherited, notes }))
  return [...protocols, ...queries]
}

function domains(rule: Node, notes: Notes): readonly Match[] {
  return names(rule, 'domain', notes, (each) => (each === '' ? each : normaliseDomain(each) || '.')).flatMap((domain) => {
    const problem = domainProblem(domain)
    if (problem === undefined) return [{ kind: 'domain', domain } as const]
    notes.say('MERLON_POLICY_INVALID_DOMAIN', field(rule, 'domain') ?? rule, { ...problem })
    return []
  })
}

export function capabilityRules(node: Node | undefined, spec: Attributes, notes: Notes): readonly Rule[] {
  if (node === undefined) return []
  const inherited = attributes(node, spec)
  return items(field(node, 'matchCapabilities')).flatMap((rule) =>
    sourced('capabilities', rule, names(rule, 'capability', notes, capabilityName).flatMap((written): readonly Match[] => {
      const capability = known(written, CAPABILITIES, field(rule, 'capability') ?? rule, notes)
      return capability === undefined ? [] : [{ kind: 'capability', capability }]
    }), { inherited, notes }),
  )
}

export function capabilityName(written: string): string {
  return written.toLowerCase().replace(/^cap_/, '')
}

interface Context {
  readonly inherited: Attributes
  readonly notes: Notes
}

/** One rule for each match, with what the written rule says of itself. */
function sourced(section: Section, rule: Node, matches: readonly Match[], { inherited, notes }: Context): readonly Rule[] {
  const sources = sourcesOf(rule, notes)
  if (sources === undefined) return []
  const pts = triState(rule, 'pts')
  const common = { ...PLAIN, ...attributes(rule, inherited), ...(pts === undefined ? {} : { pts }), sources, position: notes.position(rule) }
  return matches.map((match) => ({ section, match, ...common }))
}

/** The names of a field that may hold several with commas, in normal form, each once. */
function names(rule: Node, name: string, notes: Notes, normalise: (written: string) => string): readonly string[] {
  const written = (text(rule, name) ?? '').split(',').map((each) => normalise(each.trim()))
  const found = [...new Set(written.filter((each) => each !== ''))]
  if (found.length === 0) notes.say('MERLON_POLICY_EMPTY_RULE', rule, { what: 'rule', missing: `a ${name}` })
  return found
}

function known(name: string, all: readonly string[], node: Node, notes: Notes): string | undefined {
  if (all.includes(name)) return name
  const near = nearest(name, all)
  notes.say('MERLON_POLICY_UNKNOWN_NAME', node, { name, suggestion: near === undefined ? `known: ${all.join(', ')}` : `did you mean ${near}?` })
  return undefined
}

/* ---- System calls ---- */

/** These rules report, whatever the action of what they are in: system calls are not refused. */
export function syscallRules(node: Node | undefined, spec: Attributes, notes: Notes): readonly Rule[] {
  if (node === undefined) return []
  const inherited: Attributes = { ...attributes(node, spec), action: 'Audit' }
  return ['matchSyscalls', 'matchPaths'].flatMap((shape) => items(field(node, shape)).flatMap((rule) => syscallRule(rule, inherited, notes)))
}

function syscallRule(rule: Node, inherited: Attributes, notes: Notes): readonly Rule[] {
  const sources = syscallSources(rule, notes)
  const path = syscallPath(rule, notes)
  const calls = [...new Set(strings(field(rule, 'syscall')))]
  if (calls.length === 0) notes.say('MERLON_POLICY_EMPTY_RULE', rule, { what: 'rule', missing: 'system calls, in syscall' })
  if (sources === undefined || (path === undefined && field(rule, 'path') !== undefined)) return []
  return calls.flatMap((written) => {
    // i386 has two, x86-64 only the second; KubeArmor reports it under the name of the first.
    const syscall = known(written === 'umount' ? 'umount2' : written, [...SYSCALL_NUMBERS.keys()], field(rule, 'syscall') ?? rule, notes)
    if (syscall === undefined) return []
    const match: Match = { kind: 'syscall', syscall, ...(path === undefined ? {} : { path }) }
    return [{ section: 'syscalls', match, ...PLAIN, ...attributes(rule, inherited), action: 'Audit', ...sources, position: notes.position(rule) }]
  })
}

function syscallPath(rule: Node, notes: Notes): Extract<Match, { readonly kind: 'path' | 'dir' }> | undefined {
  const path = pathOf(rule, 'path', notes)
  if (path === undefined) return undefined
  const recursive = truth(rule, 'recursive')
  if (path.endsWith('/')) return { kind: 'dir', dir: path, recursive }
  if (recursive) notes.say('MERLON_POLICY_RECURSIVE_FILE', field(rule, 'path') ?? rule, { path })
  return { kind: 'path', path }
}

/** Undefined when the rule has sources and none of them can be read. */
function syscallSources(rule: Node, notes: Notes): Pick<Rule, 'sources' | 'sourceDirectories'> | undefined {
  const sources: string[] = []
  const sourceDirectories: Directory[] = []
  const written = items(field(rule, 'fromSource'))
  for (const item of written) {
    const path = pathOf(item, 'path', notes)
    const dir = sourceDirectory(item, notes)
    if (path === undefined && field(item, 'dir') === undefined) notes.say('MERLON_POLICY_EMPTY_RULE', item, { what: 'source', missing: 'a path or a dir' })
    if (path !== undefined) sources.push(path)
    if (dir !== undefined) sourceDirectories.push({ dir, recursive: truth(item, 'recursive') })
  }
  if (written.length > 0 && sources.length === 0 && sourceDirectories.length === 0) return undefined
  return sourceDirectories.length === 0 ? { sources } : { sources, sourceDirectories }
}

/** KubeArmor's own manifests write these directories without a slash at the end; nothing else can be meant. */
function sourceDirectory(item: Node, notes: Notes): string | undefined {
  const node = field(item, 'dir')
  const written = stringOf(node)
  if (node === undefined || written === undefined) return undefined
  if (written.startsWith('/')) {
    const dir = pathOf(item, 'dir', notes)
    return dir === undefined || dir.endsWith('/') ? dir : `${dir}/`
  }
  notes.say('MERLON_POLICY_INVALID_PATH', node, { problem: 'it does not begin with a slash' })
  return undefined
}

/* ---- Presets and devices ---- */

/** KubeArmor's presets know two actions: Audit audits, and whatever else is said blocks. The rest they have from the spec. */
export function presetRules(node: Node | undefined, spec: Attributes, notes: Notes): readonly Rule[] {
  return items(node).flatMap((item) => {
    const name = text(item, 'name')
    const action = text(item, 'action') === 'Audit' ? 'Audit' : 'Block'
    if (name === undefined || name === '') {
      notes.say('MERLON_POLICY_EMPTY_RULE', item, { what: 'preset', missing: 'a name' })
      return []
    }
    if (text(item, 'action') === 'Allow') notes.say('MERLON_POLICY_PRESET_ACTION', field(item, 'action') ?? item)
    const preset = known(name, PRESETS, field(item, 'name') ?? item, notes)
    return preset === undefined ? [] : [{ section: 'preset', match: { kind: 'preset', preset }, ...PLAIN, ...spec, action, position: notes.position(item) }]
  })
}
