// SPDX-License-Identifier: Apache-2.0
// The work of a compilation, counted in elementary steps: the same on every machine. Where patterns multiply it is what ends the attempt.

export class Meter {
  spent = 0
  readonly most: number

  constructor(most: number) {
    this.most = most
  }

  /** False from when the work is more than it may be. */
  spend(steps: number): boolean {
    this.spent += steps
    return this.spent <= this.most
  }

  get exhausted(): boolean {
    return this.spent > this.most
  }
}
