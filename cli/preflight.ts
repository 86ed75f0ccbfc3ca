// SPDX-License-Identifier: Apache-2.0
// What this host lacks for enforcement, in sentences: each says what is missing, what still works, and what to do.
import { readdir, readFile, stat } from 'node:fs/promises'
import { isManifest } from './manifests.ts'

export interface HostFacts {
  readonly root: boolean
  /** Active LSMs in order; undefined where the kernel does not tell (securityfs is not mounted). */
  readonly lsm: readonly string[] | undefined
  readonly btf: boolean
  readonly cgroup2: boolean
}

export interface Shortcoming {
  readonly sentence: string
  /** Nothing can be done at all: do not start. */
  readonly fatal: boolean
}

export async function readHostFacts(root = '/'): Promise<HostFacts> {
  const lsm = await readFile(`${root}sys/kernel/security/lsm`, 'utf8').catch(() => undefined)
  return {
    root: process.getuid?.() === 0,
    lsm: lsm?.trim().split(','),
    btf: await exists(`${root}sys/kernel/btf/vmlinux`),
    // Mounted alone, or beside v1 in a directory of its own.
    cgroup2: (await exists(`${root}sys/fs/cgroup/cgroup.controllers`)) || (await exists(`${root}sys/fs/cgroup/unified/cgroup.controllers`)),
  }
}

const STILL = 'Policies are still read, checked and shown by merlon status; nothing is blocked or audited.'

export function shortcomings(facts: HostFacts): readonly Shortcoming[] {
  const found: Shortcoming[] = []
  const say = (missing: boolean, sentence: string, fatal = false): void => {
    if (missing) found.push({ sentence, fatal })
  }
  say(!facts.root, 'Only root may load programs into the kernel: run sudo merlon up. Without root, merlon events and merlon status still work.', true)
  say(
    facts.lsm !== undefined && !facts.lsm.includes('bpf'),
    `This kernel does not ask BPF programs: its active LSMs are ${facts.lsm?.join(',')}. ${STILL} Add bpf to lsm= on the kernel's command line.`,
  )
  say(!facts.btf, `This kernel has no type information (/sys/kernel/btf/vmlinux), which the programs need. ${STILL} Use a kernel with CONFIG_DEBUG_INFO_BTF.`)
  say(!facts.cgroup2, `There is no cgroup v2 hierarchy at /sys/fs/cgroup, by which containers are told apart. ${STILL} Boot with systemd.unified_cgroup_hierarchy=1.`)
  return found
}

export type DirectoryCheck = { readonly ok: true; readonly manifests: number } | { readonly ok: false; readonly message: string }

/** Whether `directory` can be watched, and how many manifests it has now. */
export async function checkDirectory(directory: string): Promise<DirectoryCheck> {
  try {
    const entries = await readdir(directory, { recursive: true, withFileTypes: true })
    return { ok: true, manifests: entries.filter((entry) => !entry.isDirectory() && isManifest(entry.name)).length }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    // What a volume of a ConfigMap has replaced goes while it is read.
    if (code === 'ENOENT' && (await exists(directory))) return checkDirectory(directory)
    if (code === 'ENOENT') return { ok: false, message: `There is no directory ${directory}: create it and put policies into it` }
    if (code === 'ENOTDIR') return { ok: false, message: `${directory} is not a directory: name the directory that the file is in` }
    return { ok: false, message: `Cannot read ${directory}: ${(error as Error).message}` }
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}
