// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { BPF_F_INNER_MAP, BPF_F_NO_PREALLOC, cannotUseBpf, MapType, u32, u64, wordAt } from './fixture/probe.ts'
import { loadBinding } from './index.ts'
import type { BpfMap, BpfMapOptions } from './types.ts'

const binding = loadBinding()
const skip = cannotUseBpf()
const ranged = { name: 'RangeError', code: 'MERLON_NATIVE_ARGUMENT' }
const typed = { name: 'TypeError', code: 'MERLON_NATIVE_ARGUMENT' }

function create(type: keyof typeof MapType, options: Partial<BpfMapOptions> = {}): BpfMap {
  return binding.createMap({ type: MapType[type], name: 'test', keySize: 4, valueSize: 8, maxEntries: 16, ...options })
}

/** One value for each possible CPU. */
function perCpu(value: bigint): Uint8Array {
  return u64(...Array.from({ length: binding.possibleCpus }, () => value))
}

describe('maps of single entries', { skip }, () => {
  test('a hash map keeps, replaces, lists and deletes', () => {
    using map = create('hash', { flags: BPF_F_NO_PREALLOC })
    assert.equal(map.lookup(u32(1)), undefined)
    map.update(u32(1), u64(10n))
    map.update(u32(1), u64(11n), 2)
    assert.equal(wordAt(map.lookup(u32(1))), 11n)
    assert.deepEqual(map.nextKey(), u32(1))
    assert.equal(map.nextKey(u32(1)), undefined)
    assert.equal(map.delete(u32(1)), true)
    assert.equal(map.delete(u32(1)), false)
  })

  test('info is what the kernel says', () => {
    using map = create('perCpuHash', { name: 'counters', keySize: 12, valueSize: 20, flags: BPF_F_NO_PREALLOC })
    const { id, ...info } = map.info
    assert.ok(id > 0)
    assert.deepEqual(info, {
      type: MapType.perCpuHash,
      name: 'counters',
      keySize: 12,
      valueSize: 20,
      maxEntries: 16,
      flags: BPF_F_NO_PREALLOC,
      perCpu: true,
    })
  })

  test('a refused update throws what the kernel says', () => {
    using map = create('hash')
    map.update(u32(1), u64(1n))
    assert.throws(() => map.update(u32(1), u64(1n), 1), {
      name: 'BpfError',
      code: 'EEXIST',
      errno: 17,
      syscall: 'bpf_map_update_elem',
      message: 'bpf_map_update_elem: EEXIST, File exists',
      log: '',
    })
    assert.throws(() => map.update(u32(2), u64(1n), 2), { code: 'ENOENT' })
  })

  test('an array has all its entries, and loses none', () => {
    using map = create('array', { maxEntries: 3 })
    assert.equal(wordAt(map.lookup(u32(2))), 0n)
    assert.equal(map.lookup(u32(3)), undefined)
    assert.throws(() => map.delete(u32(0)), { code: 'EINVAL', syscall: 'bpf_map_delete_elem' })
  })

  test('a per-CPU value is one for each possible CPU, padded to 8 bytes', () => {
    using map = create('perCpuArray', { valueSize: 4 })
    map.update(u32(0), perCpu(7n))
    const value = map.lookup(u32(0))
    assert.equal(value?.length, 8 * binding.possibleCpus)
    assert.equal(wordAt(value, binding.possibleCpus - 1), 7n)
    assert.throws(() => map.update(u32(0), u32(7)), ranged)
  })
})

describe('maps of maps', { skip }, () => {
  test('a slot is swapped for an inner map of another length', () => {
    const inner = { valueSize: 4096, flags: BPF_F_INNER_MAP }
    using template = create('array', { ...inner, maxEntries: 1 })
    using tables = create('arrayOfMaps', { valueSize: 4, maxEntries: 4, inner: template })
    using larger = create('array', { ...inner, maxEntries: 9 })
    tables.updateInner(u32(1), larger)
    assert.deepEqual(tables.lookup(u32(1)), u32(larger.info.id))
    tables.updateInner(u32(1), template)
    assert.deepEqual(tables.lookup(u32(1)), u32(template.info.id))
    assert.equal(tables.delete(u32(1)), true)
    assert.equal(tables.lookup(u32(1)), undefined)
  })

  test('a descriptor is never taken from bytes', () => {
    using template = create('array')
    using tables = create('arrayOfMaps', { valueSize: 4, inner: template })
    assert.throws(() => tables.update(u32(0), u32(0)), typed)
    assert.throws(() => tables.updateBatch(u32(0), u32(0)), typed)
    assert.throws(() => template.updateInner(u32(0), tables), typed)
  })
})

