// SPDX-License-Identifier: Apache-2.0
// Every replica serves agents, one writes statuses: the others tell it, in a ConfigMap each, how far policies are in force on the nodes that they
// serve. Counts add up, so a report is some kilobytes whatever the number of nodes. A replica that has died leaves its last report behind; it is not
// believed once it is old, or once one of its nodes has come to us.
import type { Clock, Timer } from '../../runtime/clock.ts'
import type { Logger } from '../../runtime/log.ts'
import { APPLY, type KubeApi, type KubeObject } from './api.ts'
import { Informer } from './informer.ts'
import { addTally, emptyTally, SAMPLES_MAX, type Tally, type Tallies } from './tally.ts'
import { record } from './trim.ts'

export interface ReplicasOptions {
  readonly api: KubeApi
  readonly namespace: string
  readonly identity: string
  readonly tallies: Tallies
  /** Nodes whose agents are connected to this replica. */
  readonly served: () => ReadonlySet<string>
  readonly leads: () => boolean
  /** Of a policy, as this replica has it. */
  readonly generationOf: (policy: string) => number
  /** Another replica has reported something new. */
  readonly onReport: () => void
  readonly clock: Clock
  readonly logger: Logger
  readonly random: () => number
}

interface Report {
  readonly identity: string
  readonly nodes: readonly string[]
  /** `generation` of the policy that was counted. */
  readonly tallies: readonly (readonly [name: string, generation: number, tally: Tally])[]
}

interface Heard extends Report {
  readonly at: number
}

const LABEL = 'merlon.io/report'
/** Changes are gathered for that long, times the replicas that report, before they are reported: all of them together write once a second. */
const GATHER_MS = 1_000
/** A report is renewed after this time even when nothing has changed, and not believed after three of them. */
const RENEW_MS = 10_000
/** A report that was not renewed for so long is removed by the leader: its replica is dead, or will write it again. */
const FORGET_MS = 60_000
/** Of a ConfigMap's 1 MiB. */
const REPORT_BYTES_MAX = 900_000

export class Replicas {
  readonly informer: Informer<Heard>
  readonly #options: ReplicasOptions
  #timer: Timer | undefined
  #sent = { text: '', at: -Infinity }
  #writing: Promise<void> = Promise.resolve()
  #isClosed = false

  constructor(options: ReplicasOptions) {
    const { api, namespace, clock, logger, random } = options
    this.#options = options
    this.informer = new Informer<Heard>({
      api, clock, logger, random, path: `/api/v1/namespaces/${namespace}/configmaps`, query: { labelSelector: LABEL },
      trim: (object) => readReport(object, clock.monotonic()), onKeys: () => { if (options.leads()) options.onReport() },
    })
  }

  start(): void {
    this.informer.start()
    this.changed()
  }

