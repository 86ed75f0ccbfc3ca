// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { readManifests, type Manifests } from './read.ts'
import type { Finding, Rule } from './types.ts'

const read = (content: string): Manifests => readManifests(content, 'dir/file.yaml')
const policyWith = (spec: string, kind = 'KubeArmorPolicy'): string =>
  `apiVersion: security.kubearmor.com/v1\nkind: ${kind}\nmetadata:\n  name: p\nspec:\n${spec.replaceAll(/^/gm, '  ')}\n`
/** Code, line, column and text of each finding. */
const brief = (findings: readonly Finding[]): readonly unknown[] => findings.map(({ code, position, text }) => [code.replace('MERLON_POLICY_', ''), position.line, position.column, text])
const findingsOf = (spec: string, kind?: string): readonly unknown[] => brief(read(policyWith(spec, kind)).findings)
const rulesOf = (spec: string): readonly Rule[] => {
  const { policies, findings } = read(policyWith(spec))
  assert.deepEqual(findings, [])
  return policies[0]?.rules ?? []
}

test('a policy with everything that is supported', () => {
  const { policies, findings, refused } = read(`# comment
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata: {name: all, namespace: shop}
spec:
  severity: 3
  tags: [a, b]
  selector:
    matchLabels: {app: web, kubearmor.io/container.name: "[web, x]"}
    matchExpressions: [{key: label, operator: NotIn, values: [tier=db]}]
  process:
    message: no shells
    matchPaths:
      - path: /bin/sh
        ownerOnly: true
        fromSource: [{path: /bin/cat}, {path: /opt/x}]
      - execname: nc
        severity: 9
  file:
    action: Audit
    matchDirectories: [{dir: /etc/, recursive: true, readOnly: true, action: Allow}]
    matchPatterns: [{pattern: "/srv/**/*.key"}]
`)
  assert.deepEqual([findings, refused], [[], []])
  const inherited = { severity: 3, tags: ['a', 'b'], message: '', readOnly: false, ownerOnly: false, sources: [] }
  const at = (line: number, column: number): Rule['position'] => ({ file: 'dir/file.yaml', line, column })
  assert.deepEqual(policies, [
    {
      kind: 'KubeArmorPolicy', name: 'all', namespace: 'shop', position: at(2, 1),
      selector: { matchLabels: { app: 'web' }, matchExpressions: [{ key: 'label', operator: 'NotIn', values: ['tier=db'] }], containers: ['web', 'x'] },
      rules: [
        { ...inherited, section: 'process', action: 'Block', message: 'no shells', match: { kind: 'path', path: '/bin/sh' }, ownerOnly: true, sources: ['/bin/cat', '/opt/x'], position: at(14, 9) },
        { ...inherited, section: 'process', action: 'Block', message: 'no shells', match: { kind: 'name', name: 'nc' }, severity: 9, position: at(17, 9) },
        { ...inherited, section: 'file', action: 'Allow', match: { kind: 'dir', dir: '/etc/', recursive: true }, readOnly: true, position: at(21, 24) },
        { ...inherited, section: 'file', action: 'Audit', match: { kind: 'pattern', pattern: '/srv/**/*.key' }, position: at(22, 21) },
      ],
    },
  ])
})