describe('batches', { skip }, () => {
  for (const type of ['hash', 'array', 'perCpuHash', 'perCpuArray'] as const) {
    test(`${type}: what goes in comes out`, () => {
      using map = create(type, { maxEntries: 500 })
      const numbers = Array.from({ length: 500 }, (_, i) => i)
      const each = map.info.perCpu ? binding.possibleCpus : 1
      map.updateBatch(u32(...numbers), u64(...numbers.flatMap((n) => Array.from({ length: each }, () => BigInt(n * 3)))))
      const { keys, values, count } = map.entries()
      assert.equal(count, 500)
      const found = new Uint32Array(keys.buffer, keys.byteOffset, count)
      assert.deepEqual([...found].toSorted((a, b) => a - b), numbers)
      for (const [at, key] of found.entries()) assert.equal(wordAt(values, at * each + each - 1), BigInt(key * 3))
    })
  }

  test('more than one chunk of a megabyte comes out whole', () => {
    using map = create('array', { valueSize: 4096, maxEntries: 700 })
    map.update(u32(699), new Uint8Array(4096).fill(9))
    const { values, count } = map.entries()
    assert.equal(count, 700)
    assert.equal(values.length, 700 * 4096)
    assert.equal(values.at(-1), 9)
    assert.equal(values[698 * 4096], 0)
  })

  test('keys shorter than the cursor of the kernel', () => {
    using map = create('hash', { keySize: 1, maxEntries: 256 })
    for (let i = 0; i < 256; i++) map.update(Uint8Array.of(i), u64(BigInt(i)))
    assert.equal(map.entries().count, 256)
  })

  test('nothing is a batch too', () => {
    using map = create('hash')
    map.updateBatch(new Uint8Array(0), new Uint8Array(0))
    assert.deepEqual(map.entries(), { keys: new Uint8Array(0), values: new Uint8Array(0), count: 0 })
  })

  test('lengths that do not belong together are refused', () => {
    using map = create('hash')
    assert.throws(() => map.updateBatch(new Uint8Array(6), new Uint8Array(8)), ranged)
    assert.throws(() => map.updateBatch(new Uint8Array(8), new Uint8Array(8)), ranged)
    assert.throws(() => map.updateBatch(new Uint8Array(4), new Uint8Array(9)), ranged)
  })

  test('a batch that does not fit says so', () => {
    using map = create('hash', { maxEntries: 2, flags: BPF_F_NO_PREALLOC })
    assert.throws(() => map.updateBatch(u32(1, 2, 3), u64(1n, 2n, 3n)), { code: 'E2BIG', syscall: 'bpf_map_update_batch' })
  })
})

