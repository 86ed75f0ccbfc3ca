// SPDX-License-Identifier: Apache-2.0
// A directory of manifests, kept in step. inotify only says when to look: every look compares the whole directory with what is known, so a lost
// or doubled event costs nothing but time.
import { readFile, stat } from 'node:fs/promises'
import { watch, type FSWatcher } from 'node:fs'
import type { Finding } from '../policy/types.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import type { Logger } from '../runtime/log.ts'
import type { Manifests, PolicyLibrary } from './library.ts'
import type { LastGood } from './last-good.ts'
import { identityOf, scan, type FoundFile, type Scan } from './scan.ts'
import { combine, fileFinding, inForce, isGood, type KnownFile, type Snapshot } from './files.ts'

export interface SourceOptions {
  readonly directory: string
  readonly library: Pick<PolicyLibrary, 'read'>
  readonly clock: Clock
  readonly logger: Logger
  /** Called after each look that changed something, the first one included. */
  readonly onChange: (snapshot: Snapshot) => void
  /** Called once for each finding, when it appears. */
  readonly onFinding?: (finding: Finding) => void
  /** A file that was written to less than this ago is left for later: it may be half-written. Default 30. */
  readonly quietMs?: number
  /** Where the last good version of each file outlives this process; absent: nowhere. */
  readonly lastGood?: LastGood
  /** A look without any event, for what inotify drops or cannot see (network file systems). Default 10,000. */
  readonly rescanMs?: number
}

const BYTES_MAX = 8 * 1024 * 1024
/** An editor that saves in place empties the file first: one that has only now become empty is still being written, however busy the machine, and nothing is said of it. */
const EMPTIED_QUIET_MS = 1_000
/** In a directory that never rests something is said nevertheless. */
const LOOKS_MAX = 5
/** While the directory is away: nothing tells that it is back. */
const AWAY_MS = 500

interface Watch {
  readonly watcher: FSWatcher
  readonly identity: string
}

export class DirectorySource {
  readonly #options: Required<Omit<SourceOptions, 'onFinding' | 'lastGood'>> & Pick<SourceOptions, 'onFinding' | 'lastGood'>
  readonly #known = new Map<string, KnownFile>()
  readonly #watches = new Map<string, Watch>()
  #timer: Timer | undefined
  #looking: Promise<void> | undefined
  #again = false
  #closed = false
  #changed = true
  #rootFinding: Finding | undefined
  #said = new Set<string>()

  constructor(options: SourceOptions) {
    this.#options = { quietMs: 30, rescanMs: 10_000, ...options }
  }

