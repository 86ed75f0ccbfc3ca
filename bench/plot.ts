// SPDX-License-Identifier: Apache-2.0
// Time by number of rules as a picture: both axes logarithmic, with a line of linear growth to compare with.

export interface Series {
  readonly name: string
  readonly points: readonly (readonly [rules: number, ms: number])[]
}

const [WIDTH, HEIGHT, MARGIN] = [640, 400, 50]
const COLOURS = ['#1f6feb', '#d1242f']
const x = (rules: number): number => MARGIN + ((Math.log10(rules) - 1) / 3.6) * (WIDTH - 2 * MARGIN)
const y = (ms: number): number => HEIGHT - MARGIN - ((Math.log10(Math.max(ms, 0.1)) + 1) / 4) * (HEIGHT - 2 * MARGIN)

export function plot(series: readonly Series[], title: string): string {
  const ticks = [10, 100, 1000, 10_000, 30_000].map(rules => `<text x="${x(rules)}" y="${HEIGHT - MARGIN + 20}" text-anchor="middle">${rules.toLocaleString('en')}</text>`)
  const marks = [0.1, 1, 10, 100, 1000].map(ms => `<path d="M${MARGIN} ${y(ms)}H${WIDTH - MARGIN}" stroke="#ddd"/><text x="${MARGIN - 6}" y="${y(ms) + 4}" text-anchor="end">${ms}</text>`)
  const [, ms] = series[0]?.points.at(-1) ?? [1, 1]
  const [most] = series[0]?.points.at(-1) ?? [1]
  const linear = `<path d="M${x(100)} ${y((ms * 100) / most)}L${x(most)} ${y(ms)}" stroke="#888" stroke-dasharray="4"/><text x="${x(180)}" y="${y((ms * 150) / most) + 22}" fill="#888">linear</text>`
  const lines = series.map(({ name, points }, i) => {
    const colour = COLOURS[i % COLOURS.length]
    const at = points.map(([rules, value]) => `${x(rules).toFixed(1)},${y(value).toFixed(1)}`)
    const dots = points.map(([rules, value]) => `<circle cx="${x(rules).toFixed(1)}" cy="${y(value).toFixed(1)}" r="3" fill="${colour}"/>`)
    return `<polyline points="${at.join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>${dots.join('')}<text x="${MARGIN + 12}" y="${MARGIN + 16 + 18 * i}" fill="${colour}">${name}</text>`
  })
  const text = `<text x="${WIDTH / 2}" y="${HEIGHT - 8}" text-anchor="middle">rules</text><text x="${WIDTH / 2}" y="24" text-anchor="middle">${title}</text>`
  const body = [...marks, ...ticks, linear, ...lines, text].join('')
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>${body}</svg>\n`
}
