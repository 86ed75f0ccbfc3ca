// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeLog } from '../proto/load.ts'
import { OP, VERDICT } from './abi.ts'
import { logEvent, renderLog } from './log.ts'
import type { Context, Who } from './observed.ts'
import { readEvent, type KernelEvent } from './records.ts'
import { record, type EventSketch } from './testing/event.ts'

const WHO: Who = {
  isHost: false, containerId: '4035', namespace: 'fx', pod: 'fx', container: 'c', image: 'docker.io/kubearmor/ubuntu-w-utils:latest', labels: 'app=fx,tier=a',
  owner: { kind: '', name: '', namespace: '' },
}
const context = (who: Partial<Who> = {}): Context => ({ node: { name: 'node1', id: 'node1', cluster: 'default' }, who: { ...WHO, ...who }, unixNs: 1_795_324_480_109_912_000n })

function event(sketch: EventSketch): KernelEvent {
  const read = readEvent(record({ verdict: VERDICT.ALLOW, clause: 0, serial: 0, ...sketch }))
  assert.ok(read)
  return read
}

test("an opened file has the shape of KubeArmor's log", () => {
  const sent = logEvent(event({ op: OP.READ, path: '/srv/b/g', exe: '/bin/cat', parentExe: '/bin/bash', args: ['cat', '/srv/b/g'], comm: 'cat' }), context())
  assert.deepEqual({ ...sent, payload: undefined }, { type: 'LOG', payload: undefined, namespace: 'fx', verdict: VERDICT.ALLOW, severity: 0, time_unix_ns: '1795324480109912000' })
  const log = decodeLog(Buffer.from(sent.payload as Uint8Array))
  const { Timestamp, UpdatedTime, HostName, NamespaceName, PodName, Labels, ContainerName, Type, Source, Operation, Resource, ProcessName, ParentProcessName, Result, EventData } = log
  assert.deepEqual({ Timestamp, UpdatedTime, HostName, NamespaceName, PodName, Labels, ContainerName, Type, Source, Operation, Resource, ProcessName, ParentProcessName, Result, EventData }, {
    Timestamp: 1_795_324_480, UpdatedTime: '2026-11-22T05:14:40.109912Z', HostName: 'node1', NamespaceName: 'fx', PodName: 'fx', Labels: 'app=fx,tier=a', ContainerName: 'c',
    Type: 'ContainerLog', Source: '/bin/cat /srv/b/g', Operation: 'File', Resource: '/srv/b/g', ProcessName: '/bin/cat', ParentProcessName: '/bin/bash', Result: 'Passed',
    EventData: { Lsm: 'FILE_OPEN', Access: 'read' },
  })
})

test('an executed program has its command line as the resource, and its caller as the source', () => {
  const { Operation, Resource, Source, ProcessName, EventData } = renderLog(event({ path: '/bin/ls', exe: '/bin/bash', args: ['ls', '-l'] }), context())
  assert.deepEqual([Operation, Resource, Source, ProcessName, EventData], ['Process', '/bin/ls -l', '/bin/bash', '/bin/ls', { Lsm: 'SECURITY_BPRM_CHECK', InvokedAs: 'ls' }])
})

test('what the node itself does is a HostLog, and a write says so', () => {
  const log = renderLog(event({ op: OP.WRITE, path: '/etc/motd' }), context({ isHost: true, containerId: '' }))
  assert.deepEqual([log.Type, log.EventData?.['Access']], ['HostLog', 'write'])
})
