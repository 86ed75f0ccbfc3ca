// SPDX-License-Identifier: Apache-2.0
// The test runner inside a guest: node in-guest.ts EVENTS_FILE TEST_FILE...

import { exitStatus, summary } from './results.ts'
import { runFiles } from './suites.ts'

if (import.meta.main) {
  const [eventsFile = '', ...files] = process.argv.slice(2)
  const { totals } = await runFiles(files, { eventsFile })
  console.log(summary(totals))
  process.exitCode = exitStatus(totals)
}
