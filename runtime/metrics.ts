// SPDX-License-Identifier: Apache-2.0
// Metrics, without a word about who keeps them: prom-client is loaded by openMetrics() alone, and whoever has no endpoint has noMetrics.

export type Labels = Readonly<Record<string, string | number>>

export interface Counter {
  add(labels?: Labels, by?: number): void
}

export interface Gauge {
  set(value: number, labels?: Labels): void
  /** Forgets all values: for gauges whose labels come and go. */
  clear(): void
}

export interface Histogram {
  observe(value: number, labels?: Labels): void
}

export interface MetricOptions {
  readonly name: string
  readonly help: string
  readonly labels?: readonly string[]
}

export interface Metrics {
  counter(options: MetricOptions): Counter
  gauge(options: MetricOptions): Gauge
  /** `buckets`: upper bounds; default: from a millisecond to a minute, in seconds. */
  histogram(options: MetricOptions & { readonly buckets?: readonly number[] }): Histogram
  /** Called before each reading: sets what is only known by looking. */
  onRead(look: () => void): void
  /** In Prometheus's text format. */
  read(): Promise<string>
}

export const noMetrics: Metrics = {
  counter: () => ({ add: () => {} }),
  gauge: () => ({ set: () => {}, clear: () => {} }),
  histogram: () => ({ observe: () => {} }),
  onRead: () => {},
  read: () => Promise.resolve(''),
}

export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

type Kind = 'counter' | 'gauge' | 'histogram'

/** By Prometheus's conventions: what only grows ends in _total, what has a unit in the unit, and nothing else does. Throws: it is a defect of ours. */
function checkName(kind: Kind, { name, help, labels = [] }: MetricOptions): void {
  const isTotal = name.endsWith('_total')
  const problem = !/^merlon(_[a-z0-9]+)+$/.test(name) ? 'it is not merlon_..., in lower case'
    : isTotal !== (kind === 'counter') ? 'counters end in _total, and only they do'
    : kind === 'histogram' && !/_(seconds|bytes)$/.test(name) ? 'a histogram has a unit'
    : help === '' ? 'it has no help' : labels.find((label) => !/^[a-z_]+$/.test(label))
  if (problem !== undefined) throw new Error(`Cannot make the metric "${name}": ${problem}`)
}

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]

/** With those of the process (memory, CPU, the event loop's delay) among them. */
export async function openMetrics(): Promise<Metrics> {
  // CommonJS: in a bundle there is nothing but the default export.
  const { Counter: PromCounter, Gauge: PromGauge, Histogram: PromHistogram, Registry, collectDefaultMetrics } = (await import('prom-client')).default
  const registry = new Registry()
  // The event loop's delay is sampled by a timer: every 10 ms, its default, would be most of what an idle process does.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 200 })
  const looks: (() => void)[] = []
  const base = (kind: Kind, options: MetricOptions): { name: string; help: string; labelNames: string[]; registers: typeof registry[] } => {
    checkName(kind, options)
    return { name: options.name, help: options.help, labelNames: [...(options.labels ?? [])], registers: [registry] }
  }
  return {
    counter: (options) => {
      const counter = new PromCounter(base('counter', options))
      return { add: (labels = {}, by = 1) => counter.inc({ ...labels }, by) }
    },
    gauge: (options) => {
      const gauge = new PromGauge(base('gauge', options))
      return { set: (value, labels = {}) => gauge.set({ ...labels }, value), clear: () => gauge.reset() }
    },
    histogram: (options) => {
      const histogram = new PromHistogram({ ...base('histogram', options), buckets: [...(options.buckets ?? SECONDS)] })
      return { observe: (value, labels = {}) => histogram.observe({ ...labels }, value) }
    },
    onRead: (look) => void looks.push(look),
    read: () => {
      for (const look of looks) look()
      return registry.metrics()
    },
  }
}

/** A counter that somebody else counts: its total is looked at, and what has been added since is added here. */
export class Total {
  readonly #counter: Counter
  readonly #seen = new Map<string, number>()

  constructor(counter: Counter) {
    this.#counter = counter
  }

  /** A total that is smaller than the last one has begun anew. */
  set(total: number, labels: Labels = {}): void {
    const key = JSON.stringify(labels)
    const before = this.#seen.get(key) ?? 0
    const more = total >= before ? total - before : total
    this.#seen.set(key, total)
    if (more > 0) this.#counter.add(labels, more)
  }
}
