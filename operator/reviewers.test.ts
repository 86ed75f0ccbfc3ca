// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { Call } from './kube/api.ts'
import { fileReviewer, kubernetesReviewer } from './reviewers.ts'

type Status = object | undefined

const ACCOUNTS = { agent: 'system:serviceaccount:merlon:merlon-agent', relay: 'system:serviceaccount:merlon:merlon-relay' }
const NODE = 'authentication.kubernetes.io/node-name'
const good = (username: string, extra: Record<string, string[]> = {}): Status => ({ authenticated: true, audiences: ['merlon'], user: { username, extra } })

async function review(status: Status): Promise<unknown> {
  const asked: Call[] = []
  const reviewer = kubernetesReviewer({
    call: async (call) => {
      asked.push(call)
      return status === undefined ? {} : { status }
    },
  }, ACCOUNTS)
  const result = await reviewer('the-token')
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token: 'the-token', audiences: ['merlon'] } }
  assert.deepEqual(asked, [{ method: 'POST', path: '/apis/authentication.k8s.io/v1/tokenreviews', body }])
  return result.ok ? result : result.message
}

describe('kubernetesReviewer()', () => {
  it('knows agents by account and node, and the relay by its account', async () => {
    assert.deepEqual(await review(good(ACCOUNTS.agent, { [NODE]: ['n1'] })), { ok: true, role: 'AGENT', node: 'n1' })
    assert.deepEqual(await review(good(ACCOUNTS.relay)), { ok: true, role: 'RELAY' })
  })

  it('refuses everybody else', async () => {
    const cases: [Status, RegExp][] = [
      [undefined, /does not accept/],
      [{ authenticated: false, error: 'token expired' }, /does not accept this token: token expired/],
      [{ ...good(ACCOUNTS.relay), audiences: [] }, /not for the audience "merlon"/],
      [{ ...good(ACCOUNTS.relay), audiences: ['https://kubernetes.default.svc'] }, /not for the audience/],
      [{ authenticated: true, audiences: ['merlon'] }, /"" is neither/],
      [good('system:serviceaccount:other:merlon-agent', { [NODE]: ['n1'] }), /neither an agent/],
      [good('system:serviceaccount:merlon:merlon-agent-2', { [NODE]: ['n1'] }), /neither an agent/],
      [good(ACCOUNTS.agent), /does not name a node/],
      [good(ACCOUNTS.agent, { [NODE]: [] }), /does not name a node/],
      [good(ACCOUNTS.agent, { [NODE]: [''] }), /does not name a node/],
    ]
    for (const [status, expected] of cases) assert.match(String(await review(status)), expected)
  })
})

describe('fileReviewer()', () => {
  it('reads the list for each review', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'merlon-tokens-'))
    const path = join(directory, 'tokens')
    writeFileSync(path, '# hosts\n\nagent one secret-1\n  relay   secret-r # the relay\nagent broken\nagent a b c\nother two secret-2\n')
    const reviewer = fileReviewer(path)
    assert.deepEqual(await reviewer('secret-1'), { ok: true, role: 'AGENT', node: 'one' })
    assert.deepEqual(await reviewer('secret-r'), { ok: true, role: 'RELAY' })
    for (const token of ['', 'secret-2', 'broken', 'a', 'b', 'c', 'one', 'secret', 'the relay']) assert.equal((await reviewer(token)).ok, false, token)
    writeFileSync(path, 'agent one secret-9\n')
    assert.deepEqual([(await reviewer('secret-1')).ok, (await reviewer('secret-9')).ok], [false, true])
    rmSync(directory, { recursive: true })
    await assert.rejects(reviewer('secret-9'), /ENOENT/)
  })
})
