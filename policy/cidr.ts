// SPDX-License-Identifier: Apache-2.0
// Networks as people write them: 10.0.0.0/8, fd00::/8, and single addresses.

export interface Network {
  /** 4 or 16. Bits after the prefix may be set, and count for nothing. */
  readonly bytes: Uint8Array
  readonly prefix: number
}

/** Undefined where it is no network. */
export function parseCidr(text: string): Network | undefined {
  const [address, length, more] = text.split('/')
  if (address === undefined || more !== undefined) return undefined
  const bytes = address.includes(':') ? parseIPv6(address) : parseIPv4(address)
  if (bytes === undefined) return undefined
  const bits = bytes.length * 8
  if (length === undefined) return { bytes, prefix: bits }
  if (!/^(0|[1-9]\d{0,2})$/.test(length) || Number(length) > bits) return undefined
  return { bytes, prefix: Number(length) }
}

function parseIPv4(text: string): Uint8Array | undefined {
  const parts = text.split('.')
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256)) return undefined
  return Uint8Array.from(parts, Number)
}

/** At most one `::`, for at least one group of zeros; the last two groups may be an IPv4 address. */
function parseIPv6(text: string): Uint8Array | undefined {
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const read = halves.map((half) => (half === '' ? [] : half.split(':'))).map(groupsOf)
  const [left, right] = read
  if (left === undefined || read.some((each) => each === undefined)) return undefined
  const groups = right === undefined ? left : [...left, ...Array.from<number>({ length: Math.max(1, 8 - left.length - right.length) }).fill(0), ...right]
  return groups.length === 8 ? Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff])) : undefined
}

function groupsOf(parts: readonly string[]): readonly number[] | undefined {
  const groups: number[] = []
  for (const [index, part] of parts.entries()) {
    if (part.includes('.') && index === parts.length - 1) {
      const four = parseIPv4(part)
      if (four === undefined) return undefined
      groups.push((four[0]! << 8) | four[1]!, (four[2]! << 8) | four[3]!)
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(parseInt(part, 16))
    else return undefined
  }
  return groups
}