describe('documents', () => {
  const good = policyWith('process: {matchPaths: [{path: /bin/ls}]}')

  test('broken YAML in one document: its place, and the others are still read', () => {
    const { policies, findings } = read(`${good}---\nkind: [1\n---\n${good.replace('name: p', 'name: q')}`)
    assert.deepEqual(policies.map(({ name }) => name), ['p', 'q'])
    assert.equal(findings.length, 1)
    assert.equal(findings[0]?.code, 'MERLON_POLICY_YAML_SYNTAX')
    assert.deepEqual(findings[0]?.position, { file: 'dir/file.yaml', line: 9, column: 1 })
  })

  test('a tab between tokens is refused with its place, in JSON it is not', () => {
    assert.deepEqual(brief(read('kind: Pod\t # x\n').findings), [['YAML_SYNTAX', 1, 10, '\t']])
    assert.deepEqual(read(`{\n\t"apiVersion": "v1",\n\t"kind": "Pod", "metadata": {"name": "x"}}`).pods.map(({ name }) => name), ['x'])
  })

  test('empty documents and comments are nothing', () => {
    for (const content of ['', '---\n', '# only this\n', '---\n---\n# x\n']) assert.deepEqual(brief(read(content).findings), [], JSON.stringify(content))
  })

  test('what is no object, or has half a header, is an error; without any header it is somebody else’s', () => {
    assert.deepEqual(brief(read('- a\n').findings), [['NOT_AN_OBJECT', 1, 1, '- a']])
    assert.deepEqual(brief(read('kind: Pod\n').findings), [['NOT_AN_OBJECT', 1, 1, 'kind: Pod']])
    assert.deepEqual(brief(read('replicas: 3\n').findings), [['UNKNOWN_KIND', 1, 1, 'replicas: 3']])
  })

  test('other kinds are a warning, versions and kinds of policies that we do not have are errors', () => {
    const [deployment] = read('apiVersion: apps/v1\nkind: Deployment\n').findings
    assert.deepEqual([deployment?.severity, deployment?.message, deployment?.position.line], ['warning', 'apps/v1 Deployment is not a kind that Merlon reads', 2])
    assert.deepEqual(brief(read(good.replace('/v1', '/v2')).findings), [['UNKNOWN_VERSION', 1, 13, 'security.kubearmor.com/v2']])
    // Nobody who writes one of these means anything else.
    for (const version of ['operator.kubearmor.com/v1', 'security.kubearmour.com/v1', 'v1']) {
      const [wrong] = read(good.replace('security.kubearmor.com/v1', version)).findings
      assert.deepEqual([wrong?.code, wrong?.severity, wrong?.text, wrong?.hint], ['MERLON_POLICY_UNKNOWN_VERSION', 'error', version, 'write apiVersion: security.kubearmor.com/v1'])
    }
    const hints = ['KubeArmorPolcy', 'kubearmorhostpolicy', 'Policy'].map((kind) => read(good.replace('KubeArmorPolicy', kind)).findings.map(({ code, severity, text, hint }) => [code, severity, text, hint])[0])
    assert.deepEqual(hints, [
      ['MERLON_POLICY_NO_SUCH_KIND', 'error', 'KubeArmorPolcy', 'did you mean KubeArmorPolicy?'],
      ['MERLON_POLICY_NO_SUCH_KIND', 'error', 'kubearmorhostpolicy', 'did you mean KubeArmorHostPolicy?'],
      ['MERLON_POLICY_NO_SUCH_KIND', 'error', 'Policy', 'it has: KubeArmorClusterPolicy, KubeArmorHostPolicy, KubeArmorNetworkPolicy, KubeArmorPolicy'],
    ])
  })

  test('lists are unwrapped', () => {
    const item = JSON.stringify({ apiVersion: 'security.kubearmor.com/v1', kind: 'KubeArmorPolicy', metadata: { name: 'in-list' }, spec: { file: { matchPaths: [{ path: '/x' }] } } })
    for (const kind of ['List', 'KubeArmorPolicyList']) {
      const version = kind === 'List' ? 'v1' : 'security.kubearmor.com/v1'
      assert.deepEqual(read(`{"apiVersion": "${version}", "kind": "${kind}", "items": [${item}]}`).policies.map(({ name }) => name), ['in-list'])
    }
    assert.equal(read('apiVersion: v1\nkind: List\nitems: 3\n').findings[0]?.code, 'MERLON_POLICY_NOT_AN_OBJECT')
  })

  test('aliases and merge keys work, and cannot multiply', () => {
    const spec = 'process:\n  matchPaths:\n  - &ls {path: /bin/ls, severity: 4}\n  - <<: *ls\n    path: /bin/cat\n  - *ls'
    assert.deepEqual(rulesOf(spec).map(({ match, severity }) => [match.kind === 'path' && match.path, severity]), [['/bin/ls', 4], ['/bin/cat', 4], ['/bin/ls', 4]])
    const laughs = Array.from({ length: 12 }, (_, level) => `l${level}: &l${level} [${Array.from({ length: 9 }, () => (level === 0 ? 'ha' : `*l${level - 1}`)).join(', ')}]`)
    assert.equal(read(`${laughs.join('\n')}\n`).findings[0]?.code, 'MERLON_POLICY_TOO_LARGE')
    assert.equal(read('a: &a [*a]\n').findings[0]?.code, 'MERLON_POLICY_YAML_SYNTAX')
    assert.equal(read('a: *nobody\n').findings[0]?.code, 'MERLON_POLICY_YAML_SYNTAX')
  })

  test('nesting and size are bounded', () => {
    const [deep] = read('['.repeat(100_000)).findings
    assert.deepEqual([deep?.code, deep?.message], ['MERLON_POLICY_YAML_SYNTAX', 'not readable as YAML: nested too deeply'])
    assert.equal(read(' '.repeat(9 * 1024 * 1024)).findings[0]?.code, 'MERLON_POLICY_TOO_LARGE')
  })

  test('a key that is there twice is a warning, and the last one counts, as for the API server', () => {
    const { policies, findings } = read(policyWith('action: Allow\nfile: {matchPaths: [{path: /x}]}\naction: Audit'))
    assert.deepEqual(brief(findings), [['DUPLICATE_KEY', 6, 3, 'action']])
    assert.equal(policies[0]?.rules[0]?.action, 'Audit')
  })
})

