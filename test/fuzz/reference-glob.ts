// SPDX-License-Identifier: Apache-2.0
// Patterns as regular expressions over characters, straight from their text: docs/semantics.md a second time, by other means than policy/ has. For paths
// that are well-formed text.

/** What a text says from `at` on. */
interface Part {
  readonly source: string
  readonly end: number
}

/** Undefined where the text is no pattern. Knows no limits of size. */
export function referenceGlob(pattern: string): RegExp | undefined {
  if (!pattern.isWellFormed() || pattern.includes('\0')) return undefined
  const whole = sequence(Array.from(pattern), 0, false)
  return whole === undefined ? undefined : new RegExp(`^${whole.source}$`, 'su')
}

/** Up to the end of the text, or within braces to a comma or the closing one. */
function sequence(text: readonly string[], start: number, inBraces: boolean): Part | undefined {
  let source = ''
  for (let at = start; ; ) {
    const character = text[at]
    if (character === undefined || (inBraces && (character === ',' || character === '}'))) return { source, end: at }
    const part = character === '}' ? undefined : piece(text, at)
    if (part === undefined) return undefined
    source += part.source
    at = part.end
  }
}

function piece(text: readonly string[], at: number): Part | undefined {
  switch (text[at] ?? '') {
    case '*':
      return text[at + 1] === '*' ? { source: '.*', end: at + 2 } : { source: '[^/]*', end: at + 1 }
    case '/':
      return anyDirectories(text, at)
    case '?':
      return { source: '[^/]', end: at + 1 }
    case '[':
      return set(text, at + 1)
    case '{':
      return choices(text, at + 1)
    default: {
      const literal = one(text, at)
      return literal === undefined ? undefined : { source: escaped(literal.source), end: literal.end }
    }
  }
}

/** A slash, and perhaps two stars or more and a slash, as often as they come. */
function anyDirectories(text: readonly string[], start: number): Part {
  let end = start + 1
  for (;;) {
    let next = end
    while (text[next] === '*') next += 1
    if (next - end < 2 || text[next] !== '/') return { source: end === start + 1 ? '/' : '(?:/|/.*/)', end }
    end = next + 1
  }
}

/** One character, with a backslash before it or not. */
function one(text: readonly string[], at: number): Part | undefined {
  const next = text[at] === '\\' ? at + 1 : at
  return text[next] === undefined ? undefined : { source: text[next], end: next + 1 }
}

function set(text: readonly string[], start: number): Part | undefined {
  const negated = text[start] === '!' || text[start] === '^'
  let at = negated ? start + 1 : start
  let members = ''
  while (members === '' || text[at] !== ']') {
    const first = one(text, at)
    if (first === undefined) return undefined
    const isRange = text[first.end] === '-' && text[first.end + 1] !== undefined && text[first.end + 1] !== ']'
    const last = isRange ? one(text, first.end + 1) : first
    if (last === undefined || last.source.codePointAt(0)! < first.source.codePointAt(0)!) return undefined
    members += `${escaped(first.source)}-${escaped(last.source)}`
    at = last.end
  }
  return { source: `(?!/)[${negated ? '^' : ''}${members}]`, end: at + 1 }
}

function choices(text: readonly string[], start: number): Part | undefined {
  const branches: string[] = []
  for (let at = start; ; ) {
    const branch = sequence(text, at, true)
    if (branch === undefined || text[branch.end] === undefined) return undefined
    branches.push(branch.source)
    at = branch.end + 1
    if (text[branch.end] === '}') return { source: `(?:${branches.join('|')})`, end: at }
  }
}

function escaped(character: string): string {
  return `\\u{${character.codePointAt(0)!.toString(16)}}`
}
