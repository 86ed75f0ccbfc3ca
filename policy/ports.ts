// SPDX-License-Identifier: Apache-2.0
// Ports and quotas of network policies, as text.

/** Services whose names stand for ports: KubeArmor's four, and the most usual of the others. */
const SERVICES: ReadonlyMap<string, number> = new Map([
  ['ftp', 21], ['ssh', 22], ['telnet', 23], ['smtp', 25], ['dns', 53], ['domain', 53], ['http', 80], ['pop3', 110], ['ntp', 123], ['imap', 143], ['snmp', 161],
  ['ldap', 389], ['https', 443], ['syslog', 514], ['ldaps', 636], ['imaps', 993], ['pop3s', 995], ['mysql', 3306], ['rdp', 3389], ['postgresql', 5432], ['redis', 6379],
])
export const SERVICE_NAMES: readonly string[] = [...SERVICES.keys()]

/** Undefined where it is neither a number from 1 to 65535 nor the name of a service that we know. */
export function portOf(text: string): number | undefined {
  const number = /^\d{1,5}$/.test(text) ? Number(text) : SERVICES.get(text.toLowerCase())
  return number !== undefined && number >= 1 && number <= 65_535 ? number : undefined
}

const UNITS: Readonly<Record<string, number>> = { K: 1024, M: 1024 ** 2, G: 1024 ** 3 }

/** Bytes; the schema has checked the form. Undefined where they are too many to count. */
export function bytesOf(text: string): number | undefined {
  const [, digits = '', unit = 'G'] = /^(\d+)([KMG])?B?$/.exec(text) ?? []
  const bytes = Number(digits) * (UNITS[unit] ?? NaN)
  return digits !== '' && Number.isSafeInteger(bytes) ? bytes : undefined
}

const SECONDS: Readonly<Record<string, number>> = { ns: 1e-9, us: 1e-6, 'µs': 1e-6, ms: 1e-3, s: 1, m: 60, h: 3600 }

/** Seconds of `1h30m`, as Go writes durations. Undefined for anything else, for nothing and for less. */
export function secondsOf(text: string): number | undefined {
  const parts = [...text.matchAll(/(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)/g)]
  if (parts.map(([whole]) => whole).join('') !== text) return undefined
  const seconds = parts.reduce((sum, [, number, unit]) => sum + Number(number) * (SECONDS[unit ?? ''] ?? NaN), 0)
  return seconds > 0 && seconds <= 1e9 ? seconds : undefined
}
