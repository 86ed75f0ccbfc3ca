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
/** Threads of the apps. */
const WORKERS: readonly string[] = ['operator/compile-worker']
/** What the apps read at run time, by the same paths. */
const FILES: readonly string[] = ['package.json', 'build/bpf/merlon.bpf.o', 'build/native/merlon_bpf.node']

/**
 * Of the Kubernetes client we use its configuration and its watch, and so does dot-i, which asks for all of it. The rest are classes for a thousand kinds, 18 MB of
 * source, and nowhere is it said that they can be left out: here it is.
 */
const LIBRARY = '@kubernetes/client-node'
const ASKS_FOR_ALL = '/node_modules/@dot-i/k8s-operator/'
/** It makes clients of these two in its constructor, which bring all classes with them, and which our adapter has no use for: it never asks dot-i to install definitions. */
const FOR_DOT_I = `export { KubeConfig, loadYaml, Watch } from '${LIBRARY}'
  export class CoreV1Api {}
  export class ApiextensionsV1Api {
    createCustomResourceDefinition() { throw new Error('Cannot install a definition: this bundle has no client for it') }
  }`
const onlyWhatIsUsed: Plugin = {
  name: 'only-what-is-used',
  setup: (bundling) => {
    bundling.onResolve({ filter: /^[.@]/ }, async ({ path, importer, kind, resolveDir, pluginData }) => {
      if (path === LIBRARY && importer.includes(ASKS_FOR_ALL)) return { path: LIBRARY, namespace: onlyWhatIsUsed.name, pluginData: resolveDir }
      const isIts = path === LIBRARY || importer.includes(`/node_modules/${LIBRARY}/`)
      if (!isIts || pluginData === onlyWhatIsUsed) return undefined
      return { ...(await bundling.resolve(path, { importer, kind, resolveDir, pluginData: onlyWhatIsUsed })), sideEffects: false }
    })
    bundling.onLoad({ filter: /./, namespace: onlyWhatIsUsed.name }, ({ pluginData }) => ({ contents: FOR_DOT_I, resolveDir: pluginData as string }))
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
