// SPDX-License-Identifier: Apache-2.0
import { readFile } from 'node:fs/promises'
import { VERSION } from '../policy/table.ts'
import { EXIT_OK, readArgs, type Verb } from './verb.ts'

export const verb: Verb = {
  help: `Usage: merlon version

Shows the version of Merlon, of Node.js and of the table format that it writes.
`,
  async run(args, io) {
    readArgs(args, {})
    const { version } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
    // The first thing to ask when an agent refuses a table.
    io.stdout.write(`merlon ${version}, table format ${VERSION}, Node.js ${process.versions.node}\n`)
    return EXIT_OK
  },
}
