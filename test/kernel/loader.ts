// SPDX-License-Identifier: Apache-2.0
// A process of its own that loads the kernel side, binds a cgroup to a policy and waits to be killed.
//   node loader.ts PIN_DIRECTORY CGROUP POLICY
import { BIND } from '../../agent/abi.ts'
import { Node } from './node.ts'

const [pins = '', cgroup = '', text = ''] = process.argv.slice(2)
const node = new Node(pins)
const { slot } = node.load(text)
node.bind(cgroup, slot.slot, BIND.PLAIN)
console.log(JSON.stringify({ origin: node.kernel.origin, slot: slot.slot, serial: slot.serial, hash: slot.hash }))
setInterval(() => {}, 1000)
