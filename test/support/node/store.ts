// SPDX-License-Identifier: Apache-2.0
// The disk that a node's containerd keeps images on, filled here: what takes an emulated processor minutes takes this machine seconds. Needs root, since
// unpacking an image mounts it.

import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, openSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cached } from '../vm/cache.ts'
import { command } from '../vm/command.ts'
import { provideContainerd } from './containerd.ts'

/** Sparse: a node's containers write there too. */
const SIZE = '8G'
/** Far beyond what a starved machine needs. */
const START_MS = 600_000
/** Each build of the tree makes one of a gigabyte. */
const UNUSED_AFTER_MS = 3_600_000

export interface StoredImage {
  /** By which pods ask for it, registry included. */
  readonly name: string
  /** Stands for what it consists of: an image of the same key need not be built and stored again. */
  readonly key: string
  /** Writes it, under its name, as a docker-archive. */
  readonly write: (path: string) => Promise<void>
}

/** An ext4 file system for /var/lib/containerd, with these images unpacked. Never written to. */
export async function provideStore(images: readonly StoredImage[]): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify(images.map(({ name, key }) => [name, key]))).update(await readFile(import.meta.filename))
  const directory = await cached('store', hash.digest('hex').slice(0, 16), (into) => build(into, images), UNUSED_AFTER_MS)
  return join(directory, 'store.ext4')
}

async function build(into: string, images: readonly StoredImage[]): Promise<void> {
  const { containerd = '', ctr = '' } = await provideContainerd()
  const root = join(into, 'root')
  const state = join(into, 'state')
  const socket = join(state, 'containerd.sock')
  await Promise.all([root, state].map((path) => mkdir(path)))
  const config = join(into, 'config.toml')
  await writeFile(config, `version = 3\nroot = "${root}"\nstate = "${state}"\ndisabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.nri.v1.nri"]\n[grpc]\naddress = "${socket}"\n`)
  const log = openSync(join(into, 'containerd.log'), 'a')
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', containerd, '--config', config], { stdio: ['ignore', log, log] })
  closeSync(log)
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  try {
    await answering(ctr, socket, join(into, 'containerd.log'))
    for (const image of images) {
      const path = join(into, 'image.tar')
      await image.write(path)
      await command(ctr, ['--address', socket, '--namespace', 'k8s.io', 'image', 'import', '--snapshotter', 'overlayfs', path])
      await rm(path)
    }
  } finally {
    child.kill('SIGTERM')
    await ended
  }
  await command('/usr/sbin/mkfs.ext4', ['-q', '-d', root, '-O', '^has_journal', '-m', '0', join(into, 'store.ext4'), SIZE])
  for (const path of [root, state, config]) await rm(path, { recursive: true })
}

async function answering(ctr: string, socket: string, log: string): Promise<void> {
  const deadline = performance.now() + START_MS
  for (;;) {
    try {
      await command(ctr, ['--address', socket, 'version'])
      return
    } catch (error) {
      if (performance.now() > deadline) throw new Error(`MERLON_TEST_NODE: containerd did not answer on this machine within ${START_MS / 1000} s: ${String(error)}\n${await readFile(log, 'utf8')}`, { cause: error })
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}
