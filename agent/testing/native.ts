// SPDX-License-Identifier: Apache-2.0
// A kernel in memory for tests: maps, links and pins outlive the "process" that made them, as the real ones do. Pins are
// ordinary files in a temporary directory, so that code which lists, renames and unlinks pins runs unchanged.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type {
  BpfLink, BpfMap, BpfMapInfo, BpfMapOptions, BpfObject, BpfObjectOptions, NativeBinding, RingBuffer,
} from '../../native/types.ts'

export const CPUS = 2
const ARRAY_TYPES = new Set([2, 6, 12])
const PER_CPU_TYPES = new Set([5, 6])

/** What a fake object file holds: JSON in place of ELF. */
export interface FakeObjectFile {
  readonly maps: readonly BpfMapOptions[]
  readonly programs: readonly string[]
  /** Makes load() fail, as the verifier would. */
  readonly broken?: boolean
  readonly revision?: number
}

export function bpfError(code: string, errno: number, syscall: string): Error {
  return Object.assign(new Error(`${syscall}: ${code}`), { code, errno, syscall, log: '' })
}

interface StoredMap {
  readonly info: BpfMapInfo
  readonly entries: Map<string, Uint8Array>
}

interface StoredLink {
  readonly id: number
  readonly program: string
  open: number
}

interface StoredProgram {
  readonly id: number
  readonly name: string
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))

export class FakeKernel {
  readonly maps = new Map<number, StoredMap>()
  readonly links: StoredLink[] = []
  readonly programs: StoredProgram[] = []
  readonly ringListeners = new Map<number, (records: Uint8Array) => void>()
  readonly globals: { section: string; offset: number; bytes: Uint8Array }[] = []
  /** Called before each operation with its name: tests make operations fail, or end the process, by throwing here. */
  hook: (operation: string, detail: string) => void = () => {}
  readonly #pinDirectory: string
  #nextId = 1

  constructor(pinDirectory: string) {
    this.#pinDirectory = pinDirectory
  }

  /** The process dies: handles close, pins stay. */
  crash(): void {
    for (const link of this.links) link.open = 0
    this.ringListeners.clear()
  }

  /** How many links of this program are attached: open in the process, or pinned. */
  attached(program: string): number {
    const pinned = this.#pinnedIds('link')
    return this.links.filter((link) => link.program === program && (link.open > 0 || pinned.has(link.id))).length
  }

  #pinnedIds(kind: string): Set<number> {
    const ids = new Set<number>()
    if (!existsSync(this.#pinDirectory)) return ids
    for (const entry of readdirSync(this.#pinDirectory, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      const [type, id] = readFileSync(join(entry.parentPath, entry.name), 'utf8').split(':')
      if (type === kind) ids.add(Number(id))
    }
    return ids
  }

  #readPin(path: string, kind: string): number {
    if (!existsSync(path)) throw bpfError('ENOENT', 2, 'bpf_obj_get')
    const [type, id] = readFileSync(path, 'utf8').split(':')
    if (type !== kind) throw bpfError('EINVAL', 22, 'bpf_obj_get')
    return Number(id)
  }

  #writePin(path: string, content: string): void {
    this.hook('pin', path)
    // bpffs keeps names with dots to itself (EPERM), and a pin never replaces another (EEXIST).
    if (basename(path).includes('.')) throw bpfError('EPERM', 1, 'bpf_obj_pin')
    if (existsSync(path)) throw bpfError('EEXIST', 17, 'bpf_obj_pin')
    writeFileSync(path, content)
  }

  createMap(options: BpfMapOptions): BpfMap {
    this.hook('createMap', options.name)
    const id = this.#nextId++
    const info: BpfMapInfo = {
      id, type: options.type, name: options.name, keySize: options.keySize, valueSize: options.valueSize,
      maxEntries: options.maxEntries, flags: options.flags ?? 0, perCpu: PER_CPU_TYPES.has(options.type),
    }
    this.maps.set(id, { info, entries: new Map() })
    return this.mapHandle(id)
  }

