// SPDX-License-Identifier: Apache-2.0
// Growth with the number of agents as a picture: both axes logarithmic, so that what grows in proportion is a line of one slope.
import type { SizeResult } from './report.ts'

const [WIDTH, HEIGHT, MARGIN] = [680, 420, 56]
const COLOURS = ['#1f6feb', '#d1242f', '#1a7f37', '#9a6700', '#8250df']

export function growthPlot(results: readonly SizeResult[]): string {
  const series: readonly (readonly [name: string, of: (result: SizeResult) => number])[] = [
    ['policy to all agents, p50, ms', ({ all }) => all.p50], ['policy to all agents, p99, ms', ({ all }) => all.p99], ['policy to one agent, p99, ms', ({ one }) => one.p99],
    ['operator RSS, MB', ({ rssMb }) => rssMb], ['start to all in sync, ms', ({ coldStartMs }) => coldStartMs],
  ]
  const x = (nodes: number): number => MARGIN + ((Math.log10(nodes) - 1) / 2) * (WIDTH - 2 * MARGIN)
  const y = (value: number): number => HEIGHT - MARGIN - ((Math.log10(Math.max(value, 1))) / 5) * (HEIGHT - 2 * MARGIN)
  const marks = [1, 10, 100, 1000, 10_000, 100_000].map((value) => `<path d="M${MARGIN} ${y(value)}H${WIDTH - MARGIN}" stroke="#ddd"/><text x="${MARGIN - 6}" y="${y(value) + 4}" text-anchor="end">${value.toLocaleString('en')}</text>`)
  const ticks = results.map(({ nodes }) => `<text x="${x(nodes)}" y="${HEIGHT - MARGIN + 18}" text-anchor="middle">${nodes.toLocaleString('en')}</text>`)
  const lines = series.map(([name, of], index) => {
    const colour = COLOURS[index % COLOURS.length]
    const points = results.map((result) => [x(result.nodes).toFixed(1), y(of(result)).toFixed(1)] as const)
    const dots = points.map(([left, top]) => `<circle cx="${left}" cy="${top}" r="3" fill="${colour}"/>`).join('')
    return `<polyline points="${points.map((point) => point.join(',')).join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>${dots}<text x="${MARGIN + 10}" y="${MARGIN + 4 + 17 * index}" fill="${colour}">${name}</text>`
  })
  const text = `<text x="${WIDTH / 2}" y="${HEIGHT - 12}" text-anchor="middle">agents, one for each node, with five pods</text><text x="${WIDTH / 2}" y="24" text-anchor="middle">What grows with the number of agents</text>`
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>${[...marks, ...ticks, ...lines, text].join('')}</svg>\n`
}
