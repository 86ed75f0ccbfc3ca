// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VISIBLE } from './abi.ts'
import type { AgentProblem } from './errors.ts'
import { Recording } from './recording.ts'

function make(problem?: AgentProblem): { recording: Recording; asked: number[]; problems: AgentProblem[] } {
  const asked: number[] = []
  const problems: AgentProblem[] = []
  const require = (flags: number): AgentProblem | undefined => {
    asked.push(flags)
    return problem
  }
  return { recording: new Recording({ require, onProblem: (found) => problems.push(found) }), asked, problems }
}

test('nothing is recorded while nobody follows logs', () => {
  const { recording, asked } = make()
  assert.equal(recording.bitsOf(['process', 'file']), 0)
  recording.want(true)
  assert.equal(recording.bitsOf(['process', 'file']), VISIBLE.PROCESS | VISIBLE.FILE)
  recording.want(false)
  assert.equal(recording.bitsOf(['process', 'file']), 0)
  assert.equal(asked.length, 1, 'what sees opens is attached once')
})

test('classes that no program sees are no bits, and need no program', () => {
  const { recording, asked } = make()
  recording.want(true)
  assert.deepEqual([recording.bitsOf(['network', 'process', 'ima', 'toString']), recording.bitsOf([])], [VISIBLE.PROCESS, 0])
  assert.deepEqual(asked, [])
})

test('opens are not recorded where their program cannot be attached, which is said once', () => {
  const problem: AgentProblem = { code: 'MERLON_AGENT_LOAD_FAILED', message: 'no' }
  const { recording, asked, problems } = make(problem)
  recording.want(true)
  assert.deepEqual([recording.bitsOf(['process', 'file']), recording.bitsOf(['file'])], [VISIBLE.PROCESS, 0])
  assert.deepEqual([asked.length, problems], [1, [problem]])
})
