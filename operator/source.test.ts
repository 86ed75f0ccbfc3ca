// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { appendFileSync, closeSync, mkdirSync, mkdtempSync, openSync, renameSync, rmSync, symlinkSync, truncateSync, unlinkSync, utimesSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import type { Finding } from '../policy/types.ts'
import { systemClock } from '../runtime/clock.ts'
import { silentLogger } from '../runtime/log.ts'
import type { Snapshot } from './files.ts'
import { policyLibrary } from './library.ts'
import { LastGood } from './last-good.ts'
import { DirectorySource } from './source.ts'
import { BROKEN, podText, policyText } from './testing/manifests.ts'

/** A source on a directory of its own; `until` waits for a snapshot, which the test's time limit bounds. */
class Bench {
  readonly directory = mkdtempSync(join(tmpdir(), 'merlon-source-'))
  readonly kept = mkdtempSync(join(tmpdir(), 'merlon-good-'))
  readonly findings: Finding[] = []
  readonly snapshots: Snapshot[] = []
  #notify: (() => void) | undefined
  source: DirectorySource

  /** Where it stands still: the time that a source goes by. */
  nowMs: number | undefined
  readonly #quietMs: number | undefined

  constructor(rescanMs = 60_000, quietMs?: number) {
    this.#quietMs = quietMs
    this.source = this.#open(rescanMs)
  }

  /** As a new process does. */
  restart(): void {
    this.source.close()
    this.snapshots.length = 0
    this.source = this.#open(60_000)
  }

  #open(rescanMs: number): DirectorySource {
    return new DirectorySource({
      directory: this.directory,
      library: policyLibrary,
      clock: { ...systemClock, now: () => this.nowMs ?? systemClock.now() },
      logger: silentLogger,
      rescanMs,
      ...(this.#quietMs === undefined ? {} : { quietMs: this.#quietMs }),
      onChange: (snapshot) => {
        this.snapshots.push(snapshot)
        this.#notify?.()
      },
      onFinding: (finding) => this.findings.push(finding),
      lastGood: new LastGood(this.kept),
    })
  }

  path(name: string): string {
    return join(this.directory, name)
  }

  write(name: string, text: string): void {
    writeFileSync(this.path(name), text)
    // As if it had been there for long: the source need not wait for it to be quiet.
    utimesSync(this.path(name), 1, 1)
  }

  names(snapshot = this.snapshots.at(-1)): string {
    return (snapshot?.policies ?? []).map((policy) => policy.name).join(' ')
  }

