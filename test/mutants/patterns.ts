// SPDX-License-Identifier: Apache-2.0
// Bugs on the way from what people write in a path to expressions over bytes.
import type { Mutant } from './mutant.ts'

const GLOB = ['policy/glob.test.ts', 'policy/evaluate.test.ts', 'policy/differential.test.ts']
const EXPRESSION = ['policy/expression.test.ts', 'policy/differential.test.ts', 'policy/compile.test.ts']

export const PATTERNS: readonly Mutant[] = [
  {
    name: 'question-mark-takes-slash',
    bug: '`?` and negated sets match a slash',
    file: 'policy/glob.ts',
    find: '[[0, 0], [0x2f, 0x2f], [0xd800, 0xdfff]]',
    replace: '[[0, 0], [0xd800, 0xdfff]]',
    tests: GLOB,
  },
  {
    name: 'set-forgets-other-encodings',
    bug: 'negated sets do not match a byte that is no UTF-8',
    file: 'policy/glob.ts',
    find: 'if (set.negated) sequences.push([[0x80, 0xff]])',
    replace: 'if (set.negated) sequences.push([[0x80, 0xbf]])',
    tests: GLOB,
  },
  {
    name: 'first-bracket-closes',
    bug: 'a bracket that comes first closes the set',
    file: 'policy/glob.ts',
    find: "while (ranges.length === 0 || this.text[this.at] !== ']')",
    replace: "while (this.text[this.at] !== ']')",
    tests: GLOB,
  },
  {
    name: 'any-directories-needs-one',
    bug: '`/**/` does not match a single slash',
    file: 'policy/glob.ts',
    find: '[[slash], [slash, { kind: \'across\' }, slash]]',
    replace: '[[slash, { kind: \'across\' }, slash]]',
    tests: GLOB,
  },
  {
    name: 'utf8-split-off-by-one',
    bug: 'a range of characters is cut one too early where the bytes of UTF-8 roll over',
    file: 'policy/glob.ts',
    find: '...utf8Ranges((first | mask) + 1, last)',
    replace: '...utf8Ranges((first | mask) + 2, last)',
    tests: GLOB,
  },
  {
    name: 'class-off-by-one',
    bug: 'the last byte of a range is not in the set',
    file: 'policy/expression.ts',
    find: 'Array.from({ length: last - first + 1 }',
    replace: 'Array.from({ length: last - first }',
    tests: EXPRESSION,
  },
  {
    name: 'lost-alternative',
    bug: 'of alternatives that are single characters the first is lost',
    file: 'policy/expression.ts',
    find: 'byte(singles.map(branch',
    replace: 'byte(singles.slice(1).map(branch',
    tests: EXPRESSION,
  },
  {
    name: 'dir-without-itself',
    bug: 'a directory rule does not match the directory itself',
    file: 'policy/expression.ts',
    find: "{ kind: 'literal', bytes: bytes.slice(0, -1) },",
    replace: "{ kind: 'literal', bytes },",
    tests: EXPRESSION,
  },
  {
    name: 'name-within-component',
    bug: 'an execname matches the end of a longer name',
    file: 'policy/expression.ts',
    find: 'literal(byteString(`/${match.name}`))',
    replace: 'literal(byteString(match.name))',
    tests: EXPRESSION,
  },
  {
    name: 'star-swallows-double-star',
    bug: 'of a `**` beside a `*` the narrower one stays',
    file: 'policy/expression.ts',
    find: 'includes(left.set, right.set) ? [left]',
    replace: 'includes(left.set, right.set) ? [right]',
    tests: EXPRESSION,
  },
  {
    name: 'prefix-always-recursive',
    bug: 'a pattern that ends in `*` goes on across slashes',
    file: 'policy/expression.ts',
    find: 'bytes, recursive: item.set === ANY }',
    replace: "bytes, recursive: item.kind === 'star' }",
    tests: EXPRESSION,
  },
  {
    name: 'alphabet-merges-classes',
    bug: 'bytes that one set tells apart get into one class',
    file: 'policy/alphabet.ts',
    find: 'group[byte]! * 2 + (hasByte(set, byte) ? 1 : 0)',
    replace: 'group[byte]! + (hasByte(set, byte) ? 1 : 0)',
    tests: ['policy/alphabet.test.ts', 'policy/differential.test.ts'],
  },
]
