// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { u32 } from './abi.ts'
import { detachKernel, openKernel, type Kernel } from './kernel.ts'
import { objectName, VERSION_DIRECTORY } from './pins.ts'
import { FLAGS } from '../policy/table.ts'
import { SECTIONS } from '../policy/types.ts'
import { FAKE_MAPS, FakeKernel, fakeObject } from './testing/native.ts'

const PROGRAMS = ['merlon_exec', 'merlon_open', 'merlon_fork']
let directory = ''
let fake: FakeKernel

beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), 'merlon-kernel-')), 'merlon')
  fake = new FakeKernel(directory)
})
afterEach(() => { rmSync(join(directory, '..'), { recursive: true }) })

function open(object: Uint8Array = fakeObject()): Kernel {
  const result = openKernel({ native: fake.binding(), object, pinDirectory: directory, hostMountNamespace: 4026531841 })
  assert.ok(result.ok, result.ok ? '' : result.problem.message)
  return result.value
}

const attached = (): number[] => PROGRAMS.map((program) => fake.attached(program))
const loads = (): number => fake.globals.length

/** From now on, every operation finds every program attached, or the test fails. */
function demandNoGap(): void {
  fake.hook = (operation, detail) => {
    assert.ok(attached().every((count) => count > 0), `not enforced at ${operation} ${detail}: ${attached().join(' ')}`)
  }
}

test('openKernel() loads, attaches and pins everything where nothing was', () => {
  const kernel = open()
  assert.equal(kernel.origin, 'fresh')
  assert.deepEqual(attached(), [1, 1, 1])
  assert.deepEqual(fake.globals, [{ section: '.rodata.config', offset: 0, bytes: u32(4026531841) }])
  assert.equal([...fake.maps.values()].find((map) => map.info.name === 'scratch')?.info.maxEntries, 64 + 8, 'shared ones, and those of two CPUs')
  fake.crash()
  assert.deepEqual(attached(), [1, 1, 1], 'still enforced without the agent')
  assert.deepEqual(readdirSync(join(directory, VERSION_DIRECTORY)).toSorted(), [`links-${objectName(fakeObject())}`, 'maps', 'tables'])
})

test('pins that somebody removes are missed, those that come later too', () => {
  const kernel = open(withOpen())
  kernel.onDemand.require(FILE)
  assert.deepEqual(kernel.lostPins(), [])
  const links = join(directory, VERSION_DIRECTORY, `links-${objectName(withOpen())}`)
  rmSync(join(links, 'merlon_file_open'))
  assert.deepEqual(kernel.lostPins(), ['merlon_file_open'])
  rmSync(directory, { recursive: true })
  assert.ok(['bindings', 'tables', 'merlon_exec', 'merlon_file_open'].every((name) => kernel.lostPins().includes(name)))
})

/* ---- Attached on demand ---- */

const FILE = FLAGS.rules << SECTIONS.indexOf('file')
const PROCESS = FLAGS.rules << SECTIONS.indexOf('process')
const withOpen = (revision = 1): Uint8Array => fakeObject({ programs: ['merlon_exec', 'merlon_file_open'], revision })
const opens = (): number => fake.attached('merlon_file_open')

test('what only some tables need is loaded, and attached before the first of them, once', () => {
  const { onDemand } = open(withOpen())
  assert.deepEqual([fake.attached('merlon_exec'), opens(), onDemand.attached()], [1, 0, ['merlon_exec']])
  assert.equal(onDemand.require(PROCESS), undefined)
  assert.equal(opens(), 0)
  assert.equal(onDemand.require(FILE), undefined)
  assert.equal(onDemand.require(FILE | PROCESS), undefined)
  assert.deepEqual([opens(), onDemand.attached()], [1, ['merlon_exec', 'merlon_file_open']])
})

test('the next agent finds it as it was, and can attach it', () => {
  for (const [before, flags] of [[0, 0], [1, FILE]] as const) {
    detachKernel(directory)
    open(withOpen()).onDemand.require(flags)
    fake.crash()
    const kernel = open(withOpen())
    assert.deepEqual([kernel.origin, opens()], ['adopted', before])
    kernel.onDemand.require(FILE)
    assert.equal(opens(), 1)
  }
})

