// SPDX-License-Identifier: Apache-2.0
// Text that comes from processes, shown on a terminal: it must not be able to move the cursor, change colours or fake a line.

// Control characters, format characters (those that reorder or hide text), half surrogate pairs, line and paragraph separators.
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu
const PLAIN = /^[^\s"\\]+$/u

/** The text as it is when it is one harmless word, else in double quotes with everything else escaped. */
export function quote(text: string): string {
  const escaped = text.replace(/[\\"]/g, '\\$&').replace(UNSAFE, escape)
  return escaped === text && PLAIN.test(text) ? text : `"${escaped}"`
}

/** For running text (messages, sentences): spaces stay, what is unsafe is escaped, no quotes around. */
export function harmless(text: string): string {
  return text.replace(UNSAFE, escape)
}

function escape(unsafe: string): string {
  const named: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\u001b': '\\e' }
  const code = unsafe.codePointAt(0) ?? 0
  return named[unsafe] ?? (code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`)
}

/** Cut in the middle, where paths differ least, to at most `width` characters. */
export function fit(text: string, width: number): string {
  const characters = Array.from(text)
  if (characters.length <= width) return text
  const tail = Math.floor((width - 1) / 2)
  return `${characters.slice(0, width - 1 - tail).join('')}…${characters.slice(characters.length - tail).join('')}`
}

export type Colour = 'red' | 'yellow' | 'green' | 'dim'
const CODES: Readonly<Record<Colour, number>> = { red: 31, yellow: 33, green: 32, dim: 2 }

export function paint(text: string, colour: Colour, on: boolean): string {
  return on ? `\u001b[${CODES[colour]}m${text}\u001b[0m` : text
}
