/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counting: per rule, per statistic, and every error by file, line and errno (Tetragon's errmetrics showed the way). */
#ifndef MERLON_COUNT_H
#define MERLON_COUNT_H

#include "maps.bpf.h"

/* Atomic although per CPU: another task may preempt between load and store on the same CPU. */
static __always_inline void merlon_stat(__u32 stat)
{
	__u64 *count = bpf_map_lookup_elem(&stats, &stat);

	if (count)
		__sync_fetch_and_add(count, 1);
}

__noinline int merlon_count_error(__u32 file, __u32 line, __u32 error)
{
	struct merlon_error_key key = { .file = file, .line = line, .error = error };
	__u64 one = 1, *count = bpf_map_lookup_elem(&errors, &key);

	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&errors, &key, &one, BPF_NOEXIST);
	return 0;
}

#define MERLON_ERROR(file, error) merlon_count_error(file, __LINE__, (__u32)(error))

/* `counter`: stamp.counter_base + clause. */
static __always_inline void merlon_count_clause(__u32 counter)
{
	__u64 *count = bpf_map_lookup_elem(&counters, &counter);

	if (count)
		__sync_fetch_and_add(count, 1);
	else
		MERLON_ERROR(MERLON_FILE_DECIDE, ENOENT);
}

#endif
