// SPDX-License-Identifier: Apache-2.0
// Operations as people name them, on a command line or in a test of policies, as questions.
import { normalisePath } from './path.ts'
import { readResource } from './resource.ts'
import type { Operation, Question } from './types.ts'

/** What a person says of an operation. `resource` is what it is done to, in the form that RESOURCE_FORMS names. */
export interface Asked {
  readonly operation: string
  readonly resource: string
  readonly write?: boolean
  readonly notOwner?: boolean
  readonly tty?: boolean
  readonly overQuota?: boolean
  readonly invoked?: string | undefined
  /** Those after the program's own name. Absent: not known. */
  readonly args?: readonly string[] | undefined
  /** The executable of the process, and for an exec that of its parent. */
  readonly source?: string | undefined
  readonly parent?: string | undefined
}

export type Asking = { readonly ok: true; readonly question: Question } | { readonly ok: false; readonly problem: string }

/** What file rules call a write, beside an open for writing: all that changes a file, its name or its attributes. */
const WRITES: readonly string[] = ['create', 'mknod', 'mkdir', 'rmdir', 'unlink', 'rename', 'link', 'symlink', 'truncate', 'chmod', 'chown', 'setxattr']
const SOCKETS: readonly string[] = ['socket', 'connect', 'bind', 'listen', 'accept', 'network']
/** Of these policies know the system call. */
const CALLS: readonly string[] = ['mount', 'umount', 'ptrace']
const KEYS = ['capability', 'syscall', 'dns', 'device', 'preset', 'ingress', 'egress'] as const

/** Words for operations that are done to a path. */
export const PATH_WORDS: readonly string[] = ['exec', 'open', ...WRITES]
/** Every word for an operation. */
export const WORDS: readonly string[] = [...PATH_WORDS, ...SOCKETS, ...KEYS, ...CALLS]

const UTF8 = new TextEncoder()

export function askingOf(asked: Asked): Asking {
  const operation = operationOf(asked)
  if (operation === undefined) return { ok: false, problem: `${JSON.stringify(asked.operation)} is no operation` }
  const resource = readResource(operation, CALLS.includes(asked.operation) ? `${asked.operation} ${asked.resource}` : asked.resource)
  if (!resource.ok) return resource
  const { source, parent, notOwner, tty, overQuota } = asked
  const sources = [source, parent].filter((each) => each !== undefined)
  const problem = misplaced(operation, asked) ?? sources.filter((each) => !each.startsWith('/')).map((each) => `the executable ${JSON.stringify(each)} is no absolute path`)[0]
  if (problem !== undefined) return { ok: false, problem }
  return {
    ok: true,
    question: {
      operation,
      path: resource.path,
      owner: notOwner !== true,
      sources: sources.map((each) => UTF8.encode(normalisePath(each))),
      ...(tty === undefined ? {} : { tty }),
      ...(overQuota === undefined ? {} : { overQuota }),
      ...(operation === 'exec' ? startedAs(asked) : {}),
    },
  }
}

/** What says nothing of the operation would be taken for a part of the answer. */
function misplaced(operation: Operation, asked: Asked): string | undefined {
  if (asked.write === true && asked.operation !== 'open') return 'only open may be for writing'
  if (asked.notOwner === true && !PATH_WORDS.includes(asked.operation)) return 'only files have an owner'
  if (asked.overQuota === true && operation !== 'ingress' && operation !== 'egress') return 'only ingress and egress have limits'
  if (operation === 'exec') return undefined
  if (asked.parent !== undefined) return 'only exec has a parent: what does anything else is the process itself'
  return asked.args === undefined && asked.invoked === undefined ? undefined : 'only exec has arguments and a name that it is invoked by'
}

function startedAs({ invoked, args }: Asked): Pick<Question, 'invoked' | 'args'> {
  return {
    ...(invoked === undefined ? {} : { invoked: UTF8.encode(invoked.slice(invoked.lastIndexOf('/') + 1)) }),
    ...(args === undefined ? {} : { args: ['', ...args].map((argument) => UTF8.encode(argument)) }),
  }
}

function operationOf({ operation, write }: Asked): Operation | undefined {
  if (operation === 'exec') return 'exec'
  if (operation === 'open') return write === true ? 'write' : 'read'
  if (WRITES.includes(operation)) return 'write'
  if (SOCKETS.includes(operation)) return 'network'
  if (CALLS.includes(operation)) return 'syscall'
  return KEYS.find((key) => key === operation)
}
