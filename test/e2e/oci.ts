// SPDX-License-Identifier: Apache-2.0
// A real container without an engine: an OCI bundle, run by crun.
import { execFile, spawn } from 'node:child_process'
import { closeSync, existsSync, openSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buildDebianRoot } from '../support/vm/roots.ts'

/** A guest has one ready; anywhere else it is made from this machine's own files. */
const READY_ROOT = '/var/lib/roots/debian'
/** Far beyond what a starved machine needs: it ends a command that would never end, and crun hands the signal on to what runs in the container. */
const TIMEOUT_MS = 600_000

export interface CommandResult {
  /** Exit status; 128 and more for signals. */
  readonly status: number
  /** stdout and stderr, one after the other. */
  readonly output: string
}

export interface Container {
  /** Runs a shell command in the container, as `crun exec` does. */
  exec(command: string): Promise<CommandResult>
  remove(): Promise<void>
}

/** Starts a container that sleeps. Throws with crun's own words where it does not start. */
export async function startContainer(name: string, directory: string): Promise<Container> {
  const bundle = join(directory, 'bundle')
  await mkdir(bundle, { recursive: true })
  let root = READY_ROOT
  if (!existsSync(root)) {
    root = join(bundle, 'rootfs')
    await buildDebianRoot(root)
  }
  await must('crun', ['spec'], bundle)
  const path = join(bundle, 'config.json')
  const spec = JSON.parse(await readFile(path, 'utf8')) as { process: { terminal: boolean; args: string[] }; root: { path: string; readonly: boolean } }
  spec.process.terminal = false
  spec.process.args = ['/bin/sleep', 'infinity']
  spec.root = { path: root, readonly: true }
  await writeFile(path, JSON.stringify(spec))
  await startDetached(['--cgroup-manager=cgroupfs', 'run', '--detach', name], bundle)
  return {
    exec: (command) => run('crun', ['exec', name, '/bin/sh', '-c', command], bundle),
    remove: () => removeContainer(name),
  }
}

/** Ends a container and forgets it; one that is not there is no error. */
export async function removeContainer(name: string): Promise<void> {
  await run('crun', ['delete', '--force', name], '/')
}

/** The container inherits crun's output: pipes would stay open for as long as it runs, so it gets a file. */
async function startDetached(args: readonly string[], bundle: string): Promise<void> {
  const said = join(bundle, 'crun.log')
  const log = openSync(said, 'w')
  const child = spawn('crun', [...args], { cwd: bundle, stdio: ['ignore', log, log] })
  closeSync(log)
  const status = await new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => resolve(code ?? 128))
  })
  if (status !== 0) throw new Error(`crun ${args.join(' ')} failed with status ${status}: ${(await readFile(said, 'utf8')).trim()}`)
}

async function must(file: string, args: readonly string[], cwd: string): Promise<void> {
  const { status, output } = await run(file, args, cwd)
  if (status !== 0) throw new Error(`${file} ${args.join(' ')} failed with status ${status}: ${output.trim()}`)
}

export function run(file: string, args: readonly string[], cwd: string): Promise<CommandResult> {
  return new Promise((resolve) => {
    const child = execFile(file, [...args], { cwd, timeout: TIMEOUT_MS }, (error, stdout, stderr) => {
      const status = error === null ? 0 : typeof error.code === 'number' ? error.code : 128
      resolve({ status, output: stdout + stderr + (error !== null && typeof error.code === 'string' ? error.message : '') })
    })
    child.stdin?.end()
  })
}