test('another object attaches it beside the old one where it is attached, and not where it is not', () => {
  open(withOpen())
  fake.crash()
  open(withOpen(2)).onDemand.require(FILE)
  assert.equal(opens(), 1)
  fake.crash()
  fake.hook = (operation, detail) => assert.ok(opens() > 0, `not enforced at ${operation} ${detail}`)
  assert.equal(open(withOpen(3)).origin, 'replaced')
  assert.equal(opens(), 1)
})

test('links of an agent that attached everything always are adopted', () => {
  const kernel = open(withOpen())
  kernel.onDemand.require(FILE)
  unlinkSync(join(directory, VERSION_DIRECTORY, `links-${kernel.object}`, 'program-merlon_file_open'))
  fake.crash()
  const { origin, onDemand } = open(withOpen())
  assert.deepEqual([origin, onDemand.require(FILE), opens()], ['adopted', undefined, 1])
})

test('a program that cannot be attached is a problem of the table that needs it', () => {
  const { onDemand } = open(withOpen())
  fake.hook = (operation) => { if (operation === 'attach') throw new Error('no such hook') }
  const problem = onDemand.require(FILE)
  assert.deepEqual([problem?.code, problem?.message], ['MERLON_AGENT_LOAD_FAILED', 'Cannot attach merlon_file_open (the next start of the agent loads it again): no such hook'])
  fake.crash()
  fake.hook = () => {}
  const next = open(withOpen())
  assert.deepEqual([next.origin, next.onDemand.require(FILE), opens()], ['replaced', undefined, 1])
})

test('openKernel() adopts the same object as it is, with the content of its maps', () => {
  open().maps.control.update(u32(0), new Uint8Array(24).fill(7))
  fake.crash()
  demandNoGap()
  const kernel = open()
  assert.equal(kernel.origin, 'adopted')
  assert.equal(loads(), 1, 'loaded once only')
  assert.deepEqual(attached(), [1, 1, 1])
  assert.deepEqual(kernel.maps.control.lookup(u32(0)), new Uint8Array(24).fill(7))
})

test('openKernel() replaces another object beside the old one, over the same maps', () => {
  const before = open()
  fake.crash()
  demandNoGap()
  const kernel = open(fakeObject({ revision: 2 }))
  assert.equal(kernel.origin, 'replaced')
  assert.equal(kernel.maps.bindings.info.id, before.maps.bindings.info.id)
  assert.deepEqual(attached(), [1, 1, 1], 'the old links are gone')
  assert.equal(kernel.object, objectName(fakeObject({ revision: 2 })))
})

test('openKernel() gives a replacing object its own private maps', () => {
  open()
  fake.crash()
  open(fakeObject({ revision: 2 }))
  const tasks = [...fake.maps.values()].filter((map) => map.info.name === 'tasks')
  const bindings = [...fake.maps.values()].filter((map) => map.info.name === 'bindings')
  assert.deepEqual([tasks.length, bindings.length], [2, 1])
})

test('openKernel() keeps the old object where the new one does not load', () => {
  open()
  fake.crash()
  demandNoGap()
  const kernel = open(fakeObject({ broken: true }))
  assert.equal(kernel.origin, 'kept')
  assert.equal(kernel.object, objectName(fakeObject()))
  assert.deepEqual(kernel.problems.map((problem) => problem.code), ['MERLON_AGENT_LOAD_FAILED'])
  assert.deepEqual(attached(), [1, 1, 1])
})

test('openKernel() says why where nothing can be loaded and nothing was there', () => {
  const result = openKernel({ native: fake.binding(), object: fakeObject({ broken: true }), pinDirectory: directory, hostMountNamespace: 4026531841 })
  assert.equal(result.ok, false)
  assert.match(result.ok ? '' : result.problem.message, /^Cannot load: bpf_object__load: EACCES/)
})

