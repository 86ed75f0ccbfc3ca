// SPDX-License-Identifier: Apache-2.0
// The operator's authority: kept in a store that replicas share, renewed in time, and the source of every certificate, its own included.
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { OPERATOR_ID } from '../proto/enrolment.ts'
import { Authority, renewAuthorities, type AuthorityKeys, type AuthorityOptions, type Issued, type LeafSpec } from '../runtime/authority.ts'
import { sleep, type Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/log.ts'
import { Credentials, type KeyMaterial } from '../runtime/tls.ts'
import type { SecretStore, StoredSecret } from './secrets.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** Certificates of agents, relay and operator live a day: what a stolen one is good for. */
export const LEAF_MS = DAY_MS
/** How often the store is looked at: another replica may have renewed. */
const LOOK_MS = HOUR_MS
const AUTHORITIES_KEY = 'authorities.json'

export const OWN_AUTHORITY: AuthorityOptions = { commonName: 'merlon authority', keyType: 'ec', lifeMs: 365 * DAY_MS, leafMs: LEAF_MS }

/** Its key is given to whoever may read KubeArmor's client Secret, who make themselves certificates with it: it is good for reading events, and nothing else. */
export const FEEDER_AUTHORITY: AuthorityOptions = { ...OWN_AUTHORITY, commonName: 'merlon clients', keyType: 'rsa' }

export interface TrustOptions {
  readonly store: SecretStore
  readonly authority: AuthorityOptions
  readonly clock: Clock
  readonly logger: Logger
  /** The list of authorities to believe, for those who have no certificate yet: at the start, and when it has changed. Where it throws, it is called again. */
  readonly publish: (trust: string, signer: AuthorityKeys) => Promise<void>
}

export class Trust {
  readonly #options: TrustOptions
  #list: readonly AuthorityKeys[] = []
  #authority: Authority
  #published = ''

  private constructor(options: TrustOptions, list: readonly AuthorityKeys[]) {
    this.#options = options
    this.#list = list
    this.#authority = new Authority(list, options.authority)
  }

  /** Reads the authorities, or makes the first. Throws where the store cannot be used. */
  static async open(options: TrustOptions): Promise<Trust> {
    const trust = new Trust(options, await keep(options))
    await trust.#publish()
    return trust
  }

  /** PEM. */
  get bundle(): string {
    return this.#authority.trust(this.#options.clock.now())
  }

  issue(spec: LeafSpec): Issued {
    return this.#authority.issue(spec, this.#options.clock.now())
  }

  /** Renews in time until `signal` aborts. `changed` after each look, whatever it found. */
  async run(signal: AbortSignal, changed: () => void): Promise<void> {
    while (await sleep(this.#options.clock, LOOK_MS, signal)) {
      try {
        await this.look()
      } catch (error) {
        // What is there goes on working: two thirds of an authority's life have passed at most when the next one is due.
        this.#options.logger.error('Failed to look after the authorities', { error })
      }
      changed()
    }
  }

  async look(): Promise<void> {
    const list = await keep(this.#options)
    if (JSON.stringify(list) !== JSON.stringify(this.#list)) {
      this.#list = list
      this.#authority = new Authority(list, this.#options.authority)
      this.#options.logger.info('Took over new authorities', { authorities: list.length })
    }
    await this.#publish()
  }

  async #publish(): Promise<void> {
    const { bundle } = this
    const signer = this.#authority.signer(this.#options.clock.now())
    const now = bundle + signer.certificate
    if (this.#published === now) return
    await this.#options.publish(bundle, signer)
    this.#published = now
  }
}

/** The list as it should be, read from the store and written there where need be. */
async function keep({ store, authority, clock, logger }: TrustOptions): Promise<readonly AuthorityKeys[]> {
  for (;;) {
    const stored = await store.read()
    const list = parse(stored)
    const wanted = renewAuthorities(list, authority, clock.now())
    if (wanted === list) return list
    const written = await store.write({ ...stored?.data, [AUTHORITIES_KEY]: JSON.stringify(wanted), 'ca.crt': wanted.map(({ certificate }) => certificate).join('') }, stored?.version)
    if (written) {
      logger.info('Made an authority', { name: authority.commonName, authorities: wanted.length })
      return wanted
    }
  }
}

function parse(stored: StoredSecret | undefined): readonly AuthorityKeys[] {
  const text = stored?.data[AUTHORITIES_KEY]
  return text === undefined ? [] : (JSON.parse(text) as AuthorityKeys[])
}

/** The operator's own certificate, replaced in time. */
export class OwnCredentials {
  readonly credentials: Credentials
  readonly #trust: Trust
  readonly #clock: Clock
  readonly #privateKey: KeyObject
  readonly #publicKey: KeyObject

  constructor(trust: Trust, clock: Clock) {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    this.#trust = trust
    this.#clock = clock
    this.#privateKey = privateKey
    this.#publicKey = publicKey
    this.credentials = new Credentials(this.#make())
  }

  /** After a look at the authorities: takes what has changed, and a new certificate where half of the old one's life has passed. */
  refresh(): void {
    const { current } = this.credentials
    const isOld = current.notAfter - this.#clock.now() < LEAF_MS / 2
    if (isOld || current.trust !== this.#trust.bundle) this.credentials.replace(this.#make())
  }

  #make(): KeyMaterial {
    const { certificate, notAfter } = this.#trust.issue({ commonName: 'operator', publicKey: this.#publicKey, uris: [OPERATOR_ID], use: ['server', 'client'] })
    return { certificate, notAfter, trust: this.#trust.bundle, privateKey: this.#privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() }
  }
}
