// SPDX-License-Identifier: Apache-2.0
// The patterns of the custom resources in words: what the API server can only quote.

export interface Format {
  readonly pattern: RegExp
  /** Completes "must be ...". */
  readonly words: string
  readonly suggestion: string
}

type Words = Pick<Format, 'words' | 'suggestion'>

/** By the pattern as crds/ has it; a test makes sure that every one is here. */
export const WORDS: Readonly<Record<string, Words>> = {
  '^\\/+.*[^\\/]$': {
    words: 'an absolute path without a slash at its end',
    suggestion: 'a directory belongs in matchDirectories, a path with wildcards in matchPatterns',
  },
  '^\\/$|^\\/.*\\/$': { words: 'an absolute path with a slash at its end', suggestion: 'begin and end it with a slash' },
  '(^\\/+.*[^\\/]$)|(^\\/$|^\\/.*\\/$)': { words: 'an absolute path', suggestion: 'begin it with a slash' },
  '^[^\\/]+$': { words: 'a file name without slashes', suggestion: 'a whole path belongs in path' },
  '(icmp|ICMP|tcp|TCP|udp|UDP|raw|RAW|sctp|SCTP|stream|STREAM|dgram|DGRAM|rdm|RDM|seqpacket|SEQPACKET|dccp|DCCP|packet|PACKET|icmpv6|ICMPV6|all|ALL)$': {
    words: 'a protocol',
    suggestion: 'use tcp, udp, icmp, icmpv6, sctp, raw, stream, dgram, seqpacket, rdm, dccp, packet or all',
  },
  '(chown|dac_override|dac_read_search|fowner|fsetid|kill|setgid|setuid|setpcap|linux_immutable|net_bind_service|net_broadcast|net_admin|net_raw|ipc_lock|ipc_owner|sys_module|sys_rawio|sys_chroot|sys_ptrace|sys_pacct|sys_admin|sys_boot|sys_nice|sys_resource|sys_time|sys_tty_config|mknod|lease|audit_write|audit_control|setfcap|mac_override|mac_admin|syslog|wake_alarm|block_suspend|audit_read|perfmon|bpf|checkpoint_restore)$': {
    words: 'a capability',
    suggestion: 'use its name in lower case, such as net_raw',
  },
  '^[0-9]+(KB|MB|GB|K|M|G)?$': { words: 'a number, perhaps with a unit', suggestion: 'write it like 500MB; the units are KB, MB and GB' },
}

/** `written` as crds/ has it, `pattern` the same for JavaScript. */
export function format(written: string, pattern: RegExp): Format {
  return { pattern, ...(WORDS[written] ?? { words: `of the form ${written}`, suggestion: 'see the pattern' }) }
}
