// SPDX-License-Identifier: Apache-2.0
// What an operation could be about, byte by byte: paths as the kernel gives them, absolute and without empty, `.` and `..` components, and keys
// as keys.ts writes them. A walk over automata that goes by these meets nothing that does not exist.
import { KEY, WIDTH } from './keys.ts'

const [SLASH, DOT] = [0x2f, 0x2e]

/** Where a path stands: `inside` a component, `after` a slash, at the `root`, or so far in what may become a forbidden component. */
export type PathForm = 'before' | 'root' | 'after' | 'dot' | 'dots' | 'inside'

export function pathFormAfter(form: PathForm, byte: number): PathForm | undefined {
  if (form === 'before') return byte === SLASH ? 'root' : undefined
  if (byte === SLASH) return form === 'inside' ? 'after' : undefined
  if (byte !== DOT) return 'inside'
  return form === 'root' || form === 'after' ? 'dot' : form === 'dot' ? 'dots' : 'inside'
}

export function isWholePath(form: PathForm): boolean {
  return form === 'root' || form === 'inside'
}

type Named<At extends string> = { readonly at: At; readonly kind: number }

/** Where a key stands; `kind` is its first byte. */
export type KeyForm =
  | { readonly at: 'start' }
  /** `left` digits have to come. */
  | (Named<'digits'> & { readonly left: number; readonly next: 'whole' | 'family' | 'interface' | 'path' })
  /** The digit that says how long a packet's address is. */
  | Named<'family'>
  | Named<'interface'>
  | Named<'whole'>
  /** Of a domain; `begun`: some label is complete. */
  | (Named<'label'> & { readonly empty: boolean; readonly begun: boolean })
  /** What a file is executed by. */
  | (Named<'name'> & { readonly empty: boolean })
  | (Named<'path'> & { readonly path: PathForm })

type At<T extends KeyForm['at']> = Extract<KeyForm, { readonly at: T }>

const { family, type, protocol, transport, port, device, level } = WIDTH
const DIGITS: ReadonlyMap<number, Pick<At<'digits'>, 'left' | 'next'>> = new Map([
  [KEY.network, { left: family + type + protocol, next: 'whole' }],
  [KEY.capability, { left: WIDTH.capability, next: 'whole' }],
  [KEY.syscall, { left: WIDTH.syscall, next: 'path' }],
  [KEY.device, { left: device * 3 + level, next: 'whole' }],
  [KEY.preset, { left: WIDTH.preset, next: 'whole' }],
  [KEY.ingress, { left: transport + port, next: 'family' }],
  [KEY.egress, { left: transport + port, next: 'family' }],
])

/** Of IPv4 and IPv6. */
const ADDRESS_DIGITS: ReadonlyMap<number, number> = new Map([[0x34, 8], [0x36, 32]])

export function keyFormAfter(form: KeyForm, byte: number): KeyForm | undefined {
  switch (form.at) {
    case 'start':
      return afterKind(byte)
    case 'digits':
      return afterDigit(form, byte)
    case 'family':
      return afterFamily(form.kind, ADDRESS_DIGITS.get(byte))
    case 'interface':
      return byte !== SLASH && isGraphic(byte) ? form : undefined
    case 'whole':
      return undefined
    case 'label':
      return afterLabelByte(form, byte)
    case 'name':
      return afterNameByte(form, byte)
    case 'path':
      return withPath(form.kind, pathFormAfter(form.path, byte))
  }
}

function afterKind(kind: number): KeyForm | undefined {
  if (kind === KEY.domain) return { at: 'label', kind, empty: true, begun: false }
  if (kind === KEY.invoked) return { at: 'name', kind, empty: true }
  const digits = DIGITS.get(kind)
  return digits === undefined ? undefined : { at: 'digits', kind, ...digits }
}

function afterDigit({ kind, left, next }: At<'digits'>, byte: number): KeyForm | undefined {
  if (!isDigit(byte)) return undefined
  if (left > 1) return { at: 'digits', kind, left: left - 1, next }
  return next === 'path' ? { at: 'path', kind, path: 'before' } : { at: next, kind }
}

function afterFamily(kind: number, left: number | undefined): KeyForm | undefined {
  return left === undefined ? undefined : { at: 'digits', kind, left, next: 'interface' }
}

/** Lower case; the byte 1 stands for what no name of a host has. */
function afterLabelByte(form: At<'label'>, byte: number): KeyForm | undefined {
  if (byte === DOT) return form.empty ? undefined : { ...form, empty: true, begun: true }
  return (isGraphic(byte) || byte === 1) && !isCapital(byte) ? { ...form, empty: false } : undefined
}

function afterNameByte(form: At<'name'>, byte: number): KeyForm | undefined {
  if (byte !== SLASH) return { ...form, empty: false }
  return form.empty ? undefined : { at: 'path', kind: form.kind, path: 'root' }
}

function withPath(kind: number, path: PathForm | undefined): KeyForm | undefined {
  return path === undefined ? undefined : { at: 'path', kind, path }
}

export function isWholeKey(form: KeyForm): boolean {
  if (form.at === 'label') return form.empty && form.begun
  // A system call need not be about a path.
  if (form.at === 'path') return isWholePath(form.path) || (form.path === 'before' && form.kind === KEY.syscall)
  return form.at === 'whole' || form.at === 'interface'
}

/** Equal for equal forms. */
export function keyOfForm(form: KeyForm): string {
  return Object.values(form).join(' ')
}

/** Equal for bytes that no form tells apart. */
export function formClassOf(byte: number): string {
  if (byte === SLASH || byte === DOT || ADDRESS_DIGITS.has(byte) || byte <= KEY.invoked) return String(byte)
  return isDigit(byte) ? (isCapital(byte) ? 'capital digit' : 'digit') : isCapital(byte) ? 'capital' : isGraphic(byte) ? 'graphic' : 'other'
}

function isDigit(byte: number): boolean {
  return (byte & 0xf0) === 0x40
}

function isCapital(byte: number): boolean {
  return byte >= 0x41 && byte <= 0x5a
}

function isGraphic(byte: number): boolean {
  return byte > 0x20 && byte !== 0x7f
}
