// SPDX-License-Identifier: Apache-2.0
// Rules of the sections process and file, and the paths that rules of every section name.
import { attributes, type Attributes } from './attributes.ts'
import type { Node } from './document.ts'
import type { Notes } from './notes.ts'
import { normalisePath, pathProblem, readPattern } from './path.ts'
import { field, items, stringOf, strings, text, triState, truth } from './tree.ts'
import type { PathMatch, Rule } from './types.ts'

const SHAPES = ['matchPaths', 'matchDirectories', 'matchPatterns'] as const
type Shape = (typeof SHAPES)[number]

export function pathRules(section: 'process' | 'file', node: Node | undefined, spec: Attributes, notes: Notes): readonly Rule[] {
  if (node === undefined) return []
  const inherited = attributes(node, spec)
  return SHAPES.flatMap((shape) => items(field(node, shape)).flatMap((rule) => rulesOf(section, rule, shape, { inherited, notes })))
}

interface Context {
  readonly inherited: Attributes
  readonly notes: Notes
}

function rulesOf(section: 'process' | 'file', rule: Node, shape: Shape, { inherited, notes }: Context): readonly Rule[] {
  const sources = sourcesOf(rule, notes)
  if (sources === undefined) return []
  const pts = triState(rule, 'pts')
  const allowedArgs = strings(field(rule, 'allowedArgs'))
  const asked = pts === undefined && allowedArgs.length === 0 ? undefined : { ...(pts === undefined ? {} : { pts }), ...(allowedArgs.length === 0 ? {} : { allowedArgs }) }
  const { action, severity, tags, message } = attributes(rule, inherited)
  const [readOnly, ownerOnly, position] = [truth(rule, 'readOnly'), truth(rule, 'ownerOnly'), notes.position(rule)]
  return matches(rule, shape, notes).map((match): Rule => {
    const plain: Rule = { section, match, action, severity, tags, message, readOnly, ownerOnly, sources, position }
    return asked === undefined ? plain : { ...plain, ...asked }
  })
}

/** What one rule names: usually one thing; nothing when that cannot be read. */
function matches(rule: Node, shape: Shape, notes: Notes): readonly PathMatch[] {
  if (shape === 'matchPatterns') return patternOf(rule, notes)
  if (shape === 'matchDirectories') {
    const dir = pathOf(rule, 'dir', notes, (written) => `${written}**`)
    return dir === undefined ? [] : [{ kind: 'dir', dir, recursive: truth(rule, 'recursive') }]
  }
  const execname = field(rule, 'execname')
  const named = field(rule, 'path')
  if (execname === undefined && named === undefined) notes.say('MERLON_POLICY_EMPTY_RULE', rule, { what: 'rule', missing: 'a path or an execname' })
  if (execname !== undefined && named !== undefined) notes.say('MERLON_POLICY_PATH_AND_EXECNAME', execname)
  const path = pathOf(rule, 'path', notes, (written) => written)
  const name = nameOf(execname, notes)
  return [...(path === undefined ? [] : [{ kind: 'path', path } as const]), ...(name === undefined ? [] : [{ kind: 'name', name } as const])]
}

function patternOf(rule: Node, notes: Notes): readonly PathMatch[] {
  const node = field(rule, 'pattern')
  const written = stringOf(node)
  if (node === undefined || written === undefined) return []
  const read = readPattern(written)
  if (!read.ok) {
    notes.say('MERLON_POLICY_INVALID_PATTERN', node, { problem: `${read.problem} (character ${read.at + 1})` })
    return []
  }
  if (read.never !== undefined) notes.say('MERLON_POLICY_PATTERN_NEVER_MATCHES', node, { ...read.never })
  return [{ kind: 'pattern', pattern: read.pattern }]
}

/** What is meant for a pattern, as a rule. A bracket says nothing: there is a program /usr/bin/[. */
const WILDCARD = /[*?]|\{[^{}]*,[^{}]*\}/

export function noteWildcard(field: string, written: string, node: Node, { notes, pattern }: { readonly notes: Notes; readonly pattern?: string | undefined }): void {
  if (!WILDCARD.test(written)) return
  notes.say('MERLON_POLICY_LITERAL_WILDCARD', node, { field, suggestion: pattern === undefined ? 'name each one whole: there are no patterns here' : `put it into matchPatterns, as pattern: ${pattern}` })
}

/**
 * A path field in normal form; undefined where there is none, or none that can be: then there is a finding. `asPattern` says how a pattern
 * would be written, where there can be one instead.
 */
export function pathOf(parent: Node, name: string, notes: Notes, asPattern?: (path: string) => string): string | undefined {
  const node = field(parent, name)
  const written = text(parent, name)
  if (node === undefined || written === undefined) return undefined
  const problem = pathProblem(written)
  if (problem !== undefined) {
    notes.say('MERLON_POLICY_INVALID_PATH', node, { problem })
    return undefined
  }
  const path = normalisePath(written)
  if (path !== written) notes.say('MERLON_POLICY_PATH_NORMALISED', node, { path })
  noteWildcard(name, written, node, { notes, pattern: asPattern?.(path) })
  return path
}

function nameOf(node: Node | undefined, notes: Notes): string | undefined {
  const name = stringOf(node)
  if (node === undefined || name === undefined) return undefined
  const problem = name === '.' || name === '..' ? 'it is no name of a file' : pathProblem(name)
  if (problem === undefined) {
    noteWildcard('execname', name, node, { notes, pattern: `/**/${name}` })
    return name
  }
  notes.say('MERLON_POLICY_INVALID_PATH', node, { problem })
  return undefined
}

/** Undefined when the rule has sources and none of them is named: without them it would hold for everyone. */
export function sourcesOf(rule: Node, notes: Notes): readonly string[] | undefined {
  const written = items(field(rule, 'fromSource'))
  const sources = written.flatMap((item) => {
    const path = pathOf(item, 'path', notes)
    if (path === undefined) notes.say('MERLON_POLICY_EMPTY_RULE', item, { what: 'source', missing: 'the path of an executable' })
    return path ?? []
  })
  return written.length > 0 && sources.length === 0 ? undefined : sources
}
