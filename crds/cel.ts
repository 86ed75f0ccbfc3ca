// SPDX-License-Identifier: Apache-2.0
// Rules of the custom resources, from CEL to TypeScript: the few operators that we use, and an error for any other.
import { parse, type ASTNode } from '@marcbachmann/cel-js'

/** An expression over `self` that is made of the functions of policy/cel.ts. */
export function translate(rule: string): string {
  return expression(parse(rule).ast)
}

/** CEL's operators that JavaScript has too, for values of one type. */
const BINARY: Readonly<Record<string, string>> = { '||': '||', '&&': '&&', '==': '===', '!=': '!==', '<': '<', '<=': '<=', '>': '>', '>=': '>=' }

function expression(node: ASTNode): string {
  const operator = BINARY[node.op]
  if (operator !== undefined && Array.isArray(node.args)) return `(${node.args.map((each) => expression(each as ASTNode)).join(` ${operator} `)})`
  if (node.op === '!_') return `!${expression(node.args)}`
  if (node.op === 'in') return `isIn(${expression(node.args[0])}, ${expression(node.args[1])})`
  if (node.op === 'list') return `[${node.args.map(expression).join(', ')}]`
  if (node.op === '.') return `get(${expression(node.args[0])}, ${quote(node.args[1])})`
  if (node.op === 'id') return node.args
  if (node.op === 'value') return typeof node.args === 'string' ? quote(node.args) : String(node.args)
  if (node.op === 'call') return call(node.args[0], node.args[1])
  throw new Error(`The rules use ${node.op}, which crds/cel.ts cannot translate`)
}

function call(name: string, args: readonly ASTNode[]): string {
  const [only] = args
  if (args.length === 1 && only !== undefined && name === 'size') return `size(${expression(only)})`
  if (args.length === 1 && only?.op === '.' && name === 'has') return `has(${expression(only.args[0])}, ${quote(only.args[1])})`
  throw new Error(`The rules use ${name}(), which crds/cel.ts cannot translate`)
}

export function quote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'").replaceAll('\n', '\\n')}'`
}
