// SPDX-License-Identifier: Apache-2.0
// The client's end of a stream, with the test as the server.
import type { ClientDuplex, StreamEnd } from '../../runtime/stream.ts'

export class FakeDuplex<Out, In> implements ClientDuplex<Out, In> {
  readonly sent: Out[] = []
  readonly ended: Promise<StreamEnd>
  isOpen = true
  cancelled = false
  readonly #inbox: In[] = []
  #settle: (end: StreamEnd) => void = () => {}
  #wake: () => void = () => {}
  #room: Promise<void> = Promise.resolve()

  constructor() {
    this.ended = new Promise((resolve) => { this.#settle = resolve })
  }

  deliver(message: In): void {
    this.#inbox.push(message)
    this.#wake()
  }

  end(end: StreamEnd = { ok: false, code: 14, message: 'gone' }): void {
    this.isOpen = false
    this.#settle(end)
    this.#wake()
  }

  /** What is sent from now on finds the stream full, until the returned function is called. */
  fill(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#room = promise
    return resolve
  }

  async send(message: Out): Promise<boolean> {
    if (this.isOpen) this.sent.push(message)
    await this.#room
    return this.isOpen
  }

  sendThrough(message: Out): Promise<boolean> {
    return this.send(message)
  }

  finish(): void {
    this.end({ ok: true })
  }

  cancel(): void {
    this.cancelled = true
    this.end({ ok: false, code: 1, message: 'cancelled' })
  }

  async *messages(): AsyncGenerator<In, void, undefined> {
    for (;;) {
      const next = this.#inbox.shift()
      if (next !== undefined) yield next
      else if (!this.isOpen) return
      else await new Promise<void>((resolve) => { this.#wake = resolve })
    }
  }
}

/** Lets everything that is ready run: no time passes. */
export async function settle(): Promise<void> {
  for (let round = 0; round < 20; round++) await new Promise((resolve) => { setImmediate(resolve) })
}
