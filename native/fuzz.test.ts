// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { cannotUseBpf } from './fixture/probe.ts'

const CALLS = 100_000
const SEED = 20_261
const addon = fileURLToPath(new URL('../build/native-asan/merlon_bpf.node', import.meta.url))
const script = fileURLToPath(new URL('fuzz.ts', import.meta.url))
const skip = cannotUseBpf() || (existsSync(addon) ? false : 'SKIPPED: build the sanitizers’ addon with `make -C native asan`')

test(`${CALLS} random calls under AddressSanitizer`, { skip, timeout: 1_800_000 }, () => {
  const runtime = spawnSync('g++', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).stdout.trim()
  // Mounts of its own: pins and tracepoints are real, and gone afterwards.
  const mounts = 'mount -t bpf bpf /mnt && mount -t tracefs tracefs /sys/kernel/tracing && exec env LD_PRELOAD="$0" "$@"'
  const node = [process.execPath, '--expose-gc', '--disable-wasm-trap-handler', script, String(SEED), String(CALLS), addon, '/mnt']
  const run = spawnSync('unshare', ['--mount', 'sh', '-c', mounts, runtime, ...node], {
    encoding: 'utf8',
    env: {
      ...process.env,
      // V8 keeps what it allocates until the process ends: leaks are found by counting descriptors and bytes instead.
      ASAN_OPTIONS: 'detect_leaks=0:quarantine_size_mb=16',
      UBSAN_OPTIONS: 'print_stacktrace=1',
    },
  })
  assert.equal(run.status, 0, `seed ${SEED}\n${run.stdout}\n${run.stderr.slice(-20_000)}`)
  assert.doesNotMatch(run.stderr, /Sanitizer|runtime error/)
  const result = JSON.parse(run.stdout) as Record<'calls' | 'threw' | 'batches' | 'records', number>
  console.log(run.stdout.trim())
  assert.ok(result.calls >= CALLS)
  // Both worlds were visited: calls that are refused and calls that go through.
  assert.ok(result.threw > CALLS / 10 && result.threw < CALLS * 0.9)
  assert.ok(result.batches > 100 && result.records > 1000)
})
