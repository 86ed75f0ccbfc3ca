// SPDX-License-Identifier: Apache-2.0
// Names of DNS as rules write them.

/** Without dots at its ends: `.example.com.` is example.com. */
export function normaliseDomain(written: string): string {
  return written.replace(/^\.+|\.+$/g, '')
}

export interface DomainProblem {
  readonly problem: string
  readonly suggestion: string
}

/** Why nobody can ask for this name; undefined where somebody can. */
export function domainProblem(domain: string): DomainProblem | undefined {
  const problem = (words: string, suggestion: string): DomainProblem => ({ problem: words, suggestion })
  if (domain === '.') return problem('it is the root', 'write a name such as example.com')
  if (domain.startsWith('*.')) return problem('it has a wildcard', `write ${domain.slice(2)}: it stands for the names below it too`)
  if (/[^\x21-\x7e]/.test(domain)) return problem('it is not in ASCII', 'write it as DNS has it, beginning with xn--')
  if (!/^[A-Za-z0-9._-]+$/.test(domain)) return problem('it holds more than letters, digits, dots, `-` and `_`', 'write a name such as example.com')
  if (domain.length > 253) return problem('it is longer than 253', 'shorten it')
  if (domain.split('.').some((label) => label === '')) return problem('it has two dots in a row', 'delete one')
  if (domain.split('.').some((label) => label.length > 63)) return problem('it has a part longer than 63', 'shorten it')
  return undefined
}
