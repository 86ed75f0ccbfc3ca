// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { cannotUseBpf, compileProbe, MapType, u32, u64, wordAt } from './fixture/probe.ts'
import { loadBinding } from './index.ts'
import type { BpfError, BpfObject } from './types.ts'

const binding = loadBinding()
const skip = cannotUseBpf()
const probe = compileProbe()
const ranged = { name: 'RangeError', code: 'MERLON_NATIVE_ARGUMENT' }
const phase = { code: 'MERLON_NATIVE_PHASE' }

function open(): BpfObject {
  const object = binding.openObject(probe, { name: 'probe' })
  object.setAutoload('refused', false)
  return object
}

function load(): BpfObject {
  const object = open()
  object.load()
  return object
}

test('the binding knows its library and the machine', () => {
  assert.match(binding.libbpfVersion, /^\d+\.\d+/)
  assert.ok(Number.isInteger(binding.possibleCpus) && binding.possibleCpus >= 1)
})

test('an addon that is not there is a plain sentence', () => {
  assert.throws(() => loadBinding('/nowhere/merlon_bpf.node'), {
    code: 'MERLON_NATIVE_MISSING',
    message: 'The native addon is not at /nowhere/merlon_bpf.node: build it with `make -C native`',
  })
  assert.throws(() => loadBinding(fileURLToPath(import.meta.url).replace(/[^/]*$/, 'Makefile')), Error)
})

describe('objects before load', { skip }, () => {
  test('lists maps by section or name, and programs with their sections', () => {
    using object = open()
    assert.deepEqual(object.maps.toSorted(), ['.bss', '.rodata', 'records', 'seen'])
    assert.deepEqual(
      object.programs.find((program) => program.name === 'count_kills'),
      { name: 'count_kills', section: 'tracepoint/syscalls/sys_enter_kill' },
    )
  })

  test('globals are set within their section only', () => {
    using object = open()
    object.setGlobals('.rodata', 0, u64(7n))
    assert.throws(() => object.setGlobals('.rodata', 1, u64(7n)), ranged)
    assert.throws(() => object.setGlobals('.rodata', 4_294_967_295, u64(7n)), ranged)
    assert.throws(() => object.setGlobals('seen', 0, u64(7n)), ranged)
    assert.throws(() => object.setGlobals('.data', 0, u64(7n)), ranged)
    object.load()
    object.testRun('multiply', u64(6n, 0n))
    using seen = object.map('seen')
    assert.equal(wordAt(seen.lookup(u32(1))), 42n)
    assert.throws(() => object.setGlobals('.rodata', 0, u64(8n)), phase)
  })

  test('maxEntries changes a map, not a section', () => {
    using object = open()
    object.setMaxEntries('seen', 77)
    assert.throws(() => object.setMaxEntries('.rodata', 1000), ranged)
    object.load()
    using seen = object.map('seen')
    assert.equal(seen.info.maxEntries, 77)
    assert.throws(() => object.setMaxEntries('seen', 5), phase)
  })

  test('an existing map takes the place of the object’s own', () => {
    using existing = binding.createMap({ type: MapType.hash, name: 'mine', keySize: 4, valueSize: 8, maxEntries: 3 })
    using other = binding.createMap({ type: MapType.hash, name: 'other', keySize: 4, valueSize: 16, maxEntries: 3 })
    using object = open()
    assert.throws(() => object.reuseMap('seen', other), ranged)
    assert.throws(() => object.reuseMap('.rodata', existing), ranged)
    object.reuseMap('seen', existing)
    object.load()
    object.testRun('multiply', u64(5n, 0n))
    assert.equal(wordAt(existing.lookup(u32(1))), 5n)
    using seen = object.map('seen')
    assert.equal(seen.info.id, existing.info.id)
  })

  test('what needs load() says so', () => {
    using object = open()
    assert.throws(() => object.map('seen'), phase)
    assert.throws(() => object.attach('multiply'), phase)
    assert.throws(() => object.testRun('multiply', u64(1n, 1n)), phase)
  })

  test('bytes that are no object of ours are refused', () => {
    const format = { code: 'LIBBPF_FORMAT', syscall: 'bpf_object__open_mem' }
    assert.throws(() => binding.openObject(new Uint8Array(0)), format)
    assert.throws(() => binding.openObject(new Uint8Array(1000)), format)
    for (const length of [40, 64, 100, probe.length >> 1, probe.length - 1]) {
      assert.throws(() => binding.openObject(probe.subarray(0, length)), format)
    }
    const other = new Uint8Array(probe)
    other[18] = 62 // e_machine: x86-64
    assert.throws(() => binding.openObject(other), { ...format, message: /not a relocatable file for BPF/ })
  })

  test('an object may lie anywhere in its buffer', () => {
    const shifted = new Uint8Array(probe.length + 3).subarray(3)
    shifted.set(probe)
    using object = binding.openObject(shifted)
    assert.equal(object.maps.length, 4)
  })
})

