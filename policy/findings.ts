// SPDX-License-Identifier: Apache-2.0
// Everything that policy/ has to say about an input, in one table. A test compares it with docs/errors.md, both ways.
import type { Finding, Position, Severity } from './types.ts'

interface Template {
  readonly severity: Severity
  /** `{word}` is replaced by the caller's word of that name. */
  readonly message: string
  readonly hint: string
}

const error = (message: string, hint: string): Template => ({ severity: 'error', message, hint })
const warning = (message: string, hint: string): Template => ({ severity: 'warning', message, hint })

export const FINDINGS = {
  MERLON_POLICY_YAML_SYNTAX: error('not readable as YAML: {problem}', 'correct the syntax here; documents after the next `---` are still read'),
  MERLON_POLICY_DUPLICATE_KEY: warning('the key {key} comes again on line {line} of this mapping, and only that one counts', 'put both into one'),
  MERLON_POLICY_TOO_LARGE: error('the input is too large: {problem}', 'split it into several files'),
  MERLON_POLICY_NOT_AN_OBJECT: error('this document is no Kubernetes object: {problem}', 'give it apiVersion, kind and metadata'),
  MERLON_POLICY_UNKNOWN_KIND: warning('{kind} is not a kind that Merlon reads', 'nothing to do, unless this was meant to be a policy'),
  MERLON_POLICY_NO_SUCH_KIND: error('{version} has no kind {kind}', '{suggestion}'),
  MERLON_POLICY_UNKNOWN_VERSION: error('{kind} has no version {version}', 'write apiVersion: {expected}'),
  MERLON_POLICY_UNKNOWN_FIELD: error('unknown field {path}', '{suggestion}'),
  MERLON_POLICY_WRONG_TYPE: error('{path} must be {expected}, not {actual}', '{suggestion}'),
  MERLON_POLICY_REQUIRED: error('{path} is required', 'add it'),
  MERLON_POLICY_NOT_ALLOWED: error('{path} does not allow this value', '{suggestion}'),
  MERLON_POLICY_BAD_FORMAT: error('{path} must be {expected}', '{suggestion}'),
  MERLON_POLICY_OUT_OF_RANGE: error('{path} must be {expected}', 'use a value in that range'),
  MERLON_POLICY_TOO_LONG: error('{path} is too long', 'at most {limit} are allowed'),
  MERLON_POLICY_RULE: error('{path} is not consistent: {rule}', 'see the message'),
  MERLON_POLICY_DUPLICATE_ELEMENT: error('{path} agrees with an earlier element in {keys}', 'delete one of them'),
  MERLON_POLICY_INVALID_NAME: error('{path} is not a valid name: {expected}', 'choose a name of that form'),
  MERLON_POLICY_INVALID_PATTERN: error('the pattern cannot be read: {problem}', 'put a backslash before a character that is meant literally'),
  MERLON_POLICY_INVALID_PATH: error('no object can have this path: {problem}', 'write the path as the container sees it'),
  MERLON_POLICY_INVALID_REGEX: error('this is no regular expression', 'see the syntax of regular expressions; `*` stands for any run of characters'),
  MERLON_POLICY_INVALID_DOMAIN: error('nobody can ask DNS for this name: {problem}', '{suggestion}'),
  MERLON_POLICY_INVALID_CIDR: error('this is no network and no address', 'write it like 10.0.0.0/8 or fd00::/8'),
  MERLON_POLICY_INVALID_INTERFACE: error('no network interface can have this name', 'write a name of at most 15 characters, such as eth0'),
  MERLON_POLICY_INVALID_QUOTA: error('this makes no quota: {problem}', 'write both, such as limit: 500MB and duration: 1h'),
  MERLON_POLICY_UNKNOWN_NAME: error('there is no {name} that a rule could be about', '{suggestion}'),
  MERLON_POLICY_APPARMOR_LINE: error('this line of AppArmor cannot be translated: {problem}', 'write it as a rule of the policy, or take it out'),
  MERLON_POLICY_APPARMOR_WIDER: warning('translated, this line {verb} {what}', 'write what is meant as a rule of the policy'),
  MERLON_POLICY_PRESET_ACTION: warning('a preset that says Allow blocks, as in KubeArmor', 'write Block, or Audit to be told only'),
  MERLON_POLICY_INVALID_MODE: warning('{annotation} must be Enforce, Audit or Off; it is as if it were not there', 'write one of the three'),
  MERLON_POLICY_INVALID_POSTURE: warning('{annotation} must be audit or block; the global default applies', 'write audit or block'),
  MERLON_POLICY_INVALID_SWITCH: warning('{annotation} must be enabled, disabled or audited; it counts as enabled', 'write one of the three'),
  MERLON_POLICY_INVALID_VISIBILITY: warning('{annotation} knows no {words}', 'use {classes}, with commas, or none'),
  MERLON_POLICY_VISIBILITY_NOT_RECORDED: warning('{annotation} asks for logs of {classes}, of which this version records none', 'leave them out, and audit with a policy what is to be known; logs are recorded of {recorded}'),
  MERLON_POLICY_SETTING_NOT_USED: warning('these settings change nothing here: {settings}', 'leave them out, or see what is done instead under "Settings" in docs/compatibility.md'),
  MERLON_POLICY_PATH_NORMALISED: warning('the path is taken as {path}', 'write it that way: the kernel knows no other form'),
  MERLON_POLICY_PATTERN_NEVER_MATCHES: warning('no path matches this pattern: {problem}', '{suggestion}'),
  MERLON_POLICY_EMPTY_RULE: warning('the {what} names nothing and matches nothing', 'give it {missing}'),
  MERLON_POLICY_LITERAL_WILDCARD: warning('wildcards mean nothing in {field}: only what is called exactly that matches', '{suggestion}'),
  MERLON_POLICY_RECURSIVE_FILE: warning('without a slash at its end the path is a file, of which recursive says nothing', 'write {path}/ for what lies below it'),
  MERLON_POLICY_PATH_AND_EXECNAME: warning('the rule has a path and an execname and matches either', 'write two rules'),
  MERLON_POLICY_NO_RULES: warning('the policy has no rules', 'add rules, or delete it'),
  MERLON_POLICY_SELECTS_NOTHING: warning('the selector matches nothing: {problem}', '{suggestion}'),
  MERLON_POLICY_CONTAINER_LIST: warning('the list of containers is not in brackets on both sides', 'write "[a, b]"'),
  MERLON_POLICY_NAMESPACE_IGNORED: warning('{kind} belongs to no namespace; this one is ignored', 'delete the line'),
  MERLON_POLICY_ALLOW_LIST: warning(
    'this Allow rule puts the {section} section of what the policy selects into allow-list mode',
    'what no rule allows gets the default posture there; make sure that is meant',
  ),
  MERLON_POLICY_SHADOWED_RULE: warning('this rule never decides: the {action} rule {place} goes before it', 'delete one of them, or change what they name'),
  MERLON_POLICY_RULE_NEVER_MATCHES: warning('nothing that can exist matches this rule: {problem}', '{suggestion}'),
  MERLON_POLICY_SAME_NAME: warning('a policy named {name} is at {place} already; in a cluster this one replaces it', 'rename one of them'),
} as const satisfies Record<string, Template>

export type FindingCode = keyof typeof FINDINGS

/** A place of an input and what stands there. */
export interface Place {
  readonly position: Position
  readonly text: string
}

const LONGEST_TEXT = 80

export function finding(code: FindingCode, place: Place, words: Readonly<Record<string, string>> = {}): Finding {
  const template: Template = FINDINGS[code]
  const fill = (text: string): string => text.replaceAll(/\{(\w+)\}/g, (whole, word: string) => words[word] ?? whole)
  return {
    code,
    severity: template.severity,
    message: fill(template.message),
    position: place.position,
    text: cut(place.text),
    hint: fill(template.hint),
  }
}

/** The first line, at most 80 characters of it. */
function cut(text: string): string {
  const line = text.split(/\r?\n/, 1)[0] ?? ''
  return line.length > LONGEST_TEXT ? `${line.slice(0, LONGEST_TEXT - 1)}…` : line
}
