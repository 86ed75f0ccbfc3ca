// SPDX-License-Identifier: Apache-2.0
// Processes by pid and start time: a pid alone may belong to somebody else by now.
import { readFile } from 'node:fs/promises'

export interface ProcessName {
  readonly pid: number
  /** Clock ticks between boot and the process's start: field 22 of /proc/PID/stat. */
  readonly start: string
}

export async function isAlive(name: ProcessName): Promise<boolean> {
  return (await nameProcess(name.pid))?.start === name.start
}

/** Undefined where there is none, or a zombie. */
export async function nameProcess(pid: number): Promise<ProcessName | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  // The second field is the command in parentheses and may contain anything: count from the last closing one.
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')
  const start = fields?.[19]
  if (start === undefined || fields?.[0] === 'Z') return undefined
  return { pid, start }
}
