// SPDX-License-Identifier: Apache-2.0
// A deterministic automaton over byte classes, stored sparsely: every state has a default target and the edges that differ from it.
import { showByteSet, byteSet, type Alphabet } from './alphabet.ts'

/** Edges of state s are `first[s]` to `first[s + 1]`, by ascending class; none leads to the default target. */
export interface Automaton {
  readonly classes: number
  readonly start: number
  readonly states: number
  readonly accept: Int32Array
  readonly fallback: Int32Array
  readonly first: Int32Array
  readonly edgeClass: Uint8Array
  readonly edgeTarget: Int32Array
}

/** The state after one byte of class `c`. */
export function step(automaton: Automaton, state: number, c: number): number {
  const end = automaton.first[state + 1]!
  for (let e = automaton.first[state]!; e < end; e++) if (automaton.edgeClass[e] === c) return automaton.edgeTarget[e]!
  return automaton.fallback[state]!
}

/** A list of numbers that grows in a typed array. */
export class Numbers {
  values: Int32Array
  length = 0

  constructor(capacity = 1024) {
    this.values = new Int32Array(Math.max(capacity, 16))
  }

  push(value: number): void {
    if (this.length === this.values.length) {
      const grown = new Int32Array(this.length * 2)
      grown.set(this.values)
      this.values = grown
    }
    this.values[this.length++] = value
  }

  /** The values so far, without the spare room. No more may be pushed. */
  done(): Int32Array {
    return this.values.subarray(0, this.length)
  }
}

/**
 * Collects states, each once: two with the same accept, default and edges are one. A state is written with `edge` calls, by ascending
 * class, and then `finish`, which gives its number. Edges to the default, and defaults that are not the most frequent target, are put
 * in order first, so that equal functions have equal forms.
 */
export class StateTable {
  readonly classes: number
  readonly accept: Numbers
  readonly fallback: Numbers
  readonly first: Numbers
  private readonly edgeClass: Numbers
  private readonly edgeTarget: Numbers
  private slots: Int32Array
  private hashed = 0
  private pendingClass: Int32Array
  private pendingTarget: Int32Array
  private pending = 0

  /** `expected`: how many states there may be, as far as is known; `searched`: how many of them by `finish`. */
  constructor(classes: number, expected = 1024, searched = expected) {
    this.classes = classes
    this.accept = new Numbers(expected)
    this.fallback = new Numbers(expected)
    this.first = new Numbers(expected + 1)
    this.edgeClass = new Numbers(expected)
    this.edgeTarget = new Numbers(expected)
    this.slots = new Int32Array(1 << (34 - Math.clz32(searched))).fill(-1)
    this.pendingClass = new Int32Array(classes + 1)
    this.pendingTarget = new Int32Array(classes + 1)
    this.first.push(0)
  }

  get states(): number {
    return this.accept.length
  }

  edge(c: number, target: number): void {
    this.pendingClass[this.pending] = c
    this.pendingTarget[this.pending++] = target
  }

  finish(accept: number, fallback: number): number {
    const target = this.canonical(fallback)
    const hash = this.hash(accept, target)
    let slot = hash & (this.slots.length - 1)
    while (this.slots[slot] !== -1) {
      const state = this.slots[slot]!
      if (this.equals(state, accept, target)) {
        this.pending = 0
        return state
      }
      slot = (slot + 1) & (this.slots.length - 1)
    }
    const state = this.append(accept, target)
    this.slots[slot] = state
    if (++this.hashed * 3 > this.slots.length) this.grow()
    return state
  }

  /** As `finish`, for a state that equals none before it and none to come: it is not looked for. */
  add(accept: number, fallback: number): number {
    return this.append(accept, this.canonical(fallback))
  }

  /** The automaton of all states so far. */
  automaton(start: number): Automaton {
    return {
      classes: this.classes,
      start,
      states: this.states,
      accept: this.accept.done(),
      fallback: this.fallback.done(),
      first: this.first.done(),
      edgeClass: new Uint8Array(this.edgeClass.done()),
      edgeTarget: this.edgeTarget.done(),
    }
  }

  /** Drops pending edges to the default, after making the most frequent target the default (of equals the lowest). */
  private canonical(fallback: number): number {
    let best = fallback
    if (this.pending * 2 >= this.classes) best = this.mostFrequent(fallback)
    if (best !== fallback) this.spellOut(fallback)
    let kept = 0
    for (let i = 0; i < this.pending; i++) {
      if (this.pendingTarget[i] === best) continue
      this.pendingClass[kept] = this.pendingClass[i]!
      this.pendingTarget[kept++] = this.pendingTarget[i]!
    }
    this.pending = kept
    return best
  }

