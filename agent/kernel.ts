// SPDX-License-Identifier: Apache-2.0
// Programs, maps and links: loaded, pinned, adopted. INVARIANT: from the first complete attachment on there is no moment without
// one. New links are attached and pinned beside the old before the old are let go; what cannot be replaced stays.
import { existsSync, renameSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { BpfLink, BpfMap, BpfObject, NativeBinding } from '../native/types.ts'
import { BINDING, CONFIG, CONTROL, ERROR_KEY, HELD_ENTRY, SCRATCH_PER_CPU, SCRATCH_SHARED, u32 } from './abi.ts'
import { codeOf, reasonOf, type AgentProblem } from './errors.ts'
import { isOnDemand, OnDemand } from './on-demand.ts'
import { detachAll, ensureDirectory, freePath, linksPath, list, objectName, otherSets, pinPaths, PROGRAM_PREFIX, programPath, removePins, setAside, type PinPaths } from './pins.ts'

/** Maps of bpf/abi.h that every object of one ABI version shares, with the sizes of key and value that the ABI gives them. */
const SHARED_MAPS = {
  bindings: [8, BINDING.bytes],
  tables: [4, 4],
  counters: [4, 8],
  errors: [ERROR_KEY.bytes, 8],
  stats: [4, 8],
  held: [8, HELD_ENTRY.bytes],
  control: [4, CONTROL.bytes],
  denials: [0, 0],
  events: [0, 0],
} as const satisfies Record<string, readonly [number, number]>

export type SharedMap = keyof typeof SHARED_MAPS
const SHARED_NAMES = Object.keys(SHARED_MAPS) as SharedMap[]

export interface KernelOptions {
  readonly native: NativeBinding
  /** The BPF object file. */
  readonly object: Uint8Array
  readonly pinDirectory: string
  /** Inode number of the node's own mount namespace. Adopted programs keep what they were loaded with: it holds until the next boot. */
  readonly hostMountNamespace: number
}

/** How the kernel side came to be. */
export type Origin =
  | 'fresh' /* nothing usable was there */
  | 'adopted' /* same object, untouched */
  | 'replaced' /* another object, same maps */
  | 'kept' /* the new object does not load: the old one goes on */

export interface Kernel {
  readonly maps: Readonly<Record<SharedMap, BpfMap>>
  readonly origin: Origin
  /** Where tables are pinned. */
  readonly tablesDirectory: string
  /** Hash of the object whose programs run. */
  readonly object: string
  /** Those of its programs that are attached only when a table asks for them. */
  readonly onDemand: OnDemand
  readonly problems: readonly AgentProblem[]
  /** Lets go of sets that other maps belong to, once this one's maps hold what the operator wants. Returns how many. */
  releaseOthers(): number
  /** Names of pins that have been here and are gone: what they pinned is let go of, and decides no more. */
  lostPins(): string[]
  close(): void
}

export type KernelResult = { readonly ok: true; readonly value: Kernel } | { readonly ok: false; readonly problem: AgentProblem }

/** Brings the kernel side into being: adopts, replaces or loads. What enforced before the call still does when it fails. */
export function openKernel(options: KernelOptions): KernelResult {
  const paths = pinPaths(options.pinDirectory)
  const problems: AgentProblem[] = []
  ensureDirectory(paths.root)
  const adopted = adoptMaps(options.native, paths, problems)
  const object = options.native.openObject(options.object, { name: 'merlon' })
  try {
    const hash = objectName(options.object)
    const names = object.programs.map((program) => program.name)
    const gap = linkProblem(options.native, linksPath(paths, hash), names)
    const parts = { native: options.native, paths, problems }
    if (adopted !== undefined && gap === undefined) {
      dropOtherLinks(paths, hash)
      return { ok: true, value: kernel({ ...parts, maps: adopted, origin: 'adopted', hash }) }
    }
    // Another object's pins have other names; these are this object's, and something is wrong with them.
    if (adopted !== undefined && existsSync(linksPath(paths, hash))) problems.push({ code: 'MERLON_AGENT_PINS_DAMAGED', message: `Cannot adopt the pinned links (${gap})` })
    const loaded = loadAndAttach(options, { paths, object, adopted, hash })
    if (loaded.ok) {
      dropOtherLinks(paths, hash)
      return { ok: true, value: kernel({ ...parts, maps: loaded.maps, origin: adopted ? 'replaced' : 'fresh', hash }) }
    }
    return keepOld({ ...parts, adopted, problems: [...problems, loaded.problem] }) ?? { ok: false, problem: loaded.problem }
  } finally {
    object.close()
  }
}

/** Detaches and removes everything. False where nothing was there. */
export function detachKernel(pinDirectory: string): boolean {
  return detachAll(pinDirectory)
}

type Maps = Record<SharedMap, BpfMap>

/** The pinned maps, all or none: programs over half of them would decide on half of the policy. */
function adoptMaps(native: NativeBinding, paths: PinPaths, problems: AgentProblem[]): Maps | undefined {
  if (!existsSync(paths.version)) return undefined
  const maps: Partial<Maps> = {}
  const wrong: string[] = []
  for (const name of SHARED_NAMES) {
    try {
      const map = native.openPinnedMap(join(paths.maps, name))
      const [key, value] = SHARED_MAPS[name]
      if (map.info.keySize === key && map.info.valueSize === value) maps[name] = map
      else wrong.push(`${name} has another shape`)
    } catch (error) {
      wrong.push(`${name}: ${codeOf(error) || reasonOf(error)}`)
    }
  }
  if (wrong.length === 0) return maps as Maps
  for (const map of Object.values(maps)) map.close()
  const stale = setAside(paths, paths.version)
  problems.push({ code: 'MERLON_AGENT_PINS_DAMAGED', message: `Cannot adopt the pinned maps (${wrong.join(', ')}); set aside as ${basename(stale)}` })
  return undefined
}

/** Why these links cannot be adopted as they are; undefined: they can. */
function linkProblem(native: NativeBinding, directory: string, programs: readonly string[]): string | undefined {
  if (programs.length === 0) return 'there are none'
  for (const program of programs) {
    // Its program has to be there; whether it is attached, the tables say.
    if (isOnDemand(program) && existsSync(programPath(directory, program)) && !existsSync(join(directory, program))) continue
    try {
      native.openPinnedLink(join(directory, program)).close()
    } catch (error) {
      return `${program}: ${reasonOf(error)}`
    }
  }
  return undefined
}

interface LoadContext {
  readonly paths: PinPaths
  readonly object: BpfObject
  readonly adopted: Maps | undefined
  readonly hash: string
}

type LoadResult = { readonly ok: true; readonly maps: Maps } | { readonly ok: false; readonly problem: AgentProblem }

function loadAndAttach(options: KernelOptions, context: LoadContext): LoadResult {
  const { paths, object, adopted, hash } = context
  const staging = freePath(paths.version, 'new')
  const links: BpfLink[] = []
  let doing = 'load'
  try {
    object.setGlobals(CONFIG.section, CONFIG.host_mnt_ns, u32(options.hostMountNamespace))
    object.setMaxEntries('scratch', SCRATCH_SHARED + SCRATCH_PER_CPU * options.native.possibleCpus)
    if (adopted) for (const name of SHARED_NAMES) object.reuseMap(name, adopted[name])
    object.load()
    const maps = adopted ?? pinMaps(paths, object)
    ensureDirectory(staging)
    for (const { name } of object.programs) {
      doing = `attach ${name}`
      if (isOnDemand(name)) object.pinProgram(name, programPath(staging, name))
      if (isOnDemand(name) && !isAttached(paths, name)) continue
      const link = object.attach(name)
      links.push(link)
      link.pin(join(staging, name))
    }
    // An incomplete set of the same object, such as one with a pin removed by hand, goes only now that its successor is pinned.
    const final = linksPath(paths, hash)
    if (existsSync(final)) renameSync(final, freePath(paths.version, 'new'))
    renameSync(staging, final)
    for (const link of links) link.close()
    return { ok: true, maps }
  } catch (error) {
    for (const link of links) link.close()
    removePins(staging)
    return { ok: false, problem: problemOf(doing, error) }
  }
}

/** Whether a set that is about to be replaced has this program attached. */
function isAttached(paths: PinPaths, program: string): boolean {
  return list(paths.version).some((name) => name.startsWith('links-') && existsSync(join(paths.version, name, program)))
}

/** Whether the kernel takes the programs: they are loaded, not attached, and gone again. Nothing is pinned. */
export function tryLoad({ native, object: bytes }: Pick<KernelOptions, 'native' | 'object'>): AgentProblem | undefined {
  const object = native.openObject(bytes, { name: 'merlon' })
  try {
    object.load()
    return undefined
  } catch (error) {
    return problemOf('load', error)
  } finally {
    object.close()
  }
}

/** A refusal of the caller says EPERM; the verifier, which refuses programs, has other words (EACCES, EINVAL) and a log. */
function problemOf(doing: string, error: unknown): AgentProblem {
  const code = codeOf(error) === 'EPERM' ? 'MERLON_AGENT_NOT_PERMITTED' : 'MERLON_AGENT_LOAD_FAILED'
  return { code, message: `Cannot ${doing}: ${reasonOf(error)}${logOf(error)}` }
}

/** The end of the verifier's log says why. */
function logOf(error: unknown): string {
  const log = error instanceof Error && 'log' in error && typeof error.log === 'string' ? error.log.trim() : ''
  return log === '' ? '' : `: ${log.split('\n').slice(-4).join(' | ')}`
}

function pinMaps(paths: PinPaths, object: BpfObject): Maps {
  const staging = freePath(paths.root, 'unused')
  ensureDirectory(join(staging, 'maps'))
  const entries = SHARED_NAMES.map((name): [SharedMap, BpfMap] => [name, object.map(name)])
  for (const [name, map] of entries) map.pin(join(staging, 'maps', name))
  renameSync(staging, paths.version)
  return Object.fromEntries(entries) as Maps
}

/** Everything but this object's links: a replaced object's, and what an agent that ended early left. */
function dropOtherLinks(paths: PinPaths, hash: string): void {
  for (const name of list(paths.version)) {
    if (name.startsWith('new-') || (name.startsWith('links-') && name !== `links-${hash}`)) removePins(join(paths.version, name))
  }
  for (const name of list(paths.root)) if (name.startsWith('unused-')) removePins(join(paths.root, name))
}

/** The new object does not load, but an older one is attached to the same maps: go on with that one. */
function keepOld({ adopted, ...parts }: Omit<KernelParts, 'maps' | 'origin' | 'hash'> & { adopted: Maps | undefined }): KernelResult | undefined {
  if (adopted === undefined) return undefined
  for (const name of list(parts.paths.version).filter((entry) => entry.startsWith('links-'))) {
    const directory = join(parts.paths.version, name)
    const links = list(directory).filter((entry) => !entry.startsWith(PROGRAM_PREFIX))
    if (linkProblem(parts.native, directory, links) !== undefined) continue
    return { ok: true, value: kernel({ ...parts, maps: adopted, origin: 'kept', hash: name.slice('links-'.length) }) }
  }
  return undefined
}

interface KernelParts {
  readonly native: NativeBinding
  readonly paths: PinPaths
  readonly maps: Maps
  readonly origin: Origin
  readonly hash: string
  readonly problems: readonly AgentProblem[]
}

function kernel(parts: KernelParts): Kernel {
  ensureDirectory(parts.paths.tables)
  const onDemand = new OnDemand(parts.native, linksPath(parts.paths, parts.hash))
  return {
    maps: parts.maps,
    origin: parts.origin,
    tablesDirectory: parts.paths.tables,
    object: parts.hash,
    onDemand,
    lostPins: watchPins(parts, onDemand),
    problems: parts.problems,
    releaseOthers: () => {
      const others = otherSets(parts.paths)
      for (const path of others) removePins(path)
      return others.length
    },
    close: () => { for (const map of Object.values(parts.maps)) map.close() },
  }
}

function watchPins({ paths, hash }: KernelParts, onDemand: OnDemand): () => string[] {
  const seen = new Set(SHARED_NAMES.map((name) => join(paths.maps, name)))
  const look = (): string[] => {
    for (const name of onDemand.attached()) seen.add(join(linksPath(paths, hash), name))
    return [...seen].filter((path) => !existsSync(path)).map((path) => basename(path))
  }
  look()
  return look
}
