// SPDX-License-Identifier: Apache-2.0
// What only one process of a machine may be at a time.
import { mkdirSync, readdirSync, renameSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { sleep, systemClock } from './clock.ts'
import { isAlive, nameProcess } from './process.ts'

export interface Seat {
  /** Gives it back. The end of the process does, too, however it comes. */
  close(): void
}

const TRIES = 50
const WAIT_MS = 40

/**
 * Takes a seat for this process; undefined: another one has it. A seat is a directory in `directory`, named by a process's pid and start time, so that nobody's is
 * ever taken for another's, and that of a process which has ended is cleared away. Who sees no other after making its own has it. `directory` has to be one
 * that only this user writes to: a lock that anybody may take (a name among the abstract sockets) is one by which anybody keeps us out. It may be in bpffs.
 */
export async function takeSeat(directory: string): Promise<Seat | undefined> {
  const own = await nameProcess(process.pid)
  if (own === undefined) throw new Error('Cannot read /proc/self/stat: is /proc mounted?')
  const asking = `${own.pid}-${own.start}`
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  for (let tries = 0; tries < TRIES; tries++) {
    if (make(join(directory, asking))) {
      const others = (await living(directory)).filter((name) => name !== asking)
      if (others.length === 0) return sit(directory, asking)
      remove(join(directory, asking))
      if (others.some((name) => name.endsWith(HELD))) return undefined
    }
    // Two that ask at once both stand back.
    await sleep(systemClock, Math.random() * WAIT_MS)
  }
  return undefined
}

const HELD = '-held'

function sit(directory: string, asking: string): Seat {
  const held = join(directory, `${asking}${HELD}`)
  renameSync(join(directory, asking), held)
  const close = (): void => {
    process.off('exit', close)
    remove(held)
    remove(directory)
  }
  process.on('exit', close)
  return { close }
}

/** Names of seats whose processes are alive. */
async function living(directory: string): Promise<string[]> {
  const names = []
  for (const name of readdirSync(directory)) {
    const [, pid, start = ''] = /^(\d+)-(\d+)(?:-held)?$/.exec(name) ?? []
    if (pid === undefined) continue
    if (await isAlive({ pid: Number(pid), start })) names.push(name)
    else remove(join(directory, name))
  }
  return names
}

/** False: it is there already. */
function make(path: string): boolean {
  try {
    mkdirSync(path, { recursive: false, mode: 0o700 })
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // The directory itself goes with the last seat.
    if (code === 'ENOENT') mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 })
    else if (code !== 'EEXIST') throw error
    return false
  }
}

/** One that is gone, or not empty, is none of our business. */
function remove(path: string): void {
  try {
    rmdirSync(path)
  } catch {
    // As above.
  }
}