  mapHandle(id: number): BpfMap {
    const stored = this.maps.get(id)
    if (stored === undefined) throw bpfError('ENOENT', 2, 'bpf_map_get_fd_by_id')
    const { info, entries } = stored
    const size = info.perCpu ? Math.ceil(info.valueSize / 8) * 8 * CPUS : info.valueSize
    const isArray = ARRAY_TYPES.has(info.type)
    const check = (bytes: Uint8Array, expected: number): void => {
      if (bytes.length !== expected) throw new RangeError(`Map ${info.name} expects ${expected} bytes, got ${bytes.length}`)
    }
    const outside = (key: Uint8Array): boolean => isArray && new DataView(key.buffer, key.byteOffset).getUint32(0, true) >= info.maxEntries
    const handle: BpfMap = {
      info,
      lookup: (key) => {
        check(key, info.keySize)
        return entries.get(hex(key))?.slice() ?? (isArray && info.type !== 12 && !outside(key) ? new Uint8Array(size) : undefined)
      },
      update: (key, value, flags = 0) => {
        this.hook('update', info.name)
        check(key, info.keySize)
        check(value, size)
        if (outside(key) || (!isArray && !entries.has(hex(key)) && entries.size >= info.maxEntries)) throw bpfError('E2BIG', 7, 'bpf_map_update_elem')
        if (flags === 1 && entries.has(hex(key))) throw bpfError('EEXIST', 17, 'bpf_map_update_elem')
        entries.set(hex(key), value.slice())
      },
      updateInner: (key, inner) => {
        this.hook('updateInner', info.name)
        if (outside(key)) throw bpfError('E2BIG', 7, 'bpf_map_update_elem')
        const value = new Uint8Array(4)
        new DataView(value.buffer).setUint32(0, inner.info.id, true)
        entries.set(hex(key), value)
      },
      delete: (key) => {
        this.hook('delete', info.name)
        return entries.delete(hex(key))
      },
      nextKey: () => { throw new Error('not in the fake') },
      updateBatch: (keys, values) => {
        this.hook('updateBatch', info.name)
        for (let index = 0; index * info.keySize < keys.length; index++) {
          handle.update(keys.subarray(index * info.keySize, (index + 1) * info.keySize), values.subarray(index * size, (index + 1) * size))
        }
      },
      entries: () => {
        const keys = isArray && info.type !== 12
          ? Array.from({ length: info.maxEntries }, (_, index) => { const key = new Uint8Array(4); new DataView(key.buffer).setUint32(0, index, true); return key })
          : [...entries.keys()].map(bytesOf)
        const values = keys.map((key) => entries.get(hex(key)) ?? new Uint8Array(size))
        return { keys: new Uint8Array(Buffer.concat(keys)), values: new Uint8Array(Buffer.concat(values)), count: keys.length }
      },
      pin: (path) => { this.#writePin(path, `map:${info.id}`) },
      close: () => {},
      [Symbol.dispose]: () => {},
    }
    return handle
  }

  #linkHandle(link: StoredLink): BpfLink {
    link.open += 1
    let open = true
    const close = (): void => {
      if (open && link.open > 0) link.open -= 1
      open = false
    }
    return { pin: (path) => { this.#writePin(path, `link:${link.id}`) }, close, [Symbol.dispose]: close }
  }

  attach(program: string): BpfLink {
    this.hook('attach', program)
    const link: StoredLink = { id: this.#nextId++, program, open: 0 }
    this.links.push(link)
    return this.#linkHandle(link)
  }

  #openObject(bytes: Uint8Array, _options?: BpfObjectOptions): BpfObject {
    const file = JSON.parse(Buffer.from(bytes).toString('utf8')) as FakeObjectFile
    const reused = new Map<string, number>()
    const loaded = new Map<string, number>()
    const sizes = new Map<string, number>()
    return {
      maps: file.maps.map((map) => map.name),
      programs: file.programs.map((name) => ({ name, section: `lsm/${name}` })),
      setGlobals: (section, offset, value) => { this.globals.push({ section, offset, bytes: value.slice() }) },
      setMaxEntries: (name, maxEntries) => { sizes.set(name, maxEntries) },
      setAutoload: () => {},
      reuseMap: (name, existing) => { reused.set(name, existing.info.id) },
      load: () => {
        this.hook('load', String(file.revision ?? 0))
        if (file.broken === true) throw bpfError('EACCES', 13, 'bpf_object__load')
        for (const map of file.maps) loaded.set(map.name, reused.get(map.name) ?? this.createMap({ ...map, maxEntries: sizes.get(map.name) ?? map.maxEntries }).info.id)
      },
      map: (name) => this.mapHandle(loaded.get(name) ?? -1),
      attach: (program) => this.attach(program),
      pinProgram: (name, path) => {
        const id = this.#nextId++
        this.#writePin(path, `program:${id}`)
        this.programs.push({ id, name })
      },
      testRun: () => 0,
      close: () => {},
      [Symbol.dispose]: () => {},
    }
  }

  binding(): NativeBinding {
    return {
      libbpfVersion: '0.0.0',
      possibleCpus: CPUS,
      openObject: (bytes, options) => this.#openObject(bytes, options),
      createMap: (options) => this.createMap(options),
      openPinnedMap: (path) => this.mapHandle(this.#readPin(path, 'map')),
      openPinnedLink: (path) => {
        const id = this.#readPin(path, 'link')
        const link = this.links.find((candidate) => candidate.id === id)
        if (link === undefined) throw bpfError('ENOENT', 2, 'bpf_obj_get')
        return this.#linkHandle(link)
      },
      attachPinned: (path) => {
        const id = this.#readPin(path, 'program')
        return this.attach(this.programs.find((program) => program.id === id)?.name ?? '')
      },
      openRingBuffer: (map, onBatch): RingBuffer => {
        this.ringListeners.set(map.info.id, onBatch)
        const close = (): void => { this.ringListeners.delete(map.info.id) }
        return { consume: () => 0, ref: () => {}, unref: () => {}, close, [Symbol.dispose]: close }
      },
    }
  }

  /** Delivers records to whoever reads the ring. */
  emit(map: BpfMap, records: Uint8Array): void {
    this.ringListeners.get(map.info.id)?.(records)
  }
}

/** The maps of bpf/abi.h, small. */
export const FAKE_MAPS: readonly BpfMapOptions[] = [
  { name: 'bindings', type: 1, keySize: 8, valueSize: 8, maxEntries: 64 },
  { name: 'tables', type: 12, keySize: 4, valueSize: 4, maxEntries: 8 },
  { name: 'counters', type: 5, keySize: 4, valueSize: 8, maxEntries: 64 },
  { name: 'errors', type: 5, keySize: 8, valueSize: 8, maxEntries: 16 },
  { name: 'stats', type: 6, keySize: 4, valueSize: 8, maxEntries: 8 },
  { name: 'held', type: 1, keySize: 8, valueSize: 8, maxEntries: 16 },
  { name: 'control', type: 2, keySize: 4, valueSize: 24, maxEntries: 1 },
  { name: 'denials', type: 27, keySize: 0, valueSize: 0, maxEntries: 4096 },
  { name: 'events', type: 27, keySize: 0, valueSize: 0, maxEntries: 4096 },
  { name: 'tasks', type: 29, keySize: 4, valueSize: 64, maxEntries: 0 },
  { name: 'scratch', type: 2, keySize: 4, valueSize: 4096, maxEntries: 4 },
]

export function fakeObject(change: Partial<FakeObjectFile> = {}): Uint8Array {
  return Buffer.from(JSON.stringify({ maps: FAKE_MAPS, programs: ['merlon_exec', 'merlon_open', 'merlon_fork'], ...change }))
}