  private mostFrequent(fallback: number): number {
    const counts = new Map<number, number>([[fallback, this.classes - this.pending]])
    for (let i = 0; i < this.pending; i++) counts.set(this.pendingTarget[i]!, (counts.get(this.pendingTarget[i]!) ?? 0) + 1)
    let best = fallback
    let most = -1
    for (const [target, count] of counts) {
      if (count > most || (count === most && target < best)) [best, most] = [target, count]
    }
    return best
  }

  /** Makes an edge of every class that the default stood for. */
  private spellOut(fallback: number): void {
    const targets = new Int32Array(this.classes).fill(fallback)
    for (let i = 0; i < this.pending; i++) targets[this.pendingClass[i]!] = this.pendingTarget[i]!
    for (let c = 0; c < this.classes; c++) {
      this.pendingClass[c] = c
      this.pendingTarget[c] = targets[c]!
    }
    this.pending = this.classes
  }

  private hash(accept: number, fallback: number): number {
    let hash = mix(mix(0x9e3779b9 | 0, accept), fallback)
    for (let i = 0; i < this.pending; i++) hash = mix(mix(hash, this.pendingClass[i]!), this.pendingTarget[i]!)
    return hash ^ (hash >>> 15)
  }

  private hashOf(state: number): number {
    let hash = mix(mix(0x9e3779b9 | 0, this.accept.values[state]!), this.fallback.values[state]!)
    const end = this.first.values[state + 1]!
    for (let e = this.first.values[state]!; e < end; e++) hash = mix(mix(hash, this.edgeClass.values[e]!), this.edgeTarget.values[e]!)
    return hash ^ (hash >>> 15)
  }

  private equals(state: number, accept: number, fallback: number): boolean {
    const start = this.first.values[state]!
    if (this.accept.values[state] !== accept || this.fallback.values[state] !== fallback) return false
    if (this.first.values[state + 1]! - start !== this.pending) return false
    for (let i = 0; i < this.pending; i++) {
      if (this.edgeClass.values[start + i] !== this.pendingClass[i] || this.edgeTarget.values[start + i] !== this.pendingTarget[i]) return false
    }
    return true
  }

  private append(accept: number, fallback: number): number {
    for (let i = 0; i < this.pending; i++) {
      this.edgeClass.push(this.pendingClass[i]!)
      this.edgeTarget.push(this.pendingTarget[i]!)
    }
    this.pending = 0
    this.accept.push(accept)
    this.fallback.push(fallback)
    this.first.push(this.edgeClass.length)
    return this.states - 1
  }

  private grow(): void {
    const slots = new Int32Array(this.slots.length * 2).fill(-1)
    for (const state of this.slots) {
      if (state < 0) continue
      let slot = this.hashOf(state) & (slots.length - 1)
      while (slots[slot] !== -1) slot = (slot + 1) & (slots.length - 1)
      slots[slot] = state
    }
    this.slots = slots
  }
}

function mix(hash: number, value: number): number {
  const mixed = Math.imul(hash ^ value, 0x85ebca6b)
  return mixed ^ (mixed >>> 13)
}

function bytesOfClass(alphabet: Alphabet, of: number): readonly number[] {
  return Array.from({ length: 255 }, (_, index) => index + 1).filter(byte => alphabet.classOf[byte] === of)
}

/** `merlon compile --dump=dfa`: a line for each state, its accept where it has one, its edges and its default. */
export function dumpAutomaton(automaton: Automaton, alphabet: Alphabet): string {
  const lines = [`start ${automaton.start}`]
  for (let state = 0; state < automaton.states; state++) {
    const byTarget = new Map<number, number[]>()
    for (let e = automaton.first[state]!; e < automaton.first[state + 1]!; e++) {
      const target = automaton.edgeTarget[e]!
      byTarget.set(target, [...(byTarget.get(target) ?? []), ...bytesOfClass(alphabet, automaton.edgeClass[e]!)])
    }
    const edges = [...byTarget].map(([target, bytes]) => ` ${showByteSet(byteSet(...bytes))}->${target}`).join('')
    const accept = automaton.accept[state] === 0 ? '' : ` accept ${automaton.accept[state]}`
    lines.push(`${state}:${accept}${edges} else->${automaton.fallback[state]}`)
  }
  return lines.join('\n') + '\n'
}
