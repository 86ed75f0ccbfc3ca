// SPDX-License-Identifier: Apache-2.0
// gRPC streams without events: sending waits for room, receiving is a loop, and how a stream ended is a value.
import { status, type ClientDuplexStream, type ClientReadableStream, type ServerDuplexStream } from '@grpc/grpc-js'
import type { Readable, Writable } from 'node:stream'

/** `code` is a gRPC status. */
export type StreamEnd = { readonly ok: true } | { readonly ok: false; readonly code: number; readonly message: string }

export interface Sender<Out> {
  /**
   * Hands a message over and waits while the stream's buffer is full: grpc-js queues without limit when write()'s false is ignored.
   * False: the stream has ended and the message is lost.
   */
  send(message: Out): Promise<boolean>
  /** As send(), but waits until the message left the buffer: for senders that would rather replace what a slow reader has not taken. */
  sendThrough(message: Out): Promise<boolean>
  /** Resolves once, at the end of the whole stream. Never rejects. */
  readonly ended: Promise<StreamEnd>
  readonly isOpen: boolean
}

export interface Receiver<In> {
  /** Every message until the stream ends, however it ends (see `ended`). Iterate once; a stream that is not read does not end. */
  messages(): AsyncGenerator<In, void, undefined>
  readonly ended: Promise<StreamEnd>
}

/** A client's end of a two-way stream. */
export interface ClientDuplex<Out, In> extends Sender<Out>, Receiver<In> {
  /** No more from this side. */
  finish(): void
  cancel(): void
}

/** A server's end of a two-way stream. */
export interface ServerDuplex<Out, In> extends Sender<Out>, Receiver<In> {
  /** Ends the call with status OK. */
  finish(): void
  /** Ends the call with this status. */
  fail(code: number, message: string): void
}

export function clientDuplex<Out, In>(call: ClientDuplexStream<Out, In>): ClientDuplex<Out, In> {
  const end = watchClientEnd(call)
  return { ...sender<Out>(call, end), messages: () => receive<In>(call, end), finish: () => void call.end(), cancel: () => call.cancel(), get isOpen() { return end.open } }
}

export function clientReader<In>(call: ClientReadableStream<In>): Receiver<In> & { cancel(): void } {
  const end = watchClientEnd(call)
  return { ended: end.promise, messages: () => receive<In>(call, end), cancel: () => call.cancel() }
}

export function serverDuplex<Out, In>(call: ServerDuplexStream<In, Out>): ServerDuplex<Out, In> {
  const end = watchServerEnd(call)
  return { ...sender<Out>(call, end), messages: () => receive<In>(call, end), ...closers(call), get isOpen() { return end.open } }
}

interface End {
  readonly promise: Promise<StreamEnd>
  open: boolean
}

function watchEnd(subscribe: (settle: (end: StreamEnd) => void) => void): End {
  const { promise, resolve } = Promise.withResolvers<StreamEnd>()
  const end: End = { promise, open: true }
  subscribe((value) => {
    end.open = false
    resolve(value)
  })
  return end
}

function watchClientEnd(call: Readable): End {
  // grpc-js holds the connection back only once a first read was asked for: until then it collects messages without limit.
  call.read(0)
  return watchEnd((settle) => {
    call.on('status', ({ code, details }: { code: number; details: string }) => settle(code === status.OK ? { ok: true } : { ok: false, code, message: details }))
    // The same failure comes as a status, which settles; without a listener the error would end the process.
    call.on('error', (error: Error & { code?: number; details?: string }) => settle({ ok: false, code: error.code ?? status.UNKNOWN, message: error.details ?? error.message }))
  })
}

function watchServerEnd(call: Writable): End {
  return watchEnd((settle) => {
    call.on('cancelled', () => settle({ ok: false, code: status.CANCELLED, message: 'The client went away' }))
    call.on('error', (error: Error & { code?: number; details?: string }) => settle({ ok: false, code: error.code ?? status.UNKNOWN, message: error.details ?? error.message }))
    call.on('finish', () => settle({ ok: true }))
    call.on('close', () => settle({ ok: false, code: status.CANCELLED, message: 'The stream was closed' }))
  })
}

/** grpc-js takes a call's status from an 'error' event, and ends the call. */
function closers(call: Writable): { finish(): void; fail(code: number, message: string): void } {
  return {
    finish: () => void call.end(),
    fail: (code, message) => void call.emit('error', Object.assign(new Error(message), { code, details: message })),
  }
}

function sender<Out>(call: Writable, end: End): { ended: Promise<StreamEnd>; send(message: Out): Promise<boolean>; sendThrough(message: Out): Promise<boolean> } {
  let drained: Promise<void> | undefined
  // Not Promise.race() with the end: a stream lives for weeks, and every promise that waits for its end, with what that holds, would live as long.
  const waiting = new Set<() => void>()
  void end.promise.then(() => {
    for (const settle of waiting) settle()
  })
  return {
    ended: end.promise,
    async send(message) {
      if (!end.open || call.writableEnded) return false
      if (call.write(message)) return true
      drained ??= new Promise<void>((resolve) => {
        const settle = (): void => {
          waiting.delete(settle)
          call.off('drain', settle)
          drained = undefined
          resolve()
        }
        waiting.add(settle)
        call.once('drain', settle)
      })
      await drained
      return end.open
    },
    async sendThrough(message) {
      if (!end.open || call.writableEnded) return false
      return new Promise<boolean>((resolve) => {
        const settle = (): void => {
          waiting.delete(settle)
          resolve(end.open)
        }
        waiting.add(settle)
        call.write(message, settle)
      })
    },
  }
}

async function* receive<In>(call: Readable, end: End): AsyncGenerator<In, void, undefined> {
  let wake = (): void => {}
  const notify = (): void => wake()
  for (const event of ['readable', 'end', 'close', 'error']) call.on(event, notify)
  void end.promise.then(notify)
  try {
    for (;;) {
      // Armed before the read, so that what arrives in between is not missed.
      const changed = new Promise<void>((resolve) => { wake = resolve })
      const message: unknown = call.read()
      if (message !== null) yield message as In
      else if (call.readableEnded || call.destroyed || !end.open) return
      else await changed
    }
  } finally {
    for (const event of ['readable', 'end', 'close', 'error']) call.off(event, notify)
  }
}
