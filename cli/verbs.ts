// SPDX-License-Identifier: Apache-2.0
import type { Verb } from './verb.ts'

export interface VerbEntry {
  readonly summary: string
  /** Loaded when it is called: `merlon --help` needs no gRPC. */
  readonly load: () => Promise<{ readonly verb: Verb }>
}

/** Every verb, in the order of `merlon --help`. */
export const VERBS: Readonly<Record<string, VerbEntry>> = {
  up: { summary: 'Enforce the policies of a directory on this host', load: () => import('./up.ts') },
  events: { summary: 'Follow what was blocked and audited', load: () => import('./events.ts') },
  status: { summary: 'Show what is enforced, and what is wrong with it', load: () => import('./status.ts') },
  lint: { summary: 'Say what is wrong with policies', load: () => import('./lint.ts') },
  why: { summary: 'Say what policies do with an operation, and why', load: () => import('./why.ts') },
  test: { summary: 'Run tests of policies', load: () => import('./test.ts') },
  diff: { summary: 'Say what changes between two sets of policies', load: () => import('./diff.ts') },
  compile: { summary: 'Compile policies to tables', load: () => import('./compile.ts') },
  rescue: { summary: 'Stop enforcement on this host', load: () => import('./rescue.ts') },
  version: { summary: 'Show the version', load: () => import('./version.ts') },
}
