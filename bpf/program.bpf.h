/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What every program includes: kernel structures, libbpf's macros, the table and the matcher in their BPF form. */
#ifndef MERLON_PROGRAM_H
#define MERLON_PROGRAM_H

#include <linux/bpf.h>

#include "kernel.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

static __always_inline void *merlon_page(void *table, __u32 index)
{
	return bpf_map_lookup_elem(table, &index);
}

#define merlon_loop(n, fn, context) bpf_loop(n, fn, context, 0)

#include "match.h"

#endif
