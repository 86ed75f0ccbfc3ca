// SPDX-License-Identifier: Apache-2.0
// make demo, when something is broken: it names the step that did not come about, ends with 1, and leaves the machine as it was. That every step
// comes about where nothing is broken is what fresh-clone.test.ts sees.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { provideCompiled } from '../support/vm/compiled.ts'
import { runInGuest } from '../support/vm/guest.ts'

const DEMO = 'test/e2e/demo.ts'

/** The guest's tree is an overlay: what is broken there is whole here. */
const SCRIPT = `
demo() { echo "== $1"; node build/demo/here.mjs 2>&1; echo "status $?"; }
left() { ls -d /sys/fs/bpf/merlon /tmp/merlon-demo-* 2>/dev/null; crun list --quiet; pgrep -fa build/bundle; }

echo "== policy"
mv examples/demo/block-shell-tools.yaml /tmp/
node ${DEMO} 2>&1; echo "status $?"
mv /tmp/block-shell-tools.yaml examples/demo/
left

node -e 'require("net").createServer().listen(32767, "127.0.0.1", () => console.log("listening"))' > /tmp/listener & listener=$!
until grep -q listening /tmp/listener; do sleep 0.1; done
demo port
kill $listener
left

agent=build/bundle/agent/main.mjs
mv $agent /tmp/; echo 'import "nothing-of-that-name"' > $agent
demo agent
mv /tmp/main.mjs $agent
left

mv /usr/bin/crun /tmp/
demo crun
echo "== where"
node ${DEMO} --where
mv /tmp/crun /usr/bin/
left

echo "== interrupted"
# Read, not polled: on one emulated processor, a grep every tenth of a second takes a good part of the demo's own time.
mkfifo /tmp/said
node build/demo/here.mjs > /tmp/said 2>&1 & demo=$!
exec 3< /tmp/said
while read -r line <&3; do
  echo "$line"
  case "$line" in 3/9*|*FAILED*) break;; esac
done
kill -INT $demo; cat <&3; wait $demo; echo "status $?"
left

echo "== pinned"
mkdir /sys/fs/bpf/merlon
node ${DEMO} --where
`

const BROKEN: Readonly<Record<string, readonly [line: RegExp, status: number]>> = {
  policy: [/^4\/9 run what is blocked: FAILED: it was not refused: status 0: \/etc$/m, 1],
  port: [/^1\/9 start Merlon: FAILED: merlon up ended\n[^]*The relay did not start: .*127\.0\.0\.1:32767: another process listens there/m, 1],
  agent: [/^1\/9 start Merlon: FAILED: merlon up ended\n[^]*nothing-of-that-name[^]*The agent did not start: exit code 1/m, 1],
  crun: [/^2\/9 start a container: FAILED: .*crun/m, 1],
  interrupted: [/^\d\/9 [a-z ]+: FAILED: interrupted by SIGINT$/m, 1],
}

test('the demo, broken in five ways: it names the step, ends with 1, and leaves nothing behind', async () => {
  const env = await provideCompiled([DEMO])
  // Printed as it comes: of a guest that takes too long, the runner shows how far it got.
  const onOutput = (chunk: Buffer): void => void process.stdout.write(chunk)
  const { output } = await runInGuest({ kernel: '6.12', script: SCRIPT, env, cpus: 1, timeoutSeconds: 3600, onOutput })
  const parts = new Map(output.split(/^== /m).slice(1).map((part) => [part.slice(0, part.indexOf('\n')), part.slice(part.indexOf('\n') + 1)]))
  for (const [name, [line, status]] of Object.entries(BROKEN)) {
    const said = parts.get(name) ?? ''
    assert.match(said, line, `${name}:\n${output}`)
    // Its last word: what was left behind would be listed after it.
    assert.match(said, new RegExp(`\nstatus ${status}\n$`), `${name}:\n${output}`)
    assert.doesNotMatch(said, /All of it came about/)
  }
  assert.match(parts.get('policy') ?? '', /^On this machine\n1\/9 start Merlon: merlon up was ready in /)
  assert.match(parts.get('where') ?? '', /^Not on this machine: There is no crun here \(apt-get install crun\)\.\n/)
  assert.match(parts.get('pinned') ?? '', /^Not on this machine: Merlon enforces on this machine already/)
})
