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
  /** A mapping whose content is nobody's business. */
  | { readonly type: 'open' }
  | { readonly type: 'any'; readonly oneOf?: readonly (string | boolean)[] }
)

const text: Schema = { type: 'string' }
const any: Schema = { type: 'any' }
const strings: Schema = { type: 'map', values: text }

/** Fields of ObjectMeta whose content nobody writes by hand are taken as they are. */
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
    creationTimestamp: any,
    deletionTimestamp: any,
    deletionGracePeriodSeconds: any,
    finalizers: { type: 'list', items: text },
    ownerReferences: any,
    managedFields: any,
  },
}
