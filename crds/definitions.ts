// SPDX-License-Identifier: Apache-2.0
// The custom resources as they are in this directory, and the parts of them that what is generated depends on.
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'

/** The part of OpenAPI that crds/ uses; a test refuses anything else. */
export interface OpenApi {
  readonly type?: 'object' | 'array' | 'string' | 'integer' | 'boolean'
  readonly description?: string
  readonly properties?: Readonly<Record<string, OpenApi>>
  readonly required?: readonly string[]
  readonly additionalProperties?: OpenApi
  readonly maxProperties?: number
  readonly items?: OpenApi
  readonly maxItems?: number
  readonly maxLength?: number
  readonly minLength?: number
  readonly pattern?: string
  readonly enum?: readonly (string | boolean)[]
  readonly format?: 'int32' | 'int64' | 'date-time'
  readonly minimum?: number
  readonly maximum?: number
  readonly nullable?: boolean
  readonly default?: string | boolean
  readonly 'x-kubernetes-preserve-unknown-fields'?: true
  readonly 'x-kubernetes-list-type'?: 'map'
  readonly 'x-kubernetes-list-map-keys'?: readonly string[]
  readonly 'x-kubernetes-validations'?: readonly { readonly rule: string; readonly message: string }[]
}

export interface Column {
  readonly name: string
  readonly type: string
  readonly jsonPath: string
  readonly priority?: number
}

export interface Definition {
  readonly apiVersion: string
  readonly kind: 'CustomResourceDefinition'
  readonly metadata: { readonly name: string }
  readonly spec: {
    readonly group: string
    readonly scope: 'Namespaced' | 'Cluster'
    readonly names: Readonly<Record<'kind' | 'listKind' | 'plural' | 'singular', string>> & Readonly<Record<'shortNames' | 'categories', readonly string[]>>
    readonly versions: readonly [
      {
        readonly name: string
        readonly served: true
        readonly storage: true
        readonly subresources: { readonly status: object }
        readonly additionalPrinterColumns: readonly Column[]
        readonly schema: { readonly openAPIV3Schema: OpenApi }
      },
    ]
  }
}

/** Every definition, in the order of the kinds' names. */
export function readDefinitions(directory = import.meta.dirname): readonly Definition[] {
  return globSync('*.yaml', { cwd: directory })
    .sort()
    .map((file): Definition => parse(readFileSync(join(directory, file), 'utf8')))
}

export function kindOf(definition: Definition): string {
  return definition.spec.names.kind
}

export function schemaOf(definition: Definition): OpenApi {
  return definition.spec.versions[0].schema.openAPIV3Schema
}
