// SPDX-License-Identifier: Apache-2.0
// Manifests that a command line names: files whatever they are called, and the *.yaml, *.yml and *.json below directories.
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { LintInput } from '../policy/lint.ts'
import { readManifests, type NamespaceFacts } from '../policy/read.ts'
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

/**
 * The texts, in the order of the paths; within a directory by name, those that `isWanted`. Throws TroubleError where something cannot be
 * read.
 */
export async function readInputs(paths: readonly string[], isWanted = isManifest): Promise<readonly LintInput[]> {
  if (paths.length === 0) throw new UsageError('Name files or directories')
  const files = (await Promise.all(paths.map((path) => filesOf(path, isWanted)))).flat()
  return Promise.all([...new Set(files)].map(async (file) => ({ file, text: await readText(file) })))
}

async function filesOf(path: string, isWanted: (name: string) => boolean): Promise<readonly string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [path]
    const entries = await readdir(path, { recursive: true, withFileTypes: true })
    const files = entries.filter((entry) => !entry.isDirectory() && isWanted(entry.name)).map((entry) => join(entry.parentPath, entry.name))
    // A check that looks at nothing must not pass.
    if (files.length === 0) throw nothingIn(path, isWanted)
    return files.toSorted()
  } catch (error) {
    throw error instanceof TroubleError ? error : unreadable(path, error)
  }
}

function nothingIn(path: string, isWanted: (name: string) => boolean): TroubleError {
  if (isWanted === isPolicyTest) return new TroubleError('MERLON_CLI_NO_TESTS', `There is no *.policytest.yaml in ${path}: write one, or name the directory that has them`)
  return new TroubleError('MERLON_CLI_NO_MANIFESTS', `There is no *.yaml, *.yml or *.json in ${path}: name the directory that has the policies`)
}

async function readText(file: string): Promise<string> {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(file))
  } catch (error) {
    throw unreadable(file, error)
  }
}

function unreadable(path: string, error: unknown): TroubleError {
  const { code, message } = error as NodeJS.ErrnoException
  const why = code === 'ENOENT' ? 'it is not there' : code === 'ERR_ENCODING_INVALID_ENCODED_DATA' ? 'it is not UTF-8 text' : message
  return new TroubleError('MERLON_CLI_UNREADABLE', `Cannot read ${path}: ${why}`, { cause: error })
}

export interface Loaded {
  readonly policies: readonly Policy[]
  readonly namespaces: readonly NamespaceFacts[]
  /** Text of each file, for excerpts. */
  readonly contents: ReadonlyMap<string, string>
  /** Errors: their policies are refused, the others are used. */
  readonly errors: readonly Finding[]
}

/** Reads policies for a verb that works with them, and says on stderr which are refused. */
export async function loadPolicies(paths: readonly string[], io: Io): Promise<Loaded> {
  const inputs = await readInputs(paths)
  const read = inputs.map(({ file, text }) => readManifests(text, file))
  const contents = new Map(inputs.map(({ file, text }) => [file, text]))
  const errors = read.flatMap(({ findings }) => findings.filter(({ severity }) => severity === 'error'))
  for (const finding of errors) io.stderr.write(`${renderFinding(finding, contents.get(finding.position.file))}\n`)
  if (errors.length > 0) io.stderr.write('Policies with errors are refused; what follows is about the others.\n')
  return { policies: read.flatMap(({ policies }) => policies), namespaces: read.flatMap(({ namespaces }) => namespaces), contents, errors }
}
