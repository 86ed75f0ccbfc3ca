// SPDX-License-Identifier: Apache-2.0
// kubectl as people use it: what it prints and how it ends, and its port forwards.

import { execFile, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { provideProgram } from '../kube/binaries.ts'

export interface Said {
  readonly status: number
  /** stdout, then stderr. */
  readonly output: string
}

export interface Forwarded {
  readonly address: string
  close(): void
}

/** Far beyond what a starved machine needs, and what a loop in a container takes that goes on until the test has seen enough. */
const TIMEOUT_MS = 3_600_000

export class Kubectl {
  readonly #program: string
  readonly #kubeconfig: string

  private constructor(program: string, kubeconfig: string) {
    this.#program = program
    this.#kubeconfig = kubeconfig
  }

  static async of(kubeconfig: string): Promise<Kubectl> {
    return new Kubectl(await provideProgram('kubectl'), kubeconfig)
  }

  run(args: readonly string[], input = ''): Promise<Said> {
    return new Promise((resolve) => {
      const child = execFile(this.#program, ['--kubeconfig', this.#kubeconfig, ...args], { timeout: TIMEOUT_MS, maxBuffer: 16 << 20 }, (error, stdout, stderr) => {
        const status = error === null ? 0 : typeof error.code === 'number' ? error.code : 128
        resolve({ status, output: `${stdout}${stderr}${error?.killed ? `kubectl took more than ${TIMEOUT_MS / 1000} s` : ''}` })
      })
      child.stdin?.on('error', () => {})
      child.stdin?.end(input)
    })
  }

  /** Throws with kubectl's own words. */
  async must(args: readonly string[], input = ''): Promise<string> {
    const { status, output } = await this.run(args, input)
    if (status !== 0) throw new Error(`kubectl ${args.join(' ')} ended with ${status}: ${output}`)
    return output
  }

  apply(manifest: string): Promise<string> {
    return this.must(['apply', '-f', '-'], manifest)
  }

  exec(namespace: string, pod: string, ...command: readonly string[]): Promise<Said> {
    return this.run(['exec', '--namespace', namespace, pod, '--', ...command])
  }

  /** A port of this machine that leads to `target` (svc/name, deploy/name, pod/name), as `kubectl port-forward` has it. */
  async forward(namespace: string, target: string, port: number): Promise<Forwarded> {
    const args = ['--kubeconfig', this.#kubeconfig, 'port-forward', '--namespace', namespace, target, `:${port}`]
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', this.#program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    child.stderr.on('data', (chunk: Buffer) => { said += chunk.toString() })
    const address = await new Promise<string>((resolve, reject) => {
      createInterface({ input: child.stdout }).on('line', (line) => {
        const found = /^Forwarding from (127\.0\.0\.1:\d+) /.exec(line)?.[1]
        if (found !== undefined) resolve(found)
      })
      child.once('close', () => reject(new Error(`kubectl port-forward ${target} ended: ${said}`)))
    })
    return { address, close: () => void child.kill('SIGTERM') }
  }
}
