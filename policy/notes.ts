// SPDX-License-Identifier: Apache-2.0
// What there is to say about one source, as it is read.
import type { Node, Source, Span } from './document.ts'
import { finding, type FindingCode } from './findings.ts'
import type { Finding, Position } from './types.ts'

export class Notes {
  readonly findings: Finding[] = []
  readonly source: Source

  constructor(source: Source) {
    this.source = source
  }

  say(code: FindingCode, at: Node | Span, words: Readonly<Record<string, string>> = {}): void {
    this.findings.push(finding(code, this.source.place('kind' in at ? at.span : at), words))
  }

  position(node: Node): Position {
    return this.source.position(node.span)
  }

  anyError(from: number): boolean {
    return this.findings.slice(from).some(({ severity }) => severity === 'error')
  }
}
