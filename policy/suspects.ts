// SPDX-License-Identifier: Apache-2.0
// Questions that may show what is wrong with a path or key of which a table says too much or too little.
import { KEY } from './keys.ts'
import { CASES } from './planes.ts'
import type { Plan, Question } from './types.ts'

const UTF8 = new TextEncoder()
const SLASH = 0x2f

/** Everything that can be asked about a path or a key. */
export function questionsAbout(plan: Plan, path: Uint8Array): readonly Question[] {
  const sources = [...new Set(plan.clauses.flatMap((clause) => clause.sources))].map((source) => UTF8.encode(source))
  const directories = plan.clauses.flatMap(({ sourceDirectories }) => sourceDirectories.flatMap(({ dir }) => [dir.slice(0, -1), `${dir}a`, `${dir}a/a`])).map((source) => UTF8.encode(source))
  return [[], ...[...sources, ...directories].map((source) => [source])].flatMap((given) => variants(plan, objectOf(path), given))
}

/** Everything that can be asked about one object of an executable, or of some argument. */
export function questionsFrom(plan: Plan, object: Uint8Array, source: Uint8Array): readonly Question[] {
  if (source[0] === KEY.argument) return variants(plan, { ...objectOf(object), args: [new Uint8Array(), source.slice(1)] }, [])
  return variants(plan, objectOf(object), [source])
}

type Asked = Pick<Question, 'path' | 'invoked' | 'args'>

function objectOf(key: Uint8Array): Asked {
  const slash = key.indexOf(SLASH)
  return key[0] === KEY.invoked && slash > 0 ? { invoked: key.slice(1, slash), path: key.slice(slash) } : { path: key }
}

function variants(plan: Plan, asked: Asked, sources: readonly Uint8Array[]): readonly Question[] {
  const known = plan.conditions.flatMap((condition) => (condition.kind === 'arguments' ? [condition.allowed] : []))
  const given = asked.args === undefined ? [undefined, [], ...known.map((allowed) => ['', ...allowed].map((each) => UTF8.encode(each)))] : [asked.args]
  return CASES.flatMap(({ operation, owner, tty }) =>
    (operation === 'exec' ? given : [undefined]).flatMap((args) =>
      (operation === 'ingress' || operation === 'egress' ? [false, true] : [false]).map((overQuota): Question => ({ ...asked, operation, owner, tty, overQuota, sources, ...(args === undefined ? {} : { args }) })),
    ),
  )
}
