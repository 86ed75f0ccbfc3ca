// SPDX-License-Identifier: Apache-2.0
import { isLevel, formatText, type LogRecord } from '../runtime/log.ts'
import { harmless } from './terminal.ts'

/** A line of a child's output as a person reads it. Its JSON log records become text; anything else is shown after its name. */
export function readable(name: string, line: string): string {
  const record = parseRecord(line)
  return record === undefined ? `${name}: ${harmless(line)}` : formatText(record)
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
