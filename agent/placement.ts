// SPDX-License-Identifier: Apache-2.0
// Which profile goes into which slot. Pure: the kernel is not touched here.

/** What a slot holds now. `profile` undefined: an earlier agent filled it, and only the table's hash is known. */
export interface HeldSlot {
  readonly slot: number
  readonly hash: string
  readonly profile: string | undefined
}

/** A cgroup that is bound to `slot` now. `wants` is the profile that it shall have; undefined: none, or nobody knows. */
export interface Member {
  readonly slot: number
  readonly wants: string | undefined
}

export interface WantedProfile {
  readonly id: string
  readonly hash: string
}

export interface Placement {
  readonly profile: string
  /** undefined: a free one. */
  readonly slot: number | undefined
  /** The slot holds the right table already. */
  readonly isLoaded: boolean
}

/**
 * A slot that holds a profile keeps it. A profile that replaces another for all members of a slot takes that slot over: one write
 * moves them all at the same instant, and no binding changes. Every other profile gets a free slot. INVARIANT: a slot is never
 * rewritten while a member of it wants something else, since that member would be decided by a table that is not its own.
 */
export function placeProfiles(wanted: readonly WantedProfile[], slots: readonly HeldSlot[], members: readonly Member[]): Placement[] {
  const taken = new Set<number>()
  const placed = new Map<string, Placement>()
  const place = (profile: string, slot: number | undefined, isLoaded: boolean): void => {
    if (slot !== undefined) taken.add(slot)
    placed.set(profile, { profile, slot, isLoaded })
  }
  const open = (): WantedProfile[] => wanted.filter((profile) => !placed.has(profile.id))
  const free = (): HeldSlot[] => slots.filter((slot) => !taken.has(slot.slot))

  for (const profile of wanted) {
    const own = slots.find((slot) => slot.profile === profile.id)
    if (own) place(profile.id, own.slot, true)
  }
  for (const profile of open()) {
    const adopted = free().filter((slot) => slot.profile === undefined && slot.hash === profile.hash)
    const found = adopted.find((slot) => members.some((member) => member.slot === slot.slot && member.wants === profile.id)) ?? adopted[0]
    if (found) place(profile.id, found.slot, true)
  }
  for (const profile of open()) {
    const found = free().find(({ slot }) => {
      const own = members.filter((member) => member.slot === slot)
      return own.length > 0 && own.every((member) => member.wants === profile.id)
    })
    place(profile.id, found?.slot, false)
  }
  return [...placed.values()]
}
