// SPDX-License-Identifier: Apache-2.0
// A real container without an engine: an OCI bundle, run by crun.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buildDebianRoot } from '../support/vm/roots.ts'

/** A guest has one ready; anywhere else it is made from this machine's own files. */
const READY_ROOT = '/var/lib/roots/debian'

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
  await must('crun', ['--cgroup-manager=cgroupfs', 'run', '--detach', name], bundle)
  return {
    exec: (command) => run('crun', ['exec', name, '/bin/sh', '-c', command], bundle),
    remove: async () => void (await run('crun', ['delete', '--force', name], bundle)),
  }
}

async function must(file: string, args: readonly string[], cwd: string): Promise<void> {
  const { status, output } = await run(file, args, cwd)
  if (status !== 0) throw new Error(`${file} ${args.join(' ')} failed with status ${status}: ${output.trim()}`)
}

export function run(file: string, args: readonly string[], cwd: string): Promise<CommandResult> {
  return new Promise((resolve) => {
    const child = execFile(file, [...args], { cwd, timeout: 30_000 }, (error, stdout, stderr) => {
      const status = error === null ? 0 : typeof error.code === 'number' ? error.code : 128
      resolve({ status, output: stdout + stderr + (error !== null && typeof error.code === 'string' ? error.message : '') })
    })
    // `crun run --detach` hands its stdin to the container.
    child.stdin?.end()
  })
}
