// SPDX-License-Identifier: Apache-2.0
// Names and links. The kernel reports the path of the object, people write the name that they know: a rule means the file that its path names
// in that container. The directory links that every merged-usr image has are assumed from the first instruction of a container, which is
// before anyone could look at its root; once its root has been looked at, what is a link there takes their place.
import { parseGlob } from './glob.ts'
import { invokedKey } from './keys.ts'
import type { Directory, Links, Match, PathMatch, Section } from './types.ts'

/** Link and target, neither with a trailing slash. `/var/run/lock` needs no line of its own: it becomes `/run/lock`. */
export const DIRECTORY_LINKS: readonly (readonly [link: string, target: string])[] = [
  ['/bin', '/usr/bin'],
  ['/sbin', '/usr/sbin'],
  ['/lib', '/usr/lib'],
  ['/lib32', '/usr/lib32'],
  ['/lib64', '/usr/lib64'],
  ['/libx32', '/usr/libx32'],
  ['/var/run', '/run'],
  ['/var/lock', '/run/lock'],
]

const ASSUMED: Links = { targets: Object.fromEntries(DIRECTORY_LINKS), multicall: [] }

/** More links than this on the way to one file, and the kernel gives up as well. */
const MOST_HOPS = 40
const UTF8 = new TextEncoder()

/** The path as written, then each path that links make of it. Works on patterns too, when the link is spelt out in them. */
export function expandPath(path: string, links: Links = ASSUMED, quote: (target: string) => string = (target) => target): readonly string[] {
  const paths = [path]
  for (let last = path; paths.length <= MOST_HOPS; last = paths.at(-1)!) {
    const next = follow(last, links, quote)
    if (next === undefined || paths.includes(next)) break
    paths.push(next)
  }
  return paths
}

/** Through the first link on the way. */
function follow(path: string, links: Links, quote: (target: string) => string): string | undefined {
  const { targets } = links
  const first = path.indexOf('/', 1)
  // Most paths are under a directory that no link is in.
  if (!topsOf(links).has(first < 0 ? path : path.slice(0, first))) return undefined
  for (let end = first; ; end = path.indexOf('/', end + 1)) {
    const prefix = end < 0 ? path : path.slice(0, end)
    if (Object.hasOwn(targets, prefix)) return (quote(targets[prefix]!) + path.slice(prefix.length)).replace(/^\/\//, '/')
    if (end < 0) return undefined
  }
}

const TOPS = new WeakMap<Links, ReadonlySet<string>>()

/** First components of all links, as paths. */
function topsOf(links: Links): ReadonlySet<string> {
  let tops = TOPS.get(links)
  if (tops === undefined) {
    tops = new Set(Object.keys(links.targets).map((link) => /^\/?[^/]*/.exec(link)![0]))
    TOPS.set(links, tops)
  }
  return tops
}

/** Every match by which the kernel may see what `match` names; the first is `match` itself. */
export function expand(match: PathMatch, section: Section, links: Links = ASSUMED): readonly Match[] {
  switch (match.kind) {
    case 'name':
      return [match, ...(section === 'process' ? named(match.name, links) : [])]
    case 'path':
      return section === 'process'
        ? expandExecutable(match.path, links).map(({ path, name }): Match => (name === undefined ? { kind: 'path', path } : { kind: 'invoked', name, path }))
        : expandPath(match.path, links).map((path) => ({ kind: 'path', path }))
    case 'dir':
      return expandDirectory(match, links).map((directory) => ({ kind: 'dir', ...directory }))
    case 'pattern':
      return expandPath(match.pattern, links, quoted).filter((pattern, index) => index === 0 || parseGlob(pattern).ok).map((pattern) => ({ kind: 'pattern', pattern }))
  }
}

/** An executable's path; with a name, only where it was executed by that name. */
interface Executable {
  readonly path: string
  readonly name?: string
}

/** A link to a file that goes by its name means that file by that name. */
function expandExecutable(path: string, links: Links): readonly Executable[] {
  return expandPath(path, links).map((each, index) => (index > 0 && links.multicall.includes(each) ? { path: each, name: lastComponent(path) } : { path: each }))
}

/** What an execname may be a link to. */
function named(name: string, links: Links): readonly Match[] {
  const direct = Object.entries(links.targets).filter(([link, target]) => lastComponent(link) === name && lastComponent(target) !== name && !links.multicall.includes(target))
  return [...[...new Set(direct.map(([, path]) => path))].map((path): Match => ({ kind: 'path', path })), ...links.multicall.map((path): Match => ({ kind: 'invoked', name, path }))]
}

function expandDirectory({ dir, recursive }: Directory, links: Links): readonly Directory[] {
  return expandPath(dir, links).map((each) => ({ dir: each.endsWith('/') ? each : `${each}/`, recursive }))
}

/** Keys of sources with their aliases, sorted, each once: sources are a set. */
export function expandSources(sources: readonly string[], links: Links = ASSUMED): readonly string[] {
  if (sources.length === 0) return sources
  const keys = sources.flatMap((source) => expandExecutable(source, links).map(({ path, name }) => (name === undefined ? path : textKey(name, path))))
  return [...new Set(keys)].sort()
}

export function expandDirectories(directories: readonly Directory[], links: Links = ASSUMED): readonly Directory[] {
  if (directories.length === 0) return directories
  const all = new Map(directories.flatMap((directory) => expandDirectory(directory, links)).map((each) => [`${each.dir} ${each.recursive}`, each]))
  return [...all.keys()].sort().map((key) => all.get(key)!)
}

function textKey(name: string, path: string): string {
  return new TextDecoder().decode(invokedKey(UTF8.encode(name), UTF8.encode(path)))
}

/** For a pattern: a target that means itself. */
function quoted(target: string): string {
  return target.replaceAll(/[\\*?[\]{}]/g, '\\$&')
}

function lastComponent(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
