// SPDX-License-Identifier: Apache-2.0
// Rules of every section as they are read: what is written becomes rules or findings, all of it.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { readManifests, type Manifests } from './read.ts'
import type { Policy, Rule } from './types.ts'

const read = (spec: string, kind = 'KubeArmorPolicy', metadata = 'name: p'): Manifests =>
  readManifests(`apiVersion: security.kubearmor.com/v1\nkind: ${kind}\nmetadata: {${metadata}}\nspec:\n${spec.replaceAll(/^/gm, '  ')}\n`, 'f.yaml')
/** Codes with their lines. */
const said = ({ findings }: Manifests): readonly unknown[] => findings.map(({ code, position }) => [code.replace('MERLON_POLICY_', ''), position.line])
const policyOf = (manifests: Manifests): Policy => {
  assert.deepEqual(said(manifests), [])
  const [policy] = manifests.policies
  assert.ok(policy !== undefined)
  return policy
}
const rulesOf = (spec: string, kind?: string): readonly Rule[] => policyOf(read(spec, kind)).rules
const matchesOf = (spec: string, kind?: string): readonly unknown[] => rulesOf(spec, kind).map(({ section, match, action }) => [section, Object.values(match).slice(1), action])

describe('process and file', () => {
  test('pts has three values', () => {
    const rules = rulesOf('process: {matchPaths: [{path: /a, pts: true}, {path: /b, pts: false}, {path: /c, pts: null}, {path: /d}]}')
    assert.deepEqual(rules.map(({ pts }) => pts), [true, false, undefined, undefined])
    assert.ok(!('pts' in (rules[3] ?? {})))
  })

  test('allowed arguments, and at most 20 of them', () => {
    assert.deepEqual(rulesOf('process: {matchPaths: [{path: /a, allowedArgs: ["-l", "x y"]}]}')[0]?.allowedArgs, ['-l', 'x y'])
    const many = Array.from({ length: 21 }, (_, index) => `"${index}"`).join(', ')
    assert.deepEqual(said(read(`process: {matchPaths: [{path: /a, allowedArgs: [${many}]}]}`)), [['TOO_LONG', 5]])
  })
})

describe('network', () => {
  test('lists with commas are one rule for each name, in any case, in any element', () => {
    assert.deepEqual(matchesOf('network: {matchProtocols: [{protocol: udp}, {protocol: " TCP , icmp,tcp"}], action: Audit}'), [
      ['network', ['udp'], 'Audit'], ['network', ['tcp'], 'Audit'], ['network', ['icmp'], 'Audit'],
    ])
  })

  test('sources and terminals', () => {
    const [rule] = rulesOf('network: {matchProtocols: [{protocol: raw, pts: false, fromSource: [{path: /usr/bin/ping}], severity: 7}]}')
    assert.deepEqual([rule?.sources, rule?.pts, rule?.severity, rule?.match], [['/usr/bin/ping'], false, 7, { kind: 'protocol', protocol: 'raw' }])
  })

  test('what the pattern lets pass and is no protocol is refused', () => {
    assert.deepEqual(said(read('network: {matchProtocols: [{protocol: ","}]}')), [['BAD_FORMAT', 5]])
    const passed = read('network:\n  matchProtocols:\n  - protocol: xtcp\n  - protocol: nonsense,udp\n')
    assert.deepEqual(said(passed), [['UNKNOWN_NAME', 7], ['UNKNOWN_NAME', 8]])
    assert.deepEqual([passed.policies.length, passed.findings[0]?.hint], [0, 'did you mean tcp?'])
  })

  test('domains lose the dots at their ends', () => {
    assert.deepEqual(matchesOf('network: {matchDNSQueries: [{domain: ".Example.com."}, {domain: "a.b, _srv._tcp.c", action: Allow}]}'), [
      ['dns', ['Example.com'], 'Block'], ['dns', ['a.b'], 'Allow'], ['dns', ['_srv._tcp.c'], 'Allow'],
    ])
  })

  test('names that nobody can ask for are refused', () => {
    for (const domain of ['*.a.b', 'a..b', 'münchen.de', 'a b', `${'x'.repeat(64)}.de`, `${'x.'.repeat(127)}x`, 'a/b']) {
      assert.deepEqual(said(read(`network: {matchDNSQueries: [{domain: ${JSON.stringify(domain)}}]}`)), [['INVALID_DOMAIN', 5]], domain)
    }
    assert.deepEqual(said(read('network: {matchDNSQueries: [{domain: "..."}]}')), [['INVALID_DOMAIN', 5]])
    assert.deepEqual(said(read('network: {matchDNSQueries: [{domain: ""}]}')), [['EMPTY_RULE', 5]])
  })
})

