// SPDX-License-Identifier: Apache-2.0
// The directory links that every merged-usr image has, compiled into every plan. The kernel reports the path of the object, people write
// the name that they know: a rule for /bin/ls has to hold where /bin is a link to usr/bin, from the first instruction of a container,
// which is before anyone could look at its root.
import type { PathMatch } from './types.ts'

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

/** The path as written, then the path that it has where a link holds. Works on patterns too, when the link is spelt out in them. */
export function expandPath(path: string): readonly string[] {
  for (const [link, target] of DIRECTORY_LINKS) {
    if (path === link || path.startsWith(`${link}/`)) return [path, target + path.slice(link.length)]
  }
  return [path]
}

/** Every match by which the kernel may see what `match` names; the first is `match` itself. */
export function expand(match: PathMatch): readonly PathMatch[] {
  switch (match.kind) {
    case 'name':
      return [match]
    case 'path':
      return expandPath(match.path).map((path) => ({ kind: 'path', path }))
    case 'dir':
      return expandPath(match.dir).map((dir) => ({ kind: 'dir', dir, recursive: match.recursive }))
    case 'pattern':
      return expandPath(match.pattern).map((pattern) => ({ kind: 'pattern', pattern }))
  }
}

/** Sources with their aliases, sorted, each once: sources are a set. */
export function expandSources(sources: readonly string[]): readonly string[] {
  return [...new Set(sources.flatMap(expandPath))].sort()
}
