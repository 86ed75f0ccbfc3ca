// SPDX-License-Identifier: Apache-2.0
// How much of the policies the tests have looked at, over all files.
import { classCoverage } from '../policy/coverage.ts'
import { makePlan } from '../policy/plan.ts'
import type { Outcome, PolicyTest } from '../policy/policytest.ts'
import { optionsFor } from '../policy/postures.ts'
import { mutationScore } from '../policy/rule-mutants.ts'
import type { Position } from '../policy/types.ts'
import { resourceFor } from '../policy/words.ts'
import type { Loaded } from './manifests.ts'

export interface Run {
  readonly file: string
  readonly test: PolicyTest
  readonly outcome: Outcome
}

export interface Count {
  readonly of: number
  readonly done: number
  /** What was not, in a line each. */
  readonly missed: readonly string[]
  /** What could not be counted, in a line each. */
  readonly uncounted: readonly string[]
}

export class Coverage {
  private readonly withMutants: boolean
  private readonly decided = new Map<string, boolean>()
  private readonly groups: { readonly loaded: Loaded; readonly runs: readonly Run[] }[] = []

  constructor(withMutants: boolean) {
    this.withMutants = withMutants
  }

  /** The manifests and the tests of one file. */
  add(loaded: Loaded, runs: readonly Run[]): void {
    this.groups.push({ loaded, runs })
    for (const { position } of loaded.policies.flatMap((policy) => policy.rules)) this.decided.set(placeOf(position), this.decided.get(placeOf(position)) ?? false)
    for (const { outcome } of runs) {
      const { origin, by } = outcome.explanation
      if (by === 'rule' && origin !== undefined) this.decided.set(placeOf(origin.position), true)
    }
  }

  /** Rules that decided a test. */
  rules(): Count {
    const missed = [...this.decided].filter(([, decided]) => !decided).map(([place]) => place)
    return { of: this.decided.size, done: this.decided.size - missed.length, missed, uncounted: [] }
  }

  /** Classes of objects that a test was about; those of each workload that is tested. */
  classes(): Count {
    const found = this.groups.flatMap(({ loaded: { policies, surroundings }, runs }) =>
      [...Map.groupBy(runs, ({ test }) => JSON.stringify([test.workload, test.posture])).values()].map((own) => {
        const { workload, posture } = own[0]!.test
        const plan = makePlan(policies, workload, optionsFor(workload, surroundings, posture))
        const covered = classCoverage(plan, own.map(({ test }) => test.question))
        const labels = Object.entries(workload.labels).map(([key, value]) => `${key}=${value}`).join()
        return { covered, of: workload.host ? `a host with ${labels}` : `${workload.namespace} ${labels}`.trim() }
      }),
    )
    const missed = found.flatMap(({ covered, of }) => (covered?.missed ?? []).map((example) => `${example.operation === 'read' ? 'paths' : example.operation} such as ${resourceFor(example)} (${of})`))
    const all = found.reduce((sum, { covered }) => sum + (covered?.classes ?? 0), 0)
    return { of: all, done: all - missed.length, missed, uncounted: found.flatMap(({ covered, of }) => (covered === undefined ? [`${of}: its rules tell too many classes apart, or make no table`] : [])) }
  }

  /** Changes of rules that the tests notice; undefined where nobody asked. */
  mutants(): Count | undefined {
    if (!this.withMutants) return undefined
    const scores = this.groups.map(({ loaded: { policies, surroundings }, runs }) => mutationScore({ policies, surroundings, tests: runs.map(({ test }) => test) }))
    return {
      of: scores.reduce((sum, { mutants }) => sum + mutants, 0),
      done: scores.reduce((sum, { noticed }) => sum + noticed, 0),
      missed: scores.flatMap(({ missed }) => missed.map(({ what, position }) => `${placeOf(position)} ${what}`)),
      uncounted: [],
    }
  }
}

function placeOf({ file, line, column }: Position): string {
  return `${file}:${line}:${column}`
}