  async until(holds: (snapshot: Snapshot) => boolean): Promise<Snapshot> {
    for (;;) {
      const last = this.snapshots.at(-1)
      if (last && holds(last)) return last
      await new Promise<void>((resolve) => { this.#notify = resolve })
    }
  }

  close(): void {
    this.source.close()
    for (const each of [this.directory, this.kept]) rmSync(each, { recursive: true, force: true })
  }
}

describe('DirectorySource', { timeout: 600_000 }, () => {
  let bench: Bench
  beforeEach(() => { bench = new Bench() })
  afterEach(() => bench.close())

  it('reads what is there, below too, and leaves other files alone', async () => {
    mkdirSync(bench.path('sub/deep'), { recursive: true })
    bench.write('a.yaml', policyText({ name: 'a' }))
    bench.write('sub/deep/b.yml', policyText({ name: 'b' }) + podText('p', 'web'))
    bench.write('c.json', '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"q"}}')
    bench.write('README.md', BROKEN)
    bench.write('.d.yaml.swp', BROKEN)
    bench.write('.e.yaml', BROKEN)
    bench.write('f.policytest.yaml', BROKEN)
    await bench.source.start()
    assert.equal(bench.names(), 'a b')
    assert.deepEqual(bench.snapshots[0]?.pods.map((pod) => pod.name), ['q', 'p'])
    assert.deepEqual(bench.findings, [])
    assert.equal(bench.snapshots.length, 1)
  })

  it('reports an empty directory, and refuses one that is not there', async () => {
    await bench.source.start()
    assert.deepEqual(bench.snapshots.map((snapshot) => snapshot.policies), [[]])
    rmSync(bench.directory, { recursive: true })
    await assert.rejects(new DirectorySource({ directory: bench.directory, library: policyLibrary, clock: systemClock, logger: silentLogger, onChange: () => {} }).start(), { code: 'ENOENT' })
  })

  it('sees edits in place, files replaced by rename, new directories and deletions', async () => {
    bench.write('a.yaml', policyText({ name: 'a' }))
    await bench.source.start()
    writeFileSync(bench.path('a.yaml'), policyText({ name: 'a2' }))
    await bench.until(() => bench.names() === 'a2')
    writeFileSync(bench.path('.a.yaml.new'), policyText({ name: 'a3' }))
    renameSync(bench.path('.a.yaml.new'), bench.path('a.yaml'))
    await bench.until(() => bench.names() === 'a3')
    mkdirSync(bench.path('x/y'), { recursive: true })
    writeFileSync(bench.path('x/y/b.yaml'), policyText({ name: 'b' }))
    await bench.until(() => bench.names() === 'a3 b')
    writeFileSync(bench.path('x/y/b.yaml'), policyText({ name: 'b2' }))
    await bench.until(() => bench.names() === 'a3 b2')
    unlinkSync(bench.path('a.yaml'))
    await bench.until(() => bench.names() === 'b2')
    rmSync(bench.path('x'), { recursive: true })
    await bench.until(() => bench.names() === '')
  })

  it('goes on seeing edits where a directory is replaced by another of its name', async () => {
    mkdirSync(bench.path('sub'))
    bench.write('sub/a.yaml', policyText({ name: 'a' }))
    await bench.source.start()
    const { directory } = bench
    for (const place of [bench.path('sub'), directory]) {
      rmSync(place, { recursive: true })
      mkdirSync(bench.path('sub'), { recursive: true })
      bench.write('sub/a.yaml', policyText({ name: 'made-again' }))
      await bench.until(() => bench.names() === 'made-again')
      writeFileSync(bench.path('sub/a.yaml'), policyText({ name: 'edited' }))
      await bench.until(() => bench.names() === 'edited')
    }
    mkdirSync(`${directory}-next/sub`, { recursive: true })
    writeFileSync(`${directory}-next/sub/a.yaml`, policyText({ name: 'next' }))
    renameSync(directory, `${directory}-before`)
    await bench.until(({ findings }) => findings.some(({ code }) => code === 'MERLON_OPERATOR_DIRECTORY_UNREADABLE'))
    renameSync(`${directory}-next`, directory)
    await bench.until(() => bench.names() === 'next')
    writeFileSync(bench.path('sub/a.yaml'), policyText({ name: 'edited' }))
    await bench.until(() => bench.names() === 'edited')
    rmSync(`${directory}-before`, { recursive: true })
  })

  it('follows links, and the swap of a mounted ConfigMap, never showing a state in between', async () => {
    for (const version of ['1', '2']) {
      mkdirSync(bench.path(`..v${version}`))
      bench.write(`..v${version}/a.yaml`, policyText({ name: `a${version}` }))
      bench.write(`..v${version}/b.yaml`, policyText({ name: `b${version}` }))
    }
    symlinkSync('..v1', bench.path('..data'))
    symlinkSync('..data/a.yaml', bench.path('a.yaml'))
    symlinkSync('..data/b.yaml', bench.path('b.yaml'))
    await bench.source.start()
    assert.equal(bench.names(), 'a1 b1')
    symlinkSync('..v2', bench.path('..data_tmp'))
    renameSync(bench.path('..data_tmp'), bench.path('..data'))
    await bench.until(() => bench.names() === 'a2 b2')
    assert.deepEqual(bench.snapshots.map((snapshot) => bench.names(snapshot)), ['a1 b1', 'a2 b2'])
  })

  it('sees changes of a file behind a link, and ends on links that go round', async () => {
    const outside = new Bench()
    outside.write('target.yaml', policyText({ name: 'far' }))
    symlinkSync(outside.path('target.yaml'), bench.path('link.yaml'))
    mkdirSync(bench.path('loop'))
    symlinkSync(bench.directory, bench.path('loop/back'))
    symlinkSync('nowhere.yaml', bench.path('dead.yaml'))
    await bench.source.start()
    assert.equal(bench.names(), 'far')
    writeFileSync(outside.path('target.yaml'), policyText({ name: 'far2' }))
    await bench.until(() => bench.names() === 'far2')
    outside.close()
  })

  it('waits for a half-written file, and never shows the half', async () => {
    bench.close()
    // Of a writer that a busy machine keeps waiting: what is quiet enough is said by its time of modification alone.
    bench = new Bench(60_000, 3_600_000)
    await bench.source.start()
    const file = openSync(bench.path('a.yaml'), 'w')
    const text = policyText({ name: 'a' })
    writeSync(file, text.slice(0, 100))
    await bench.source.look()
    assert.deepEqual([bench.names(), bench.findings], ['', []])
    writeSync(file, text.slice(100))
    closeSync(file)
    utimesSync(bench.path('a.yaml'), 1, 1)
    await bench.until(() => bench.names() === 'a')
    assert.deepEqual(bench.findings, [])
  })

  it('takes a file that has only now become empty for one that is being saved, and says of one that stays empty that it keeps what it said', async () => {
    bench.write('a.yaml', policyText({ name: 'a' }))
    await bench.source.start()
    const now = 1_900_000_000_000
    bench.nowMs = now
    const empty = (ageMs: number): void => {
      truncateSync(bench.path('a.yaml'))
      utimesSync(bench.path('a.yaml'), 1, (now - ageMs) / 1000)
    }
    empty(990)
    await bench.source.look()
    assert.deepEqual([bench.names(), bench.findings], ['a', []])
    empty(1_010)
    await bench.until(() => bench.findings.length > 0)
    assert.deepEqual([bench.names(), bench.findings.map(({ code }) => code)], ['a', ['MERLON_OPERATOR_FILE_EMPTY', 'MERLON_OPERATOR_LAST_GOOD']])
  })

  it('ends in the last state after a storm of writes', async () => {
    await bench.source.start()
    for (let round = 0; round < 200; round++) {
      writeFileSync(bench.path('a.yaml'), policyText({ name: `r${round}` }))
      if (round % 10 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    appendFileSync(bench.path('a.yaml'), policyText({ name: 'last' }))
    await bench.until(() => bench.names() === 'r199 last')
  })

  it('finds by itself what no event told', async () => {
    bench.close()
    bench = new Bench(20)
    await bench.source.start()
    const { source } = bench
    // Touching the map of watches is not possible from here; a file that becomes visible through a changed parent of a link gives no event.
    mkdirSync(`${bench.directory}.far/one`, { recursive: true })
    symlinkSync(`${bench.directory}.far/one/a.yaml`, bench.path('a.yaml'))
    await source.look()
    writeFileSync(`${bench.directory}.far/one/a.yaml`, policyText({ name: 'late' }))
    await bench.until(() => bench.names() === 'late')
    rmSync(`${bench.directory}.far`, { recursive: true })
  })
})

describe('DirectorySource, files with errors', { timeout: 600_000 }, () => {
  let bench: Bench
  beforeEach(() => { bench = new Bench() })
  afterEach(() => bench.close())

  it('keeps the last good version, says so with file, line and column, and lets go when it is corrected', async () => {
    bench.write('a.yaml', policyText({ name: 'a' }))
    bench.write('b.yaml', policyText({ name: 'b' }))
    await bench.source.start()
    bench.write('a.yaml', BROKEN)
    bench.write('b.yaml', policyText({ name: 'b2' }))
    const broken = await bench.until((snapshot) => snapshot.stale.length > 0 && bench.names() === 'a b2')
    assert.deepEqual(broken.stale, [bench.path('a.yaml')])
    const [first] = bench.findings
    assert.equal(first?.code, 'MERLON_POLICY_YAML_SYNTAX')
    assert.equal(first.position.file, bench.path('a.yaml'))
    assert.ok(first.position.line >= 3 && first.position.column >= 1)
    assert.notEqual(first.hint, '')
    assert.equal(bench.findings.filter((finding) => finding.code === 'MERLON_OPERATOR_LAST_GOOD').length, 1)
    bench.write('a.yaml', policyText({ name: 'a3' }))
    const corrected = await bench.until(() => bench.names() === 'a3 b2')
    assert.deepEqual([corrected.stale, corrected.findings], [[], []])
  })

  it('takes the readable part of a file that never was good, and loses none of it later', async () => {
    bench.write('a.yaml', policyText({ name: 'one' }) + policyText({ name: 'two' }) + policyText({ name: 'bad', action: 'Explode' }))
    await bench.source.start()
    assert.equal(bench.names(), 'one two')
    assert.deepEqual(bench.snapshots[0]?.refused.map((refusal) => refusal.name), ['bad'])
    bench.write('a.yaml', policyText({ name: 'one' }) + policyText({ name: 'two', action: 'Explode' }) + policyText({ name: 'three' }))
    await bench.until(() => bench.names() === 'one three two')
    bench.write('a.yaml', policyText({ name: 'one' }))
    await bench.until(() => bench.names() === 'one')
  })

  it('keeps the last good version through a restart, and only while the file is there', async () => {
    bench.write('a.yaml', policyText({ name: 'a' }))
    bench.write('b.yaml', policyText({ name: 'b' }))
    await bench.source.start()
    bench.write('a.yaml', BROKEN)
    bench.restart()
    await bench.source.start()
    assert.equal(bench.names(), 'a b')
    assert.deepEqual(bench.snapshots[0]?.stale, [bench.path('a.yaml')])
    assert.ok(bench.findings.some((finding) => finding.code === 'MERLON_OPERATOR_LAST_GOOD'))
    bench.restart()
    await bench.source.start()
    assert.equal(bench.names(), 'a b', 'a broken version does not replace the good one')
    bench.source.close()
    unlinkSync(bench.path('a.yaml'))
    bench.restart()
    await bench.source.start()
    bench.write('a.yaml', BROKEN)
    await bench.source.look()
    assert.equal(bench.names(), 'b', 'what was removed meanwhile does not come back')
  })

  it('keeps what a file said that is empty now, through a restart too, until it is removed; one that never said anything may be empty', async () => {
    bench.write('a.yaml', policyText({ name: 'a' }))
    bench.write('b.yaml', '')
    await bench.source.start()
    assert.deepEqual(bench.findings, [])
    bench.write('a.yaml', '\n')
    await bench.until((snapshot) => snapshot.stale.length === 1)
    assert.deepEqual([bench.names(), ...bench.findings.map(({ code }) => code)], ['a', 'MERLON_OPERATOR_FILE_EMPTY', 'MERLON_OPERATOR_LAST_GOOD'])
    bench.restart()
    await bench.source.start()
    assert.equal(bench.names(), 'a')
    unlinkSync(bench.path('a.yaml'))
    await bench.until(() => bench.names() === '')
  })

  it('forgets the last good version with the file', async () => {
    bench.write('a.yaml', policyText({ name: 'a' }))
    await bench.source.start()
    bench.write('a.yaml', BROKEN)
    await bench.until((snapshot) => snapshot.stale.length === 1)
    unlinkSync(bench.path('a.yaml'))
    await bench.until(() => bench.names() === '')
  })

  it('says each finding once', async () => {
    bench.write('a.yaml', BROKEN)
    await bench.source.start()
    const said = bench.findings.length
    bench.write('b.yaml', policyText({ name: 'b' }))
    await bench.until(() => bench.names() === 'b')
    assert.equal(bench.findings.length, said)
    bench.write('a.yaml', `${BROKEN}# more\n`)
    bench.write('c.yaml', policyText({ name: 'c' }))
    await bench.until(() => bench.names() === 'b c')
  })

  it('refuses the second of two policies of one name, and the other takes its place when the first goes', async () => {
    bench.write('a.yaml', policyText({ name: 'same', path: '/bin/a' }))
    bench.write('b.yaml', policyText({ name: 'same', path: '/bin/b' }))
    await bench.source.start()
    assert.equal(bench.snapshots[0]?.policies[0]?.position.file, bench.path('a.yaml'))
    assert.deepEqual(bench.findings.map(({ code, position }) => [code, position.file]), [['MERLON_OPERATOR_DUPLICATE_POLICY', bench.path('b.yaml')]])
    unlinkSync(bench.path('a.yaml'))
    await bench.until((snapshot) => snapshot.policies[0]?.position.file === bench.path('b.yaml') && snapshot.findings.length === 0)
  })

  it('refuses what is not text, and what is too large', async () => {
    writeFileSync(bench.path('a.yaml'), Buffer.from([0x61, 0xff, 0xfe]))
    writeFileSync(bench.path('b.yaml'), Buffer.alloc(9 << 20, 0x20))
    for (const name of ['a.yaml', 'b.yaml']) utimesSync(bench.path(name), 1, 1)
    await bench.source.start()
    assert.deepEqual(bench.findings.map((finding) => finding.code), ['MERLON_OPERATOR_FILE_NOT_TEXT', 'MERLON_OPERATOR_FILE_TOO_LARGE'])
  })

  it('keeps everything in force when the directory itself goes, and goes on when it is back', async () => {
    bench.close()
    bench = new Bench(20)
    bench.write('a.yaml', policyText({ name: 'a' }))
    await bench.source.start()
    renameSync(bench.directory, `${bench.directory}.away`)
    const lost = await bench.until((snapshot) => snapshot.findings.length > 0)
    assert.equal(bench.names(lost), 'a')
    assert.equal(lost.findings[0]?.code, 'MERLON_OPERATOR_DIRECTORY_UNREADABLE')
    renameSync(`${bench.directory}.away`, bench.directory)
    const back = await bench.until((snapshot) => snapshot.findings.length === 0)
    assert.equal(bench.names(back), 'a')
  })
})