  /** Looks for the first time; onChange has been called when it resolves. Throws where the directory cannot be read. */
  async start(): Promise<void> {
    await stat(this.#options.directory)
    await this.look()
  }

  /** Looks now, once more if a look is under way: when it resolves, everything written before the call has been seen, unless it was not quiet yet. */
  async look(): Promise<void> {
    if (this.#looking) {
      this.#again = true
      return this.#looking
    }
    this.#looking = this.#run()
    await this.#looking
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
    for (const { watcher } of this.#watches.values()) watcher.close()
    this.#watches.clear()
  }

  async #run(): Promise<void> {
    let waitMs = this.#options.rescanMs
    let looks = 0
    do {
      this.#again = false
      waitMs = await this.#once()
      looks += 1
      // What moved while we looked may be a mixture of before and after (a ConfigMap's swap): look again before saying anything.
    } while (this.#again && !this.#closed && looks < LOOKS_MAX)
    this.#publish()
    this.#looking = undefined
    this.#lookIn(this.#again ? this.#options.quietMs : waitMs)
  }

  #lookIn(ms: number): void {
    this.#timer?.cancel()
    if (!this.#closed) this.#timer = this.#options.clock.after(ms, () => void this.look())
  }

  /** Returns in how many milliseconds the next look is due. */
  async #once(): Promise<number> {
    const { directory, rescanMs, quietMs } = this.#options
    let found: Scan
    try {
      found = await scan(directory, (path) => this.#watch(path))
    } catch (error) {
      this.#loseRoot(error as Error)
      return Math.min(rescanMs, AWAY_MS)
    }
    const back = this.#rootFinding !== undefined
    this.#rootFinding = undefined
    for (const [path, { watcher }] of this.#watches) {
      if (found.directories.has(path)) continue
      watcher.close()
      this.#watches.delete(path)
    }
    if ((await this.#forget(found)) || back) this.#changed = true
    let waitMs = rescanMs
    for (const file of found.files.values()) {
      if (this.#known.get(file.path)?.fingerprint === file.fingerprint) continue
      const restless = this.#restlessMs(file)
      if (restless > 0) waitMs = Math.min(waitMs, restless)
      else if (await this.#take(file)) this.#changed = true
      else waitMs = Math.min(waitMs, quietMs)
    }
    return waitMs
  }

  /** How long to leave a file alone. A time of modification in the future (a skewed clock, touch -d) says nothing. */
  #restlessMs(file: FoundFile): number {
    const age = this.#options.clock.now() - file.modifiedMs
    const quietMs = file.bytes === 0 && this.#known.has(file.path) ? Math.max(EMPTIED_QUIET_MS, this.#options.quietMs) : this.#options.quietMs
    return age < 0 ? 0 : Math.max(0, Math.ceil(quietMs - age))
  }

  /** Reads one file. False when it changed meanwhile. */
  async #take(file: FoundFile): Promise<boolean> {
    const { library, logger } = this.#options
    const found = await readManifests(file, library)
    if (found === undefined) return false
    const isEmpty = isGood(found) && found.text.trim() === ''
    const before = this.#known.get(file.path) ?? (isGood(found) && !isEmpty ? undefined : await this.#recall(file))
    const read = isEmpty && before !== undefined && holdsAnything(before) ? emptied(file) : found
    const now = inForce(file, before, read)
    this.#known.set(file.path, now)
    if (isGood(read)) await this.#keep(file.path, read.text)
    logger.info('Read manifests', { file: file.path, policies: now.policies.length, findings: now.findings.length, ...(now.stale ? { stale: true } : {}) })
    return true
  }

  /** What an earlier operator took from this file when it was good. */
  async #recall(file: FoundFile): Promise<KnownFile | undefined> {
    const text = await this.#options.lastGood?.recall(file.path)
    if (text === undefined) return undefined
    const read = this.#options.library.read(text, file.path)
    // Another version of Merlon may have kept it, which found nothing wrong with it.
    return isGood(read) ? inForce(file, undefined, read) : undefined
  }

  async #keep(path: string, text: string): Promise<void> {
    try {
      await this.#options.lastGood?.keep(path, text)
    } catch (error) {
      this.#options.logger.warn('Failed to keep the good version of a file', { file: path, error: (error as Error).message })
    }
  }

  /** Drops files that are gone, but not what lies below a directory that cannot be read at the moment. */
  async #forget(found: Scan): Promise<boolean> {
    const hidden = (path: string): boolean => found.unreadable.some((entry) => path === entry.path || path.startsWith(`${entry.path}/`))
    for (const { path, message } of found.unreadable) this.#options.logger.warn('Failed to look into a directory', { path, message })
    const gone = [...this.#known.keys()].filter((path) => !found.files.has(path) && !hidden(path))
    for (const path of gone) {
      this.#known.delete(path)
      this.#options.logger.info('Removed manifests', { file: path })
    }
    if (found.unreadable.length === 0) await this.#options.lastGood?.retain(found.files.keys())
    return gone.length > 0
  }

  /** A root that is not there is more likely a mount in trouble than a wish to enforce nothing: everything stays in force. */
  #loseRoot(error: Error): void {
    if (this.#rootFinding !== undefined) return
    this.#rootFinding = fileFinding('MERLON_OPERATOR_DIRECTORY_UNREADABLE', this.#options.directory, `cannot read the directory: ${error.message}`, 'make it readable again; the policies that were read last stay in force')
    this.#changed = true
  }

  #publish(): void {
    if (!this.#changed || this.#closed) return
    this.#changed = false
    const combined = combine([...this.#known.values()].toSorted((a, b) => (a.path < b.path ? -1 : 1)))
    const snapshot = this.#rootFinding === undefined ? combined : { ...combined, findings: [this.#rootFinding, ...combined.findings] }
    const said = this.#said
    this.#said = new Set(snapshot.findings.map((finding) => JSON.stringify(finding)))
    for (const finding of snapshot.findings) if (!said.has(JSON.stringify(finding))) this.#say(finding)
    this.#options.onChange(snapshot)
  }

  #say(finding: Finding): void {
    const { code, message, position, text, hint } = finding
    const level = finding.severity === 'error' ? 'error' : 'warn'
    this.#options.logger[level]('Found a problem in a manifest', { code, problem: message, file: position.file, line: position.line, column: position.column, text, hint })
    this.#options.onFinding?.(finding)
  }

  /** A directory that was replaced by another of its name is another: inotify goes on watching the one that is gone. */
  #watch(path: string): void {
    const known = this.#watches.get(path)
    const identity = identityOf(path)
    if (known?.identity === identity || this.#closed) return
    known?.watcher.close()
    try {
      const watcher = watch(path, { persistent: false }, () => {
        if (this.#looking) this.#again = true
        else this.#lookIn(1)
      })
      watcher.on('error', () => this.#watches.delete(path))
      this.#watches.set(path, { watcher, identity })
    } catch (error) {
      this.#options.logger.warn('Failed to watch a directory', { path, error: (error as Error).message, rescanMs: this.#options.rescanMs })
    }
  }
}

function holdsAnything({ policies, namespaces, pods, nodes = [], settings = [] }: Manifests): boolean {
  return [policies, namespaces, pods, nodes, settings].some(({ length }) => length > 0)
}

/** An editor writes so on a full disk, and so does everybody between truncating a file and writing it: nobody's wish to enforce nothing. */
function emptied({ path }: FoundFile): Manifests & { readonly text: string } {
  return refused(path, 'MERLON_OPERATOR_FILE_EMPTY', 'there is nothing in the file any more', 'write it again, or remove it: that ends what it said')
}

function refused(file: string, code: string, message: string, hint: string): Manifests & { readonly text: string } {
  return { policies: [], refused: [], namespaces: [], pods: [], findings: [fileFinding(code, file, message, hint)], text: '' }
}

/** Undefined when the file changed while it was read, or went away. */
async function readManifests(file: FoundFile, library: Pick<PolicyLibrary, 'read'>): Promise<(Manifests & { readonly text: string }) | undefined> {
  if (file.bytes > BYTES_MAX) return refused(file.path, 'MERLON_OPERATOR_FILE_TOO_LARGE', `the file has ${file.bytes} bytes`, `split it: a file may have ${BYTES_MAX} bytes`)
  let bytes: Buffer
  try {
    bytes = await readFile(file.path)
    const now = await stat(file.path, { bigint: true })
    if ([now.dev, now.ino, now.size, now.mtimeNs, now.ctimeNs].join(':') !== file.fingerprint) return undefined
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    return refused(file.path, 'MERLON_OPERATOR_FILE_UNREADABLE', `cannot read the file: ${(error as Error).message}`, 'let the operator read it, or remove it')
  }
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return refused(file.path, 'MERLON_OPERATOR_FILE_NOT_TEXT', 'the file is not UTF-8 text', 'save it as UTF-8')
  }
  try {
    return { ...library.read(text, file.path), text }
  } catch (error) {
    return refused(file.path, 'MERLON_OPERATOR_INTERNAL', `cannot read the manifests: ${(error as Error).message}`, 'report this defect, with the file')
  }
}
