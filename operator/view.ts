// SPDX-License-Identifier: Apache-2.0
// What one agent has been sent and what it has acknowledged, and so which message it needs next. No I/O.
import type { Ack__Output } from '../proto/gen/merlon/v1/Ack.ts'
import type { OperatorMessage } from '../proto/gen/merlon/v1/OperatorMessage.ts'
import type { DesiredProfile } from './decide.ts'
import { NOT_ENFORCED } from './honour.ts'
import type { DesiredBinding } from './node-state.ts'

export interface ViewOptions {
  /** The last generation that the agent applied: ours begin after it. */
  readonly generation: number
  /** Hex hashes of tables that it says it has. */
  readonly heldTables: readonly string[]
  /** Tables of one message, in bytes; one table always fits. Default 4 MiB. */
  readonly chunkBytes?: number
}

/** An agent does not have what this side takes it to have: a removal that it reported crossed a binding that built on what went with it. */
const LACKS: ReadonlySet<string> = new Set(['MERLON_AGENT_TABLE_MISSING', 'MERLON_AGENT_PROFILE_UNKNOWN'])

/** Of one acknowledgement. An agent has one table for each different profile on its node, and one error for each workload at most. */
const TABLES_MAX = 4096
const ERRORS_MAX = 1024
const TEXT_MAX = 1024
/** Codes become reasons of conditions: one that the API server refuses would keep a policy from having any status. */
const CODE = /^[A-Za-z]([A-Za-z0-9_]{0,126}[A-Za-z0-9_])?$/
const UNKNOWN_CODE = 'MERLON_OPERATOR_UNKNOWN_FAILURE'

interface Sent {
  readonly binding: string
  readonly profile: string
  readonly table: string
  readonly generation: number
}

/**
 * Tables go to an agent once. From its snapshot on, an agent may forget a table or a profile as soon as a message leaves it without a
 * binding; this side assumes that it does, and sends it again when it is needed again.
 */
export class AgentView {
  readonly #chunkBytes: number
  readonly #sent = new Map<string, Sent>()
  #tables: Set<string>
  #profiles = new Set<string>()
  #generation: number
  readonly #first: number
  #snapshotSent = false
  #ack: Ack__Output | undefined
  /** Hex hashes of the tables in the last acknowledgement. */
  #inForce: ReadonlySet<string> = new Set()

  constructor(options: ViewOptions) {
    this.#generation = options.generation
    this.#first = options.generation
    this.#tables = new Set(options.heldTables)
    this.#chunkBytes = options.chunkBytes ?? 4 * 1024 * 1024
  }

  /** Of the last message. */
  get generation(): number {
    return this.#generation
  }

  /** Messages that are not acknowledged. */
  get lag(): number {
    return this.#generation - Math.max(this.#first, this.#ack?.generation ?? 0)
  }

  get lastAck(): Ack__Output | undefined {
    return this.#ack
  }

