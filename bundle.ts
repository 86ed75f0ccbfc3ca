// SPDX-License-Identifier: Apache-2.0
// Puts each app, with the packages that it needs, into few files: build/bundle has the layout of this tree (agent/main.mjs, cli/main.mjs, build/bpf,
// build/native), so that what is found beside a source file is found beside its bundle too. It is what images contain and what the demo runs: a
// process reads three files at its start instead of three hundred, and needs no node_modules. node bundle.ts, after make -C bpf and make -C native.
import { cp, mkdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { build, type Plugin } from 'esbuild'

const TREE = import.meta.dirname
const OUT = join(TREE, 'build/bundle')
const APPS: readonly string[] = ['agent', 'cli', 'operator', 'relay']
const CLIENT = '@kubernetes/client-node'
/** What its constructor asks for. */
const OF_DOT_I: Readonly<Record<string, string>> = {
  [CLIENT]: `export { KubeConfig, Watch } from '${CLIENT}'; export class CoreV1Api {}`,
  gaxios: "export function request() { throw new Error('dot-i makes no requests here') }",
}
/** Threads of the apps. */
const WORKERS: readonly string[] = ['operator/compile-worker']
/** What the apps read at run time, by the same paths. */
const FILES: readonly string[] = ['package.json', 'build/bpf/merlon.bpf.o', 'build/native/merlon_bpf.node']

/**
 * What of packages nothing here uses stays out: classes for every kind of Kubernetes, 18 MB that an operator would read and parse at its start and keep in
 * memory. client-node's modules only define things, which its package.json does not say. dot-i takes hold of all of client-node, and of an HTTP client;
 * operator/dot-i.ts overrides whatever needs more than this of them.
 */
const onlyWhatIsUsed: Plugin = {
  name: 'only-what-is-used',
  setup(setup) {
    setup.onResolve({ filter: /.*/ }, async ({ path, pluginData, ...from }) => {
      if (pluginData === onlyWhatIsUsed) return undefined
      if (from.importer.includes('/@dot-i/k8s-operator/') && path in OF_DOT_I) return { path, namespace: 'of-dot-i' }
      if (path !== CLIENT && !from.importer.includes(`/${CLIENT}/dist/`)) return undefined
      const { importer, kind, namespace, resolveDir } = from
      const found = await setup.resolve(path, { importer, kind, namespace, resolveDir, pluginData: onlyWhatIsUsed })
      return found.path.includes(`/${CLIENT}/dist/`) ? { path: found.path, sideEffects: false } : found
    })
    setup.onLoad({ filter: /.*/, namespace: 'of-dot-i' }, ({ path }) => ({ contents: OF_DOT_I[path] ?? '', resolveDir: TREE }))
  },
}

/** `programs`: source file by the name that its bundle gets in `outdir`, without the extension. */
async function bundle(programs: Readonly<Record<string, string>>, outdir: string): Promise<void> {
  await build({
    absWorkingDir: TREE,
    entryPoints: { ...programs },
    outdir,
    outExtension: { '.js': '.mjs' },
    chunkNames: 'chunks/[name]-[hash]',
    bundle: true,
    // What is imported on demand stays a file of its own: `merlon status` loads no gRPC.
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    // grpc-js asks for it in services that nothing here uses.
    external: ['@grpc/proto-loader'],
    plugins: [onlyWhatIsUsed],
    legalComments: 'linked',
    logLevel: 'warning',
    // Packages in CommonJS call require for Node's own modules.
    banner: { js: "import { createRequire as requireFrom } from 'node:module';const require = requireFrom(import.meta.url);" },
  })
}

if (import.meta.main) {
  await rm(OUT, { recursive: true, force: true })
  const programs = [...APPS.map((app) => `${app}/main`), ...WORKERS]
  await bundle(Object.fromEntries(programs.map((program) => [program, `${program}.ts`])), OUT)
  for (const file of FILES) {
    await mkdir(dirname(join(OUT, file)), { recursive: true })
    await cp(join(TREE, file), join(OUT, file))
  }
  // The demo runs in emulated guests: as deep below the tree as its source is, so that it finds the same things.
  await bundle({ here: 'test/e2e/demo-here.ts' }, join(TREE, 'build/demo'))
}
