// SPDX-License-Identifier: Apache-2.0
// Random calls with random arguments: nothing that JavaScript passes may crash the process, corrupt memory or leak.
//
//   node --expose-gc native/fuzz.ts <seed> <calls> <addon> [<empty directory on a bpffs>]
//
// native/fuzz.test.ts runs it on the sanitizers' build. Prints one line of JSON; leaves with 1 where a bound is broken.
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { compileProbe, MapType } from './fixture/probe.ts'
import { oddValue, Random } from './fixture/random.ts'
import { loadBinding } from './index.ts'
import type { BpfMap, BpfObject } from './types.ts'

type Fn = (this: unknown, ...values: unknown[]) => unknown
type Kind = 'object' | 'map' | 'link' | 'ring'
/** An argument that the method would take. */
type Shape = (fuzz: Fuzz) => unknown

const CALLS_PER_TURN = 200
const HANDLES_MAX = 24
/** Bytes that a finished run may hold above what it held after its first fifth. */
const GROWTH_MAX = 96 << 20

const size = (fuzz: Fuzz): number => fuzz.random.pick([0, 1, 4, 4, 4, 8, 8, 8, 12, 24, 100, 4096])
/** Mostly of the size that the map at hand wants, so that the call goes through. */
const sized = (fuzz: Fuzz, wanted: number): Uint8Array =>
  fuzz.random.bytes(fuzz.random.chance(85) ? wanted : fuzz.random.pick([0, 1, wanted + 1, 2 * wanted, 4096]))
const key = (fuzz: Fuzz): unknown => sized(fuzz, fuzz.keySize)
const value = (fuzz: Fuzz): unknown => sized(fuzz, fuzz.valueSize)
const keys = (fuzz: Fuzz): unknown => sized(fuzz, fuzz.keySize * fuzz.batch)
const values = (fuzz: Fuzz): unknown => sized(fuzz, fuzz.valueSize * fuzz.batch)
const path = (fuzz: Fuzz): unknown => join(fuzz.directory, fuzz.random.pick(['a', 'b', 'c', 'd', 'none/e']))
const small = (fuzz: Fuzz): unknown => fuzz.random.below(64)
const section = (fuzz: Fuzz): unknown => fuzz.random.pick(['.rodata', '.bss', '.data', 'seen', 'records'])
const mapName = (fuzz: Fuzz): unknown => fuzz.random.pick(['seen', 'records', '.rodata', 'none'])
const program = (fuzz: Fuzz): unknown => fuzz.random.pick(['multiply', 'emit', 'count_kills', 'refused', 'none'])
const handle = (kind: Kind): Shape => (fuzz) => fuzz.handle(kind)

const methods: Record<Kind, Record<string, readonly Shape[]>> = {
  map: {
    info: [],
    lookup: [key],
    update: [key, value, (fuzz) => fuzz.random.pick([undefined, 0, 1, 2, 4, 99])],
    updateInner: [key, handle('map')],
    delete: [key],
    nextKey: [key],
    updateBatch: [keys, values],
    entries: [],
    pin: [path],
    close: [],
  },
  object: {
    maps: [],
    programs: [],
    setGlobals: [section, small, value],
    setMaxEntries: [mapName, small],
    setAutoload: [program, (fuzz) => fuzz.random.chance(70)],
    reuseMap: [mapName, handle('map')],
    load: [],
    map: [mapName],
    attach: [program],
    pinProgram: [program, path],
    testRun: [program, (fuzz) => fuzz.random.bytes(fuzz.random.pick([8, 12, 16, 96, 200]))],
    close: [],
  },
  link: { pin: [path], close: [] },
  ring: { consume: [], ref: [], unref: [], close: [] },
}

/** A getter is called like a method. */
function methodOf(owner: unknown, name: string): Fn {
  const descriptor: PropertyDescriptor = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(owner), name) ?? {}
  return Reflect.get(descriptor, descriptor.get === undefined ? 'value' : 'get') as Fn
}

function isExpected(error: Error & { code?: string }): boolean {
  if (error.code?.startsWith('MERLON_NATIVE_') === true || error.name === 'BpfError' || error.message === 'injected') return true
  // V8's own refusals: a wrong receiver, a class called without `new`, a stack that is full.
  return error instanceof TypeError || error instanceof RangeError
}

class Fuzz {
  readonly random: Random
  readonly directory: string
  readonly binding
  /** What the map of the next call wants. */
  keySize = 4
  valueSize = 8
  batch = 1
  #lastCode = ''
  readonly #probe = compileProbe()
  readonly #handles: Record<Kind, unknown[]> = { map: [], object: [], link: [], ring: [] }
  readonly counts = { calls: 0, threw: 0, batches: 0, records: 0, uncaught: 0 }
  readonly errors: Record<string, number> = {}

  constructor(seed: number, addon: string, directory: string) {
    this.random = new Random(seed)
    this.directory = directory
    this.binding = loadBinding(addon)
  }

  handle(kind: Kind): unknown {
    const all = this.#handles[kind]
    return all.length === 0 ? undefined : this.random.pick(all)
  }

