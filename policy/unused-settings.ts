// SPDX-License-Identifier: Apache-2.0
// What KubeArmor's settings can ask that Merlon does otherwise (docs/compatibility.md, "Settings"). A value that asks what Merlon does anyway is none.
import type { Node } from './document.ts'
import type { Notes } from './notes.ts'
import { field } from './tree.ts'

/** Key -> the value that needs no word, as both a ConfigMap's text and a KubeArmorConfig's boolean. */
const AS_MERLON_DOES: Readonly<Record<string, string>> = {
  alertThrottling: 'false', // every alert is sent that finds room, and what does not is counted
  defaultPostureLogs: 'true',
  dropResourceFromProcessLogs: 'false',
  enableIMA: 'false',
  matchArgs: 'true',
}

/** One finding for all of an object's. */
export function noteUnusedSettings(data: Node | undefined, notes: Notes): void {
  const asked = Object.entries(AS_MERLON_DOES).flatMap(([key, usual]) => {
    const written = field(data, key)
    const value = written?.kind === 'scalar' ? String(written.value) : usual
    return written !== undefined && value !== usual ? [{ key, value, written }] : []
  })
  const [first] = asked
  if (first !== undefined) notes.say('MERLON_POLICY_SETTING_NOT_USED', first.written, { settings: asked.map(({ key, value }) => `${key}: ${value}`).join(', ') })
}
