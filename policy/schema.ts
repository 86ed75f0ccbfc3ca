// SPDX-License-Identifier: Apache-2.0
// Schemas as data, for validate.ts. Those of the custom resources are generated (crd-schemas.ts); what the API server asks of metadata stands here.
import type { Check } from './cel.ts'
import type { Format } from './formats.ts'

export type { Format } from './formats.ts'

export type Schema = { readonly nullable?: boolean } & (
  | { readonly type: 'object'; readonly fields: Readonly<Record<string, Schema>>; readonly required: readonly string[]; readonly checks?: readonly Check[] }
  /** Any keys, values of one kind. */
  | { readonly type: 'map'; readonly values: Schema; readonly most?: number; readonly checks?: readonly Check[] }
  /** With `keys`: no two elements agree in all of these. */
  | { readonly type: 'list'; readonly items: Schema; readonly most?: number; readonly keys?: readonly string[]; readonly checks?: readonly Check[] }
  | { readonly type: 'string'; readonly format?: Format; readonly longest?: number; readonly shortest?: number; readonly oneOf?: readonly string[]; readonly time?: boolean }
  /** Of 64 bits where nothing is said. */
  | { readonly type: 'integer'; readonly bits?: 32 | 64; readonly least?: number; readonly most?: number }
  | { readonly type: 'boolean' }
  /** What the server drops when an object is created (its status): only fields that are not in `content` are told, where it is strict. */
  | { readonly type: 'dropped'; readonly content: Schema }
  /** A mapping whose content is nobody's business. */
  | { readonly type: 'open' }
  | { readonly type: 'any'; readonly oneOf?: readonly (string | boolean)[] }
)

const text: Schema = { type: 'string' }
const any: Schema = { type: 'any' }
const flag: Schema = { type: 'boolean' }
const time: Schema = { type: 'string', time: true }
const strings: Schema = { type: 'map', values: text }

/** ObjectMeta. The names in it are checked by metadata.ts. */
export const METADATA_SCHEMA: Schema = {
  type: 'object',
  required: [],
  fields: {
    name: text,
    generateName: text,
    namespace: text,
    labels: strings,
    annotations: strings,
    uid: text,
    resourceVersion: text,
    generation: { type: 'integer' },
    selfLink: text,
    creationTimestamp: time,
    deletionTimestamp: time,
    deletionGracePeriodSeconds: { type: 'integer' },
    finalizers: { type: 'list', items: text },
    ownerReferences: {
      type: 'list',
      items: {
        type: 'object',
        required: ['apiVersion', 'kind', 'name', 'uid'],
        fields: { apiVersion: text, kind: text, name: text, uid: text, controller: flag, blockOwnerDeletion: flag },
      },
    },
    managedFields: any,
  },
}
