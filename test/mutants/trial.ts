// SPDX-License-Identifier: Apache-2.0
// One test file run in a scratch tree, up to its first failure.
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'

export type Outcome =
  | { readonly kind: 'passed' }
  /** A test failed. */
  | { readonly kind: 'failed'; readonly test: string }
  /** It did not end in time: a bug that hangs is noticed, too. */
  | { readonly kind: 'hung' }
  /** It took more memory than it may: so is one that eats. */
  | { readonly kind: 'exhausted' }
  /** It did not get as far as a test: the bug is none that a person would commit. */
  | { readonly kind: 'broken'; readonly said: string }

export interface Trial {
  readonly directory: string
  readonly file: string
  /** Of processor time. */
  readonly seconds: number
  readonly memory?: Memory
  readonly environment: Readonly<Record<string, string>>
}

interface Memory {
  readonly heapMb: number
  /** With what lies beside the heap. */
  readonly residentMb: number
}

/** A table that grows without end must not take the machine with it, in the heap or, as an array of bytes, beside it. */
const MEMORY: Memory = { heapMb: 1024, residentMb: 3072 }
/** No limit of the kernel's: the matcher's sanitizer, which tests start, reserves terabytes that it never fills. */
const LOOK_MS = 100
/** Of waiting for each second of processor time: a machine may be busy with other things. */
const PATIENCE = 20

export async function tryOut({ directory, file, seconds, environment, memory = MEMORY }: Trial): Promise<Outcome> {
  const limited = ['-c', `ulimit -S -t ${seconds} && exec "$0" "$@"`, process.execPath, `--max-old-space-size=${memory.heapMb}`, '--test-reporter=tap', file]
  const child = spawn('sh', limited, { cwd: directory, env: { ...process.env, NODE_TEST_CONTEXT: undefined, ...environment }, stdio: ['ignore', 'pipe', 'pipe'] })
  let [stdout, stderr, hung, exhausted] = ['', '', false, false]
  const watch = setInterval(() => {
    exhausted ||= residentMb(child.pid) > memory.residentMb
    if (exhausted) child.kill('SIGKILL')
  }, LOOK_MS)
  const timer = setTimeout(() => {
    hung = true
    child.kill('SIGKILL')
  }, seconds * PATIENCE * 1000)
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    stdout += chunk
    // The first failure is enough.
    if (failedTest(stdout) !== undefined) child.kill('SIGKILL')
  })
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk))
  const [status, signal] = await new Promise<readonly [number | null, NodeJS.Signals | null]>((resolve) => child.on('close', (code, by) => resolve([code, by])))
  clearTimeout(timer)
  clearInterval(watch)
  const test = failedTest(stdout)
  if (test !== undefined) return { kind: 'failed', test }
  if (hung || signal === 'SIGXCPU') return { kind: 'hung' }
  if (exhausted || /out of memory/i.test(stderr)) return { kind: 'exhausted' }
  if (status === 0) return /^# pass [1-9]/m.test(stdout) ? { kind: 'passed' } : { kind: 'broken', said: `${file} ran no test` }
  return { kind: 'broken', said: (stderr || stdout).slice(-2000) || `${file} ended with ${signal ?? status} and said nothing` }
}

/** 0 where it has ended. */
function residentMb(pid: number | undefined): number {
  try {
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024
  } catch {
    return 0
  }
}

/** The innermost test that failed first: node:test tells those below before those above. */
function failedTest(tap: string): string | undefined {
  return /^ *not ok \d+ - (.*)\n/m.exec(tap)?.[1]?.replaceAll(/\\([#\\])/g, '$1')
}
