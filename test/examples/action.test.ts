// SPDX-License-Identifier: Apache-2.0
// What the ready GitHub Action runs does what it says, on the policies of the demo.
import assert from 'node:assert/strict'
import { spawnSync, type SpawnSyncReturns } from 'node:child_process'
import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { parse } from 'yaml'

const TREE = join(import.meta.dirname, '../..')

interface Step {
  readonly name?: string
  readonly uses?: string
  readonly run?: string
}

const workflow = parse(readFileSync(join(TREE, 'examples/github-action.yml'), 'utf8')) as { readonly permissions: unknown; readonly jobs: { readonly policies: { readonly steps: readonly Step[] } } }
const steps = workflow.jobs.policies.steps

/** Runs a step as GitHub does, in a repository with the demo's policies and a commit before. */
function repository(context: TestContext): (name: string) => SpawnSyncReturns<string> {
  const directory = mkdtempSync(join(tmpdir(), 'merlon-action-'))
  context.after(() => rmSync(directory, { recursive: true }))
  cpSync(join(TREE, 'examples/demo'), join(directory, 'policies'), { recursive: true })
  const environment = {
    ...process.env, POLICIES: 'policies', PATH: `${TREE}:${process.env['PATH']}`, GITHUB_BASE_REF: 'main', GITHUB_STEP_SUMMARY: join(directory, 'summary'),
    GIT_CONFIG_GLOBAL: '/dev/null', GIT_AUTHOR_NAME: 'a', GIT_AUTHOR_EMAIL: 'a@example.com', GIT_COMMITTER_NAME: 'a', GIT_COMMITTER_EMAIL: 'a@example.com',
  }
  const sh = (script: string): SpawnSyncReturns<string> => spawnSync('bash', ['-e', '-c', script], { cwd: directory, env: environment, encoding: 'utf8' })
  const made = sh('git init -q -b main && git add -A && git commit -qm before && git update-ref refs/remotes/origin/main HEAD')
  assert.equal(made.status, 0, made.stderr)
  return (name) => {
    if (name.startsWith('$')) return sh(name.slice(1))
    const step = steps.find((each) => each.name === name)
    assert.ok(step?.run !== undefined, `there is no step ${name}`)
    return sh(step.run)
  }
}

test('the action has what it needs and no more', () => {
  assert.deepEqual(workflow.permissions, { contents: 'read' })
  for (const { uses, run } of steps) assert.ok((uses === undefined) !== (run === undefined))
  for (const { uses } of steps) if (uses !== undefined) assert.match(uses, /^actions\/(checkout|upload-artifact)@v\d+$/)
})

test('its steps pass on policies that are right', (context) => {
  const step = repository(context)
  for (const name of ['Lint', 'Prove that the tables say what the rules say', 'Test', 'Show what changes in verdicts']) {
    const { status, stdout, stderr } = step(name)
    assert.equal(status, 0, `${name}: ${stdout}${stderr}`)
  }
  assert.match(step('$cat policies.xml').stdout, /<testsuites tests="5" failures="0" errors="0">/)
})

test('a wrong policy fails it, a changed one is shown', (context) => {
  const step = repository(context)
  const directory = step('$pwd').stdout.trim()
  const file = join(directory, 'policies/audit-accounts.yaml')
  writeFileSync(file, readFileSync(file, 'utf8').replace('/etc/passwd', '/etc/shadow'))
  assert.equal(step('Test').status, 1)
  assert.equal(step('Show what changes in verdicts').status, 0)
  assert.match(step('$cat summary').stdout, /### Verdicts that change\n```\n[^`]*open \/etc\/passwd: Audit -> Allow[^`]*```/)
  appendFileSync(file, '\nnonsense: [\n')
  assert.equal(step('Lint').status, 1)
})
