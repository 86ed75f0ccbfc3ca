// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { placeProfiles, type HeldSlot, type Member } from './placement.ts'

const held = (slot: number, profile: string | undefined, hash = `h${profile}`): HeldSlot => ({ slot, profile, hash })
const wants = (...ids: string[]): { id: string; hash: string }[] => ids.map((id) => ({ id, hash: `h${id}` }))

test('a profile keeps its slot', () => {
  assert.deepEqual(placeProfiles(wants('a'), [held(3, 'a')], [{ slot: 3, wants: 'a' }]), [{ profile: 'a', slot: 3, isLoaded: true }])
})

test('a profile takes over the slot when all its members move', () => {
  const members: Member[] = [{ slot: 3, wants: 'b' }, { slot: 3, wants: 'b' }]
  assert.deepEqual(placeProfiles(wants('b'), [held(3, 'a')], members), [{ profile: 'b', slot: 3, isLoaded: false }])
})

test('a profile gets a slot of its own when only some members move', () => {
  const members: Member[] = [{ slot: 3, wants: 'b' }, { slot: 3, wants: 'a' }]
  const placed = placeProfiles(wants('b', 'a'), [held(3, 'a')], members)
  assert.deepEqual(placed.find((entry) => entry.profile === 'b'), { profile: 'b', slot: undefined, isLoaded: false })
})

test('a member that nobody knows keeps its slot from being rewritten', () => {
  const members: Member[] = [{ slot: 3, wants: 'b' }, { slot: 3, wants: undefined }]
  assert.equal(placeProfiles(wants('b'), [held(3, 'a')], members)[0]?.slot, undefined)
})

test('an adopted table is recognised by its hash, and by its members where two are alike', () => {
  const slots = [held(1, undefined, 'hx'), held(2, undefined, 'hx')]
  const members: Member[] = [{ slot: 2, wants: 'p' }, { slot: 1, wants: 'q' }]
  const placed = placeProfiles([{ id: 'p', hash: 'hx' }, { id: 'q', hash: 'hx' }], slots, members)
  assert.deepEqual(placed, [{ profile: 'p', slot: 2, isLoaded: true }, { profile: 'q', slot: 1, isLoaded: true }])
})

test('no two profiles share a slot, and nobody is decided by a table that it does not want', () => {
  const profile = fc.constantFrom('a', 'b', 'c', 'd')
  const slotNumber = fc.integer({ min: 1, max: 5 })
  const slotList = fc.uniqueArray(fc.record({ slot: slotNumber, profile: fc.option(profile, { nil: undefined }) }), { selector: (entry) => entry.slot })
  const memberList = fc.array(fc.record({ slot: slotNumber, wants: fc.option(profile, { nil: undefined }) }))
  fc.assert(fc.property(fc.uniqueArray(profile), slotList, memberList, (ids, slots, members) => {
    const placed = placeProfiles(wants(...ids), slots.map((entry) => held(entry.slot, entry.profile)), members)
    assert.deepEqual(placed.map((entry) => entry.profile).toSorted(), ids.toSorted())
    const used = placed.flatMap((entry) => entry.slot ?? [])
    assert.equal(new Set(used).size, used.length)
    for (const entry of placed.filter((candidate) => !candidate.isLoaded && candidate.slot !== undefined)) {
      assert.ok(members.every((member) => member.slot !== entry.slot || member.wants === entry.profile))
    }
  }))
})