describe('capabilities', () => {
  test('with and without cap_, in lists, newer ones too', () => {
    assert.deepEqual(matchesOf('capabilities: {matchCapabilities: [{capability: net_raw}, {capability: "cap_bpf, chown"}], action: Allow}'), [
      ['capabilities', ['net_raw'], 'Allow'], ['capabilities', ['bpf'], 'Allow'], ['capabilities', ['chown'], 'Allow'],
    ])
  })

  test('an unknown one is refused, and is not chown', () => {
    const found = read('capabilities: {matchCapabilities: [{capability: "net_rawx,kill"}]}')
    assert.deepEqual([said(found), found.findings[0]?.hint, found.policies.length], [[['UNKNOWN_NAME', 5]], 'did you mean net_raw?', 0])
    assert.deepEqual(said(read('capabilities: {matchCapabilities: [{capability: CAP_NET_RAW}]}')), [['BAD_FORMAT', 5]])
  })
})

describe('system calls', () => {
  test('a path is a directory by its slash, and recursive without one is told', () => {
    const path = (written: string): unknown => said(read(`syscalls: {matchPaths: [{path: ${written}, recursive: true, syscall: [unlink]}]}`))
    assert.deepEqual([path('/home/'), path('/home')], [[], [['RECURSIVE_FILE', 5]]])
  })

  test('one rule for each call; they audit, whatever else is said', () => {
    const rules = rulesOf('action: Block\nsyscalls:\n  severity: 4\n  matchSyscalls: [{syscall: [unlink, umount, unlink]}]\n  matchPaths: [{path: /home/, recursive: true, syscall: [rmdir]}, {path: /x, syscall: [chown]}]')
    assert.deepEqual(rules.map(({ match, action, severity }) => [match, action, severity]), [
      [{ kind: 'syscall', syscall: 'unlink' }, 'Audit', 4],
      [{ kind: 'syscall', syscall: 'umount2' }, 'Audit', 4],
      [{ kind: 'syscall', syscall: 'rmdir', path: { kind: 'dir', dir: '/home/', recursive: true } }, 'Audit', 4],
      [{ kind: 'syscall', syscall: 'chown', path: { kind: 'path', path: '/x' } }, 'Audit', 4],
    ])
  })

  test('sources are executables and directories of them, with or without the slash at the end', () => {
    const [rule] = rulesOf('syscalls: {matchSyscalls: [{syscall: [mount], fromSource: [{path: /bin/a}, {dir: /opt, recursive: true}, {dir: /bin/}]}]}')
    assert.deepEqual([rule?.sources, rule?.sourceDirectories], [['/bin/a'], [{ dir: '/opt/', recursive: true }, { dir: '/bin/', recursive: false }]])
  })

  test('a rule without calls, and a source that is no path, are told', () => {
    assert.deepEqual(said(read('syscalls: {matchPaths: [{path: /home/}]}')), [['EMPTY_RULE', 5]])
    assert.deepEqual(said(read('syscalls: {matchSyscalls: [{syscall: [mount], fromSource: [{dir: opt}]}]}')), [['INVALID_PATH', 5]])
    assert.deepEqual(said(read('syscalls: {matchSyscalls: [{syscall: [no_such_call]}]}')), [['NOT_ALLOWED', 5]])
  })
})

describe('presets', () => {
  test('audit, or else block; the rest comes from the spec', () => {
    const found = read('severity: 8\ntags: [t]\nmessage: m\naction: Allow\npresets:\n- {name: filelessExec, action: Audit}\n- {name: protectEnv}\n- {name: exec, action: Allow}')
    assert.deepEqual(said(found), [['PRESET_ACTION', 12]])
    assert.deepEqual(found.policies[0]?.rules.map(({ match, action, severity, tags, message }) => [match, action, severity, tags, message]), [
      [{ kind: 'preset', preset: 'filelessExec' }, 'Audit', 8, ['t'], 'm'],
      [{ kind: 'preset', preset: 'protectEnv' }, 'Block', 8, ['t'], 'm'],
      [{ kind: 'preset', preset: 'exec' }, 'Block', 8, ['t'], 'm'],
    ])
  })

  test('names that there are not, and none', () => {
    const found = read('presets: [{name: filelesExec}, {action: Block}]')
    assert.deepEqual([said(found), found.findings[0]?.hint], [[['UNKNOWN_NAME', 5], ['EMPTY_RULE', 5]], 'did you mean filelessExec?'])
  })
})

