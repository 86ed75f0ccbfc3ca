// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeAlert } from '../proto/load.ts'
import type { Clause__Output as Clause } from '../proto/gen/merlon/v1/Clause.ts'
import { OP, VERDICT } from './abi.ts'
import { alertEvent, renderAlert, type AlertContext } from './alert.ts'
import { formatTime, type Who } from './observed.ts'
import { readEvent, type KernelEvent } from './records.ts'
import { record, type EventSketch } from './testing/event.ts'

const CLAUSE: Clause = {
  policy: 'ksp-group-1-block-proc-path-from-source', kind: 'KubeArmorPolicy', namespace: 'multiubuntu', action: 'Block', severity: 5,
  tags: ['MITRE', 'T1059'], message: 'block /bin/bash executing /bin/ls', text: 'process path /bin/ls', file: 'p.yaml', line: 7,
}
const WHO: Who = {
  isHost: false, containerId: 'fbbb', namespace: 'multiubuntu', pod: 'ubuntu-1-deployment-6c68d789c-t872h', container: 'ubuntu-1-container',
  image: 'docker.io/kubearmor/ubuntu-w-utils:latest', labels: 'container=ubuntu-1,group=group-1',
  owner: { kind: 'Deployment', name: 'ubuntu-1-deployment', namespace: 'multiubuntu' },
}
const UNIX_NS = 1_795_323_040_752_923_456n

function event(sketch: EventSketch = {}): KernelEvent {
  const read = readEvent(record(sketch))
  assert.ok(read)
  return read
}

const context = (change: Partial<AlertContext> = {}): AlertContext =>
  ({ node: { name: 'node1', id: 'node1', cluster: 'default' }, who: WHO, clause: CLAUSE, unixNs: UNIX_NS, ...change })

/** The alert as clients print it: fields with content only, as Go's omitempty leaves them. */
function printed(sketch: EventSketch, change: Partial<AlertContext> = {}): Record<string, unknown> {
  const alert = decodeAlert(Buffer.from(alertEvent(event(sketch), context(change)).payload as Uint8Array))
  return Object.fromEntries(Object.entries(alert).filter(([, value]) => value !== '' && value !== 0 && value !== null && !(typeof value === 'object' && value !== null && Object.keys(value).length === 0)))
}

test('a blocked exec has the shape of KubeArmor\'s alert', () => {
  assert.deepEqual(printed({ path: '/bin/ls', exe: '/bin/dash', args: ['/bin/ls'] }), {
    Timestamp: 1_795_323_040, UpdatedTime: '2026-11-22T04:50:40.752923Z', ClusterName: 'default', HostName: 'node1',
    NamespaceName: 'multiubuntu', Owner: { Ref: 'Deployment', Name: 'ubuntu-1-deployment', Namespace: 'multiubuntu' },
    PodName: 'ubuntu-1-deployment-6c68d789c-t872h', Labels: 'container=ubuntu-1,group=group-1', ContainerID: 'fbbb',
    ContainerName: 'ubuntu-1-container', ContainerImage: 'docker.io/kubearmor/ubuntu-w-utils:latest', HostPPID: 3820, HostPID: 3826, PPID: 1, PID: 55,
    ParentProcessName: '/bin/dash', ProcessName: '/bin/ls', PolicyName: 'ksp-group-1-block-proc-path-from-source', Severity: '5',
    Tags: 'MITRE,T1059', ATags: ['MITRE', 'T1059'], Message: 'block /bin/bash executing /bin/ls', Type: 'MatchedPolicy', Source: '/bin/dash',
    Operation: 'Process', Resource: '/bin/ls', Data: 'lsm=SECURITY_BPRM_CHECK',
    EventData: { Lsm: 'SECURITY_BPRM_CHECK', Rule: 'process path /bin/ls' },
    Enforcer: 'BPFLSM', Action: 'Block', Result: 'Permission denied', Cwd: '/', TTY: 'pts0',
    ExecEvent: { ExecID: '0', ExecutableName: 'dash' }, NodeID: 'node1',
  })
})

