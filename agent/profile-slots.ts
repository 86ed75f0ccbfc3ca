// SPDX-License-Identifier: Apache-2.0
// Which profile each slot and each loaded table is for. A table is named by its serial in events and counters, for longer than it has its slot.

export class ProfileSlots {
  readonly #profileOfSlot = new Map<number, string>()
  readonly #profileOfSerial = new Map<number, string>()
  /** Of profiles that are wanted. */
  readonly #slotOfProfile = new Map<string, number>()

  /** Nothing is wanted, until it is claimed (again). */
  clear(): void {
    this.#slotOfProfile.clear()
  }

  claim(profile: string, slot: number, serial: number | undefined): void {
    this.#profileOfSlot.set(slot, profile)
    this.#slotOfProfile.set(profile, slot)
    if (serial !== undefined) this.#profileOfSerial.set(serial, profile)
  }

  /** A profile that is still wanted keeps its slot. */
  reclaim(profile: string): void {
    for (const [slot, holder] of this.#profileOfSlot) if (holder === profile) this.#slotOfProfile.set(profile, slot)
  }

  /** The slot is free. Its table's last events may still come. */
  release(slot: number): void {
    this.#profileOfSlot.delete(slot)
  }

  /** No event and no counter of this table comes any more. */
  forget(serial: number): void {
    this.#profileOfSerial.delete(serial)
  }

  slotOf(profile: string): number | undefined {
    return this.#slotOfProfile.get(profile)
  }

  inSlot(slot: number): string | undefined {
    return this.#profileOfSlot.get(slot)
  }

  ofSerial(serial: number): string | undefined {
    return this.#profileOfSerial.get(serial)
  }

  get wantedSlots(): Iterable<number> {
    return this.#slotOfProfile.values()
  }

  /** Profiles that an event may still name. */
  get named(): Iterable<string> {
    return this.#profileOfSerial.values()
  }
}
