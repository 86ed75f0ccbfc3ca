// SPDX-License-Identifier: Apache-2.0
// Rules about USB devices.
import { attributes, PLAIN, type Attributes } from './attributes.ts'
import type { Node } from './document.ts'
import type { Notes } from './notes.ts'
import { nearest } from './spelling.ts'
import { field, integer, items, text } from './tree.ts'
import type { Match, Rule } from './types.ts'

/** Classes by their numbers, under the names that KubeArmor's policies have for them. */
export const USB_CLASSES: ReadonlyMap<string, number> = new Map([
  ['AUDIO', 0x01],
  ['COMMUNICATION-CDC', 0x02],
  ['HID', 0x03],
  ['PHYSICAL', 0x05],
  ['IMAGE', 0x06],
  ['PRINTER', 0x07],
  ['MASS-STORAGE', 0x08],
  ['HUB', 0x09],
  ['CDC-DATA', 0x0a],
  ['SMART-CARD', 0x0b],
  ['CONTENT-SECURITY', 0x0d],
  ['VIDEO', 0x0e],
  ['PERSONAL-HEALTHCARE', 0x0f],
  ['AUDIO/VIDEO', 0x10],
  ['BILLBOARD', 0x11],
  ['TYPE-C-BRIDGE', 0x12],
  ['BULK-DISPLAY', 0x13],
  ['MCTP', 0x14],
  ['I3C', 0x3c],
  ['DIAGNOSTIC', 0xdc],
  ['WIRELESS-CONTROLLER', 0xe0],
  ['MISCELLANEOUS', 0xef],
  ['APPLICATION-SPECIFIC', 0xfe],
  ['VENDOR-SPECIFIC', 0xff],
])
const ALL = 'ALL'

export function deviceRules(node: Node | undefined, spec: Attributes, notes: Notes): readonly Rule[] {
  if (node === undefined) return []
  const inherited = attributes(node, spec)
  return items(field(node, 'matchDevice')).flatMap((rule) => {
    const match = device(rule, notes)
    return match === undefined ? [] : [{ section: 'device', match, ...PLAIN, ...attributes(rule, inherited), position: notes.position(rule) }]
  })
}

function device(rule: Node, notes: Notes): Match | undefined {
  const written = (text(rule, 'class') ?? '').trim()
  const number = usbClass(written)
  if (number === undefined && written.toUpperCase() !== ALL) {
    const near = nearest(written, [...USB_CLASSES.keys(), ALL])
    const suggestion = near === undefined ? `known: ${[...USB_CLASSES.keys(), ALL].join(', ')}, and numbers up to 255` : `did you mean ${near}?`
    notes.say('MERLON_POLICY_UNKNOWN_NAME', field(rule, 'class') ?? rule, { name: written, suggestion })
    return undefined
  }
  const subClass = byteOf(rule, 'subClass', notes)
  const protocol = byteOf(rule, 'protocol', notes)
  const level = integer(rule, 'level')
  return {
    kind: 'device',
    ...(number === undefined ? {} : { class: number }),
    ...(subClass === undefined ? {} : { subClass }),
    ...(protocol === undefined ? {} : { protocol }),
    ...(level === undefined ? {} : { level }),
  }
}

function usbClass(written: string): number | undefined {
  const named = USB_CLASSES.get(written.toUpperCase())
  if (named !== undefined) return named
  const hex = /^(?:0x([0-9a-f]{1,2})|([0-9a-f]{1,2})h)$/i.exec(written)
  const number = hex === null ? (/^\d{1,3}$/.test(written) ? Number(written) : NaN) : Number.parseInt(hex[1] ?? hex[2] ?? '', 16)
  return number <= 0xff ? number : undefined
}

function byteOf(rule: Node, name: string, notes: Notes): number | undefined {
  const value = integer(rule, name)
  if (value !== undefined && (value < 0 || value > 0xff)) notes.say('MERLON_POLICY_OUT_OF_RANGE', field(rule, name) ?? rule, { path: name, expected: 'from 0 to 255' })
  return value
}
