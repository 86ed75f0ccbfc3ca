// SPDX-License-Identifier: Apache-2.0
// Trials: a process that tries what it is told, in a container or on the guest itself, and says what the kernel answered (trial/trial.c).
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'
import { Container, type ContainerOptions } from '../support/container.ts'

/** The program, as this guest has it; in containers it is /trial. */
export const PROGRAM = fileURLToPath(new URL('../../build/test/trial', import.meta.url))
export const TRIAL = '/trial'

const ERRNO = new Map(Object.entries(constants.errno).map(([name, value]) => [value, name]))
/** asm-generic/fcntl.h and x86's: Node has no O_PATH. */
export const O = { RDONLY: 0, WRONLY: 1, RDWR: 2, CREAT: 0o100, TRUNC: 0o1000, APPEND: 0o2000, DIRECTORY: 0o200000, PATH: 0o10000000 } as const

/** `error`: `ok` or the name of an errno. */
export interface Reply {
  readonly error: string
  readonly text: string
}

export type Word = string | number | Uint8Array

/** A name that is not text. */
export function bytes(text: string): Uint8Array {
  return Buffer.from(text, 'latin1')
}

function encode(word: Word): string {
  const raw = typeof word === 'object' ? word : Buffer.from(String(word))
  return [...raw].map((byte) => (/[\w/.:=,-]/.test(String.fromCharCode(byte)) ? String.fromCharCode(byte) : `%${byte.toString(16).padStart(2, '0')}`)).join('')
}

/** Ends a violator, and says what came of each pair. */
export type Stop = () => Promise<readonly { readonly succeeded: number; readonly denied: number }[]>

/** Between the rounds of a violator. */
const REST_US = 2000

export class Trial {
  readonly #child: ChildProcess
  readonly #waiting: ((line: string) => void)[] = []
  #rest = ''

  constructor(child: ChildProcess) {
    this.#child = child
    child.stdout?.on('data', (chunk: Buffer) => this.#read(chunk.toString('latin1')))
    child.on('exit', (status) => { for (const settle of this.#waiting.splice(0)) settle(`-1 the process ended with ${status}`) })
    // A trial that died is told by its missing reply.
    child.stdin?.on('error', () => {})
  }

  /** One command and its reply. */
  async ask(...words: readonly Word[]): Promise<Reply> {
    const line = await new Promise<string>((resolve) => {
      this.#waiting.push(resolve)
      this.#child.stdin?.write(`${words.map(encode).join(' ')}\n`)
    })
    return parse(line)
  }

  /** As ask(), for what must succeed. Returns the text. */
  async must(...words: readonly Word[]): Promise<string> {
    const { error, text } = await this.ask(...words)
    if (error !== 'ok') throw new Error(`${words.join(' ')}: ${error} ${text}`)
    return text
  }

  /** Starts to try pairs of how (r, w, x) and path over and over; returns once each has been tried. */
  violate(...pairs: readonly string[]): Promise<Stop> {
    return this.violateEvery(REST_US, ...pairs)
  }

  /** As violate(), with so many microseconds between rounds: on one processor a violator takes the time of what is tested beside it. */
  async violateEvery(restUs: number, ...pairs: readonly string[]): Promise<Stop> {
    const going = await this.ask('violate', restUs, ...pairs)
    if (going.text !== 'going') throw new Error(`The violator did not start: ${going.error} ${going.text}`)
    return async () => {
      const numbers = (await this.must('stop')).split(' ').map(Number)
      return Array.from({ length: pairs.length / 2 }, (_, i) => ({ succeeded: numbers[2 * i] ?? NaN, denied: numbers[2 * i + 1] ?? NaN }))
    }
  }

  async end(): Promise<void> {
    const { exitCode, signalCode } = this.#child
    this.#child.stdin?.end()
    if (exitCode === null && signalCode === null) await once(this.#child, 'exit')
  }

  #read(text: string): void {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) this.#waiting.shift()?.(line)
  }
}

/** `<errno> <text>`, as a command's reply has it and as `once` prints it. */
export function parse(line: string): Reply {
  const space = line.indexOf(' ')
  const value = Number(line.slice(0, space))
  return { error: value === 0 ? 'ok' : (ERRNO.get(value) ?? String(value)), text: line.slice(space + 1).trimEnd() }
}

/** A trial on the guest itself, in this process's cgroup and namespaces. */
export function hostTrial(): { readonly trial: Trial; readonly pid: number } {
  const child = spawn(PROGRAM, ['serve'], { stdio: ['pipe', 'pipe', 'inherit'] })
  return { trial: new Trial(child), pid: child.pid ?? 0 }
}

/** A container whose first process is a trial. */
export class TrialContainer {
  readonly container: Container
  readonly trial: Trial
  /** Of the trial, in the guest's numbers. */
  readonly pid: number

  private constructor(container: Container, trial: Trial) {
    this.container = container
    this.trial = trial
    this.pid = container.pid()
  }

  /** `prepare` is called with the root before anything starts. */
  static async start(options: Omit<ContainerOptions, 'args'>, prepare?: (container: Container) => void): Promise<TrialContainer> {
    const binds = [{ source: PROGRAM, destination: TRIAL, readOnly: true }, ...(options.binds ?? [])]
    const container = new Container({ ...options, binds, args: [TRIAL, 'serve'] })
    try {
      prepare?.(container)
      const trial = new Trial(container.attach())
      await trial.must('pid')
      return new TrialContainer(container, trial)
    } catch (error) {
      container.delete()
      throw error
    }
  }

  async delete(): Promise<void> {
    await this.trial.end()
    this.container.delete()
  }
}
