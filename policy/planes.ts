// SPDX-License-Identifier: Apache-2.0
// Sections, operations and planes: which operation belongs to which section, and which of owner and terminal it knows.
import { SECTIONS, type Operation, type Plan, type Question, type Section } from './types.ts'

interface Shape {
  readonly section: Section
  readonly first: number
  readonly owner: boolean
  readonly tty: boolean
}

/** `first`: the plane of an operation for another's object and no terminal. Must match enum merlon_plane (bpf/table.h). */
const SHAPES: Readonly<Record<Operation, Shape>> = {
  exec: { section: 'process', first: 0, owner: true, tty: true },
  read: { section: 'file', first: 4, owner: true, tty: true },
  write: { section: 'file', first: 8, owner: true, tty: true },
  network: { section: 'network', first: 12, owner: false, tty: true },
  dns: { section: 'dns', first: 14, owner: false, tty: false },
  capability: { section: 'capabilities', first: 15, owner: false, tty: false },
  syscall: { section: 'syscalls', first: 16, owner: false, tty: false },
  device: { section: 'device', first: 17, owner: false, tty: false },
  preset: { section: 'preset', first: 18, owner: false, tty: false },
  ingress: { section: 'ingress', first: 19, owner: false, tty: false },
  egress: { section: 'egress', first: 20, owner: false, tty: false },
}

/** Of operations; one more, ARGUMENTS, says which sets an argument is in. */
export const PLANES = 22
export const ARGUMENTS = 21

/** What it is about is a path; for other operations it is a key (keys.ts). */
export function isOfPaths(operation: Operation): boolean {
  return operation === 'exec' || operation === 'read' || operation === 'write'
}

export function sectionOf(operation: Operation): Section {
  return SHAPES[operation].section
}

/** Owner and terminal count where the operation knows them. */
export function planeOf({ operation, owner, tty }: Pick<Question, 'operation' | 'owner' | 'tty'>): number {
  const shape = SHAPES[operation]
  const ownerBit = shape.owner && owner ? 1 : 0
  const ttyBit = shape.tty && tty === true ? (shape.owner ? 2 : 1) : 0
  return shape.first + ownerBit + ttyBit
}

/** Every operation with every owner and terminal that it knows. */
export const CASES: readonly (Required<Pick<Question, 'operation' | 'owner' | 'tty'>> & { readonly plane: number; readonly section: Section })[] = (Object.keys(SHAPES) as Operation[]).flatMap((operation) => {
  const { section, owner: knowsOwner, tty: knowsTty } = SHAPES[operation]
  return (knowsTty ? [false, true] : [false]).flatMap((tty) =>
    (knowsOwner ? [false, true] : [false]).map((owner) => ({ operation, owner, tty, section, plane: planeOf({ operation, owner, tty }) })),
  )
})

/** Numbers of the clauses that follow the plan's own (Answer). */
export function reservedClauses({ clauses }: Pick<Plan, 'clauses'>, section: Section): { readonly fallback: number; readonly undecidable: number } {
  const place = SECTIONS.indexOf(section) + 1
  return { fallback: clauses.length + place, undecidable: clauses.length + SECTIONS.length + place }
}

/** How many clauses a plan has with the reserved ones. */
export function clauseCount({ clauses }: Pick<Plan, 'clauses'>): number {
  return clauses.length + 2 * SECTIONS.length
}
