// SPDX-License-Identifier: Apache-2.0
// The names that rules have for what is no path, and the kernel's numbers of them.

/** Capabilities by number. */
export const CAPABILITIES: readonly string[] = [
  'chown', 'dac_override', 'dac_read_search', 'fowner', 'fsetid', 'kill', 'setgid', 'setuid', 'setpcap', 'linux_immutable', 'net_bind_service',
  'net_broadcast', 'net_admin', 'net_raw', 'ipc_lock', 'ipc_owner', 'sys_module', 'sys_rawio', 'sys_chroot', 'sys_ptrace', 'sys_pacct', 'sys_admin',
  'sys_boot', 'sys_nice', 'sys_resource', 'sys_time', 'sys_tty_config', 'mknod', 'lease', 'audit_write', 'audit_control', 'setfcap', 'mac_override',
  'mac_admin', 'syslog', 'wake_alarm', 'block_suspend', 'audit_read', 'perfmon', 'bpf', 'checkpoint_restore',
]

/** What a protocol name means: sockets of one of the families (empty: of any), types and protocols. Numbers as socket(2) has them. */
export interface Sockets {
  readonly families: readonly number[]
  readonly types: readonly number[]
  /** The protocol that a socket has in the end: that of the call, or for 0 the one that the family has for the type. */
  readonly protocols: readonly number[]
}

const [UNIX, INET, INET6, NETLINK, PACKET] = [1, 2, 10, 16, 17]
const INTERNET: readonly number[] = [INET, INET6]
const ofProtocol = (...protocols: readonly number[]): Sockets => ({ families: INTERNET, types: [], protocols })
const ofType = (type: number): Sockets => ({ families: [], types: [type], protocols: [] })

/** An empty list restricts nothing. */
export const PROTOCOLS: ReadonlyMap<string, Sockets> = new Map([
  // 262 is multipath TCP, which is TCP to everyone but the kernel; 136 is UDP-Lite.
  ['tcp', ofProtocol(6, 262)],
  ['udp', ofProtocol(17, 136)],
  ['icmp', ofProtocol(1)],
  ['icmpv6', ofProtocol(58)],
  ['sctp', ofProtocol(132)],
  ['dccp', ofProtocol(33)],
  ['stream', ofType(1)],
  ['dgram', ofType(2)],
  // Netlink sockets are often raw by type; nobody means them.
  ['raw', { families: [INET, INET6, PACKET], types: [3], protocols: [] }],
  ['rdm', ofType(4)],
  ['seqpacket', ofType(5)],
  ['packet', { families: [PACKET], types: [], protocols: [] }],
  ['all', { families: [], types: [], protocols: [] }],
])

/** Sockets that never leave the machine. */
export const LOCAL_SOCKETS: Sockets = { families: [UNIX, NETLINK], types: [], protocols: [] }

/** Presets by number, from 0. */
export const PRESETS: readonly string[] = ['filelessExec', 'anonymousMapExec', 'protectEnv', 'protectProc', 'exec']
