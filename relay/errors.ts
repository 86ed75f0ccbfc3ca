// SPDX-License-Identifier: Apache-2.0

export type RelayErrorCode = 'MERLON_RELAY_CANNOT_LISTEN' | 'MERLON_RELAY_USAGE'

/** Thrown for what the relay cannot go on without. */
export class MerlonError extends Error {
  override readonly name = 'MerlonError'
  readonly code: RelayErrorCode

  constructor(code: RelayErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
