// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Finding } from '../../policy/types.ts'
import { policyLibrary } from '../library.ts'
import { Remarks, remarksOn } from './remarks.ts'

const on = (annotations: Record<string, string>): readonly Finding[] => remarksOn('Namespace', { metadata: { name: 'shop', annotations } }, policyLibrary).findings ?? []

describe('remarksOn()', () => {
  it('names the object, and what of its annotations has no effect', () => {
    const findings = on({ 'kubearmor-file-posture': 'Block', 'kubearmor-visibility': 'process,dns', 'kubectl.kubernetes.io/odd': 'x' })
    assert.deepEqual(findings.map(({ code, severity, position }) => [code, severity, position.file]), [
      ['MERLON_POLICY_INVALID_POSTURE', 'warning', 'Namespace/shop metadata.annotations.kubearmor-file-posture'], ['MERLON_POLICY_VISIBILITY_NOT_RECORDED', 'warning', 'Namespace/shop metadata.annotations.kubearmor-visibility'],
    ])
  })

  it('has nothing to say of most objects', () => {
    assert.deepEqual([on({}), on({ 'kubectl.kubernetes.io/restartedAt': 'x' }), on({ 'kubearmor-visibility': 'process' }), remarksOn('Node', {}, policyLibrary)], [[], [], [], {}])
  })
})

describe('Remarks', () => {
  it('says each once, and again when it comes back', () => {
    const said: string[] = []
    const remarks = new Remarks(({ message }) => said.push(message))
    const finding = (message: string): Finding => ({ code: 'MERLON_POLICY_INVALID_POSTURE', severity: 'warning', message, hint: '', text: '', position: { file: 'f', line: 0, column: 0 } })
    remarks.note('a', [finding('one')])
    remarks.note('a', [finding('one'), finding('two')])
    remarks.note('b', [finding('one')])
    remarks.note('a')
    remarks.note('a', [finding('two')])
    assert.deepEqual(said, ['one', 'two', 'one', 'two'])
  })
})
