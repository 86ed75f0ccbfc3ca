// SPDX-License-Identifier: Apache-2.0
// Literal paths, sources and directories as a tree of bytes: linear in what people wrote, for thousands of rules.
import { byteSet, SLASH, type Alphabet, type ByteSet } from './alphabet.ts'
import { merge } from './merge.ts'

/** What ends at one string. Clauses are ascending 0-based indices. */
export interface Leaf {
  /** Of the path that is this string. */
  exact: number[]
  /** Of all paths that begin with it. */
  recursive: number[]
  /** Of the paths that begin with it and have no slash after it. */
  within: number[]
  subject: number
}

/** Shared by the many lists that stay empty: never pushed to. */
export const NONE: number[] = []

/** Strings of bytes, one character each, and what ends there. */
export class Leaves {
  readonly all = new Map<string, Leaf>()

  at(bytes: string): Leaf {
    let leaf = this.all.get(bytes)
    if (leaf === undefined) {
      leaf = { exact: NONE, recursive: NONE, within: NONE, subject: 0 }
      this.all.set(bytes, leaf)
    }
    return leaf
  }

  /** Every byte that occurs, and the slash. */
  bytes(): ByteSet {
    const seen = byteSet(SLASH)
    for (const key of this.all.keys()) {
      for (let i = 0; i < key.length; i++) {
        const byte = key.charCodeAt(i)
        seen[byte >> 5]! |= 1 << (byte & 31)
      }
    }
    return seen
  }
}

/**
 * Where a path is relative to the directories of the rules, once it has left the tree. Area 0: in none. The clauses of an area match any path
 * that ends in it; a slash leads to area `slash`, every other byte stays.
 */
export interface Area {
  readonly clauses: readonly number[]
  readonly slash: number
}

/** Nodes in preorder: children come after their parents, siblings by ascending byte. */
export interface Trie {
  readonly nodes: number
  readonly parent: Int32Array
  /** Class of the byte that leads from the parent here. */
  readonly class: Uint8Array
  /** What ends at the node: an index into `leaves`, or -1. */
  readonly leaf: Int32Array
  readonly leaves: readonly Leaf[]
  /** The area that a path is in that ends here. */
  readonly area: Int32Array
  readonly areas: readonly Area[]
}

export function makeTrie(leaves: Leaves, alphabet: Alphabet): Trie {
  // Characters are bytes, hence the order of strings is that of bytes, and equal beginnings are neighbours.
  const keys = [...leaves.all.keys()].sort()
  const most = keys.reduce((sum, key) => sum + key.length, 1)
  const parent = new Int32Array(most)
  const classes = new Uint8Array(most)
  const leaf = new Int32Array(most).fill(-1)
  const path = new Int32Array(keys.reduce((longest, key) => Math.max(longest, key.length), 0) + 1)
  parent[0] = -1
  let nodes = 1
  let last = ''
  for (let index = 0; index < keys.length; index++) {
    const key = keys[index]!
    let common = 0
    while (common < last.length && last.charCodeAt(common) === key.charCodeAt(common)) common++
    for (let i = common; i < key.length; i++) {
      parent[nodes] = path[i]!
      classes[nodes] = alphabet.classOf[key.charCodeAt(i)]!
      path[i + 1] = nodes++
    }
    leaf[path[key.length]!] = index
    last = key
  }
  const tree = { nodes, parent, class: classes, leaf, leaves: keys.map(key => leaves.all.get(key)!) }
  return { ...tree, ...placeInAreas(tree, alphabet.classOf[SLASH]!) }
}

function placeInAreas(tree: Omit<Trie, 'area' | 'areas'>, slash: number): Pick<Trie, 'area' | 'areas'> {
  const areas: Area[] = [{ clauses: [], slash: 0 }]
  const area = new Int32Array(tree.nodes)
  for (let node = 0; node < tree.nodes; node++) {
    const above = node === 0 ? 0 : area[tree.parent[node]!]!
    const here = node > 0 && tree.class[node] === slash ? areas[above]!.slash : above
    const leaf = tree.leaf[node]!
    area[node] = leaf < 0 ? here : enter(areas, here, tree.leaves[leaf]!)
  }
  return { area, areas }
}

/** The area within area `here` that begins at a leaf. */
function enter(areas: Area[], here: number, leaf: Leaf): number {
  let inner = here
  if (leaf.recursive.length > 0) {
    const outer = areas[here]!
    const under = areas.push({ clauses: merge(areas[outer.slash]!.clauses, leaf.recursive), slash: areas.length }) - 1
    inner = outer.slash === here ? under : areas.push({ clauses: merge(outer.clauses, leaf.recursive), slash: under }) - 1
  }
  if (leaf.within.length > 0) {
    const outer = areas[inner]!
    inner = areas.push({ clauses: merge(outer.clauses, leaf.within), slash: outer.slash }) - 1
  }
  return inner
}

/** `merlon compile --dump=trie`. */
export function dumpTrie(leaves: Leaves): string {
  const lines: string[] = []
  for (const key of [...leaves.all.keys()].sort()) {
    const leaf = leaves.all.get(key)!
    const parts = [`exact ${leaf.exact.join()}`, `recursive ${leaf.recursive.join()}`, `within ${leaf.within.join()}`]
    lines.push(`${key}: ${parts.filter(part => !part.endsWith(' ')).join(', ')}${leaf.subject > 0 ? ` subject ${leaf.subject}` : ''}`)
  }
  return lines.join('\n') + '\n'
}
