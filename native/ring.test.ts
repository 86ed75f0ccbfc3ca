// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { cannotUseBpf, compileProbe, MapType, u32 } from './fixture/probe.ts'
import { loadBinding } from './index.ts'
import type { BpfMap, BpfObject, RingBuffer } from './types.ts'

const binding = loadBinding()
const skip = cannotUseBpf()
const probe = compileProbe()
const MEGABYTE = 1 << 20

interface Source extends Disposable {
  readonly object: BpfObject
  readonly map: BpfMap
  /** Writes `count` records of `size` bytes that begin with first, first + 1, ... */
  emit(count: number, size: number, first: number): void
}

function openSource(): Source {
  const object = binding.openObject(probe)
  object.setAutoload('refused', false)
  object.load()
  const map = object.map('records')
  return {
    object,
    map,
    emit(count, size, first) {
      for (let at = 0; at < count; at += 64) object.testRun('emit', u32(Math.min(64, count - at), size, first + at))
    },
    [Symbol.dispose]() {
      map.close()
      object.close()
    },
  }
}

/** The first word of each record, and the lengths. */
function unframe(batch: Uint8Array): { firsts: number[]; lengths: number[] } {
  const view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength)
  const firsts: number[] = []
  const lengths: number[] = []
  let at = 0
  while (at < batch.length) {
    const length = view.getUint32(at, true)
    lengths.push(length)
    firsts.push(view.getUint32(at + 4, true))
    at += (4 + length + 7) & ~7
  }
  assert.equal(at, batch.length, 'a batch is a whole number of records')
  return { firsts, lengths }
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i)
}

describe('reading', { skip }, () => {
  test('consume delivers what is there in one batch, framed', () => {
    using source = openSource()
    const batches: Uint8Array[] = []
    using ring = binding.openRingBuffer(source.map, (records) => batches.push(records))
    assert.equal(ring.consume(), 0)
    source.emit(3, 9, 100)
    assert.equal(ring.consume(), 3)
    assert.equal(batches.length, 1)
    assert.equal(batches[0]?.length, 3 * 16)
    assert.deepEqual(unframe(batches[0]), { firsts: [100, 101, 102], lengths: [9, 9, 9] })
    assert.equal(ring.consume(), 0)
  })

  test('the loop delivers without being asked, and onBatch owns its bytes', async () => {
    using source = openSource()
    const { promise, resolve } = Promise.withResolvers<Uint8Array>()
    using ring = binding.openRingBuffer(source.map, resolve)
    source.emit(2, 4, 1)
    const records = await promise
    source.emit(64, 4, 90)
    ring.consume()
    assert.deepEqual(unframe(records).firsts, [1, 2])
    assert.equal(records.byteOffset, 0)
    assert.equal(records.buffer.byteLength, records.length)
  })

  test('a batch has at most a megabyte; nothing is lost or reordered at the seams', () => {
    using source = openSource()
    const batches: Uint8Array[] = []
    using ring = binding.openRingBuffer(source.map, (records) => batches.push(records))
    source.emit(60, 60_000, 0)
    assert.equal(ring.consume(), 60)
    assert.deepEqual(
      batches.map((batch) => batch.length <= MEGABYTE && batch.length > MEGABYTE - 60_008),
      [true, true, true, false],
    )
    assert.deepEqual(batches.flatMap((batch) => unframe(batch).firsts), upTo(60))
  })

  test('the loop delivers all of several megabytes', async () => {
    using source = openSource()
    const firsts: number[] = []
    const { promise, resolve } = Promise.withResolvers<undefined>()
    using _ring = binding.openRingBuffer(source.map, (records) => {
      firsts.push(...unframe(records).firsts)
      if (firsts.length === 60) resolve(undefined)
    })
    source.emit(60, 60_000, 0)
    await promise
    assert.deepEqual(firsts, upTo(60))
  })

  test('only a ring buffer is read, and only into a function', () => {
    using hash = binding.createMap({ type: MapType.hash, name: 'test', keySize: 4, valueSize: 4, maxEntries: 1 })
    assert.throws(() => binding.openRingBuffer(hash, () => {}), { name: 'TypeError', message: /BPF_MAP_TYPE_RINGBUF/ })
    using source = openSource()
    assert.throws(() => binding.openRingBuffer(source.map, undefined as unknown as () => void), TypeError)
  })
})