test('an audited open names the process with its command line', () => {
  const alert = renderAlert(event({
    op: OP.READ, verdict: VERDICT.AUDIT, path: '/credentials/password', exe: '/bin/cat', parentExe: '/usr/bin/containerd-shim-runc-v2',
    args: ['cat', '/credentials/password'],
  }), context())
  assert.deepEqual(
    [alert.Operation, alert.Data, alert.Source, alert.ProcessName, alert.ParentProcessName, alert.Resource, alert.Action, alert.Result],
    ['File', 'lsm=FILE_OPEN', '/bin/cat /credentials/password', '/bin/cat', '/usr/bin/containerd-shim-runc-v2', '/credentials/password', 'Audit', 'Passed'],
  )
})

test('a process whose executable has no name in its container is known by what it calls itself', () => {
  const alert = renderAlert(event({ op: OP.READ, verdict: VERDICT.AUDIT, path: '/etc/passwd', exe: '', args: ['crun', 'exec', 'web'] }), context())
  assert.deepEqual([alert.Source, alert.ProcessName], ['crun exec web', ''])
})

test('an exec with arguments carries them in Resource', () => {
  const alert = renderAlert(event({ path: '/readwrite', args: ['/readwrite', '-r', '/home/user1/x'] }), context())
  assert.equal(alert.Resource, '/readwrite -r /home/user1/x')
})

test('the name that a process used is kept beside the name that the kernel saw', () => {
  assert.equal(renderAlert(event({ path: '/usr/bin/ls', args: ['/bin/ls'] }), context()).EventData?.['InvokedAs'], '/bin/ls')
  assert.equal('InvokedAs' in (renderAlert(event({ op: OP.READ, args: ['cat'] }), context()).EventData ?? {}), false)
})

test('what could not be decided says why', () => {
  const alert = renderAlert(event({ op: OP.WRITE, reason: 1, path: '' }), context())
  assert.equal(alert.EventData?.['Reason'], 'PathTooLong')
})

test('a default posture has neither severity nor tags', () => {
  const fields = printed({}, { clause: { ...CLAUSE, policy: 'DefaultPosture', severity: 0, tags: [], message: '' } })
  assert.equal(fields['PolicyName'], 'DefaultPosture')
  for (const absent of ['Severity', 'Tags', 'ATags', 'Message']) assert.equal(absent in fields, false)
})

test('a host alert has no container and says MatchedHostPolicy', () => {
  const nobody: Who = { isHost: true, containerId: '', namespace: '', pod: '', container: '', image: '', labels: '', owner: { kind: '', name: '', namespace: '' } }
  const fields = printed({}, { who: nobody })
  assert.equal(fields['Type'], 'MatchedHostPolicy')
  for (const absent of ['PodName', 'ContainerID', 'Owner', 'Labels', 'NamespaceName']) assert.equal(absent in fields, false)
})

test('an event whose profile is forgotten is told, not dropped', () => {
  const alert = renderAlert(event(), context({ clause: undefined }))
  assert.equal(alert.PolicyName, 'Unattributed')
  assert.match(alert.Message ?? '', /not known/)
})

test('hostile bytes reach the client as valid UTF-8', () => {
  const fields = printed({ path: new Uint8Array([0x2f, 0xff, 0xfe]), comm: 'x' })
  assert.equal(fields['Resource'], '/\ufffd\ufffd')
})

test('a uid above 2^31 keeps its bits, as int32 has them', () => {
  assert.equal(renderAlert(event({ uid: 4_294_967_294 }), context()).UID, -2)
})

test('alertEvent() gives filters what they need', () => {
  const { payload: _payload, ...rest } = alertEvent(event(), context())
  assert.deepEqual(rest, { type: 'ALERT', namespace: 'multiubuntu', verdict: 2, severity: 5, time_unix_ns: '1795323040752923456' })
})

test('formatTime() has six digits and UTC', () => {
  assert.equal(formatTime(1_795_324_480_000_012_999n), '2026-11-22T05:14:40.000012Z')
})
