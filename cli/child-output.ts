// SPDX-License-Identifier: Apache-2.0
import { isLevel, formatText, type LogRecord } from '../runtime/log.ts'
import { harmless, quote } from './terminal.ts'

/** A line of a child's output as a person reads it. Its JSON log records become text; anything else is shown after its name. */
export function readable(name: string, line: string): string {
  const record = parseRecord(line)
  if (record === undefined) return `${name}: ${harmless(line)}`
  return findingText(record) ?? formatText(record)
}

/** What is wrong with a manifest, as compilers say it: the place first, then what, then what to do. */
function findingText({ time, level, name, fields }: LogRecord): string | undefined {
  const { code, problem, file, line, column, text, hint } = fields
  if (typeof code !== 'string' || typeof problem !== 'string' || typeof file !== 'string' || typeof line !== 'number') return undefined
  const place = line === 0 ? quote(file) : `${quote(file)}:${line}:${String(column)}`
  const said = [harmless(problem), ...[text, hint].filter((part) => typeof part === 'string' && part !== '').map((part) => harmless(String(part)))]
  return `${time.slice(11, 23)} ${level.toUpperCase().padEnd(5)} ${name}: ${place}: ${said.join(': ')} (${harmless(code)})`
}

function parseRecord(line: string): LogRecord | undefined {
  if (!line.startsWith('{')) return undefined
  try {
    const { time, level, name, message, ...fields } = JSON.parse(line) as Record<string, unknown>
    if (typeof time !== 'string' || typeof level !== 'string' || !isLevel(level) || typeof name !== 'string' || typeof message !== 'string') return undefined
    return { time: harmless(time), level, name: harmless(name), message: harmless(message), fields }
  } catch {
    return undefined
  }
}