describe('devices', () => {
  const devices = (rule: string): Manifests => read(`nodeSelector: {matchLabels: {a: b}}\ndevice: {matchDevice: [${rule}]}`, 'KubeArmorHostPolicy')
  test('classes by name, decimal and hexadecimal', () => {
    const rules = policyOf(devices('{class: mass-storage}, {class: "8"}, {class: "0x0E"}, {class: FFh}, {class: ALL}, {class: HID, subClass: 1, protocol: 2, level: 3}')).rules
    assert.deepEqual(rules.map(({ match }) => match), [
      { kind: 'device', class: 8 }, { kind: 'device', class: 8 }, { kind: 'device', class: 14 }, { kind: 'device', class: 255 }, { kind: 'device' },
      { kind: 'device', class: 3, subClass: 1, protocol: 2, level: 3 },
    ])
  })

  test('what is no class and no byte', () => {
    assert.deepEqual(said(devices('{class: MASS-STORGE}')), [['UNKNOWN_NAME', 6]])
    assert.deepEqual(said(devices('{class: "256"}')), [['UNKNOWN_NAME', 6]])
    assert.deepEqual(said(devices('{class: HUB, subClass: 256}')), [['OUT_OF_RANGE', 6]])
  })
})

describe('network policies', () => {
  const KIND = 'KubeArmorNetworkPolicy'
  const NODES = 'nodeSelector: {matchLabels: {kubernetes.io/hostname: "*"}}\n'

  test('peers, ports, interfaces', () => {
    const policy = policyOf(read(`${NODES}action: Audit\ningress:\n- from: [{ipBlock: {cidr: 10.0.0.0/8}}, {ipBlock: {cidr: "fd00::/8"}}]\n  ports: [{port: "80", endPort: 90, protocol: tcp}, {port: dns}]\n  iface: [eth0]\negress:\n- {action: Block, severity: 99}`, KIND))
    assert.deepEqual([policy.selectsPods, policy.nodeSelector, policy.selector.matchLabels], [false, undefined, { 'kubernetes.io/hostname': '*' }])
    assert.deepEqual(policy.rules.map(({ section, match, action, severity }) => [section, match, action, severity]), [
      ['ingress', { kind: 'flow', cidrs: ['10.0.0.0/8', 'fd00::/8'], ports: [{ first: 80, last: 90, protocol: 'TCP' }, { first: 53, last: 53 }], interfaces: ['eth0'] }, 'Audit', 0],
      ['egress', { kind: 'flow', cidrs: [], ports: [], interfaces: [] }, 'Block', 99],
    ])
  })

  test('quotas are counted for pods, unless the level says otherwise; of a host there is one', () => {
    const quotaOf = (spec: string): unknown => policyOf(read(`${spec}\negress: [{limit: 2MB, duration: 20m}]`, KIND)).rules[0]?.quota
    const pods = 'selector: {matchLabels: {a: b}}'
    assert.deepEqual(quotaOf(pods), { limit: 2 * 1024 ** 2, seconds: 1200, level: 'pod' })
    assert.deepEqual(quotaOf(`${pods}\nlevel: Policy`), { limit: 2 * 1024 ** 2, seconds: 1200, level: 'policy' })
    assert.deepEqual(quotaOf(NODES.trim()), { limit: 2 * 1024 ** 2, seconds: 1200, level: 'policy' })
    assert.deepEqual(policyOf(read('egress: [{limit: "3", duration: 1h30m}]\nselector: {}', KIND)).rules[0]?.quota, { limit: 3 * 1024 ** 3, seconds: 5400, level: 'pod' })
  })

  test('a limit alone would be a ban, and is refused', () => {
    for (const rule of ['{limit: 2MB}', '{duration: 1h}', '{limit: 2MB, duration: soon}', '{limit: 2MB, duration: 0s}', '{limit: "99999999999999999", duration: 1h}']) {
      assert.deepEqual(said(read(`${NODES}egress: [${rule}]`, KIND)), [['INVALID_QUOTA', 6]], rule)
    }
  })

  test('what is no network, port, interface', () => {
    const cases: readonly (readonly [rule: string, code: string])[] = [
      ['{to: [{ipBlock: {cidr: 10.0.0.0/33}}]}', 'INVALID_CIDR'], ['{to: [{ipBlock: {cidr: 10.0.0}}]}', 'INVALID_CIDR'], ['{to: [{ipBlock: {cidr: "1::2::3/8"}}]}', 'INVALID_CIDR'],
      ['{ports: [{port: "0"}]}', 'UNKNOWN_NAME'], ['{ports: [{port: htpps}]}', 'UNKNOWN_NAME'], ['{ports: [{port: "90", endPort: 80}]}', 'OUT_OF_RANGE'],
      ['{iface: ["eth 0"]}', 'INVALID_INTERFACE'], ['{iface: [averylonginterface]}', 'INVALID_INTERFACE'], ['{iface: ["wlan*"]}', 'LITERAL_WILDCARD'],
    ]
    for (const [rule, code] of cases) assert.deepEqual(said(read(`${NODES}egress: [${rule}]`, KIND)), [[code, 6]], rule)
  })

  test('with a pod selector the node selector restricts where; without any, nothing is selected', () => {
    const policy = policyOf(read('nodeSelector: {matchLabels: {disk: ssd}}\nselector: {matchLabels: {a: b}, matchExpressions: [{key: label, operator: Exists, values: [tier]}]}\negress: [{}]', KIND))
    assert.deepEqual([policy.selectsPods, policy.nodeSelector, policy.selector], [true, { disk: 'ssd' }, { matchLabels: { a: 'b' }, matchExpressions: [{ key: 'label', operator: 'Exists', values: ['tier'] }], containers: [] }])
    assert.deepEqual(said(read('egress: [{}]', KIND)), [['SELECTS_NOTHING', 5]])
  })
})

