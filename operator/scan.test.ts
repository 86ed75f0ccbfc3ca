// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { scan } from './scan.ts'

describe('scan()', () => {
  let home = ''
  let root = ''
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'merlon-scan-'))
    root = join(home, 'policies')
    mkdirSync(join(root, 'below'), { recursive: true })
    for (const name of ['below/a.yaml', 'z.yaml']) writeFileSync(join(root, name), '')
  })
  afterEach(() => rmSync(home, { recursive: true }))

  /** A walk in whose middle `happens`: what the root holds has been listed, and nothing of it looked at. */
  function interrupted(happens: () => void): ReturnType<typeof scan> {
    let isDone = false
    return scan(root, (path) => {
      if (isDone || !path.endsWith('/below')) return
      isDone = true
      happens()
    })
  }

  it('takes nothing for removed where the root goes away meanwhile, as a mount in trouble does', async () => {
    await assert.rejects(interrupted(() => renameSync(root, join(home, 'away'))), { code: 'ENOENT' })
  })

  it('says what the new one holds where the root is replaced meanwhile', async () => {
    const { files, unreadable } = await interrupted(() => {
      renameSync(root, join(home, 'away'))
      mkdirSync(root)
      writeFileSync(join(root, 'c.yaml'), '')
    })
    assert.deepEqual([[...files.keys()], unreadable], [[join(root, 'c.yaml')], []])
  })

  it('says so too where the new one has the number of the old one', async () => {
    const { files } = await interrupted(() => {
      rmSync(root, { recursive: true })
      mkdirSync(root)
      writeFileSync(join(root, 'c.yaml'), '')
    })
    assert.deepEqual([...files.keys()], [join(root, 'c.yaml')])
  })

  it('leaves out what is removed meanwhile', async () => {
    const { files, unreadable } = await interrupted(() => {
      rmSync(join(root, 'below'), { recursive: true })
      rmSync(join(root, 'z.yaml'))
    })
    assert.deepEqual([[...files.keys()], unreadable], [[], []])
  })
})
