// SPDX-License-Identifier: Apache-2.0
// The relay's words for what passes through it.

/** One encoded feeder.Alert, feeder.Log or feeder.Message. */
export type Payload = Buffer

/** BLOCK of enum merlon_verdict (bpf/abi.h): something was refused. */
export const VERDICT_BLOCK = 2

export type FeedName = 'alerts' | 'logs' | 'messages'

/** By merlon.v1.Event.Type. */
export const FEED_OF_TYPE: Readonly<Record<string, FeedName>> = { ALERT: 'alerts', LOG: 'logs', MESSAGE: 'messages' }

/** As KubeArmor writes them into feeder.Message. */
export type MessageLevel = 'INFO' | 'WARN' | 'ERROR'