describe('AppArmor text', () => {
  const apparmor = (lines: string): Manifests => read(`severity: 2\napparmor: |\n${lines.replaceAll(/^/gm, '  ')}`)
  const line = (text: string): unknown => {
    const found = apparmor(text)
    const errors = said(found)
    return errors.length > 0 ? errors : found.policies[0]?.rules.map(({ section, match, action, readOnly, ownerOnly }) => [section, ...Object.values(match), action, ...(readOnly ? ['readOnly'] : []), ...(ownerOnly ? ['ownerOnly'] : [])])
  }

  test('lines about files', () => {
    assert.deepEqual(line('deny /etc/{*,**} rw,'), [['file', 'pattern', '/etc/{*,**}', 'Block']])
    assert.deepEqual(line('deny /etc/shadow wl,'), [['file', 'path', '/etc/shadow', 'Block', 'readOnly']])
    assert.deepEqual(line('audit /etc/** rw,'), [['file', 'pattern', '/etc/**', 'Audit']])
    assert.deepEqual(line('owner /home/** r,'), [['file', 'pattern', '/home/**', 'Allow', 'readOnly', 'ownerOnly']])
    assert.deepEqual(line('file /a/ rw,'), [['file', 'path', '/a', 'Allow']])
    assert.deepEqual(line('rw "/with, comma",'), [['file', 'path', '/with, comma', 'Allow']])
    assert.deepEqual(line('deny @{PROC}/sys/** w,'), [['file', 'pattern', '/proc/sys/**', 'Block', 'readOnly']])
  })

  test('executions are rules of processes', () => {
    assert.deepEqual(line('deny /usr/bin/apt x,'), [['process', 'path', '/usr/bin/apt', 'Block']])
    assert.deepEqual(line('/usr/bin/* rix,'), [['file', 'pattern', '/usr/bin/*', 'Allow', 'readOnly'], ['process', 'pattern', '/usr/bin/*', 'Allow']])
    assert.deepEqual(line('deny file,'), [['file', 'dir', '/', true, 'Block'], ['process', 'dir', '/', true, 'Block']])
  })

  test('capabilities and networks', () => {
    assert.deepEqual(line('deny capability net_raw sys_admin,'), [['capabilities', 'capability', 'net_raw', 'Block'], ['capabilities', 'capability', 'sys_admin', 'Block']])
    assert.deepEqual(line('network,'), [['network', 'protocol', 'all', 'Allow']])
    assert.deepEqual(line('audit deny network raw,'), [['network', 'protocol', 'raw', 'Block']])
  })

  test('several lines, comments, and their places', () => {
    const found = apparmor('# a comment, with a comma\ndeny /a rw, # and one behind\n\n  deny /b w, deny /c w,\ncapability kill')
    assert.deepEqual(found.policies[0]?.rules.map(({ position, severity }) => [position.line, position.column, severity]), [[8, 5, 2], [10, 7, 2], [10, 18, 2], [11, 5, 2]])
  })

  test('a line that means a little more is told', () => {
    for (const text of ['deny /etc/shadow r,', 'deny network inet tcp,', '/var/log/x w,']) assert.deepEqual(said(apparmor(text)), [['APPARMOR_WIDER', 7]], text)
    assert.deepEqual([said(apparmor('deny /x w,')), said(apparmor('deny /x w,\n/** rw,'))], [[], [['APPARMOR_WIDER', 7]]])
  })

  test('a line that cannot be translated is named, and the policy refused', () => {
    for (const text of [
      'mount,', '#include <abstractions/base>', 'include <abstractions/base>', 'ptrace (read),', 'signal send,', 'deny owner /x w,', '/x Px,', '/x Px -> y,', '/x ux,', '/x r w,', '/x zz,', '/x,',
      'deny /x k,', 'network inet,', 'network netlink,', 'capability nonsense,', '@{UNKNOWN}/x r,', 'allow deny /x r,', 'deny /x[ r,', 'profile x { }', 'set rlimit cpu <= 3,', 'umount /x,', 'nonsense',
    ]) {
      const found = apparmor(`deny /ok rw,\n${text}`)
      assert.deepEqual([said(found), found.policies.length], [[['APPARMOR_LINE', 8]], 0], text)
    }
  })

  test('text on one line has its place too', () => {
    assert.deepEqual(said(read('apparmor: "deny /a w, mount,"')), [['APPARMOR_LINE', 5]])
    assert.equal(read('apparmor: "deny /a w, mount,"').findings.find(({ code }) => code === 'MERLON_POLICY_APPARMOR_LINE')?.position.column, 25)
    assert.deepEqual(said(read('apparmor: ""')), [['NO_RULES', 1]])
  })
})