describe('onBatch may do anything', { skip }, () => {
  test('close its own ring', async () => {
    using source = openSource()
    const { promise, resolve } = Promise.withResolvers<number>()
    const ring: RingBuffer = binding.openRingBuffer(source.map, (records) => {
      ring.close()
      ring.close()
      resolve(unframe(records).firsts.length)
    })
    source.emit(30, 60_000, 0)
    assert.equal(await promise, 17)
    assert.throws(() => ring.consume(), { code: 'MERLON_NATIVE_CLOSED' })
  })

  test('read on: what comes first is delivered first', () => {
    using source = openSource()
    const firsts: number[] = []
    using ring = binding.openRingBuffer(source.map, (records) => {
      firsts.push(...unframe(records).firsts)
      ring.consume()
    })
    source.emit(40, 60_000, 0)
    ring.consume()
    assert.deepEqual(firsts, upTo(40))
  })

  test('throw into consume(), and lose only that batch', () => {
    using source = openSource()
    const firsts: number[] = []
    let failing = true
    using ring = binding.openRingBuffer(source.map, (records) => {
      if (failing) throw new Error('mine')
      firsts.push(...unframe(records).firsts)
    })
    source.emit(20, 60_000, 0)
    assert.throws(() => ring.consume(), { message: 'mine' })
    failing = false
    ring.consume()
    assert.deepEqual(firsts, [17, 18, 19])
  })

  test('throw on the loop: an uncaught exception as from any event', () => {
    const run = runScript(`
      process.on('uncaughtException', (error) => { console.log('uncaught', error.message); ring.close() })
      const ring = binding.openRingBuffer(map, () => { throw new Error('mine') })
      emit()`)
    assert.deepEqual(run, { stdout: 'uncaught mine\n', stderr: '', status: 0 })
  })
})

const directory = mkdtempSync(join(tmpdir(), 'merlon-ring-'))
writeFileSync(join(directory, 'probe.o'), probe)
after(() => {
  rmSync(directory, { recursive: true })
})

/** A process of its own with `binding`, `map` and `emit` at hand. */
function runScript(body: string): { stdout: string; stderr: string; status: number | null } {
  const url = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href)
  const source = `
    import { loadBinding } from ${url('index.ts')}
    import { u32 } from ${url('fixture/probe.ts')}
    import { readFileSync } from 'node:fs'
    const binding = loadBinding()
    const object = binding.openObject(readFileSync(${JSON.stringify(join(directory, 'probe.o'))}))
    object.setAutoload('refused', false)
    object.load()
    const map = object.map('records')
    const emit = () => object.testRun('emit', u32(1, 4, 0))
    ${body}`
  const run = spawnSync(process.execPath, ['--expose-gc', '--input-type=module', '-e', source], { encoding: 'utf8', timeout: 600_000 })
  return { stdout: run.stdout, stderr: run.stderr, status: run.status }
}

describe('lifetime', { skip }, () => {
  test('an unreferenced ring lets the process end, and ref() takes it back', () => {
    const quiet = { stdout: '', stderr: '', status: 0 }
    assert.deepEqual(runScript('binding.openRingBuffer(map, () => {}).unref()'), quiet)
    const body = `
      const ring = binding.openRingBuffer(map, () => { console.log('alive'); ring.close() })
      ring.unref()
      ring.ref()
      setImmediate(emit)`
    assert.deepEqual(runScript(body), { ...quiet, stdout: 'alive\n' })
  })

  test('a process may exit with an open ring, also from within onBatch', () => {
    const quiet = { stdout: '', stderr: '', status: 7 }
    assert.deepEqual(runScript('binding.openRingBuffer(map, () => {}); process.exit(7)'), quiet)
    assert.deepEqual(runScript('binding.openRingBuffer(map, () => process.exit(7)); emit()'), quiet)
  })

  test('a ring that nobody holds still delivers', async () => {
    const script = `
      ;(() => { binding.openRingBuffer(map, () => { console.log('delivered'); process.exit(0) }) })()
      globalThis.gc()
      setImmediate(() => { globalThis.gc(); emit() })`
    assert.equal(runScript(script).stdout, 'delivered\n')
  })

  test('workers load the addon too, and may end with open rings', { timeout: 600_000 }, async () => {
    const path = fileURLToPath(new URL('fixture/ring-worker.ts', import.meta.url))
    const before = readdirSync('/proc/self/fd').length
    for (let round = 0; round < 2; round++) {
      const workers = ['return', 'exit', 'terminate'].map((end) => new Worker(path, { workerData: { probe, end } }))
      const exits = workers.slice(0, 2).map(async (worker) => once(worker, 'exit'))
      const messages = await Promise.all(workers.map(async (worker) => (await once(worker, 'message'))[0] as unknown))
      assert.deepEqual(messages, [3, 3, 3])
      await workers[2]?.terminate()
      await Promise.all(exits)
    }
    assert.ok(readdirSync('/proc/self/fd').length <= before + 2)
    using source = openSource()
    using ring = binding.openRingBuffer(source.map, () => {})
    source.emit(1, 4, 0)
    assert.equal(ring.consume(), 1)
  })
})
