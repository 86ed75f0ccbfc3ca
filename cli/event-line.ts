// SPDX-License-Identifier: Apache-2.0
// One event as a person reads it: a line with the verdict first; and as KubeArmor's clients write it: JSON without empty fields.
import { fit, harmless, paint, quote, type Colour } from './terminal.ts'

/** feeder.Alert and feeder.Log, as far as a line shows them. */
export interface ShownEvent {
  readonly UpdatedTime: string
  readonly HostName: string
  readonly NamespaceName: string
  readonly PodName: string
  readonly ContainerName: string
  readonly ParentProcessName: string
  readonly ProcessName: string
  readonly Source: string
  readonly Operation: string
  readonly Resource: string
  readonly Result: string
  /** `k=v,k=v` */
  readonly Labels?: string
  /** Alerts only. */
  readonly Action?: string
  readonly PolicyName?: string
}

const WIDTH = 110
const COLOURS: Readonly<Record<string, Colour>> = { BLOCK: 'red', AUDIT: 'yellow', LOG: 'dim' }

export interface LineOptions {
  readonly colour: boolean
  /** Columns of the terminal; 110 where there is none. */
  readonly width?: number
}

/** `BLOCK 06:41:03 demo/web-0/web /bin/sh exec "/usr/bin/curl -s x" by block-tools`, cut to the width at its longest part. */
export function eventLine(event: ShownEvent, options: LineOptions): string {
  const word = verdictWord(event)
  const head = `${paint(word.padEnd(5), COLOURS[word] ?? 'dim', options.colour)} ${clockTime(event.UpdatedTime)}`
  const where = quote(placeOf(event))
  const who = quote(actorOf(event))
  const verb = event.Operation === 'Process' ? 'exec' : harmless(event.Operation.toLowerCase())
  const what = quote(event.Resource)
  const policy = event.PolicyName === undefined || event.PolicyName === '' ? '' : ` by ${quote(event.PolicyName)}`
  const fixed = 5 + 1 + 8 + verb.length + policy.length + 4
  const [shownWhere, shownWho, shownWhat] = share([where, who, what], Math.max(30, (options.width ?? WIDTH) - fixed))
  return `${head} ${shownWhere} ${shownWho} ${verb} ${shownWhat}${policy}`
}

/** An object's parts in the room that there is: the short ones whole, the long ones cut to equal lengths. */
function share(parts: readonly string[], room: number): string[] {
  let left = room
  let open = parts.length
  const limits = new Map<number, number>()
  for (const [length, index] of parts.map((part, at): [number, number] => [Array.from(part).length, at]).toSorted(([a], [b]) => a - b)) {
    const limit = Math.min(length, Math.floor(left / open))
    limits.set(index, limit)
    left -= limit
    open -= 1
  }
  return parts.map((part, index) => fit(part, limits.get(index) ?? 0))
}

function verdictWord(event: ShownEvent): string {
  if (event.Action === undefined || event.Action === '') return 'LOG'
  // `Audit (Block)` is KubeArmor's word for a block that was not enforced: it is an audit.
  return harmless(event.Action.split(' ', 1)[0] ?? '').toUpperCase()
}

function clockTime(updatedTime: string): string {
  return /T(\d\d:\d\d:\d\d)/.exec(updatedTime)?.[1] ?? '--:--:--'
}

function placeOf(event: ShownEvent): string {
  const parts = [event.NamespaceName, event.PodName, event.ContainerName].filter((part) => part !== '')
  return parts.length === 0 ? `host:${event.HostName}` : parts.join('/')
}

/** Of an exec the caller, of anything else the process itself. */
function actorOf(event: ShownEvent): string {
  const known = event.Operation === 'Process' ? event.ParentProcessName : event.ProcessName
  return known || event.Source || '?'
}

// KubeArmor writes these even when they are 0: user 0 is root, and a parent outside the pid namespace is 0.
const ALWAYS = new Set(['Timestamp', 'PPID', 'UID'])

/** One line of JSON as KubeArmor's clients write it: PascalCase, empty fields left out, bytes in base64. */
export function eventJson(event: object): string {
  return JSON.stringify(withoutEmpty(event))
}

function withoutEmpty(object: object): object {
  const kept = Object.entries(object)
    .map(([key, value]): [string, unknown] => [key, plain(value)])
    .filter(([key, value]) => ALWAYS.has(key) || !isEmpty(value))
  return Object.fromEntries(kept)
}

function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? withoutEmpty(value) : value
}

function isEmpty(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.keys(value).length === 0
  return value === undefined || value === null || value === '' || value === 0 || value === false
}
