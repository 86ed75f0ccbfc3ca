// SPDX-License-Identifier: Apache-2.0
// The first file system of a guest: busybox, the modules that reach the disk, and a script that leaves for that disk.

import { createHash } from 'node:crypto'
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { cached } from './cache.ts'
import { command, commandBytes } from './command.ts'
import type { Kernel } from './kernels.ts'

/** Loaded in this order, each after what it depends on. Everything else is loaded by modprobe from /lib/modules. */
const MODULES = ['virtio_pci', 'virtio_blk', 'virtio_console', 'virtio_net', '9pnet_virtio', '9p', 'ext4', 'overlay']

const INIT = join(import.meta.dirname, 'guest/init')

/** The path of the initramfs for this kernel. */
export async function provideInitramfs(kernel: Kernel): Promise<string> {
  const init = await readFile(INIT)
  const key = createHash('sha256').update(init).update(kernel.root).update(MODULES.join()).digest('hex').slice(0, 16)
  const directory = await cached('initramfs', `${kernel.name}-${key}`, (into) => build(kernel, into))
  return join(directory, 'initramfs.cpio')
}

async function build(kernel: Kernel, into: string): Promise<void> {
  const root = join(into, 'root')
  for (const each of ['bin', 'modules', 'dev', 'proc', 'sys', 'disk']) await mkdir(join(root, each), { recursive: true })
  await copyFile('/bin/busybox', join(root, 'bin/busybox'))
  await copyFile(INIT, join(root, 'init'))
  const order: string[] = []
  for (const path of await inLoadOrder(kernel)) {
    const name = basename(path).replace(/\.xz$/, '')
    order.push(name)
    const bytes = path.endsWith('.xz') ? await commandBytes('xz', ['-dc', path]) : await readFile(path)
    await writeFile(join(root, 'modules', name), bytes)
  }
  await writeFile(join(root, 'modules/order'), `${order.join('\n')}\n`)
  // Not compressed: QEMU copies it into the guest's memory faster than an emulated processor unpacks it.
  const archive = 'cd "$1" && chmod 755 init bin/busybox && find . | cpio --quiet -o -H newc -R 0:0 > ../initramfs.cpio'
  await command('sh', ['-c', archive, 'initramfs', root])
}

async function inLoadOrder(kernel: Kernel): Promise<string[]> {
  const directory = join(kernel.root, 'lib/modules', kernel.release)
  const needs = new Map<string, { path: string; after: string[] }>()
  for (const line of (await readFile(join(directory, 'modules.dep'), 'utf8')).split('\n')) {
    const [path, after] = line.split(':')
    if (path === undefined || after === undefined) continue
    needs.set(moduleName(path), { path: join(directory, path), after: after.trim().split(' ').filter(Boolean) })
  }
  const builtIn = new Set((await readFile(join(directory, 'modules.builtin'), 'utf8')).split('\n').map(moduleName))
  const order: string[] = []
  const add = (name: string): void => {
    const module = needs.get(name)
    if (module === undefined && builtIn.has(name)) return
    if (module === undefined) throw new Error(`MERLON_TEST_KERNEL: Kernel ${kernel.release} has no module ${name}`)
    if (order.includes(module.path)) return
    for (const each of module.after) add(moduleName(each))
    order.push(module.path)
  }
  MODULES.forEach(add)
  // ext4 asks for crc32c through the crypto API by name, which modules.dep cannot know.
  for (const soft of ['crc32c_generic', 'crc32c-cryptoapi']) if (needs.has(soft)) order.unshift(needs.get(soft)?.path ?? '')
  return order
}

function moduleName(path: string): string {
  return basename(path).replace(/\.ko(\.xz)?$/, '').replaceAll('-', '_')
}
