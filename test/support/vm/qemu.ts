// SPDX-License-Identifier: Apache-2.0
// QEMU's command line for a guest.

import { realpath } from 'node:fs/promises'
import { join } from 'node:path'
import type { Kernel } from './kernels.ts'

export type Forward = {
  /** TCP port on this machine's 127.0.0.1. */
  host: number
  guest: number
}

export type Machine = {
  kernel: Kernel
  initramfs: string
  disk: string
  moreDisks: readonly string[]
  /** The working tree, and the directory that says what to run and takes the console's log. */
  tree: string
  job: string
  results?: string
  interactive: boolean
  icount: boolean
  cpus: number
  /** Whether processors of the guest run at once; otherwise they take turns. */
  atOnce: boolean
  memoryMb: number
  forwards: readonly Forward[]
  /** Security modules, in order: the kernel's lsm= parameter. */
  lsm: string
}

/** File descriptors that QEMU inherits: connected sockets for the job's output and for what the guest tells us. */
export const OUTPUT_FD = 3
export const CONTROL_FD = 4

// setpriv: however this process ends, even by SIGKILL, its guests end too.
export const LAUNCHER = ['setpriv', '--pdeathsig', 'KILL', 'qemu-system-x86_64'] as const

export async function qemuArguments(machine: Machine): Promise<string[]> {
  const { kernel, job } = machine
  const modules = await realpath(join(machine.tree, 'node_modules'))
  return [
    '-M', 'pc', '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-m', String(machine.memoryMb),
    ...processor(machine),
    '-kernel', kernel.image, '-initrd', machine.initramfs, '-append', commandLine(machine),
    '-chardev', `file,id=console,path=${join(job, 'console.log')}`, '-serial', 'chardev:console',
    ...[machine.disk, ...machine.moreDisks].flatMap(disk),
    '-device', 'virtio-serial-pci', ...ports(machine.interactive),
    ...share('tree', machine.tree, true), ...share('modules', modules, true), ...share('job', job, false),
    ...share('kernel', join(kernel.root, 'lib/modules', kernel.release), true),
    ...(machine.results === undefined ? [] : share('results', machine.results, false)),
    ...network(machine.forwards),
  ]
}

/**
 * Before 8.1 QEMU may translate code that another thread is just writing (seen as an int3 oops where the kernel patched itself, and as aborts of V8):
 * processors take turns in every test.
 *
 * QEMU 7.2 emulates cmpxchg16b wrongly under icount (seen as a double fault on 6.12), so it is hidden there; but from 7.x on
 * BPF's local storage cannot do without it and fails with ENOMEM, so it stays there.
 */
function processor({ kernel, icount, cpus, atOnce }: Machine): string[] {
  if (!icount) return ['-accel', `tcg,thread=${atOnce ? 'multi' : 'single'}`, '-cpu', 'max', '-smp', String(cpus)]
  const model = kernel.name === '6.1' || kernel.name === '6.12' ? 'max,-cx16' : 'max'
  return ['-accel', 'tcg,thread=single', '-icount', 'shift=0,sleep=off', '-cpu', model, '-smp', '1']
}

function commandLine({ interactive, results, lsm }: Machine): string {
  const words = ['console=ttyS0', 'loglevel=4', 'panic=-1', `lsm=${lsm}`, 'net.ifnames=0', 'no_timer_check']
  words.push(`merlon.job=${interactive ? 'shell' : 'script'}`)
  if (results !== undefined) words.push('merlon.results=1')
  return words.join(' ')
}

/** In order: /dev/vda, /dev/vdb, ... */
function disk(path: string, index: number): string[] {
  return ['-drive', `file=${path},format=raw,if=none,id=disk${index},snapshot=on,cache=unsafe`, '-device', `virtio-blk-pci,drive=disk${index}`]
}

function ports(interactive: boolean): string[] {
  const port = (name: string, fd: number): string[] => [
    '-chardev', `socket,id=${name},fd=${fd}`, '-device', `virtserialport,chardev=${name},name=merlon.${name}`,
  ]
  const terminal = interactive ? ['-chardev', 'stdio,id=terminal,signal=off', '-device', 'virtconsole,chardev=terminal'] : []
  return [...terminal, ...port('output', OUTPUT_FD), ...port('control', CONTROL_FD)]
}

function share(tag: string, path: string, readOnly: boolean): string[] {
  // A comma in a path would end the option; QEMU wants it doubled.
  const escaped = path.replaceAll(',', ',,')
  const flags = readOnly ? ',readonly=on' : ''
  return ['-fsdev', `local,id=${tag},path=${escaped},security_model=none,multidevs=remap${flags}`, '-device', `virtio-9p-pci,fsdev=${tag},mount_tag=${tag}`]
}

function network(forwards: readonly Forward[]): string[] {
  const rules = forwards.map((each) => `,hostfwd=tcp:127.0.0.1:${each.host}-:${each.guest}`).join('')
  return ['-netdev', `user,id=net${rules}`, '-device', 'virtio-net-pci,netdev=net,romfile=']
}
