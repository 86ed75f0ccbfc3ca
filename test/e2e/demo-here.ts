// SPDX-License-Identifier: Apache-2.0
// The demo on the machine that this runs on. demo.ts bundles it, and decides which machine that is.
import { runSteps } from './demo-steps.ts'

process.exitCode = await runSteps()
