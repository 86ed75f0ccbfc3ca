import { makePlan } from './plan.ts'
import { compile } from './compile.ts'
const W = { host: false, namespace: 'n', pod: 'p', container: 'c', labels: {} }
const sel = { matchLabels: {}, matchExpressions: [], containers: [] }
const many = Array.from({ length: 10000 }, (_, i) => ({ section: 'file', match: { kind: 'path', path: `/srv/app-${i % 97}/data/${i}.bin` }, action: 'Block', readOnly: i % 2 === 0, ownerOnly: false, sources: [], severity: 1, tags: [], message: '', position: { file: 'f', line: i + 1, column: 1 } })) as any
let [a, b] = [1e9, 1e9]
for (let r = 0; r < 12; r++) {
  const t0 = process.cpuUsage()
  const plan = makePlan([{ kind: 'KubeArmorPolicy', name: 'p', namespace: 'n', selector: sel, rules: many, position: { file: '', line: 0, column: 0 } }], W, { filePosture: 'audit' })
  const t1 = process.cpuUsage(t0); const t = process.cpuUsage(); const c = compile(plan); const u = process.cpuUsage(t)
  a = Math.min(a, (t1.user + t1.system) / 1000); b = Math.min(b, (u.user + u.system) / 1000)
}
console.log('10k plan', a, 'compile', b)