describe('load', { skip }, () => {
  test('the verifier’s log comes with the error, and the object is spent', () => {
    using object = binding.openObject(probe)
    const check = (error: BpfError): true => {
      assert.equal(error.name, 'BpfError')
      assert.equal(error.code, 'EACCES')
      assert.equal(error.errno, 13)
      assert.equal(error.syscall, 'bpf_object__load')
      assert.match(error.log, /R0 invalid mem access 'map_value_or_null'/)
      assert.match(error.log, /prog 'refused'/)
      assert.ok(error.log.length <= 64 * 1024)
      return true
    }
    assert.throws(() => object.load(), check)
    assert.throws(() => object.load(), phase)
    assert.throws(() => object.map('seen'), phase)
  })

  test('a kernel BTF that is not there', () => {
    using object = binding.openObject(probe, { btf: '/nowhere/vmlinux' })
    object.setAutoload('refused', false)
    // Only an object with relocations needs it, and this one has none.
    object.load()
    assert.throws(() => binding.openObject(probe, { btf: 1 as unknown as string }), TypeError)
  })

  test('a program that was not loaded is neither run nor attached', () => {
    using object = load()
    assert.throws(() => object.testRun('refused', u64(1n)), ranged)
    assert.throws(() => object.attach('refused'), ranged)
    assert.throws(() => object.attach('nobody'), ranged)
  })
})

describe('running', { skip }, () => {
  test('testRun hands over the context and returns the result', () => {
    using object = load()
    assert.equal(object.testRun('multiply', u64(3n, 41n)), 42)
    assert.throws(() => object.testRun('multiply', new Uint8Array(200)), { code: 'EINVAL', syscall: 'bpf_prog_test_run' })
    assert.throws(() => object.testRun('multiply', new Uint8Array(0)), { code: 'EINVAL' })
  })

  test('an attached program runs until its link is closed', () => {
    using object = load()
    using seen = object.map('seen')
    const link = object.attach('count_switches')
    spawnSync('true')
    const during = wordAt(seen.lookup(u32(4)))
    assert.ok(during > 0n)
    spawnSync('true')
    assert.ok(wordAt(seen.lookup(u32(4))) > during)
    link.close()
    const after = wordAt(seen.lookup(u32(4)))
    spawnSync('true')
    assert.equal(wordAt(seen.lookup(u32(4))), after)
    assert.throws(() => link.pin('/nowhere'), { code: 'MERLON_NATIVE_CLOSED' })
  })

  test('a syscall program has nothing to be attached to', () => {
    using object = load()
    assert.throws(() => object.attach('emit'), { name: 'TypeError', message: /section syscall cannot be attached/ })
  })

  test('a pinned link of a tracepoint outlives its handle', (t) => {
    const script = fileURLToPath(new URL('fixture/pinned-links.ts', import.meta.url))
    // In mounts of its own: a bpffs, and tracefs where the machine has none.
    const run = spawnSync('unshare', ['--mount', 'sh', '-c', 'mount -t bpf bpf /mnt && exec "$0" "$1" /mnt', process.execPath, script])
    if (run.status === 77 || run.stderr.toString().startsWith('unshare:')) {
      t.skip(`SKIPPED: ${run.stderr.toString()}`)
      return
    }
    assert.equal(run.status, 0, run.stderr.toString())
    assert.deepEqual(JSON.parse(run.stdout.toString()), {
      tracepoint: { attached: 2, closed: 4, unpinned: 4 },
      missing: 'ENOENT',
      kind: 'EINVAL',
      pinned: { again: 'EEXIST', unloaded: 'MERLON_NATIVE_ARGUMENT', tracepoint: 'EINVAL', link: 'EINVAL', none: 'ENOENT' },
      wrong: 'EINVAL',
    })
  })

  test('closing gives every descriptor back', () => {
    const count = (): number => readdirSync('/proc/self/fd').length
    load().close()
    const before = count()
    for (let i = 0; i < 10; i++) {
      using object = load()
      using _seen = object.map('seen')
      using _link = object.attach('count_switches')
      assert.throws(() => binding.openObject(probe.subarray(1)))
    }
    assert.equal(count(), before)
  })
})
