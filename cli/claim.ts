// SPDX-License-Identifier: Apache-2.0
// One `merlon up` for each state directory. The claim file names the process and its children by pid and start time: a pid alone may
// belong to somebody else by now.
import { randomUUID } from 'node:crypto'
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface ProcessName {
  readonly pid: number
  /** Clock ticks between boot and the process's start: field 22 of /proc/PID/stat. */
  readonly start: string
}

export interface ChildName extends ProcessName {
  /** operator, relay, agent */
  readonly name: string
}

interface ClaimFile extends ProcessName {
  readonly children: readonly ChildName[]
}

/** `pid`: of the `up` that has it; 0 where it has gone again meanwhile. */
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
  const took = await take(path, own)
  if (!took.ok) return { ok: false, pid: (await readClaim(path))?.pid ?? 0 }
  const children = took.before?.children ?? []
  const alive = await Promise.all(children.map(isAlive))
  return { ok: true, value: new ClaimedFile(path, own, children.filter((_, index) => alive[index])) }
}

type Took = { readonly ok: true; readonly before: ClaimFile | undefined } | { readonly ok: false }

/**
 * Makes the file ours where there is none, or one of a process that has gone. It is complete from the first moment that it has its name, and what
 * is stale is replaced, never removed: of many that start at once one wins, whatever they have read before.
 */
async function take(path: string, own: ProcessName): Promise<Took> {
  const mine = `${path}.${randomUUID()}`
  await writeFile(mine, JSON.stringify({ ...own, children: [] }), { mode: 0o600 })
  try {
    if (await isLinked(mine, path)) return { ok: true, before: undefined }
    const before = await readFile(path, 'utf8').then(parseClaim, goneOnly)
    if (before === undefined || (await isAlive(before))) return { ok: false }
    // Who may replace it is claimed in turn: one that is killed at this leaves what can be taken over, too.
    const right = `${path}.after-${before.pid}-${encodeURIComponent(before.start)}`
    if (!(await take(right, own)).ok) return { ok: false }
    try {
      const now = await readClaim(path)
      if (now?.pid !== before.pid || now.start !== before.start) return { ok: false }
      await rename(mine, path)
      return { ok: true, before }
    } finally {
      await rm(right, { force: true })
    }
  } finally {
    await rm(mine, { force: true })
  }
}

/** Whether the file has a second name now: only one can get it. */
async function isLinked(path: string, name: string): Promise<boolean> {
  try {
    await link(path, name)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
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
  #released = false
  /** One write after the other: the last list is the one that stays. */
  #writing: Promise<void> = Promise.resolve()

  constructor(path: string, own: ProcessName, leftovers: readonly ChildName[]) {
    this.#path = path
    this.#own = own
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
  return text === undefined ? undefined : parseClaim(text)
}

/** Undefined where the file has gone since it was seen. */
function goneOnly(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}

function parseClaim(text: string): ClaimFile {
  try {
    const read = JSON.parse(text) as Partial<ClaimFile>
    if (typeof read.pid === 'number' && typeof read.start === 'string') return { pid: read.pid, start: read.start, children: read.children ?? [] }
  } catch {
    // Half a file is what a crash leaves: nobody's claim.
  }
  return { pid: 0, start: '', children: [] }
}

export async function isAlive(name: ProcessName): Promise<boolean> {
  return (await nameProcess(name.pid))?.start === name.start
}

export async function nameProcess(pid: number): Promise<ProcessName | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  // The second field is the command in parentheses and may contain anything: count from the last closing one.
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')
  const start = fields?.[19]
  if (start === undefined || fields?.[0] === 'Z') return undefined
  return { pid, start }
}