describe('mode', () => {
  const modeOf = (spec: string, metadata?: string): unknown => policyOf(read(`${spec}file: {matchPaths: [{path: /x}]}`, 'KubeArmorPolicy', metadata)).mode
  test('in the spec, where an unquoted Off is a boolean to YAML 1.1', () => {
    assert.deepEqual([modeOf(''), modeOf('mode: Audit\n'), modeOf('mode: "Off"\n'), modeOf('mode: Off\n'), modeOf('mode: Enforce\n')], [undefined, 'Audit', 'Off', 'Off', 'Enforce'])
    assert.deepEqual(said(read('mode: On\nfile: {matchPaths: [{path: /x}]}')), [['NOT_ALLOWED', 5]])
    assert.deepEqual(said(read('mode: audit\nfile: {matchPaths: [{path: /x}]}')), [['NOT_ALLOWED', 5]])
  })

  test('as an annotation, which counts first', () => {
    assert.equal(modeOf('mode: Enforce\n', 'name: p, annotations: {merlon.io/mode: "off"}'), 'Off')
    const found = read('mode: Audit\nfile: {matchPaths: [{path: /x}]}', 'KubeArmorPolicy', 'name: p, annotations: {merlon.io/mode: never}')
    assert.deepEqual([said(found), found.policies[0]?.mode], [[['INVALID_MODE', 3]], 'Audit'])
  })
})

describe('selection by labels that are there', () => {
  test('Exists and DoesNotExist name keys', () => {
    const found = read('selector: {matchExpressions: [{key: label, operator: DoesNotExist, values: [debug]}, {key: label, operator: Exists, values: ["a=b"]}]}\nfile: {matchPaths: [{path: /x}]}')
    assert.deepEqual(said(found), [['SELECTS_NOTHING', 5]])
    assert.deepEqual(found.policies[0]?.selector.matchExpressions[0], { key: 'label', operator: 'DoesNotExist', values: ['debug'] })
  })
})
