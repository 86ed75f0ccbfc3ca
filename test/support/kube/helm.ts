// SPDX-License-Identifier: Apache-2.0
// Helm: the one on PATH where it is of version 3 or later, else built by Go, once, into the cache.

import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { cached } from '../vm/cache.ts'
import { command } from '../vm/command.ts'
import { findGo } from './go.ts'

const VERSION = 'v3.22.0'
/** The Kubernetes that charts are rendered for: a helm that Go built knows none. */
const KUBERNETES = '1.36.3'

async function provideHelm(): Promise<string> {
  try {
    if (/^v[3-9]/.test(execFileSync('helm', ['version', '--template', '{{.Version}}'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))) return 'helm'
  } catch {
    // There is none.
  }
  const directory = await cached('helm', VERSION, async (into) => {
    console.error(`Building helm ${VERSION} into the cache: one to three minutes, once.`)
    await command(findGo(), ['install', `helm.sh/helm/v3/cmd/helm@${VERSION}`], { cwd: into, env: { ...process.env, GOBIN: into, CGO_ENABLED: '0' } })
  })
  return join(directory, 'helm')
}

export interface HelmResult {
  readonly ok: boolean
  readonly text: string
}

/** Its output, both streams. */
export async function helm(...args: readonly string[]): Promise<HelmResult> {
  const program = await provideHelm()
  try {
    return { ok: true, text: execFileSync(program, [...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }) }
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string }
    return { ok: false, text: `${stdout}${stderr}` }
  }
}

export function render(chart: string, ...args: readonly string[]): Promise<HelmResult> {
  return helm('template', 'merlon', chart, '--namespace', 'kubearmor', '--kube-version', KUBERNETES, ...args)
}
