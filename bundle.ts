// SPDX-License-Identifier: Apache-2.0
// Puts each app, with the packages that it needs, into few files: build/bundle has the layout of this tree (agent/main.mjs, cli/main.mjs, build/bpf,
// build/native), so that what is found beside a source file is found beside its bundle too. It is what images contain and what the demo runs: a
// process reads three files at its start instead of three hundred, and needs no node_modules. node bundle.ts, after make -C bpf and make -C native.
import { cp, mkdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { build } from 'esbuild'

const TREE = import.meta.dirname
const OUT = join(TREE, 'build/bundle')
const APPS: readonly string[] = ['agent', 'cli', 'operator', 'relay']
/** What the apps read at run time, by the same paths. */
const FILES: readonly string[] = ['package.json', 'build/bpf/merlon.bpf.o', 'build/native/merlon_bpf.node']

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
    legalComments: 'linked',
    logLevel: 'warning',
    // Packages in CommonJS call require for Node's own modules.
    banner: { js: "import { createRequire as requireFrom } from 'node:module';const require = requireFrom(import.meta.url);" },
  })
}

if (import.meta.main) {
  await rm(OUT, { recursive: true, force: true })
  await bundle(Object.fromEntries(APPS.map((app) => [`${app}/main`, `${app}/main.ts`])), OUT)
  for (const file of FILES) {
    await mkdir(dirname(join(OUT, file)), { recursive: true })
    await cp(join(TREE, file), join(OUT, file))
  }
  // The demo runs in emulated guests: as deep below the tree as its source is, so that it finds the same things.
  await bundle({ here: 'test/e2e/demo-here.ts' }, join(TREE, 'build/demo'))
}
