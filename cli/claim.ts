// SPDX-License-Identifier: Apache-2.0
// One `merlon up` for each state directory. The claim file names the process and its children.
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isAlive, nameProcess, type ProcessName } from '../runtime/process.ts'
import { takeSeat, type Seat } from '../runtime/single.ts'

export interface ChildName extends ProcessName {
  /** operator, relay, agent */
  readonly name: string
}

interface ClaimFile extends ProcessName {
  readonly children: readonly ChildName[]
}

/** `pid`: of the `up` that has it; 0 where it has not said that yet. */
export type ClaimResult = { readonly ok: true; readonly value: Claim } | { readonly ok: false; readonly pid: number }

export interface Claim {
  /** Children that an earlier `up` left behind when it was killed, alive now. */
  readonly leftovers: readonly ChildName[]
  /** Replaces the list of children. */
  record(children: readonly { readonly name: string; readonly pid: number }[]): Promise<void>
  release(): Promise<void>
}

/** Takes the state directory, unless a live `up` has it. Throws where nothing can be written there. */
export async function claim(stateDir: string): Promise<ClaimResult> {
  const path = join(stateDir, 'up.json')
  const own = await nameProcess(process.pid)
  if (own === undefined) throw new Error('Cannot read /proc/self/stat: is /proc mounted?')
  // The file alone would not do: of two that start at once and find it stale, the second would remove what the first has written.
  const seat = await takeSeat(join(stateDir, 'claims'))
  const before = await readClaim(path)
  if (seat === undefined) return { ok: false, pid: before?.pid ?? 0 }
  try {
    // Of a version that knew no seats.
    if (before !== undefined && (await isAlive(before))) {
      seat.close()
      return { ok: false, pid: before.pid }
    }
    const alive = await Promise.all((before?.children ?? []).map(isAlive))
    const claimed = new ClaimedFile({ path, own, seat }, (before?.children ?? []).filter((_, index) => alive[index]))
    await claimed.record([])
    return { ok: true, value: claimed }
  } catch (error) {
    seat.close()
    throw error
  }
}

/** Whether a `merlon up` has this state directory now, and its operator, which writes the status, is alive. */
export async function isUp(stateDir: string): Promise<boolean> {
  const claimed = await readClaim(join(stateDir, 'up.json'))
  const operator = claimed?.children.find(({ name }) => name === 'operator')
  return claimed !== undefined && operator !== undefined && (await isAlive(claimed)) && (await isAlive(operator))
}

class ClaimedFile implements Claim {
  readonly leftovers: readonly ChildName[]
  readonly #path: string
  readonly #own: ProcessName
  readonly #seat: Seat
  #released = false
  /** One write after the other: the last list is the one that stays. */
  #writing: Promise<void> = Promise.resolve()

  constructor({ path, own, seat }: { readonly path: string; readonly own: ProcessName; readonly seat: Seat }, leftovers: readonly ChildName[]) {
    this.#path = path
    this.#own = own
    this.#seat = seat
    this.leftovers = leftovers
  }

  record(children: readonly { readonly name: string; readonly pid: number }[]): Promise<void> {
    const written = this.#writing.then(() => this.#write(children))
    this.#writing = written.catch(() => {})
    return written
  }

  async release(): Promise<void> {
    this.#released = true
    await this.#writing
    await rm(this.#path, { force: true })
    this.#seat.close()
  }

  async #write(running: readonly { readonly name: string; readonly pid: number }[]): Promise<void> {
    if (this.#released) return
    const found = await Promise.all(running.map(async ({ name, pid }) => ({ name, process: await nameProcess(pid) })))
    const children = found.flatMap(({ name, process }) => (process === undefined ? [] : [{ name, ...process }]))
    await writeFile(`${this.#path}.new`, JSON.stringify({ ...this.#own, children }), { mode: 0o600 })
    await rename(`${this.#path}.new`, this.#path)
  }
}

async function readClaim(path: string): Promise<ClaimFile | undefined> {
  const text = await readFile(path, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  try {
    const read = JSON.parse(text) as Partial<ClaimFile>
    if (typeof read.pid === 'number' && typeof read.start === 'string') return { pid: read.pid, start: read.start, children: read.children ?? [] }
  } catch {
    // Half a file is what a crash leaves: nobody's claim.
  }
  return { pid: 0, start: '', children: [] }
}
