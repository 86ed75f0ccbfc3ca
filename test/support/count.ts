// SPDX-License-Identifier: Apache-2.0
// Rules of policies as they stand in the text, counted without the reader: nothing of policy/ is used here.
import { isAlias, isMap, isSeq, LineCounter, parseAllDocuments, type Document, type Node, type Pair, type Scalar, type YAMLMap } from 'yaml'

export interface WrittenRule {
  /** 1-based, in the file. */
  readonly line: number
  readonly lastLine: number
  /** First and last line of its document. */
  readonly document: readonly [first: number, last: number]
}

type Lines = Omit<WrittenRule, 'document'>

/** Where lists of rules are in a spec: the section, the list. An empty section is the spec itself. */
const LISTS: readonly (readonly [section: string, list: string])[] = [
  ...['process', 'file'].flatMap((section) => ['matchPaths', 'matchDirectories', 'matchPatterns'].map((list) => [section, list] as const)),
  ['network', 'matchProtocols'], ['network', 'matchDNSQueries'], ['capabilities', 'matchCapabilities'], ['syscalls', 'matchSyscalls'], ['syscalls', 'matchPaths'], ['device', 'matchDevice'],
  ['', 'presets'], ['', 'ingress'], ['', 'egress'],
]
const POLICIES = /^KubeArmor(Cluster|Host|Network)?Policy$/

/** Every rule of every policy of a file; undefined where the file is no YAML. Of AppArmor's text every line that says something is a rule. */
export function writtenRules(text: string): readonly WrittenRule[] | undefined {
  const lines = new LineCounter()
  const documents = parseAllDocuments(text, { lineCounter: lines, uniqueKeys: false, merge: true, logLevel: 'silent' })
  if ('empty' in documents) return []
  if (documents.some(({ errors }) => errors.length > 0)) return undefined
  const lineOf = (offset: number): number => lines.linePos(offset).line
  return documents.flatMap((each) => {
    const { contents, range } = each
    const document = [lineOf(range[0]), lineOf(Math.max(range[0], range[1] - 1))] as const
    return isMap(contents) ? rulesOf(contents, each, lineOf).map((rule) => ({ ...rule, document })) : []
  })
}

function rulesOf(root: YAMLMap, of: Document, lineOf: (offset: number) => number): readonly Lines[] {
  const items = last(root, 'items')
  if (String(root.get('kind')).endsWith('List') && isSeq(items)) return items.items.flatMap((item) => (isMap(item) ? rulesOf(item, of, lineOf) : []))
  if (!POLICIES.test(String(root.get('kind')))) return []
  const spec = last(root, 'spec')
  if (!isMap(spec)) return []
  const listed = LISTS.flatMap(([section, list]) => {
    const holder = section === '' ? spec : last(spec, section)
    const rules = isMap(holder) ? last(holder, list) : undefined
    if (!isSeq<Node>(rules)) return []
    // The range of a block ends where the next token begins, often on the next line.
    return rules.items.map((item): Lines => {
      const [start, end] = (isAlias(item) ? item.resolve(of) : item)?.range ?? [0, 1]
      return { line: lineOf(start), lastLine: lineOf(Math.max(start, end - 1)) }
    })
  })
  return [...listed, ...appArmorLines(spec, lineOf)]
}

/** Of a key that is there twice the last one counts. */
function last(map: YAMLMap, name: string): unknown {
  return map.items.findLast((pair) => String((pair.key as Scalar).value) === name)?.value
}

function appArmorLines(spec: YAMLMap, lineOf: (offset: number) => number): readonly Lines[] {
  const pair = spec.items.findLast((each): each is Pair<Scalar, Scalar> => String((each.key as Scalar).value) === 'apparmor')
  if (typeof pair?.value?.value !== 'string') return []
  const start = lineOf(pair.value.range?.[0] ?? 0)
  const isBlock = pair.value.type === 'BLOCK_LITERAL' || pair.value.type === 'BLOCK_FOLDED'
  return pair.value.value.split('\n').flatMap((text, index) => {
    const line = isBlock ? start + 1 + index : start
    return text.trim() === '' || text.trim().startsWith('#') ? [] : [{ line, lastLine: line }]
  })
}
