// SPDX-License-Identifier: Apache-2.0
// Draws docs/picture/path.svg: node docs/picture/path.ts. Colours follow the reader's light or dark scheme.
import { writeFileSync } from 'node:fs'

interface Box {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
  readonly title: string
  readonly lines: readonly string[]
  readonly kind: 'person' | 'room' | 'kernel'
}

interface Point {
  readonly x: number
  readonly y: number
}

const WIDTH = 1180
const HEIGHT = 400
const ROW = { policy: 60, event: 250 }
const COLUMN = [20, 262, 504, 746, 1002]
const BOX = { width: 176, height: 104 }

const box = (column: number, y: number, part: Omit<Box, 'x' | 'y' | 'width' | 'height'>, size: Partial<typeof BOX> = {}): Box => ({
  x: COLUMN[column] ?? 0,
  y,
  ...BOX,
  ...size,
  ...part,
})

const TALL = ROW.event + BOX.height - ROW.policy

const policy = box(0, ROW.policy, { title: 'Policy', lines: ['YAML that people write,', 'KubeArmor’s kinds'], kind: 'person' })
const operator = box(1, ROW.policy, { title: 'operator', lines: ['finds whom it selects,', 'compiles each distinct', 'plan to one table'], kind: 'room' })
const client = box(0, ROW.event, { title: 'You', lines: ['merlon events, karmor,', 'any gRPC client'], kind: 'person' })
const relay = box(1, ROW.event, { title: 'relay', lines: ['forwards the bytes,', 'a bounded queue for', 'each subscriber'], kind: 'room' })
const agent = box(2, ROW.policy, { title: 'agent', lines: ['one on each node', '', 'verifies tables, swaps', 'them into maps, binds', 'containers to them', '', '', 'reads the rings, adds', 'pod and policy names'], kind: 'room' }, { height: TALL })
const kernel = box(3, ROW.policy, { title: 'kernel', lines: ['BPF LSM programs, pinned', '', 'run the path through the', 'table’s automaton, read', 'one decision: allow,', 'audit or block', '', 'count every hit', 'report audits and denials'], kind: 'kernel' }, { width: 200, height: TALL })
const container = box(4, ROW.policy + 59, { title: 'Container', lines: ['execve("/bin/curl")', 'open("/etc/shadow")', '', 'goes on, or gets', '“Permission denied”', 'before it happens'], kind: 'person' }, { width: 164, height: 176 })

const escape = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

function drawBox({ x, y, width, height, title, lines, kind }: Box): string {
  const text = lines.map((line, index) => `<text class="line" x="${x + 14}" y="${y + 52 + index * 19}">${escape(line)}</text>`)
  return [`<rect class="${kind}" x="${x}" y="${y}" width="${width}" height="${height}" rx="8"/>`, `<text class="title" x="${x + 14}" y="${y + 28}">${escape(title)}</text>`, ...text].join('\n')
}

/** A straight arrow with its label above the middle. */
function drawArrow(from: Point, to: Point, label: readonly string[], lane: 'policy' | 'event'): string {
  const middle = (from.x + to.x) / 2
  const text = label.map((line, index) => `<text class="label" text-anchor="middle" x="${middle}" y="${from.y - 8 - (label.length - 1 - index) * 14}">${escape(line)}</text>`)
  return [`<line class="${lane}" x1="${from.x}" y1="${from.y}" x2="${to.x}" y2="${to.y}" marker-end="url(#${lane})"/>`, ...text].join('\n')
}

function between(left: Box, right: Box, y: number, options: { readonly label: readonly string[]; readonly lane: 'policy' | 'event'; readonly back?: boolean }): string {
  const a = { x: left.x + left.width + 3, y }
  const b = { x: right.x - 5, y }
  return options.back === true ? drawArrow({ x: b.x + 2, y }, { x: a.x + 2, y }, options.label, options.lane) : drawArrow(a, b, options.label, options.lane)
}

const upper = ROW.policy + 60
const lower = ROW.event + 60

const parts = [
  ...[policy, operator, client, relay, agent, kernel, container].map(drawBox),
  between(policy, operator, upper, { label: ['read'], lane: 'policy' }),
  between(operator, agent, upper, { label: ['tables'], lane: 'policy' }),
  between(agent, kernel, upper, { label: ['maps'], lane: 'policy' }),
  between(kernel, container, upper + 40, { label: ['asks'], lane: 'policy', back: true }),
  between(kernel, container, lower - 70, { label: ['verdict'], lane: 'event' }),
  between(agent, kernel, lower, { label: ['rings'], lane: 'event', back: true }),
  between(relay, agent, lower, { label: ['batches'], lane: 'event', back: true }),
  between(client, relay, lower, { label: [':32767'], lane: 'event', back: true }),
  `<text class="caption policy-text" x="${COLUMN[0]}" y="36">The path of a policy</text>`,
  `<text class="caption event-text" x="${COLUMN[0]}" y="${ROW.event + BOX.height + 32}">The path of an event</text>`,
]

const STYLE = `
text { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328; }
.title { font-size: 17px; font-weight: 600; }
.line { font-size: 13px; }
.label { font-size: 12px; }
.caption { font-size: 14px; font-weight: 600; }
rect { stroke-width: 1.5; fill: #f6f8fa; stroke: #8c959f; }
.person { fill: #ffffff; stroke-dasharray: 5 4; }
.kernel { fill: #ddf4ff; stroke: #0969da; }
line { stroke-width: 2; }
.policy { stroke: #0969da; } .policy-text, .policy-head { fill: #0969da; }
.event { stroke: #bc4c00; } .event-text, .event-head { fill: #bc4c00; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  rect { fill: #161b22; stroke: #6e7681; }
  .person { fill: #0d1117; }
  .kernel { fill: #0c2d6b; stroke: #58a6ff; }
  .policy { stroke: #58a6ff; } .policy-text, .policy-head { fill: #58a6ff; }
  .event { stroke: #f0883e; } .event-text, .event-head { fill: #f0883e; }
}`

const head = (lane: string): string =>
  `<marker id="${lane}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto"><path class="${lane}-head" d="M0 0 10 5 0 10z"/></marker>`

const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img" aria-labelledby="title">
<title id="title">A policy goes from YAML through operator and agent into the kernel, which decides on a container's operations; an event goes back through agent and relay to people.</title>
<style>${STYLE}
</style>
<defs>${head('policy')}${head('event')}</defs>
${parts.join('\n')}
</svg>
`

writeFileSync(new URL('path.svg', import.meta.url), svg)