  /** The workload is gone from the node: the agent knows, and may have forgotten its table with it. */
  forget(workload: string): void {
    if (this.#sent.delete(workload)) this.#retain()
  }

  /**
   * Acks of one stream come in order; one for a generation that was never sent counts as the latest. Of what an agent says no more is kept than a status
   * can use: it may say a lot.
   */
  acknowledge(ack: Ack__Output): void {
    const tables = ack.tables.slice(0, TABLES_MAX)
    const errors = ack.errors.slice(0, ERRORS_MAX).map(({ code, message, workload }) => ({ code: CODE.test(code) ? code : UNKNOWN_CODE, message: message.slice(0, TEXT_MAX), workload: workload.slice(0, TEXT_MAX) }))
    // Of a workload that is not in the rest: then of none it can be said that it has what it must have.
    if (ack.errors.length > ERRORS_MAX) errors.push({ code: 'MERLON_OPERATOR_TOO_MANY_FAILURES', message: `the agent reported ${ack.errors.length} failures at once, more than are kept`, workload: '' })
    const canary = ack.canary && { ...ack.canary, message: ack.canary.message.slice(0, TEXT_MAX) }
    this.#ack = { ...ack, tables, errors, canary, generation: Math.min(ack.generation, this.#generation) }
    this.#inForce = new Set(tables.map((hash) => hash.toString('hex')))
  }

  /** Whether the last acknowledgement says that something is not there which this side takes the agent to have. */
  get hasLack(): boolean {
    return this.#ack?.errors.some(({ code }) => LACKS.has(code)) ?? false
  }

  /**
   * Has next() send again, with table and profile, what the last acknowledgement says is not there. True where there is something: what was sent since
   * is not meant. Not without end: an agent may say so for good.
   */
  repeat(): boolean {
    let isAny = false
    for (const { code, workload } of this.#ack?.errors ?? []) {
      const sent = this.#sent.get(workload)
      if (!LACKS.has(code) || !sent || sent.generation > (this.#ack?.generation ?? 0)) continue
      // Remembered all the same: it is to be unbound when it is not desired any more.
      this.#sent.set(workload, { ...sent, binding: '' })
      this.#tables.delete(sent.table)
      this.#profiles.delete(sent.profile)
      isAny = true
    }
    return isAny
  }

  /**
   * The next message, undefined when the agent has all that there is. Waiting workloads come first; then, when all is decided that is not
   * being compiled (`settled`), the rest in pieces; the snapshot (full) comes when everything that it names has been sent, so that it is never partial.
   * `undecided`: workloads for which there is nothing to say, not even that they have no rules: the snapshot leaves them what they have.
   */
  next(desired: ReadonlyMap<string, DesiredBinding>, settled: boolean, undecided: Iterable<string> = []): OperatorMessage | undefined {
    const changed = [...desired.values()].filter((binding) => this.#sent.get(binding.workload)?.binding !== bindingKey(binding))
    const waiting = changed.filter((binding) => binding.waiting)
    if (waiting.length > 0) return this.#message(waiting, [], false)
    if (!settled) return undefined
    const piece = this.#piece(changed)
    if (piece.length < changed.length) return this.#message(piece, [], false)
    const unbound = [...this.#sent.keys()].filter((workload) => !desired.has(workload))
    if (!this.#snapshotSent) {
      for (const workload of unbound) this.#sent.delete(workload)
      this.#snapshotSent = true
      return { ...this.#message([...desired.values()], [], true), keep: [...undecided] }
    }
    return changed.length > 0 || unbound.length > 0 ? this.#message(changed, unbound, false) : undefined
  }

  /** Whether the node has confirmed that this is in force. */
  isProgrammed(binding: DesiredBinding): boolean {
    const sent = this.#sent.get(binding.workload)
    const ack = this.#ack
    if (!sent || !ack || sent.binding !== bindingKey(binding) || ack.generation < sent.generation) return false
    // What is not enforced is a matter of each policy (honour.ts): the table is in force.
    if (ack.errors.some((error) => error.code !== NOT_ENFORCED && (error.workload === '' || error.workload === binding.workload))) return false
    return sent.table === '' || this.#inForce.has(sent.table)
  }

  #piece(bindings: readonly DesiredBinding[]): readonly DesiredBinding[] {
    const tables = new Set(this.#tables)
    let bytes = 0
    let count = 0
    for (const { profile } of bindings) {
      const more = tables.has(profile.tableHash) ? 0 : profile.table.length
      if (more > 0 && count > 0 && bytes + more > this.#chunkBytes) break
      tables.add(profile.tableHash)
      bytes += more
      count += 1
    }
    return bindings.slice(0, count)
  }

  #message(bindings: readonly DesiredBinding[], unbound: readonly string[], full: boolean): OperatorMessage {
    const generation = ++this.#generation
    const tables = new Map<string, NonNullable<OperatorMessage['tables']>[number]>()
    const profiles = new Map<string, NonNullable<OperatorMessage['profiles']>[number]>()
    for (const { profile } of bindings) {
      if (profile.tableHash !== '' && !this.#tables.has(profile.tableHash)) tables.set(profile.tableHash, partsOf(profile).table)
      if (!this.#profiles.has(profile.id)) profiles.set(profile.id, partsOf(profile).profile)
    }
    this.#record(bindings, unbound, generation)
    return {
      generation,
      full,
      tables: [...tables.values()],
      profiles: [...profiles.values()],
      bindings: bindings.map(({ workload, profile, identity, visible, holds }) => ({ workload, profile: profile.id, identity, visible: [...visible], holds })),
      unbound: [...unbound],
    }
  }

  #record(bindings: readonly DesiredBinding[], unbound: readonly string[], generation: number): void {
    for (const workload of unbound) this.#sent.delete(workload)
    for (const binding of bindings) {
      const { workload, profile } = binding
      this.#sent.set(workload, { binding: bindingKey(binding), profile: profile.id, table: profile.tableHash, generation })
      if (profile.tableHash !== '') this.#tables.add(profile.tableHash)
      this.#profiles.add(profile.id)
    }
    this.#retain()
  }

  /** What no binding needs any more has to be sent again. Before the snapshot an agent forgets nothing. */
  #retain(): void {
    if (!this.#snapshotSent) return
    // Not all that is bound: what repeat() took out stays out until it is sent.
    this.#tables = new Set([...this.#sent.values()].map((sent) => sent.table).filter((hash) => this.#tables.has(hash)))
    this.#profiles = new Set([...this.#sent.values()].map((sent) => sent.profile).filter((id) => this.#profiles.has(id)))
  }
}

interface Parts {
  readonly table: NonNullable<OperatorMessage['tables']>[number]
  readonly profile: NonNullable<OperatorMessage['profiles']>[number]
}

const parts = new WeakMap<DesiredProfile, Parts>()

/** The same objects for every agent: encoding.ts goes by that. */
function partsOf(profile: DesiredProfile): Parts {
  const hash = Buffer.from(profile.tableHash, 'hex')
  const known = parts.get(profile) ?? { table: { hash, content: profile.table }, profile: { id: profile.id, table: hash, clauses: [...profile.clauses] } }
  parts.set(profile, known)
  return known
}

const keys = new WeakMap<DesiredBinding, string>()

/** Bindings do not change: of another decision there is another one. */
function bindingKey(binding: DesiredBinding): string {
  const known = keys.get(binding) ?? JSON.stringify([binding.profile.id, binding.identity, binding.visible, binding.holds])
  keys.set(binding, known)
  return known
}
