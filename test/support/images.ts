// SPDX-License-Identifier: Apache-2.0
// Container images without a container engine: buildah builds the Dockerfiles on a base that debootstrap makes, all of it beneath the cache, so that
// nothing of it meets what else this machine has of containers. Needs root.
//
//   node test/support/images.ts     both images, as build/images/*.tar (oci-archive)

import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheDirectory, cached } from './vm/cache.ts'
import { TREE } from './vm/guest.ts'

const STORAGE = join(cacheDirectory(), 'images')
const MIRROR = process.env['MERLON_TEST_DEBIAN_MIRROR'] ?? 'http://deb.debian.org/debian'
/** As the Dockerfiles call it. */
const BASE = 'debian:trixie-slim'

export type ImageName = 'operator' | 'agent'
export const IMAGES: readonly ImageName[] = ['operator', 'agent']

export interface Output {
  readonly code: number
  readonly text: string
}

function run(command: string, args: readonly string[]): Promise<Output> {
  const child = spawn(command, args, { cwd: TREE, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, BUILDAH_ISOLATION: 'chroot', STORAGE_DRIVER: 'vfs' } })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => { text += chunk.toString() })
  }
  return new Promise((resolve, reject) => {
    child.on('error', (error) => reject(new Error(`Cannot run ${command}: ${error.message}`)))
    child.on('close', (code) => resolve({ code: code ?? 1, text }))
  })
}

async function must(command: string, args: readonly string[]): Promise<string> {
  const { code, text } = await run(command, args)
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}:\n${text.slice(-3000)}`)
  return text.trim()
}

/** A store of our own. */
export const STORE: readonly string[] = ['--root', join(STORAGE, 'storage'), '--runroot', join(STORAGE, 'run')]

export function buildah(...args: string[]): Promise<string> {
  return must('buildah', [...STORE, ...args])
}

/** The base image: a minimal Debian, made once. */
export async function provideBase(): Promise<void> {
  if ((await buildah('images', '--format', '{{.Name}}')).split('\n').includes('localhost/debian')) return
  const root = await cached('base', 'trixie', async (into) => {
    await must('debootstrap', ['--variant=minbase', '--include=ca-certificates', 'trixie', into, MIRROR])
    await rm(join(into, 'var/cache/apt/archives'), { recursive: true })
    await mkdir(join(into, 'var/cache/apt/archives/partial'), { recursive: true })
  })
  const container = await buildah('from', 'scratch')
  await buildah('copy', '--quiet', container, root, '/')
  await buildah('commit', '--quiet', container, BASE)
  await buildah('rm', container)
}

/** Builds an image from what `make build` left. Returns its name. */
export async function buildImage(name: ImageName): Promise<string> {
  await provideBase()
  const { version } = JSON.parse(readFileSync(join(TREE, 'package.json'), 'utf8')) as { version: string }
  const tag = `merlon-${name}:${version}`
  await buildah('build', '--quiet', '--layers=false', '--pull=never', '--file', `Dockerfile.${name}`, '--tag', tag, '.')
  return tag
}

/** The image as a file that container runtimes import. */
export async function exportImage(name: ImageName, tag: string): Promise<string> {
  const path = join(TREE, `build/images/merlon-${name}.tar`)
  await mkdir(join(path, '..'), { recursive: true })
  await rm(path, { force: true })
  await buildah('push', '--quiet', tag, `oci-archive:${path}:${tag}`)
  return path
}

if (import.meta.main) {
  for (const name of IMAGES) console.log(await exportImage(name, await buildImage(name)))
}
