// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import * as abi from './abi.ts'

const BPF = join(import.meta.dirname, '../bpf')
const upper = (name: string): string => name.replaceAll(/([a-z])([A-Z])/g, '$1_$2').toUpperCase()

/** Expression in C -> the number that the agent believes. */
const expected: Record<string, number> = {
  MERLON_ABI_VERSION: abi.ABI_VERSION,
  MERLON_ARGS_MAX: abi.ARGS_MAX,
  MERLON_COMM_LEN: abi.COMM_LENGTH,
  MERLON_TTY_LEN: abi.TTY_LENGTH,
  MERLON_HEARTBEAT_MAX_NS: Number(abi.HEARTBEAT_MAX_NS),
  MERLON_STATS: abi.STATS_ENTRIES,
  MERLON_PAGE: abi.PAGE,
  MERLON_SCRATCH_SHARED: abi.SCRATCH_SHARED,
  MERLON_SCRATCH_PER_CPU: abi.SCRATCH_PER_CPU,
  MERLON_TABLE_MAGIC: abi.TABLE_MAGIC,
  MERLON_TABLE_VERSION: abi.TABLE_VERSION,
}

function addEnum(prefix: string, values: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(values)) expected[`MERLON_${prefix}${name}`] = value
}

function addStruct(struct: string, offsets: Readonly<Record<string, number>>): void {
  for (const [field, offset] of Object.entries(offsets)) {
    expected[field === 'bytes' ? `sizeof(struct ${struct})` : `offsetof(struct ${struct}, ${field})`] = offset
  }
}

addEnum('', abi.VERDICT)
addEnum('OP_', abi.OP)
addEnum('BIND_', abi.BIND)
addEnum('VISIBLE_', abi.VISIBLE)
addEnum('BOUND_', abi.BOUND)
addEnum('HELD_', abi.HELD)
addEnum('HOLD_', abi.HOLD)
addEnum('EVENT_', abi.EVENT_KIND)
addEnum('EVENT_', abi.EVENT_FLAG)
addEnum('STAT_', Object.fromEntries(abi.STATS.map((name, index) => [name.toUpperCase(), index])))
addEnum('FILE_', Object.fromEntries(abi.ERROR_FILES.map((name, index) => [name.toUpperCase(), index + 1])))
addEnum('REASON_', Object.fromEntries(abi.REASONS.map((name, index) => [name === '' ? 'NONE' : upper(name), index])))
addStruct('merlon_event', abi.EVENT)
addStruct('merlon_binding', abi.BINDING)
addStruct('merlon_control', abi.CONTROL)
addStruct('merlon_held', abi.HELD_ENTRY)
addStruct('merlon_error_key', abi.ERROR_KEY)
addStruct('merlon_table', abi.TABLE)
addStruct('merlon_stamp', abi.STAMP)

let directory = ''
before(() => { directory = mkdtempSync(join(tmpdir(), 'merlon-abi-')) })
after(() => { rmSync(directory, { recursive: true }) })

test('abi.ts agrees with the headers, compiled', () => {
  const names = Object.keys(expected)
  const source = `#include <stdio.h>\n#include <stddef.h>\n#include "abi.h"\n#include "table.h"\nint main(void) {\n`
    + names.map((name) => `\tprintf("%llu\\n", (unsigned long long)(${name}));`).join('\n') + '\n\treturn 0;\n}\n'
  writeFileSync(join(directory, 'abi.c'), source)
  execFileSync(process.env['CC'] ?? 'cc', ['-I', BPF, '-o', join(directory, 'abi'), join(directory, 'abi.c')])
  const output = execFileSync(join(directory, 'abi'), { encoding: 'utf8' }).trim().split('\n')
  const actual = Object.fromEntries(names.map((name, index) => [name, Number(output[index])]))
  assert.deepEqual(actual, expected)
})

test('encodeBinding() writes slot, kind, what is visible, and flags', () => {
  assert.deepEqual(abi.encodeBinding(1, abi.BIND.CONTAINER, abi.VISIBLE.FILE), new Uint8Array([1, 0, 0, 0, 1, 0, 2, 0]))
  assert.deepEqual(abi.encodeBinding(0x01020304, abi.BIND.HOST), new Uint8Array([4, 3, 2, 1, 3, 0, 0, 0]))
  assert.deepEqual(abi.encodeBinding(1, abi.BIND.CONTAINER, 0, abi.BOUND.HOLDS), new Uint8Array([1, 0, 0, 0, 1, 0, 0, 1]))
})

test('sumPerCpu() adds the values of all CPUs', () => {
  const value = new Uint8Array(24)
  value[0] = 5
  value[9] = 1
  value[16] = 7
  assert.equal(abi.sumPerCpu(value), 5n + 256n + 7n)
})

test('u64() is little-endian', () => {
  assert.deepEqual(abi.u64(0x0102030405060708n), new Uint8Array([8, 7, 6, 5, 4, 3, 2, 1]))
})