describe('the schema, as a strict API server applies it', () => {
  test('an unknown field: the nearest name, or where it belongs', () => {
    const { findings, policies, refused } = read(policyWith('file:\n  matchDirectories:\n  - {dir: /x/, recurive: true}\nselector:\n  process: {}'))
    assert.deepEqual(brief(findings), [['UNKNOWN_FIELD', 8, 18, 'recurive'], ['UNKNOWN_FIELD', 10, 5, 'process']])
    assert.deepEqual(findings.map(({ hint }) => hint), ['did you mean recursive?', 'it belongs to spec: check the indentation'])
    assert.deepEqual([policies.length, refused.map(({ name, kind }) => [kind, name])], [0, [['KubeArmorPolicy', 'p']]])
  })

  test('each kind of violation has its code and its place', () => {
    const cases: readonly (readonly [spec: string, expected: readonly unknown[]])[] = [
      ['action: audit', ['NOT_ALLOWED', 6, 11, 'audit']],
      ['severity: 11', ['OUT_OF_RANGE', 6, 13, '11']],
      ['severity: "5"', ['WRONG_TYPE', 6, 13, '"5"']],
      ['severity: 1.5', ['WRONG_TYPE', 6, 13, '1.5']],
      ['message: yes', ['WRONG_TYPE', 6, 12, 'yes']],
      ['tags: a', ['WRONG_TYPE', 6, 9, 'a']],
      ['process: []', ['WRONG_TYPE', 6, 12, '[]']],
      ['process: {matchPaths: [null]}', ['WRONG_TYPE', 6, 26, 'null']],
      ['process: {matchPaths: [{path: bin/ls}]}', ['BAD_FORMAT', 6, 33, 'bin/ls']],
      ['process: {matchPaths: [{path: /bin/}]}', ['BAD_FORMAT', 6, 33, '/bin/']],
      ['process: {matchPaths: [{execname: a/b}]}', ['BAD_FORMAT', 6, 37, 'a/b']],
      ['file: {matchDirectories: [{dir: /x}]}', ['BAD_FORMAT', 6, 35, '/x']],
      ['file: {matchDirectories: [{recursive: true}]}', ['REQUIRED', 6, 29, '{recursive: true}']],
      ['file: {matchPaths: [{path: null}]}', ['REQUIRED', 6, 24, 'path']],
      [`file: {matchPaths: [{path: /${'x'.repeat(4096)}}]}`, ['TOO_LONG', 6, 30, `/${'x'.repeat(78)}…`]],
      ['process: {matchPaths: [{path: /x, readOnly: true}]}', ['UNKNOWN_FIELD', 6, 37, 'readOnly']],
      ['selector: {matchLabels: {a: 1}}', ['WRONG_TYPE', 6, 31, '1']],
      ['selector: {matchExpressions: [{key: namespace, operator: In}]}', ['NOT_ALLOWED', 6, 39, 'namespace']],
      ['syscalls: {action: Block}', ['UNKNOWN_FIELD', 6, 14, 'action']],
      ['nodeSelector: {matchLabels: {a: b}}', ['UNKNOWN_FIELD', 6, 3, 'nodeSelector']],
    ]
    for (const [spec, expected] of cases) assert.deepEqual(findingsOf(spec)[0], expected, spec)
  })

  test('null and empty sections are fine where the API server takes them', () => {
    for (const spec of ['process: null', 'process:', 'file: {}', 'file: {matchPaths: null}', 'network: {}', 'presets: []', 'selector: {}', 'tags: []']) {
      assert.deepEqual(findingsOf(spec).map((found) => Array.isArray(found) && found[0]), ['NO_RULES'], spec)
    }
    assert.equal(rulesOf('file: {matchPaths: [{path: /x, fromSource: null, pts: null}]}').length, 1)
  })

  test('names, labels and namespaces', () => {
    const named = (metadata: string): readonly unknown[] => brief(read(`apiVersion: security.kubearmor.com/v1\nkind: KubeArmorPolicy\nmetadata: ${metadata}\nspec: {file: {matchPaths: [{path: /x}]}}`).findings)
    assert.deepEqual(named('{name: ok.name-1, labels: {a.b/c: D_1, x: ""}}'), [])
    assert.deepEqual(named('{name: not ok}'), [['INVALID_NAME', 3, 18, 'not ok']])
    assert.deepEqual(named('{name: a, namespace: A}'), [['INVALID_NAME', 3, 32, 'A']])
    assert.deepEqual(named('{name: a, labels: {x: "a b"}}'), [['INVALID_NAME', 3, 33, '"a b"']])
    assert.deepEqual(named('{}'), [['REQUIRED', 3, 11, '{}']])
    assert.deepEqual(named('{name: a, nmespace: b}'), [['UNKNOWN_FIELD', 3, 21, 'nmespace']])
  })

  test('cluster and host policies: their selectors, and no namespace', () => {
    assert.deepEqual(findingsOf('file: {matchPaths: [{path: /x}]}', 'KubeArmorHostPolicy'), [['REQUIRED', 6, 3, 'file: {matchPaths: [{path: /x}]}']])
    assert.deepEqual(findingsOf('nodeSelector: {}\nfile: {matchPaths: [{path: /x}]}', 'KubeArmorHostPolicy'), [['SELECTS_NOTHING', 6, 17, '{}']])
    assert.deepEqual(findingsOf('nodeSelector: {matchLabels: {kubearmor.io/hostnamereg: "("}}\nfile: {matchPaths: [{path: /x}]}', 'KubeArmorHostPolicy'), [['INVALID_REGEX', 6, 58, '"("']])
    assert.deepEqual(findingsOf('selector: {matchLabels: {a: b}}', 'KubeArmorClusterPolicy'), [['UNKNOWN_FIELD', 6, 14, 'matchLabels']])
    const scoped = read(policyWith('file: {matchPaths: [{path: /x}]}', 'KubeArmorClusterPolicy').replace('name: p', 'name: p\n  namespace: x'))
    assert.deepEqual(brief(scoped.findings), [['NAMESPACE_IGNORED', 5, 14, 'x']])
    assert.equal(scoped.policies[0]?.namespace, '')
  })
})

