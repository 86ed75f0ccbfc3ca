// SPDX-License-Identifier: Apache-2.0
// The kernels of the guests: Debian's own packages, unpacked into the cache.

import { mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cached, exists } from './cache.ts'
import { command, commandBytes } from './command.ts'
import { aptFor } from './debian.ts'

export type KernelName = '6.1' | '6.12' | '7.2'

export type Kernel = {
  name: KernelName
  /** What `uname -r` prints. */
  release: string
  /** The kernel as an ELF file. */
  image: string
  /** Holds `lib/modules/<release>` with a modules.dep. */
  root: string
}

type Source = { suite: string; packages: readonly RegExp[] }

// Debian splits the package from 7.x on: the image, the list of what is built in, and the modules.
const SOURCES: Record<KernelName, Source> = {
  '6.1': { suite: 'bookworm', packages: [/^linux-image-6\.1\.[0-9]+-[0-9]+-amd64$/] },
  '6.12': { suite: 'trixie', packages: [/^linux-image-6\.12\.[0-9]+\+deb13-amd64$/] },
  '7.2': { suite: 'forky', packages: ['binary', 'base', 'modules'].map((part) => new RegExp(`^linux-${part}-7\\.2\\.[0-9]+\\+deb14-amd64$`)) },
}

/** Four fifths of a kernel package are drivers of hardware that QEMU does not show to these guests. */
const UNWANTED = [
  'sound', 'drivers/accel', 'drivers/ata', 'drivers/bluetooth', 'drivers/comedi', 'drivers/crypto', 'drivers/firewire', 'drivers/gpu', 'drivers/hid',
  'drivers/hwmon', 'drivers/i2c', 'drivers/iio', 'drivers/infiniband', 'drivers/input', 'drivers/isdn', 'drivers/media', 'drivers/mmc', 'drivers/mtd',
  'drivers/net/ethernet', 'drivers/net/usb', 'drivers/net/wireless', 'drivers/platform', 'drivers/power', 'drivers/scsi', 'drivers/staging', 'drivers/usb',
]

export const KERNEL_NAMES = Object.keys(SOURCES) as KernelName[]

export function isKernelName(text: string): text is KernelName {
  return Object.hasOwn(SOURCES, text)
}

/** The kernel, fetched from Debian when the cache does not have it. */
export async function provideKernel(name: KernelName): Promise<Kernel> {
  const root = await cached('kernel', `${name}-3`, (into) => fetchKernel(name, into))
  const [release] = await readdir(join(root, 'lib/modules'))
  if (release === undefined) throw new Error(`MERLON_TEST_KERNEL: No modules in ${root}: remove that directory and try again`)
  return { name, release, image: join(root, 'vmlinux'), root }
}

async function fetchKernel(name: KernelName, into: string): Promise<void> {
  const { suite, packages } = SOURCES[name]
  const apt = await aptFor(suite)
  const names = await apt.namesOf('linux-')
  const download = join(into, 'download')
  await mkdir(download)
  for (const pattern of packages) {
    const newest = names.filter((each) => pattern.test(each)).sort(new Intl.Collator('en', { numeric: true }).compare).at(-1)
    if (newest === undefined) {
      throw new Error(`MERLON_TEST_KERNEL: Debian's suite ${suite} has no package ${pattern.source}: it moved on to another kernel, name that one in kernels.ts`)
    }
    await apt.download(newest, download)
  }
  const unpacked = join(into, 'unpacked')
  await mkdir(unpacked)
  for (const file of await readdir(download)) await unpack(join(download, file), unpacked)
  await arrange(unpacked, into)
  await rm(download, { recursive: true })
  await rm(unpacked, { recursive: true })
}

async function unpack(archive: string, into: string): Promise<void> {
  const excludes = UNWANTED.map((each) => `--exclude=*/kernel/${each}`)
  const script = 'archive=$1; shift; dpkg-deb --fsys-tarfile "$archive" | tar -x "$@"'
  await command('bash', ['-o', 'pipefail', '-c', script, 'unpack', archive, '-C', into, ...excludes])
}

/** One layout for what Debian has laid out in three ways: /boot or beside the modules; /lib or /usr/lib. */
async function arrange(unpacked: string, into: string): Promise<void> {
  const usr = join(unpacked, 'usr/lib/modules')
  const modules = (await exists(usr)) ? usr : join(unpacked, 'lib/modules')
  const [release] = await readdir(modules)
  if (release === undefined) throw new Error(`MERLON_TEST_KERNEL: The package in ${unpacked} holds no modules`)
  const beside = join(modules, release, 'vmlinuz')
  const compressed = (await exists(beside)) ? beside : join(unpacked, `boot/vmlinuz-${release}`)
  await writeFile(join(into, 'vmlinux'), await decompressed(await readFile(compressed)))
  await mkdir(join(into, 'lib/modules'), { recursive: true })
  await rename(join(modules, release), join(into, 'lib/modules', release))
  // modules.dep is made when a package is installed, which this one never is. depmod of a merged-usr system looks below /usr/lib.
  await mkdir(join(into, 'usr'))
  await symlink('../lib', join(into, 'usr/lib'))
  await command('depmod', ['-b', into, release])
}

/**
 * The ELF kernel inside a bzImage (Documentation/arch/x86/boot.rst: setup_sects, payload_offset, payload_length). QEMU starts it
 * through its PVH entry, which saves the seconds that an emulated processor takes to decompress it, and its random relocation.
 */
async function decompressed(image: Buffer): Promise<Buffer> {
  const protectedMode = ((image[0x1f1] || 4) + 1) * 512
  const start = protectedMode + image.readUInt32LE(0x248)
  // The last four bytes are the decompressed length, which the build appends.
  const payload = image.subarray(start, start + image.readUInt32LE(0x24c) - 4)
  const isXz = payload.readUInt32BE(0) === 0xfd377a58
  const elf = isXz ? await commandBytes('xz', ['-dc', '--single-stream'], { input: payload }) : await commandBytes('zstd', ['-dcq'], { input: payload })
  if (elf.readUInt32BE(0) !== 0x7f454c46) throw new Error('MERLON_TEST_KERNEL: The decompressed kernel is not an ELF file')
  return elf
}
