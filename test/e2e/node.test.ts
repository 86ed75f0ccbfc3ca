// SPDX-License-Identifier: Apache-2.0
// The whole thing on a real node: our chart and images, an unmodified KubeArmorPolicy, kubectl exec, and KubeArmor's own stream of alerts.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Alert__Output } from '../../proto/gen/feeder/Alert.ts'
import type { Log__Output } from '../../proto/gen/feeder/Log.ts'
import { LogService } from '../../proto/load.ts'
import { openClient } from '../../runtime/grpc.ts'
import { helm } from '../support/kube/helm.ts'
import { Kubectl, type Forwarded } from '../support/node/kubectl.ts'
import { TestNode } from '../support/node/node.ts'
import { TREE } from '../support/vm/guest.ts'

const missing = process.getuid?.() !== 0 ? 'needs root' : spawnSync('buildah', ['--version']).error ? 'needs buildah (make setup installs it)' : undefined
const DIRECTORY = join(TREE, 'build/results/node')
const NAMESPACE = 'kubearmor'
const MINUTES = 60_000
/** Far beyond what a starved machine needs for one step: it ends a wait that would never end. */
const LIMIT = 20 * MINUTES

const WORKLOADS = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: vault, annotations: {kubearmor-file-posture: block}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: nginx, tier: front}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: server, image: "debian:trixie-slim", command: [sleep, infinity]}]
---
apiVersion: v1
kind: Pod
metadata: {name: safe, namespace: vault, labels: {app: safe}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: keeper, image: "debian:trixie-slim", command: [sleep, infinity]}]
`

/** As KubeArmor's guide has it. */
const BLOCK_APT = `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: block-pkg-mgmt-tools-exec
  namespace: shop
spec:
  selector:
    matchLabels:
      app: nginx
  process:
    matchPaths:
    - path: /usr/bin/apt
    - path: /usr/bin/apt-get
  action:
    Block
`

const ALLOW_LIST = `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata: {name: only-these, namespace: vault}
spec:
  selector: {matchLabels: {app: safe}}
  process:
    matchPaths: [{path: /bin/sleep}, {path: /bin/cat}]
  file:
    matchDirectories: [{dir: /usr/lib/, recursive: true}, {dir: /lib/, recursive: true}]
    matchPaths: [{path: /etc/ld.so.cache}, {path: /etc/hostname}]
  action: Allow
`

/** About one of two containers, which does what is denied at once and once. */
const BY_NAME = `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata: {name: guarded-only, namespace: shop}
spec:
  selector: {matchLabels: {app: pair, kubearmor.io/container.name: "[guarded]"}}
  process:
    matchPaths: [{path: /usr/bin/cat}]
  action: Block
`

const PAIR = `
apiVersion: v1
kind: Pod
metadata: {name: pair, namespace: shop, labels: {app: pair}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: free, image: "debian:trixie-slim", command: [sh, -c, "cat /etc/hostname > /tmp/first 2>&1; exec sleep infinity"]}
  - {name: guarded, image: "debian:trixie-slim", command: [sh, -c, "cat /etc/hostname > /tmp/first 2>&1; exec sleep infinity"]}