describe('rules in normal form', () => {
  const pathOf = (written: string): unknown => {
    const { policies, findings } = read(policyWith(`file: {matchPaths: [{path: ${JSON.stringify(written)}}]}`))
    const [rule] = policies[0]?.rules ?? []
    return [rule?.match.kind === 'path' ? rule.match.path : undefined, findings.map(({ code }) => code)]
  }
  const NORMALISED = ['MERLON_POLICY_PATH_NORMALISED']

  test('`//`, `/./` and `..` are resolved, with a warning', () => {
    assert.deepEqual(pathOf('/a/b'), ['/a/b', []])
    assert.deepEqual(pathOf('//a//b'), ['/a/b', NORMALISED])
    assert.deepEqual(pathOf('/a/./b/.'), ['/a/b', NORMALISED])
    assert.deepEqual(pathOf('/a/../b'), ['/b', NORMALISED])
    assert.deepEqual(pathOf('/../../b'), ['/b', NORMALISED])
    assert.deepEqual(pathOf('/a\0b'), [undefined, ['MERLON_POLICY_INVALID_PATH']])
    const { policies } = read(policyWith('file: {matchDirectories: [{dir: /a//b/../}], matchPatterns: [{pattern: /a//b/./*}]}'))
    assert.deepEqual(policies[0]?.rules.map(({ match }) => Object.values(match)[1]), ['/a/', '/a/b/*'])
  })

  test('severity, tags, message and action each come from the rule, else the section, else the spec', () => {
    const spec = 'severity: 1\nmessage: spec\ntags: [spec]\naction: Audit\nfile:\n  severity: 2\n  message: section\n  tags: [section]\n  action: Allow\n  matchPaths:\n  - {path: /a, severity: 3, message: rule, tags: [rule], action: Block}\n  - {path: /b}\nprocess: {matchPaths: [{path: /c, tags: []}]}'
    assert.deepEqual(rulesOf(spec).map(({ action, severity, message, tags }) => [action, severity, message, tags]), [
      ['Audit', 1, 'spec', ['spec']],
      ['Block', 3, 'rule', ['rule']],
      ['Allow', 2, 'section', ['section']],
    ])
    const [bare] = rulesOf('file: {matchPaths: [{path: /a}]}')
    assert.deepEqual([bare?.action, bare?.severity, bare?.message, bare?.tags], ['Block', 0, '', []])
  })

  test('patterns that cannot be read are errors at the pattern; patterns that can never match are warnings', () => {
    const patternOf = (pattern: string): readonly unknown[] => findingsOf(`file: {matchPatterns: [{pattern: ${JSON.stringify(pattern)}}]}`).map((found) => Array.isArray(found) && found[0])
    for (const pattern of ['/a[', '/{a', '/a}', '/[z-a]', '/a\\']) assert.deepEqual(patternOf(pattern), ['INVALID_PATTERN'], pattern)
    for (const pattern of ['mysqld', '*x', '?x', '/a/**/', '/a/../b', '{a,b}']) assert.deepEqual(patternOf(pattern), ['PATTERN_NEVER_MATCHES'], pattern)
    for (const pattern of ['/a/**', '**/x', '*{/a,b}', '*/x', '{,x}/a', '/', '/a/..b']) assert.deepEqual(patternOf(pattern), [], pattern)
  })

  test('a pattern that ends with a slash: what to write instead is what lies below, and nothing beside it', () => {
    const hintOf = (pattern: string): unknown => read(policyWith(`file: {matchPatterns: [{pattern: ${JSON.stringify(pattern)}}]}`)).findings.map(({ hint }) => hint)
    for (const pattern of ['/a/', '/a/**/']) assert.deepEqual(hintOf(pattern), ['for what lies in there write /a/**'], pattern)
    assert.deepEqual(hintOf('/a*/'), ['for what lies in there write /a*/**'])
  })

  test('wildcards where there are none: the pattern that was meant, if there can be one', () => {
    const said = (rules: string): unknown => read(policyWith(rules)).findings.map(({ code, hint }) => [code.replace('MERLON_POLICY_', ''), hint])
    const one = (hint: string): unknown => [['LITERAL_WILDCARD', hint]]
    assert.deepEqual(said('file: {matchPaths: [{path: /home/*/.bashrc}]}'), one('put it into matchPatterns, as pattern: /home/*/.bashrc'))
    assert.deepEqual(said('file: {matchDirectories: [{dir: "/home/{a,b}/"}]}'), one('put it into matchPatterns, as pattern: /home/{a,b}/**'))
    assert.deepEqual(said('process: {matchPaths: [{execname: "python?"}]}'), one('put it into matchPatterns, as pattern: /**/python?'))
    assert.deepEqual(said('process: {matchPaths: [{path: /a, fromSource: [{path: /bin/*sh}]}]}'), one('name each one whole: there are no patterns here'))
    assert.deepEqual(said('process: {matchPaths: [{path: "/usr/bin/["}, {path: "/a/{b}"}]}'), [])
  })

  test('of a long list of words only the nearest is shown', () => {
    const hintOf = (call: string): unknown => read(policyWith(`syscalls: {matchSyscalls: [{syscall: [${call}]}]}`)).findings.map(({ hint }) => hint)
    assert.deepEqual(hintOf('unlnk'), ['did you mean unlink?'])
    assert.match(String(hintOf('frobnicate')), /^use one of the \d+ that the schema has, such as read, write, open$/)
  })

  test('what names nothing is told what to name', () => {
    const hints = (rules: string): unknown => read(policyWith(rules)).findings.map(({ message, hint }) => [message.replace(' names nothing and matches nothing', ''), hint])
    assert.deepEqual(hints('process: {matchPaths: [{}, {path: /a, fromSource: [{}]}]}'), [['the rule', 'give it a path or an execname'], ['the source', 'give it the path of an executable']])
    assert.deepEqual(hints('network: {matchDNSQueries: [{domain: ","}]}'), [['the rule', 'give it a domain']])
    assert.deepEqual(hints('syscalls: {matchSyscalls: [{}]}'), [['the rule', 'give it system calls, in syscall']])
    assert.deepEqual(hints('presets: [{action: Audit}]'), [['the preset', 'give it a name']])
  })

  test('a rule that names nothing matches nothing; a rule with path and execname is two', () => {
    assert.deepEqual(findingsOf('process: {matchPaths: [{ownerOnly: true}]}'), [['EMPTY_RULE', 6, 26, '{ownerOnly: true}']])
    const { policies } = read(policyWith('process: {matchPaths: [{path: /a, execname: b}]}'))
    assert.deepEqual(policies[0]?.rules.map(({ match }) => match.kind), ['path', 'name'])
  })

  test('a rule whose sources are all empty must not hold for everyone', () => {
    const { policies, findings } = read(policyWith('file: {matchPaths: [{path: /x, fromSource: [{}]}, {path: /y, fromSource: [{}, {path: /s}]}, {path: /z, fromSource: []}]}'))
    assert.deepEqual(policies[0]?.rules.map(({ match, sources }) => [match.kind === 'path' && match.path, sources]), [['/y', ['/s']], ['/z', []]])
    assert.deepEqual(findings.map(({ code }) => code), ['MERLON_POLICY_EMPTY_RULE', 'MERLON_POLICY_EMPTY_RULE'])
  })

  test('an expression without key or operator selects nobody, rather than everybody', () => {
    const { policies, findings } = read(policyWith('selector: {matchExpressions: [{key: label, values: [a=b]}]}\nfile: {matchPaths: [{path: /x}]}'))
    assert.deepEqual(findings.map(({ code }) => code), ['MERLON_POLICY_SELECTS_NOTHING'])
    assert.deepEqual(policies[0]?.selector.matchExpressions, [{ key: 'label', operator: 'In', values: [] }])
  })
})