  /** What this replica knows of its nodes may be another. */
  changed(): void {
    if (this.#isClosed) return
    this.#timer ??= this.#options.clock.after(GATHER_MS * Math.max(1, this.#fresh().length), () => {
      this.#timer = undefined
      this.#writing = this.#writing.then(() => this.#report())
    })
  }

  /** Of all replicas; for the leader. What is selected it knows itself, also where others are told what is programmed. */
  total(): ReadonlyMap<string, Tally> {
    const { served, tallies, generationOf } = this.#options
    const reports = this.#believed(served())
    const elsewhere = new Set(reports.flatMap(({ nodes }) => nodes))
    const total = tallies.total((node) => !elsewhere.has(node))
    for (const [name, { pods, nodes }] of tallies.total((node) => elsewhere.has(node))) {
      add(total, name, { ...emptyTally(), pods: { ...pods, programmed: 0 }, nodes: { ...nodes, programmed: 0 } })
    }
    for (const { tallies: reported } of reports) {
      for (const [name, generation, tally] of reported) {
        // Of an earlier version, or of one that has not come here yet: it says nothing about this one.
        if (!total.has(name) || generation !== generationOf(name)) continue
        add(total, name, { ...tally, pods: { ...tally.pods, selected: 0 }, nodes: { ...tally.nodes, selected: 0 } })
      }
    }
    return total
  }

  async stop(): Promise<void> {
    this.#isClosed = true
    this.#timer?.cancel()
    await this.#writing
    await this.informer.stop()
    if (this.#sent.text === '') return
    // Its agents go to another replica, which reports them from then on.
    await this.#options.api.call({ method: 'DELETE', path: this.#path }).catch(() => {})
  }

  #believed(served: ReadonlySet<string>): readonly Heard[] {
    return this.#fresh().filter(({ identity, nodes }) => identity !== this.#options.identity && !nodes.some((node) => served.has(node)))
  }

  #fresh(): readonly Heard[] {
    const { clock } = this.#options
    return [...this.informer.entries()].map(([, report]) => report).filter(({ at }) => clock.monotonic() - at < 3 * RENEW_MS)
  }

  /** What the dead have left behind. */
  async #clean(): Promise<void> {
    const { api, clock, logger, namespace } = this.#options
    for (const [key, { at }] of this.informer.entries()) {
      if (clock.monotonic() - at < FORGET_MS) continue
      const path = `/api/v1/namespaces/${namespace}/configmaps/${key.slice(key.indexOf('/') + 1)}`
      await api.call({ method: 'DELETE', path }).catch((error: unknown) => logger.debug('Failed to remove an old report', { error }))
    }
  }

  async #report(): Promise<void> {
    const { api, identity, clock, logger, tallies, served, leads, generationOf } = this.#options
    if (this.#isClosed) return
    this.#timer ??= clock.after(RENEW_MS, () => {
      this.#timer = undefined
      this.#writing = this.#writing.then(() => this.#report())
    })
    if (leads()) return this.#clean()
    const own = served()
    const report: Report = { identity, nodes: [...own].toSorted(), tallies: [...tallies.total((node) => own.has(node))].map(([name, tally]) => [name, generationOf(name), tally]) }
    const text = textOf(report)
    if (own.size === 0 && this.#sent.text === '') return
    if (text === this.#sent.text && clock.monotonic() - this.#sent.at < RENEW_MS) return
    const name = this.#path.split('/').at(-1) ?? ''
    const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels: { [LABEL]: 'replica' } }, data: { report: text, at: String(Math.floor(clock.now())) } }
    try {
      await api.call({ method: 'PATCH', path: `${this.#path}?fieldManager=merlon-operator&force=true`, body, contentType: APPLY })
      this.#sent = { text, at: clock.monotonic() }
    } catch (error) {
      logger.warn('Failed to report to the leader', { error })
    }
  }

  get #path(): string {
    const { namespace, identity } = this.#options
    return `/api/v1/namespaces/${namespace}/configmaps/merlon-report-${identity.toLowerCase().replaceAll(/[^a-z0-9.-]/g, '-')}`
  }
}

function add(total: Map<string, Tally>, name: string, more: Tally): void {
  const sum = total.get(name) ?? emptyTally()
  total.set(name, sum)
  addTally(sum, more)
}

/** With as many samples of failures as there is room for: a thousand policies with ten each are more than a ConfigMap holds, and the counts are what matters. */
function textOf(report: Report): string {
  for (let most = SAMPLES_MAX; ; most = Math.floor(most / 2)) {
    const text = JSON.stringify({ ...report, tallies: report.tallies.map(([name, generation, tally]) => [name, generation, { ...tally, failures: tally.failures.slice(0, most) }]) })
    if (most === 0 || Buffer.byteLength(text) <= REPORT_BYTES_MAX) return text
  }
}

function readReport(object: KubeObject, at: number): Heard | undefined {
  const { report } = record(object['data']) as { report?: string }
  const { identity, nodes, tallies } = JSON.parse(report ?? '{}') as Partial<Report>
  if (typeof identity !== 'string' || !Array.isArray(nodes) || !Array.isArray(tallies)) return undefined
  return { identity, nodes, at, tallies: tallies.filter((each) => Array.isArray(each) && isTally(each[2])) }
}

/** Whoever may write a ConfigMap here, or a replica of another version, may have written something else. */
function isTally(value: unknown): value is Tally {
  const { pods, nodes, ready, unable, failures } = record(value) as Partial<Tally>
  return [pods?.selected, pods?.programmed, nodes?.selected, nodes?.programmed, ready, unable].every((count) => Number.isSafeInteger(count)) && Array.isArray(failures)
}