describe('arguments', { skip }, () => {
  test('lengths are the map’s', () => {
    using map = create('hash')
    for (const length of [0, 3, 5, 4096]) {
      assert.throws(() => map.lookup(new Uint8Array(length)), ranged)
      assert.throws(() => map.delete(new Uint8Array(length)), ranged)
      assert.throws(() => map.nextKey(new Uint8Array(length)), ranged)
      assert.throws(() => map.update(new Uint8Array(length), u64(1n)), ranged)
    }
    assert.throws(() => map.update(u32(1), new Uint8Array(7)), {
      ...ranged,
      message: 'value has 7 bytes and must have 8',
    })
  })

  test('bytes are a Uint8Array of our own', () => {
    using map = create('hash')
    const gone = new Uint8Array(4)
    structuredClone(gone, { transfer: [gone.buffer] })
    const odd = [null, 1, 'abcd', [1, 2, 3, 4], new Uint16Array(2), new DataView(new ArrayBuffer(4)), new ArrayBuffer(4), gone]
    for (const key of [...odd, new Uint8Array(new SharedArrayBuffer(4)), new Proxy(u32(1), {})]) {
      assert.throws(() => map.lookup(key as Uint8Array), typed)
    }
    assert.equal(map.lookup(Buffer.from([1, 2, 3, 4]).subarray(0, 4)), undefined)
  })

  test('numbers are not coerced', () => {
    for (const maxEntries of [-1, 1.5, Number.NaN, 2 ** 32, Number.POSITIVE_INFINITY]) {
      assert.throws(() => create('hash', { maxEntries }), ranged)
    }
    for (const maxEntries of ['4', null, 4n, { valueOf: () => 4 }]) {
      assert.throws(() => create('hash', { maxEntries: maxEntries as number }), typed)
    }
  })

  test('a name that the kernel would shorten is refused', () => {
    assert.throws(() => create('hash', { name: 'sixteen_letters_' }), ranged)
    assert.throws(() => create('hash', { name: '' }), ranged)
    assert.throws(() => create('hash', { name: 'nul\0nul' }), typed)
    assert.throws(() => binding.openPinnedMap('/a\0b'), typed)
    assert.throws(() => binding.openPinnedMap('/' + 'long'.repeat(2000)), ranged)
  })

  test('options are read once, and before any of them is used', () => {
    using inner = create('array')
    const reads: string[] = []
    const options = new Proxy(
      { type: MapType.arrayOfMaps, name: 'test', keySize: 4, valueSize: 4, maxEntries: 1, inner },
      {
        get(target, name) {
          reads.push(String(name))
          if (name === 'inner') inner.close()
          return Reflect.get(target, name) as unknown
        },
      },
    )
    assert.throws(() => binding.createMap(options), { code: 'MERLON_NATIVE_CLOSED' })
    assert.deepEqual(reads, ['type', 'name', 'keySize', 'valueSize', 'maxEntries', 'flags', 'inner'])
  })

  test('what a getter throws comes through', () => {
    const options = Object.defineProperty({}, 'type', {
      get: () => {
        throw new Error('mine')
      },
    })
    assert.throws(() => binding.createMap(options as BpfMapOptions), { message: 'mine' })
  })
})

describe('handles', { skip }, () => {
  test('closing twice is harmless, using a closed one is not', () => {
    const map = create('hash')
    map.close()
    map.close()
    map[Symbol.dispose]()
    assert.throws(() => map.lookup(u32(1)), { code: 'MERLON_NATIVE_CLOSED', message: 'This BpfMap has been closed' })
    assert.throws(() => map.info, { code: 'MERLON_NATIVE_CLOSED' })
  })

  test('methods refuse a foreign this, and nobody else constructs', () => {
    using map = create('hash')
    const lookup = Reflect.get(map, 'lookup') as (key: Uint8Array) => unknown
    for (const self of [undefined, {}, Object.create(map) as unknown, new Proxy(map, {}), binding]) {
      assert.throws(() => Reflect.apply(lookup, self, [u32(1)]), TypeError)
    }
    const constructor = map.constructor as new () => object
    assert.throws(() => new constructor(), { message: 'Illegal constructor' })
    assert.throws(() => new (class extends constructor {})(), { message: 'Illegal constructor' })
  })

  test('a map is pinned, adopted, and gone with its pin', (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'merlon-bpffs-'))
    const mounted = spawnSync('mount', ['-t', 'bpf', 'bpf', directory])
    if (mounted.status !== 0) {
      rmdirSync(directory)
      t.skip(`SKIPPED: no bpffs can be mounted here: ${mounted.stderr.toString()}`)
      return
    }
    t.after(() => {
      spawnSync('umount', [directory])
      rmdirSync(directory)
    })
    const path = join(directory, 'map')
    assert.throws(() => binding.openPinnedMap(path), { code: 'ENOENT', syscall: 'bpf_obj_get' })
    const first = create('hash', { name: 'kept' })
    first.update(u32(5), u64(55n))
    first.pin(path)
    assert.throws(() => first.pin(path), { code: 'EEXIST', syscall: 'bpf_obj_pin' })
    first.close()
    using second = binding.openPinnedMap(path)
    assert.equal(second.info.name, 'kept')
    assert.equal(wordAt(second.lookup(u32(5))), 55n)
    assert.throws(() => binding.openPinnedLink(path), { code: 'EINVAL', message: /not a link/ })
    rmSync(path)
    assert.throws(() => binding.openPinnedMap(path), { code: 'ENOENT' })
  })
})