describe('facts', () => {
  test('a namespace, with its posture', () => {
    const namespace = (posture: string): Manifests => read(`apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n  labels: {team: a}\n  annotations: {kubearmor-file-posture: ${posture}}\n`)
    assert.deepEqual(namespace('block').namespaces, [
      { name: 'shop', labels: { team: 'a' }, annotations: { 'kubearmor-file-posture': 'block' }, filePosture: 'block', position: { file: 'dir/file.yaml', line: 1, column: 1 } },
    ])
    const invalid = namespace('Block')
    assert.equal(invalid.namespaces[0]?.filePosture, undefined)
    assert.deepEqual(brief(invalid.findings), [['INVALID_POSTURE', 6, 41, 'Block']])
  })

  test('a pod, with all its containers', () => {
    const { pods, findings } = read('apiVersion: v1\nkind: Pod\nmetadata: {name: web-1, uid: u-1, labels: {app: web}, annotations: {kubearmor-policy: enabled}}\nspec:\n  initContainers: [{name: init, image: i:1}]\n  containers: [{name: web, image: w:1, ports: [{containerPort: 80}]}]\n')
    assert.deepEqual(findings, [])
    assert.deepEqual(pods, [
      {
        name: 'web-1', namespace: 'default', uid: 'u-1', labels: { app: 'web' }, annotations: { 'kubearmor-policy': 'enabled' },
        containers: [{ name: 'init', image: 'i:1' }, { name: 'web', image: 'w:1' }],
        policy: 'enabled',
        position: { file: 'dir/file.yaml', line: 1, column: 1 },
      },
    ])
  })

  test('metadata that cannot be used is an error, and the object is left out', () => {
    const { pods, findings } = read('apiVersion: v1\nkind: Pod\nmetadata: {name: x, labels: {a: 1}}\n')
    assert.deepEqual([pods, brief(findings)], [[], [['WRONG_TYPE', 3, 33, '1']]])
  })
})
