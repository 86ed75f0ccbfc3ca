// SPDX-License-Identifier: Apache-2.0
// Where a server listens: unix:/absolute/path or host:port. Sockets are for their owner alone.
import { connect } from 'node:net'
import { chmod, lstat, mkdir, unlink } from 'node:fs/promises'
import { dirname, isAbsolute } from 'node:path'

export type Address = { readonly kind: 'unix'; readonly path: string } | { readonly kind: 'tcp'; readonly host: string; readonly port: number }

export type AddressResult = { readonly ok: true; readonly value: Address } | { readonly ok: false; readonly code: 'MERLON_RUNTIME_ADDRESS'; readonly message: string }

/** sun_path has 108 bytes with the final NUL. */
const SOCKET_PATH_MAX = 107

export function parseAddress(text: string): AddressResult {
  const parsed = text.startsWith('unix:') ? parseSocket(text.slice('unix:'.length)) : parseHostPort(text)
  if (typeof parsed !== 'string') return { ok: true, value: parsed }
  return { ok: false, code: 'MERLON_RUNTIME_ADDRESS', message: `Cannot use address "${text}": ${parsed}` }
}

/** The address, or what is wrong with it; so is parseHostPort. */
function parseSocket(text: string): Address | string {
  const path = text.replace(/^\/\/(?=\/)/, '')
  if (!isAbsolute(path)) return 'a socket needs an absolute path, as in unix:/run/name.sock'
  if (Buffer.byteLength(path) > SOCKET_PATH_MAX) return `a socket's path has at most ${SOCKET_PATH_MAX} bytes`
  return { kind: 'unix', path }
}

function parseHostPort(text: string): Address | string {
  const match = /^(?:\[(?<six>[^\]]+)\]|(?<four>[^:]+)):(?<port>\d{1,5})$/.exec(text)
  const port = Number(match?.groups?.['port'])
  const host = match?.groups?.['six'] ?? match?.groups?.['four']
  if (host === undefined || port > 65_535) return 'use unix:/path or host:port, as in 127.0.0.1:32767'
  return { kind: 'tcp', host, port }
}

/** As gRPC wants it. */
export function formatAddress(address: Address): string {
  if (address.kind === 'unix') return `unix:${address.path}`
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`
}

/** Whether nobody but this machine can reach it: there, plaintext needs no permission. */
export function isLocal(address: Address): boolean {
  if (address.kind === 'unix') return true
  return address.host === 'localhost' || address.host === '::1' || /^127(\.\d{1,3}){3}$/.test(address.host)
}

/**
 * What is wrong with these addresses (several in one text with commas between), undefined when nothing is: each must be one, and plaintext to
 * other machines must be asked for.
 */
export function checkTransport(addresses: readonly string[], isSecure: boolean, isPlaintextWanted: boolean): string | undefined {
  for (const text of addresses.flatMap((each) => each.split(',').map((address) => address.trim()))) {
    const parsed = parseAddress(text)
    if (!parsed.ok) return parsed.message
    if (!isSecure && !isPlaintextWanted && !isLocal(parsed.value)) return `Cannot use address "${text}" without TLS: give what TLS needs, or --plaintext where the network is to be trusted`
  }
  return undefined
}

/**
 * Makes room for a socket: its directory (0700 where it has to be made), and removal of a socket that nobody serves any more.
 * Throws where somebody does, or where the path is something else.
 */
export async function clearSocket(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const found = await lstat(path).catch(() => undefined)
  if (found === undefined) return
  if (!found.isSocket()) throw new Error(`Cannot listen on "${path}": it exists and is not a socket`)
  if (await answers(path)) throw new Error(`Cannot listen on "${path}": another process serves it`)
  await unlink(path)
}

/** 0600. Until then the default umask denies others the write permission that connect(2) asks for. */
export async function protectSocket(path: string): Promise<void> {
  await chmod(path, 0o600)
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'))
  })
}