  #anyHandle(): unknown {
    return this.handle(this.random.pick(['map', 'object', 'link', 'ring'] as const))
  }

  /** One call, counted; what it throws must be one of ours. */
  attempt(call: () => unknown): unknown {
    this.counts.calls++
    this.#lastCode = ''
    try {
      return call()
    } catch (error) {
      this.counts.threw++
      this.#judge(error)
      return undefined
    }
  }

  #judge(error: unknown): void {
    if (!(error instanceof Error)) throw new Error('Something other than an Error was thrown', { cause: error })
    if (!isExpected(error)) throw error
    const { code } = error as { code?: string }
    this.#lastCode = code ?? ''
    const label = error.message === 'injected' ? 'injected' : (code ?? error.message)
    this.errors[label] = (this.errors[label] ?? 0) + 1
    if (code === 'MERLON_NATIVE_INTERNAL') throw error
  }

  keep(kind: Kind, made: unknown): void {
    if (made === undefined) return
    const all = this.#handles[kind]
    if (all.length < HANDLES_MAX) {
      all.push(made)
      return
    }
    const at = this.random.below(all.length)
    // Half are left to the finalizers.
    const old = all[at] as Disposable
    if (kind === 'ring' || this.random.chance(50)) this.attempt(() => old[Symbol.dispose]())
    all[at] = made
  }

  #argument(shape: Shape): unknown {
    if (this.random.chance(82)) return shape(this)
    return this.random.chance(25) ? this.#anyHandle() : oddValue(this.random)
  }

  #options(fields: Record<string, Shape>): unknown {
    if (this.random.chance(5)) return oddValue(this.random)
    const options: Record<string, unknown> = {}
    for (const [name, shape] of Object.entries(fields)) {
      const given = this.random.chance(95) ? shape(this) : oddValue(this.random)
      if (this.random.chance(8)) Object.defineProperty(options, name, { get: () => this.#interfere(given) })
      else options[name] = given
    }
    return options
  }

  /** A getter's side effects: other calls, closing among them, while the outer call reads its arguments. */
  #interfere(given: unknown): unknown {
    if (this.random.chance(20)) throw new Error('injected')
    if (this.random.chance(40)) (this.#anyHandle() as Disposable | undefined)?.[Symbol.dispose]()
    if (this.random.chance(40)) this.step()
    return given
  }

  createMap(): void {
    const type = this.random.pick(Object.values(MapType))
    const ring = type === MapType.ringBuffer
    const sized = this.random.chance(75)
    const options = this.#options({
      type: () => (this.random.chance(95) ? type : this.random.below(40)),
      name: () => this.random.pick(['m', 'a_map', 'fifteen_letters']),
      keySize: () => (ring ? 0 : sized ? 4 : size(this)),
      valueSize: () => (ring ? 0 : type === MapType.arrayOfMaps ? 4 : sized ? 8 : size(this)),
      maxEntries: () => (ring ? 4096 << this.random.below(3) : this.random.pick([1, 2, 16, 16, 64])),
      flags: () => this.random.pick([undefined, undefined, undefined, 0, 0x1000, 1]),
      inner: () => (type === MapType.arrayOfMaps ? this.handle('map') : undefined),
    })
    this.keep('map', this.attempt(() => (this.binding.createMap as Fn)(options)))
  }

  openObject(): void {
    const options = this.#options({ name: () => 'probe', btf: () => undefined })
    const bytes = this.#argument(() => (this.random.chance(60) ? this.#probe : this.#damaged()))
    const made = this.attempt(() => (this.binding.openObject as Fn)(bytes, options)) as BpfObject | undefined
    if (this.random.chance(70)) this.attempt(() => made?.setAutoload('refused', false))
    this.keep('object', made)
  }

  /** An object file that is cut off, or has up to four wrong bytes. */
  #damaged(): Uint8Array {
    if (this.random.chance(30)) return this.#probe.subarray(0, this.random.below(this.#probe.length))
    const bytes = new Uint8Array(this.#probe)
    for (let i = this.random.below(4); i >= 0; i--) bytes[this.random.below(bytes.length)] = this.random.below(256)
    return bytes
  }

  openRing(): void {
    const map = this.#argument(handle('map'))
    const deliver = (records: Uint8Array): void => {
      this.counts.batches++
      let at = 0
      const view = new DataView(records.buffer)
      for (; at < records.length; at += (view.getUint32(at, true) + 4 + 7) & ~7) this.counts.records++
      if (at !== records.length) throw new Error('A batch is not framed')
      if (this.random.chance(20)) (this.handle('ring') as Disposable | undefined)?.[Symbol.dispose]()
      if (this.random.chance(30)) this.step()
      if (this.random.chance(10)) throw new Error('injected')
    }
    this.keep('ring', this.attempt(() => (this.binding.openRingBuffer as Fn)(map, this.#argument(() => deliver))))
  }

  /** A ring that has something to say: the probe's, loaded. */
  readyRing(): void {
    this.attempt(() => {
      const object = this.binding.openObject(this.#probe)
      object.setAutoload('refused', false)
      object.load()
      this.keep('object', object)
      this.keep('map', object.map('records'))
      object.testRun('emit', new Uint8Array(Uint32Array.of(this.random.below(64), 4 + this.random.below(65_532), 1).buffer))
    })
  }

  openPinned(): void {
    const name = this.random.pick(['openPinnedMap', 'openPinnedMap', 'openPinnedLink', 'attachPinned'] as const)
    const open = Reflect.get(this.binding, name) as Fn
    this.keep(name === 'openPinnedMap' ? 'map' : 'link', this.attempt(() => open(this.#argument(path))))
    if (this.random.chance(30)) rmSync(path(this) as string, { force: true })
  }

  /** A method or getter on `this` of the right kind, mostly. */
  callMethod(): void {
    const kind = this.random.pick(['map', 'map', 'map', 'object', 'object', 'link', 'ring'] as const)
    const name = this.random.pick(Object.keys(methods[kind]))
    if (name === 'close' && this.random.chance(70)) return
    const owner = this.handle(kind)
    if (owner === undefined) return
    this.#measure(owner)
    const self = this.random.chance(90) ? owner : this.random.chance(60) ? this.#anyHandle() : oddValue(this.random)
    const given = this.#given(methods[kind][name]!)
    const result = this.attempt(() => Reflect.apply(methodOf(owner, name), self, given))
    if (this.#lastCode === 'MERLON_NATIVE_CLOSED' && this.random.chance(50)) this.#drop(kind, owner)
    if (name === 'map') this.keep('map', result)
    if (name === 'attach') this.keep('link', result)
  }

  #given(shapes: readonly Shape[]): unknown[] {
    const given = shapes.map((shape) => this.#argument(shape))
    if (this.random.chance(10)) given.length = this.random.below(given.length + 1)
    if (this.random.chance(5)) given.push(oddValue(this.random), oddValue(this.random))
    return given
  }

  #measure(owner: unknown): void {
    this.batch = this.random.below(20)
    try {
      const info = (owner as Partial<BpfMap>).info
      this.keySize = info?.keySize ?? 4
      this.valueSize = info?.valueSize ?? 8
      if (info?.perCpu === true) this.valueSize = ((this.valueSize + 7) & ~7) * this.binding.possibleCpus
    } catch {
      // Closed: any size will do.
    }
  }

  #drop(kind: Kind, old: unknown): void {
    const at = this.#handles[kind].indexOf(old)
    if (at >= 0) this.#handles[kind].splice(at, 1)
    if (kind === 'ring') this.attempt(() => (old as Disposable)[Symbol.dispose]())
  }

  construct(): void {
    const constructor = (this.#anyHandle() as object | undefined)?.constructor as (new (value: unknown) => object) | undefined
    if (constructor === undefined) return
    this.attempt(() => {
      if (this.random.chance(50)) return new constructor(oddValue(this.random))
      return new (class extends constructor {})(oddValue(this.random))
    })
  }

  step(): void {
    const dice = this.random.below(100)
    if (dice < 6) this.createMap()
    else if (dice < 8) this.openObject()
    else if (dice < 9) this.readyRing()
    else if (dice < 13) this.openRing()
    else if (dice < 17) this.openPinned()
    else if (dice < 19) this.construct()
    else this.callMethod()
  }

  closeAll(): void {
    for (const all of Object.values(this.#handles)) {
      for (const one of all.splice(0)) this.attempt(() => (one as Disposable)[Symbol.dispose]())
    }
  }
}

const descriptors = (): number => readdirSync('/proc/self/fd').length

async function settle(): Promise<void> {
  for (let i = 0; i < 12; i++) {
    globalThis.gc?.()
    await setImmediate()
  }
}

async function main(): Promise<void> {
  const [seed = '1', calls = '100000', addon, directory = '/nonexistent'] = process.argv.slice(2)
  const fuzz = new Fuzz(Number(seed), addon ?? new URL('../build/native-asan/merlon_bpf.node', import.meta.url).pathname, directory)
  process.on('uncaughtException', (error) => {
    // A class as onBatch: V8's own refusal.
    if (error.message !== 'injected' && !(error instanceof TypeError)) throw error
    fuzz.counts.uncaught++
  })
  await settle()
  const before = descriptors()
  let early = 0
  while (fuzz.counts.calls < Number(calls)) {
    for (let i = 0; i < CALLS_PER_TURN; i++) fuzz.step()
    await setImmediate()
    if (early === 0 && fuzz.counts.calls > Number(calls) / 5) {
      await settle()
      early = process.memoryUsage.rss()
    }
  }
  fuzz.closeAll()
  await settle()
  const leaked = { descriptors: descriptors() - before, bytes: process.memoryUsage.rss() - early }
  console.log(JSON.stringify({ seed: Number(seed), ...fuzz.counts, errors: fuzz.errors, leaked }))
  if (leaked.descriptors > 0 || leaked.bytes > GROWTH_MAX) process.exitCode = 1
}

await main()