test('openKernel() leaves nothing half attached when one program cannot be attached', () => {
  open()
  fake.crash()
  fake.hook = (operation, detail) => {
    if (operation === 'attach' && detail === 'merlon_fork') throw new Error('no such hook')
  }
  const kernel = open(fakeObject({ revision: 2 }))
  assert.equal(kernel.origin, 'kept')
  assert.match(kernel.problems[0]?.message ?? '', /Cannot attach merlon_fork: no such hook/)
  assert.deepEqual(attached(), [1, 1, 1])
})

test('openKernel() recovers from an end at any operation of a first start, and of a replacement', () => {
  for (const object of [fakeObject(), fakeObject({ revision: 2 })]) {
    for (let end = 0, reached = true; reached; end++) {
      reached = false
      rmSync(directory, { recursive: true, force: true })
      fake = new FakeKernel(directory)
      const isReplacement = object.length !== fakeObject().length
      if (isReplacement) open()
      let count = 0
      const snapshot = `${directory}-snapshot`
      fake.hook = () => {
        if (count++ !== end) return
        reached = true
        cpSync(directory, snapshot, { recursive: true })
      }
      open(object)
      if (!reached) break
      // The process ended at that operation: what was pinned then is all there is.
      rmSync(directory, { recursive: true })
      cpSync(snapshot, directory, { recursive: true })
      rmSync(snapshot, { recursive: true })
      fake.crash()
      fake.hook = () => {}
      if (isReplacement) demandNoGap()
      const kernel = open(object)
      assert.deepEqual(attached(), [1, 1, 1], `after an end at operation ${end}`)
      assert.deepEqual(kernel.problems, [])
      assert.deepEqual(readdirSync(directory), [VERSION_DIRECTORY])
    }
  }
})

test('openKernel() attaches again beside a set with a missing link', () => {
  open()
  fake.crash()
  unlinkSync(join(directory, VERSION_DIRECTORY, `links-${objectName(fakeObject())}`, 'merlon_fork'))
  assert.deepEqual(attached(), [1, 1, 0])
  const kernel = open()
  assert.equal(kernel.origin, 'replaced')
  assert.match(kernel.problems[0]?.message ?? '', /^Cannot adopt the pinned links \(merlon_fork: /)
  assert.deepEqual(attached(), [1, 1, 1])
})

test('openKernel() sets damaged maps aside, and their programs enforce until the new set is filled', () => {
  open()
  fake.crash()
  writeFileSync(join(directory, VERSION_DIRECTORY, 'maps', 'bindings'), 'link:1')
  demandNoGap()
  const kernel = open()
  assert.equal(kernel.origin, 'fresh')
  assert.deepEqual(kernel.problems.map((problem) => problem.code), ['MERLON_AGENT_PINS_DAMAGED'])
  assert.deepEqual(attached(), [2, 2, 2], 'old and new side by side')
  assert.equal(kernel.releaseOthers(), 1)
  assert.deepEqual(attached(), [1, 1, 1])
  assert.equal(kernel.releaseOthers(), 0)
})

test('openKernel() does not adopt maps of another shape', () => {
  const narrow = FAKE_MAPS.map((map) => (map.name === 'control' ? { ...map, valueSize: 8 } : map))
  open(fakeObject({ maps: narrow }))
  fake.crash()
  const kernel = open()
  assert.match(kernel.problems[0]?.message ?? '', /control has another shape/)
  assert.equal(kernel.maps.control.info.valueSize, 24)
})

test('releaseOthers() lets go of another ABI version', () => {
  open()
  fake.crash()
  cpSync(join(directory, VERSION_DIRECTORY), join(directory, 'v0'), { recursive: true })
  rmSync(join(directory, VERSION_DIRECTORY), { recursive: true })
  demandNoGap()
  const kernel = open()
  assert.equal(kernel.origin, 'fresh')
  assert.deepEqual(attached(), [2, 2, 2])
  kernel.releaseOthers()
  assert.deepEqual(attached(), [1, 1, 1])
})

test('detachKernel() removes everything, and says whether there was anything', () => {
  open()
  fake.crash()
  assert.equal(detachKernel(directory), true)
  assert.deepEqual(attached(), [0, 0, 0])
  assert.equal(existsSync(directory), false)
  assert.equal(detachKernel(directory), false)
})
