// SPDX-License-Identifier: Apache-2.0
// What identity tests share: an operator with TLS, and parties that try to get in.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Enroller as EnrollerClass } from '../../runtime/enrol.ts'
import { Enroller } from '../../runtime/enrol.ts'
import { SimulatedClock, systemClock, type Clock } from '../../runtime/clock.ts'
import { Endpoints } from '../../runtime/endpoints.ts'
import { silentLogger } from '../../runtime/log.ts'
import type { Credentials } from '../../runtime/tls.ts'
import { combine } from '../files.ts'
import { policyLibrary, type Manifests } from '../library.ts'
import { Reconciler } from '../reconcile.ts'
import { fileReviewer } from '../reviewers.ts'
import { FileSecretStore } from '../secrets.ts'
import { openSecurity, type OperatorSecurity } from '../security.ts'
import { NodeSyncServer } from '../serve.ts'

/** What was read, as an object that can be spread. */
function plain({ policies, refused, namespaces, pods, findings }: Manifests): Manifests {
  return { policies, refused, namespaces, pods, findings }
}

/** An hour of its own, beside real time, which TLS goes by. */
export class SecureOperator {
  readonly directory = mkdtempSync(join(tmpdir(), 'merlon-security-'))
  readonly reconciler: Reconciler
  readonly clock: Clock
  readonly trustFile = join(this.directory, 'ca.crt')
  server!: NodeSyncServer
  security!: OperatorSecurity
  published = ''
  feeder = { certificate: '', privateKey: '' }

  constructor(clock: Clock = systemClock) {
    this.clock = clock
    this.reconciler = new Reconciler({ clock: systemClock, logger: silentLogger, library: policyLibrary, settings: { postures: { filePosture: 'audit' }, hostPostures: { filePosture: 'audit' } }, onNodes: (nodes) => this.server.notify(nodes) })
    writeFileSync(join(this.directory, 'tokens'), 'agent n1 token-of-n1 # first\nagent n2 token-of-n2\nrelay token-of-relay\n')
  }

  async start(): Promise<this> {
    const base = { clock: this.clock, logger: silentLogger }
    this.security = await openSecurity({
      ...base,
      store: new FileSecretStore(join(this.directory, 'authority.json')),
      publish: async (trust) => {
        this.published = trust
        writeFileSync(this.trustFile, trust)
      },
      review: fileReviewer(join(this.directory, 'tokens')),
      feeder: {
        store: new FileSecretStore(join(this.directory, 'feeder.json')),
        publish: async (_trust, signer) => { this.feeder = signer },
        dnsNames: ['kubearmor.kubearmor.svc'],
      },
    })
    this.server = new NodeSyncServer({ ...base, address: '127.0.0.1:0', reconciler: this.reconciler, tableVersion: policyLibrary.tableVersion, nodeLabels: {}, believesAgents: true, onChange: () => {}, security: this.security, services: [this.security.enrolment] })
    await this.server.start()
    return this
  }

  policies(...texts: string[]): void {
    this.reconciler.setSnapshot(combine(texts.map((text, index) => ({ path: `f${index}`, fingerprint: '', good: true, stale: false, ...plain(policyLibrary.read(text, `f${index}`)) }))))
  }

  /** Somebody with a token. */
  enroller(token: string, options: { readonly role?: 'AGENT' | 'RELAY' | 'FEEDER'; readonly node?: string; readonly trustFile?: string; readonly clock?: Clock } = {}): EnrollerClass {
    const tokenFile = join(this.directory, `token-${token}`)
    writeFileSync(tokenFile, `${token}\n`)
    const { role = 'AGENT', node = 'n1', trustFile = this.trustFile, clock = new SimulatedClock(Date.now()) } = options
    return new Enroller({ role, node: role === 'AGENT' ? node : '', operators: new Endpoints(this.server.address, { random: Math.random }), trustFile, tokenFile, clock, logger: silentLogger, random: () => 0.5, answerMs: 600_000 })
  }

  /** Its certificate, or why it got none. */
  async enrol(token: string, options: Parameters<SecureOperator['enroller']>[1] = {}): Promise<Credentials | string> {
    const enroller = this.enroller(token, options)
    const abort = new AbortController()
    const first = enroller.attempted()
    const running = enroller.run(abort.signal)
    await first
    abort.abort()
    await running
    return enroller.credentials ?? enroller.problem
  }

  async stop(): Promise<void> {
    await this.server.stop()
    rmSync(this.directory, { recursive: true })
  }
}
