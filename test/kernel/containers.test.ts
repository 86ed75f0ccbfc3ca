// SPDX-License-Identifier: Apache-2.0
// The ground that the other kernel tests stand on: both runtimes run both roots in this guest's kernel.

import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Container, ROOTS, RUNTIMES, runContainer } from '../support/container.ts'

for (const runtime of RUNTIMES) {
  for (const root of ROOTS) {
    test(`${runtime} runs a ${root} root and returns its output and status`, async () => {
      const result = await runContainer({ runtime, root, args: ['/bin/sh', '-c', 'ls / >/dev/null && readlink -f /bin/sh; cat /proc/self/cgroup; exit 23'] })
      assert.equal(result.status, 23, result.output)
      const shell = root === 'debian' ? '/usr/bin/dash' : '/bin/busybox'
      assert.deepEqual(result.output.split('\n').slice(0, 2), [shell, '0::/'])
    })

    test(`${runtime} runs, enters and kills a ${root} container in the cgroup it is given`, async () => {
      const cgroupsPath = `/kubepods/pod${runtime}-${root}/main`
      const container = new Container({ runtime, root, cgroupsPath, args: ['sleep', '1000'], annotations: { 'io.kubernetes.cri.container-name': 'main' } })
      try {
        const { ended } = await container.runInBackground()
        assert.equal(container.state(), 'running')
        assert.ok(readFileSync(join(container.cgroup, 'cgroup.procs'), 'utf8').split('\n').includes(String(container.pid())))
        const entered = await container.exec(['sh', '-c', 'echo $PPID; exit 5'])
        assert.deepEqual(entered, { status: 5, output: '0\n' })
        container.kill()
        assert.equal((await ended).status, 137)
      } finally {
        container.delete()
      }
      assert.equal(container.state(), 'absent')
      assert.ok(!existsSync(container.bundle))
    })

    test(`${runtime} creates a ${root} container whose process waits for start`, async () => {
      const container = new Container({ runtime, root, args: ['sh', '-c', 'sleep 1000'] })
      try {
        container.create()
        assert.equal(container.state(), 'created')
        assert.ok(existsSync(container.cgroup))
        await container.start()
        assert.equal(container.state(), 'running')
      } finally {
        container.delete()
      }
    })
  }
}
