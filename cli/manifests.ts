// SPDX-License-Identifier: Apache-2.0
// Manifests that a command line names: files whatever they are called, and the *.yaml, *.yml and *.json below directories.
import { createReadStream } from 'node:fs'
import { readdir, realpath, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { LintInput } from '../policy/lint.ts'
import type { Surroundings } from '../policy/postures.ts'
import { readManifests } from '../policy/read.ts'
import { renderFinding } from '../policy/render.ts'
import type { Finding, Policy } from '../policy/types.ts'
import { TroubleError, UsageError, type Io } from './verb.ts'

/** Tests of policies lie beside them and are none. */
export function isPolicyTest(name: string): boolean {
  return /\.policytest\.ya?ml$/.test(name)
}

export function isManifest(name: string): boolean {
  return /\.(ya?ml|json)$/.test(name) && !isPolicyTest(name)
}

/** NAMESPACE/NAME, or the name of what has no namespace. */
export function qualified({ namespace, name }: Pick<Policy, 'namespace' | 'name'>): string {
  return [namespace, name].filter((part) => part !== '').join('/')
}

/** What a path on the command line stands for standard input. */
const STDIN = '-'
/** The parser refuses longer texts; more than that is not even read. Bytes, where one character may be three. */
const LONGEST_FILE = 32 * 1024 * 1024

/**
 * The texts, in the order of the paths; within a directory by name, those that `isWanted`; `-` is what stdin says. Throws TroubleError where
 * something cannot be read.
 */
export async function readInputs(paths: readonly string[], { stdin }: Pick<Io, 'stdin'>, isWanted = isManifest): Promise<readonly LintInput[]> {
  if (paths.length === 0) throw new UsageError('Name files or directories, or - for standard input')
  const files: string[] = []
  for (const path of paths) files.push(...(await filesOf(path, isWanted)))
  const inputs: LintInput[] = []
  // One after the other: directories may hold more files than a process may open.
  for (const file of eachOnce(files)) inputs.push({ file: file === STDIN ? '(standard input)' : file, text: await readText(file, stdin) })
  return inputs
}

/** However it is written: a file that is read twice would hold its policies twice. */
function eachOnce(files: readonly string[]): readonly string[] {
  const seen = new Set<string>()
  return files.filter((file) => {
    const place = file === STDIN ? file : resolve(file)
    if (seen.has(place)) return false
    seen.add(place)
    return true
  })
}

async function filesOf(path: string, isWanted: (name: string) => boolean): Promise<readonly string[]> {
  if (path === STDIN) return [path]
  try {
    if (!(await stat(path)).isDirectory()) return [path]
    const files = await filesBelow(path, isWanted, new Set())
    // A check that looks at nothing must not pass.
    if (files.length === 0) throw nothingIn(path, isWanted)
    return files
  } catch (error) {
    throw error instanceof TroubleError ? error : unreadable(path, error)
  }
}

/**
 * By name, depth first. Links are followed, as a volume of a ConfigMap needs it, but into no directory twice: they may lead in circles. Names that
 * begin with a dot are left out, as shells do: of such a volume they are a second copy.
 */
async function filesBelow(directory: string, isWanted: (name: string) => boolean, seen: Set<string>): Promise<readonly string[]> {
  const real = await realpath(directory)
  if (seen.has(real)) return []
  seen.add(real)
  const files: string[] = []
  for (const name of (await readdir(directory)).filter((each) => !each.startsWith('.')).toSorted()) {
    const path = join(directory, name)
    // A link to nowhere is worth a complaint only where a manifest should be.
    const found = await stat(path).catch((error: unknown) => (isWanted(name) ? Promise.reject(unreadable(path, error)) : undefined))
    if (found?.isDirectory() === true) files.push(...(await filesBelow(path, isWanted, seen)))
    else if (found !== undefined && isWanted(name)) {
      if (!found.isFile()) throw new TroubleError('MERLON_CLI_UNREADABLE', `Cannot read ${path}: it is no file`)
      files.push(path)
    }
  }
  return files
}

function nothingIn(path: string, isWanted: (name: string) => boolean): TroubleError {
  if (isWanted === isPolicyTest) return new TroubleError('MERLON_CLI_NO_TESTS', `There is no *.policytest.yaml in ${path}: write one, or name the directory that has them`)
  return new TroubleError('MERLON_CLI_NO_MANIFESTS', `There is no *.yaml, *.yml or *.json in ${path}: name the directory that has the policies`)
}

async function readText(file: string, stdin: NodeJS.ReadableStream): Promise<string> {
  try {
    const bytes = await readUpTo(file === STDIN ? stdin : createReadStream(file), LONGEST_FILE)
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw unreadable(file === STDIN ? 'standard input' : file, error)
  }
}

/** Devices and pipes have no size that could be asked for. */
async function readUpTo(stream: NodeJS.ReadableStream, limit: number): Promise<Uint8Array> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of stream) {
    const bytes = Buffer.from(chunk)
    length += bytes.length
    if (length > limit) throw new Error(`it has more than ${limit / 1024 / 1024} MiB`)
    chunks.push(bytes)
  }
  return Buffer.concat(chunks)
}

function unreadable(path: string, error: unknown): TroubleError {
  const { code, message } = error as NodeJS.ErrnoException
  const why = code === 'ENOENT' ? 'it is not there' : code === 'ERR_ENCODING_INVALID_ENCODED_DATA' ? 'it is not UTF-8 text' : message
  return new TroubleError('MERLON_CLI_UNREADABLE', `Cannot read ${path}: ${why}`, { cause: error })
}

export interface Loaded {
  readonly policies: readonly Policy[]
  readonly surroundings: Surroundings
  /** Text of each file, for excerpts. */
  readonly contents: ReadonlyMap<string, string>
  /** Errors: their policies are refused, the others are used. */
  readonly errors: readonly Finding[]
}

/** Reads policies for a verb that works with them, and says on stderr which are refused. */
export async function loadPolicies(paths: readonly string[], io: Io): Promise<Loaded> {
  const inputs = await readInputs(paths, io)
  const read = inputs.map(({ file, text }) => readManifests(text, file))
  const contents = new Map(inputs.map(({ file, text }) => [file, text]))
  const errors = read.flatMap(({ findings }) => findings.filter(({ severity }) => severity === 'error'))
  for (const finding of errors) io.stderr.write(`${renderFinding(finding, contents.get(finding.position.file))}\n`)
  if (errors.length > 0) io.stderr.write('Policies with errors are refused; what follows is about the others.\n')
  const surroundings = { namespaces: read.flatMap(({ namespaces }) => namespaces), settings: read.flatMap(({ settings }) => settings) }
  return { policies: read.flatMap(({ policies }) => policies), surroundings, contents, errors }
}