`

describe('a real node', { timeout: 120 * MINUTES, skip: missing ?? false }, () => {
  let node: TestNode
  let kubectl: Kubectl
  const forwards: Forwarded[] = []
  const alerts: Alert__Output[] = []
  let client: InstanceType<typeof LogService> | undefined
  let hasFailed = false

  before(async () => {
    node = await TestNode.start({ directory: DIRECTORY, timeoutSeconds: 110 * 60 })
    kubectl = await Kubectl.of(node.cluster.kubeconfig)
    // Of two replicas both would be on this node. Unknown containers wait: the strictest that there is.
    const { ok, text } = await helm('install', 'merlon', join(TREE, 'charts/merlon'), '--kubeconfig', node.cluster.kubeconfig, '--namespace', NAMESPACE, '--create-namespace', '--set', 'operator.replicas=1,agent.unbound=block')
    assert.ok(ok, text)
    await node.whenReady()
  })
  after(async () => {
    client?.close()
    for (const each of forwards) each.close()
    await node?.stop()
  })

  /** Builds on those before it: after one that fails, the rest would only say the same again, slowly. */
  function step(name: string, run: () => Promise<void>): void {
    it(name, async () => {
      assert.ok(!hasFailed, 'an earlier step failed')
      hasFailed = true
      await run()
      hasFailed = false
    })
  }

  async function forward(target: string, port: number): Promise<string> {
    const forwarded = await kubectl.forward(NAMESPACE, target, port)
    forwards.push(forwarded)
    return forwarded.address
  }

  /** What its conditions say. */
  const conditions = async (namespace: string, name: string): Promise<Record<string, string>> => {
    const policy = await node.cluster.client.get(`/apis/security.kubearmor.com/v1/namespaces/${namespace}/kubearmorpolicies/${name}`)
    const found = (policy['status'] as { conditions?: { type: string; status: string; message: string }[] } | undefined)?.conditions ?? []
    return Object.fromEntries(found.map(({ type, status }) => [type, status]))
  }
  const inForce = (namespace: string, name: string): Promise<void> => node.until(`${namespace}/${name} is in force`, LIMIT, async () => {
    const found = await conditions(namespace, name)
    return ['Accepted', 'Programmed', 'Ready'].every((type) => found[type] === 'True') || JSON.stringify(found)
  })
  const alert = async (what: string, matches: (alert: Alert__Output) => boolean): Promise<Alert__Output> => {
    await node.until(`there is an alert of ${what}`, LIMIT, async () => alerts.some(matches) || `there are ${alerts.length}: ${JSON.stringify(alerts.slice(-5))}`)
    return alerts.find(matches) as Alert__Output
  }

  step('runs the chart: operator, agent and relay become Ready', async () => {
    await kubectl.apply(WORKLOADS)
    await node.podsReady(NAMESPACE, 60 * MINUTES)
    await node.podsReady('shop', LIMIT)
    await node.podsReady('vault', LIMIT)
  })

  step('serves alerts on the Service that KubeArmor\'s clients look for', async () => {
    client = openClient(LogService, await forward('svc/kubearmor', 32_767))
    const stream = client.WatchAlerts({ Filter: 'policy' })
    stream.on('data', (event: Alert__Output) => alerts.push(event))
    stream.on('error', () => {})
    const reply = await new Promise((resolve, reject) => client?.HealthCheck({ nonce: 7 }, (error, value) => (error ? reject(error) : resolve(value?.Retval))))
    assert.equal(reply, 7)
  })

  step('refuses what an unmodified policy blocks, and nothing else', async () => {
    assert.deepEqual(await kubectl.exec('shop', 'web', 'apt', '--version').then(({ status }) => status), 0)
    await kubectl.apply(BLOCK_APT)
    await inForce('shop', 'block-pkg-mgmt-tools-exec')
    const refused = await kubectl.exec('shop', 'web', 'apt', '--version')
    assert.match(refused.output, /permission denied/i)
    assert.notEqual(refused.status, 0)
    const inShell = await kubectl.exec('shop', 'web', 'sh', '-c', 'apt-get --version')
    assert.match(inShell.output, /apt-get: Permission denied/)
    assert.deepEqual(await kubectl.exec('shop', 'web', 'cat', '/etc/debian_version').then(({ status }) => status), 0)
  })

  step('says in the alert who did what', async () => {
    const { NamespaceName, PodName, ContainerName, ContainerID, Labels, PolicyName, Action, Result, Operation, HostName, ContainerImage } = await alert('apt-get in shop/web', ({ Resource, NamespaceName: ns }) => ns === 'shop' && Resource.includes('apt-get'))
    assert.deepEqual({ NamespaceName, PodName, ContainerName, PolicyName, Action, Result, Operation, HostName },
      { NamespaceName: 'shop', PodName: 'web', ContainerName: 'server', PolicyName: 'block-pkg-mgmt-tools-exec', Action: 'Block', Result: 'Permission denied', Operation: 'Process', HostName: node.name })
    assert.match(Labels, /app=nginx/)
    assert.match(ContainerID, /^[0-9a-f]{64}$/)
    assert.match(ContainerImage, /debian:trixie-slim/)
  })

  step('makes an allow-list of a namespace with a Block posture', async () => {
    assert.equal((await kubectl.exec('vault', 'safe', 'ls', '/')).status, 0)
    await kubectl.apply(ALLOW_LIST)
    await inForce('vault', 'only-these')
    assert.match((await kubectl.exec('vault', 'safe', 'ls', '/')).output, /permission denied/i)
    assert.deepEqual(await kubectl.exec('vault', 'safe', 'cat', '/etc/hostname'), { status: 0, output: 'safe\n' })
    assert.match((await kubectl.exec('vault', 'safe', 'cat', '/etc/passwd')).output, /Permission denied/)
    const denied = await alert('ls in vault/safe', ({ NamespaceName, Resource }) => NamespaceName === 'vault' && Resource.includes('/ls'))
    assert.deepEqual([denied.PolicyName, denied.Action], ['DefaultPosture', 'Block'])
  })

  step('holds the containers that a policy names to it from their first instruction, and no others of their pod', async () => {
    await kubectl.apply(BY_NAME)
    await node.until('shop/guarded-only is accepted', LIMIT, async () => (await conditions('shop', 'guarded-only'))['Accepted'] === 'True' || 'no')
    await kubectl.apply(PAIR)
    await node.podsReady('shop', LIMIT)
    /** A container is Ready as soon as its first program runs: what that says may come later. */
    const first = async (container: string): Promise<string> => {
      let said = ''
      await node.until(`${container} has tried`, LIMIT, async () => {
        const { status, output } = await kubectl.run(['exec', '--namespace', 'shop', 'pair', '--container', container, '--', 'sh', '-c', 'while read -r line; do echo "$line"; done < /tmp/first'])
        said = status === 0 ? output : ''
        return said !== '' || output
      })
      return said
    }
    assert.equal(await first('free'), 'pair\n')
    assert.match(await first('guarded'), /cat: Permission denied/)
    const { ContainerName, PolicyName } = await alert('cat in shop/pair', ({ PodName }) => PodName === 'pair')
    assert.deepEqual([ContainerName, PolicyName], ['guarded', 'guarded-only'])
    await inForce('shop', 'guarded-only')
    await kubectl.must(['delete', 'ksp', '--namespace', 'shop', 'guarded-only'])
    await kubectl.must(['delete', 'pod', '--namespace', 'shop', 'pair', '--wait=false'])
  })

  step('records what a namespace makes visible, for those who follow logs', async () => {
    const logs: Log__Output[] = []
    const stream = client?.WatchLogs({ Filter: 'system' })
    stream?.on('data', (event: Log__Output) => logs.push(event))
    stream?.on('error', () => {})
    await kubectl.must(['annotate', 'namespace', 'shop', 'kubearmor-visibility=process,file'])
    const opened = (log: Log__Output): boolean => log.Operation === 'File' && log.Resource === '/etc/debian_version'
    const started = ({ Operation, Resource, NamespaceName: ns }: Log__Output): boolean => Operation === 'Process' && ns === 'shop' && Resource.endsWith('cat /etc/debian_version')
    await node.until('there is a log of what cat opens in shop/web', LIMIT, async () => {
      await kubectl.exec('shop', 'web', 'cat', '/etc/debian_version')
      // The first one may have begun before processes were recorded: seen to open, and not to start.
      return (logs.some(opened) && logs.some(started)) || `there are ${logs.length}: ${JSON.stringify(logs.slice(-5))}`
    })
    const { NamespaceName, PodName, ContainerName, Labels, Type, Result, Source, HostName } = logs.find(opened) as Log__Output
    assert.deepEqual({ NamespaceName, PodName, ContainerName, Labels, Type, Result, HostName }, { NamespaceName: 'shop', PodName: 'web', ContainerName: 'server', Labels: 'app=nginx,tier=front', Type: 'ContainerLog', Result: 'Passed', HostName: node.name })
    assert.match(Source, /cat \/etc\/debian_version$/)
    await kubectl.exec('vault', 'safe', 'cat', '/etc/hostname')
    // What comes after it has come: so would it have.
    const before = logs.filter(opened).length
    await kubectl.exec('shop', 'web', 'cat', '/etc/debian_version')
    await node.until('there is a log of what followed', LIMIT, async () => logs.filter(opened).length > before || 'there is none')
    assert.deepEqual(logs.filter(({ NamespaceName: ns, Operation }) => ns === 'vault' && Operation === 'File'), [])
    stream?.cancel()
  })

  step('tells in the policy\'s columns and at the health endpoints what happened', async () => {
    assert.match(await kubectl.must(['get', 'ksp', '--all-namespaces']), /block-pkg-mgmt-tools-exec.*\n.*only-these/)
    const operator = await forward('deploy/merlon-operator', 8081)
    assert.match(await (await fetch(`http://${operator}/readyz`)).text(), /ready/)
    assert.match(await (await fetch(`http://${operator}/metrics`)).text(), /^merlon_policies 2$/m)
    const agent = await forward('ds/kubearmor', 8081)
    assert.equal((await fetch(`http://${agent}/readyz`)).status, 200)
  })

  step('goes on without the agent, and a new one comes, without a gap', async () => {
    const violate = 'rm -f /tmp/stop /tmp/ran; tries=0; until [ -e /tmp/stop ]; do apt --version > /dev/null 2>&1 && echo ran >> /tmp/ran; tries=$((tries + 1)); echo $tries > /tmp/tries; done'
    const looping = kubectl.exec('shop', 'web', 'sh', '-c', violate)
    /** The file is empty while it is written anew, and not there before the first try. */
    const triesOf = async (): Promise<number> => {
      let tries = NaN
      await node.until('the loop counts', LIMIT, async () => {
        const { output } = await kubectl.exec('shop', 'web', 'cat', '/tmp/tries')
        tries = /^\d+\n$/.test(output) ? Number(output) : NaN
        return !Number.isNaN(tries) || output
      })
      return tries
    }
    const agents = async (): Promise<string[]> => ((await node.cluster.client.get(`/api/v1/namespaces/${NAMESPACE}/pods?labelSelector=kubearmor-app=kubearmor`))['items'] as { metadata: { name: string } }[]).map(({ metadata }) => metadata.name)
    const [before] = await agents()
    await kubectl.must(['delete', 'pod', '--namespace', NAMESPACE, before ?? '', '--grace-period=0', '--force'])
    await node.until('there is another agent', LIMIT, async () => {
      const now = await agents()
      return (now.length === 1 && now[0] !== before) || now.join()
    })
    await node.podsReady(NAMESPACE, LIMIT)
    const tries = await triesOf()
    await node.until('the loop has gone on', LIMIT, async () => (await triesOf()) > tries + 5 || `${tries} tries`)
    await kubectl.exec('shop', 'web', 'touch', '/tmp/stop')
    await looping
    assert.equal((await kubectl.exec('shop', 'web', 'sh', '-c', 'cat /tmp/ran 2> /dev/null | wc -l')).output.trim(), '0')
    await inForce('shop', 'block-pkg-mgmt-tools-exec')
  })

  step('lets a command run again when its policy is gone', async () => {
    await kubectl.must(['delete', 'ksp', '--namespace', 'shop', 'block-pkg-mgmt-tools-exec'])
    await node.until('apt runs in shop/web', LIMIT, async () => {
      const { status, output } = await kubectl.exec('shop', 'web', 'apt', '--version')
      return status === 0 || output
    })
  })
})
