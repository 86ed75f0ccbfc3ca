// SPDX-License-Identifier: Apache-2.0
// Rules of the custom resources, from CEL to TypeScript: the few operators that we use, and an error for any other.
import { parse, type ASTNode } from '@marcbachmann/cel-js'

/** An expression over `self` that is made of the functions of policy/cel.ts. */
export function translate(rule: string): string {
  return expression(parse(rule).ast)
}

function expression(node: ASTNode): string {
  switch (node.op) {
    case '||':
    case '&&':
      return `(${expression(node.args[0])} ${node.op} ${expression(node.args[1])})`
    case '!_':
      return `!${expression(node.args)}`
    case '==':
      return `${expression(node.args[0])} === ${expression(node.args[1])}`
    case '!=':
      return `${expression(node.args[0])} !== ${expression(node.args[1])}`
    case '<':
    case '<=':
    case '>':
    case '>=':
      return `${expression(node.args[0])} ${node.op} ${expression(node.args[1])}`
    case 'in':
      return `isIn(${expression(node.args[0])}, ${expression(node.args[1])})`
    case 'list':
      return `[${node.args.map(expression).join(', ')}]`
    case '.':
      return `get(${expression(node.args[0])}, ${quote(node.args[1])})`
    case 'id':
      return node.args
    case 'value':
      return typeof node.args === 'string' ? quote(node.args) : String(node.args)
    case 'call':
      return call(node.args[0], node.args[1])
    default:
      throw new Error(`The rules use ${node.op}, which crds/cel.ts cannot translate`)
  }
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
