// SPDX-License-Identifier: Apache-2.0
// Where something is in a file: offsets to lines and columns, and the text that stands there.
import type { Place } from './findings.ts'
import type { Position } from './types.ts'

/** Offsets into the text, in UTF-16 units. */
export interface Span {
  readonly start: number
  readonly end: number
}

/** One file, and how to say where something is in it. */
export interface Source {
  position(span: Span): Position
  place(span: Span): Place
}

export function makeSource(text: string, file: string): Source {
  const lines = new Lines(text)
  const position = ({ start }: Span): Position => ({ file, line: lines.lineOf(start) + 1, column: start - lines.startOf(start) + 1 })
  return { position, place: (span) => ({ position: position(span), text: text.slice(span.start, Math.max(span.end, span.start + 1)) }) }
}

/** Offsets are mostly asked for in ascending order, so the line that was found last is looked at first. */
class Lines {
  private readonly text: string
  private starts: Int32Array | undefined
  private last = 0

  constructor(text: string) {
    this.text = text
  }

  /** Of the line that holds the offset, from 0. */
  lineOf(offset: number): number {
    const starts = (this.starts ??= lineStarts(this.text))
    for (let line = this.last; line < this.last + 4; line++) {
      if (starts[line]! <= offset && (line + 1 >= starts.length || starts[line + 1]! > offset)) return (this.last = line)
    }
    let [low, high] = [0, starts.length - 1]
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (starts[middle]! <= offset) low = middle
      else high = middle - 1
    }
    return (this.last = low)
  }

  startOf(offset: number): number {
    const line = this.lineOf(offset)
    return this.starts?.[line] ?? 0
  }
}

function lineStarts(text: string): Int32Array {
  const starts = [0]
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
  return Int32Array.from(starts)
}
