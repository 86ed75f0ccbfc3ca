// SPDX-License-Identifier: Apache-2.0
// What a control plane needs to be trusted: a CA, the API server's certificate, the key of service account tokens, and tokens of users.

import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { command } from '../vm/command.ts'

/** 10.0.2.2 is how a guest of QEMU reaches this machine, 10.96.0.1 is the first address of the services' range. */
const SERVER_NAMES = 'IP:127.0.0.1,IP:10.0.2.2,IP:10.96.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc'
const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

export interface Trust {
  readonly ca: string
  /** Of user `admin` in group system:masters. */
  readonly token: string
  /** Of the other users. */
  readonly tokens: Readonly<Record<string, string>>
}

/** Writes ca.crt, ca.key, api.crt, api.key, sa.key and tokens.csv. */
export async function makeTrust(directory: string, users: Readonly<Record<string, readonly string[]>> = {}): Promise<Trust> {
  const openssl = (...args: string[]): Promise<string> => command('openssl', args, { cwd: directory })
  const all = Object.entries({ admin: ['system:masters'], ...users })
  await writeFile(join(directory, 'tokens.csv'), all.map(([name, groups]) => `${randomBytes(16).toString('hex')},${name},${name},"${groups.join()}"\n`).join(''), { mode: 0o600 })
  await writeFile(join(directory, 'san'), `subjectAltName=${SERVER_NAMES}\n`)
  // The controller-manager signs service account tokens with RSA or ECDSA; older kubelets know RSA only.
  await openssl('genrsa', '-out', 'sa.key', '2048')
  await openssl('req', '-x509', ...NEW_KEY, '-keyout', 'ca.key', '-out', 'ca.crt', '-subj', '/CN=merlon-test-ca', '-days', '365')
  await openssl('req', ...NEW_KEY, '-keyout', 'api.key', '-out', 'api.csr', '-subj', '/CN=kube-apiserver')
  await openssl('x509', '-req', '-in', 'api.csr', '-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-out', 'api.crt', '-days', '365', '-extfile', 'san')
  return readTrust(directory)
}

export async function readTrust(directory: string): Promise<Trust> {
  const [ca, tokens] = await Promise.all(['ca.crt', 'tokens.csv'].map((name) => readFile(join(directory, name), 'utf8')))
  const byName = Object.fromEntries((tokens ?? '').split('\n').filter(Boolean).map((line): [string, string] => [line.split(',')[1] ?? '', line.split(',')[0] ?? '']))
  return { ca: ca ?? '', token: byName['admin'] ?? '', tokens: byName }
}

/** A kubeconfig as YAML (JSON is YAML). */
export function kubeconfigText(server: string, { ca, token }: Trust): string {
  return `${JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'merlon-test', cluster: { server, 'certificate-authority-data': Buffer.from(ca).toString('base64') } }],
    users: [{ name: 'merlon-test', user: { token } }],
    contexts: [{ name: 'merlon-test', context: { cluster: 'merlon-test', user: 'merlon-test' } }],
    'current-context': 'merlon-test',
  }, null, 2)}\n`;
}
