// SPDX-License-Identifier: Apache-2.0
// What the agent leaves in bpffs, and how one finds it again.
//
//   <directory>/v<ABI>/maps/<map>               shared by every object of this ABI version
//   <directory>/v<ABI>/tables/<slot>-<serial>   the table in each slot
//   <directory>/v<ABI>/links-<object hash>/     links of one object, and programs that are attached on demand; complete by its name
//   <directory>/v<ABI>/new-<n>/                 the same, not complete: an agent ended between its first and its last pin
//   <directory>/stale-<n>/                      an earlier set that still enforces until its replacement is in force
//
// bpffs takes directories and rename(2), which is atomic, but neither ordinary files nor dots in names.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, renameSync, rmdirSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { ABI_VERSION } from './abi.ts'

export const VERSION_DIRECTORY = `v${ABI_VERSION}`

/** The name of an object's links: its content decides whether an agent adopts them as they are. */
export function objectName(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16)
}

export interface PinPaths {
  readonly root: string
  readonly version: string
  readonly maps: string
  readonly tables: string
}

export function pinPaths(directory: string): PinPaths {
  const version = join(directory, VERSION_DIRECTORY)
  return { root: directory, version, maps: join(version, 'maps'), tables: join(version, 'tables') }
}

export function linksPath(paths: PinPaths, hash: string): string {
  return join(paths.version, `links-${hash}`)
}

export const PROGRAM_PREFIX = 'program-'

/** Of a program that is loaded, attached or not, in a directory of links. */
export function programPath(directory: string, program: string): string {
  return join(directory, `${PROGRAM_PREFIX}${program}`)
}

/** Names in a directory; none where it does not exist. */
export function list(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory).toSorted() : []
}

/** `<directory>/<prefix>-<n>` with the first n that is free. */
export function freePath(directory: string, prefix: string): string {
  for (let number = 1; ; number++) {
    const path = join(directory, `${prefix}-${number}`)
    if (!existsSync(path)) return path
  }
}

/** Removes a directory of pins with everything in it. Links that nobody else holds are detached by this. */
export function removePins(directory: string): void {
  if (!existsSync(directory)) return
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) removePins(path)
    else unlinkSync(path)
  }
  rmdirSync(directory)
}

/** Takes a whole version out of the way without detaching anything; returns where it is now. */
export function setAside(paths: PinPaths, directory: string): string {
  const stale = freePath(paths.root, 'stale')
  renameSync(directory, stale)
  return stale
}

/** Directories below the pin directory that belong to no present set: other ABI versions, and what was set aside. */
export function otherSets(paths: PinPaths): string[] {
  return list(paths.root).filter((name) => name !== VERSION_DIRECTORY).map((name) => join(paths.root, name))
}

export function ensureDirectory(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 })
}

/** What agents make in a pin directory, and nothing else that may lie there. */
const OURS = /^(?:v\d+|(?:stale|unused)-\d+)$/

/** Everything that Merlon pinned here goes: programs are detached, maps are freed. */
export function detachAll(directory: string): boolean {
  const all = list(directory)
  const found = all.filter((name) => OURS.test(name))
  for (const name of found) removePins(join(directory, name))
  if (existsSync(directory) && found.length === all.length) rmdirSync(directory)
  return found.length > 0
}
