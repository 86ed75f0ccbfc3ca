// SPDX-License-Identifier: Apache-2.0
// Logs: a constant message in the past tense ("Loaded table") and the particulars as fields, one JSON object a line.

export type Level = 'debug' | 'info' | 'warn' | 'error'
export type Fields = Readonly<Record<string, unknown>>

export interface LogRecord {
  readonly time: string
  readonly level: Level
  readonly name: string
  readonly message: string
  readonly fields: Fields
}

export type Sink = (record: LogRecord) => void

export interface Logger {
  debug(message: string, fields?: Fields): void
  info(message: string, fields?: Fields): void
  warn(message: string, fields?: Fields): void
  error(message: string, fields?: Fields): void
  /** A logger that adds these fields to every record. */
  with(fields: Fields): Logger
}

export const LEVELS: readonly Level[] = ['debug', 'info', 'warn', 'error']

let threshold: Level = 'info'
const thresholds = new Map<string, Level>()

/** For all loggers, or for those of one name. Holds from the next record on. */
export function setLogLevel(level: Level, name?: string): void {
  if (name === undefined) threshold = level
  else thresholds.set(name, level)
}

/** Of all loggers without a level of their own. */
export function logLevel(): Level {
  return threshold
}

export function isLevel(word: string): word is Level {
  return (LEVELS as readonly string[]).includes(word)
}

export function createLogger(name: string, sink: Sink = stderrSink, base: Fields = {}): Logger {
  const write = (level: Level, message: string, fields: Fields = {}): void => {
    if (LEVELS.indexOf(level) < LEVELS.indexOf(thresholds.get(name) ?? threshold)) return
    sink({ time: new Date().toISOString(), level, name, message, fields: { ...base, ...fields } })
  }
  return {
    debug: (message, fields) => write('debug', message, fields),
    info: (message, fields) => write('info', message, fields),
    warn: (message, fields) => write('warn', message, fields),
    error: (message, fields) => write('error', message, fields),
    with: (fields) => createLogger(name, sink, { ...base, ...fields }),
  }
}

export const silentLogger: Logger = createLogger('silent', () => {})

/** One line of JSON, without the line break. */
export function formatJson(record: LogRecord): string {
  const { fields, ...head } = record
  return JSON.stringify({ ...head, ...fields, ...head }, plainValue)
}

/** One line for a terminal. Strings with spaces or control characters are quoted: a field may come from a hostile process. */
export function formatText(record: LogRecord): string {
  const fields = Object.entries(record.fields).map(([key, value]) => ` ${key}=${formatField(value)}`)
  return `${record.time.slice(11, 23)} ${record.level.toUpperCase().padEnd(5)} ${record.name}: ${record.message}${fields.join('')}`
}

function formatField(value: unknown): string {
  if (typeof value === 'string') return /^[\x21\x23-\x7e]+$/.test(value) ? value : quote(value)
  return JSON.stringify(value, plainValue) ?? 'undefined'
}

function quote(text: string): string {
  return JSON.stringify(text).replace(/[\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

function plainValue(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (value instanceof Error) {
    const code = (value as { code?: unknown }).code
    return { message: value.message, ...(code === undefined ? {} : { code }), stack: value.stack }
  }
  return value
}

function stderrSink(record: LogRecord): void {
  const format = process.stderr.isTTY ? formatText : formatJson
  process.stderr.write(`${format(record)}\n`)
}
