// SPDX-License-Identifier: Apache-2.0
// Fills Node's compile cache (NODE_COMPILE_CACHE) with modules and all that they import: node precompile.ts MODULE...
// A test file's tests are not run: for it, node:test is a module that does nothing.

import { flushCompileCache, registerHooks } from 'node:module'
import { resolve } from 'node:path'

const NAMES = ['test', 'it', 'describe', 'suite', 'before', 'after', 'beforeEach', 'afterEach', 'mock', 'run']
const STUB = `data:text/javascript,${encodeURIComponent(`const nothing = () => {}; export { ${NAMES.map((each) => `nothing as ${each}`).join(', ')} }; export default nothing`)}`

registerHooks({
  resolve: (specifier, context, next) => (specifier === 'node:test' ? { url: STUB, shortCircuit: true } : next(specifier, context)),
})
for (const each of process.argv.slice(2)) await import(resolve(each))
flushCompileCache()
