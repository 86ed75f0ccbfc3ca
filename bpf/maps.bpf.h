/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Every map, with why it has its size and what happens when it is full. Names and layouts: abi.h. */
#ifndef MERLON_MAPS_H
#define MERLON_MAPS_H

#include "program.bpf.h"

/* Set by the agent before load. */
const volatile struct {
	__u32 host_mnt_ns; /* inode number of the mount namespace of the node itself */
} merlon_config SEC(".rodata.config");

/* ---- Written by the agent ---- */

/* One entry a bound cgroup. Full: the agent cannot bind and says so in its acknowledgement. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, struct merlon_binding);
} bindings SEC(".maps");

struct merlon_table_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_INNER_MAP);
	__uint(max_entries, 2);
	__type(key, __u32);
	__uint(value_size, MERLON_PAGE);
};

/* One slot a profile, whatever the number of its containers: 8 bytes each. Full: as `bindings`. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__array(values, struct merlon_table_map);
} tables SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct merlon_control);
} control SEC(".maps");

/* ---- Counted ---- */

/*
 * The agent makes the entries with the table; without one, a hit is not counted and an error is. Full: the agent cannot load the
 * table and says so. A hash map costs 16 bytes for each possible entry, used or not: 4 MiB.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 262144);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

/* A key is a line of these sources and an errno: far fewer than this exist. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, struct merlon_error_key);
	__type(value, __u64);
} errors SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MERLON_STATS);
	__type(key, __u32);
	__type(value, __u64);
} stats SEC(".maps");

/* ---- Events ---- */

#define MERLON_RING (1 << 20)

/* Full: the event is lost and counted, the verdict stands. Denials cannot be crowded out by audits. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, MERLON_RING);
} denials SEC(".maps");

/* Logs of permitted operations go in while it is less than half full: nor can audits be crowded out by logs. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, MERLON_RING);
} events SEC(".maps");

/* ---- The programs' own ---- */

/* Unknown containers and what became of them. Full: the container is not held, which counts as an error. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, struct merlon_held);
} held SEC(".maps");

/* Who a task is, found once. Without memory for it the answer is worked out anew for each operation. */
struct merlon_task {
	__u64 cgroup_id; /* for which this was found */
	__u64 bound_id;  /* cgroup of the binding; 0: none */
	__u64 epoch;     /* control.bind_epoch */
	__u32 slot;      /* 0: no rule applies */
	__u16 kind;      /* enum merlon_binding_kind; 0: unbound */
	__u8 visible;    /* enum merlon_visible, of the binding */
	__u8 bound;      /* enum merlon_binding_flag, of the binding */
	__u32 subject;   /* subject class of the executable in the table `serial` */
	__u32 serial;    /* 0: subject not known */
	__u32 flags;     /* enum merlon_task_flag; others than the task set them: atomic operations only */
	__u32 arriving;  /* 1: the exec under way, if it succeeds, ends the start-up code */
};

enum merlon_task_flag {
	MERLON_TASK_ENTERING = 1, /* came from outside and has not executed a file of the container yet */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct merlon_task);
} tasks SEC(".maps");

/*
 * Cgroups of which nothing was asked when it was last looked up, neither by a rule nor to be recorded, each by its id modulo the size: what most
 * operations of a node find at once, without touching the task's storage. A word is the epoch above the cgroup's id; what does not fit into 32 bits is not kept here.
 */
#define MERLON_UNRULED 4096

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MERLON_UNRULED);
	__type(key, __u32);
	__type(value, __u64);
} unruled SEC(".maps");

/*
 * Buffers for paths and events. A program that is preempted keeps its slot, so there are several for each CPU (a task cannot migrate while a
 * BPF program runs), and more that all CPUs share: since v7.0 x86 has no kernels any more that are not preempted, and before that there is
 * preempt=full. From v6.15 on one for each CPU would do (merlon_stay). All in use: the operation is undecidable, which is counted.
 */
#define MERLON_EVENT_TEXT (3 * MERLON_PATH_MAX + MERLON_ARGS_MAX)

/* Where the last walk ended. */
struct merlon_walk {
	__u32 at; /* the path is text[at..end) */
	__u32 end;
	__u32 reason; /* enum merlon_reason */
	__u32 pseudo; /* 1: no file: pipe, socket, memfd */
	__u64 dentry;
	__u64 mount; /* struct mount */
	__u64 root;  /* the mount's root dentry */
};

/* What the last decision found, all from one table. */
struct merlon_found {
	__u64 generation;
	__u32 serial; /* of the table; 0: there was none */
	__u32 counter_base;
	__u32 automata;
	__u32 subject; /* of merlon_find_subject */
	struct merlon_matched matched;
};

struct merlon_scratch {
	__u32 busy;
	__u32 pad;
	/* The object in question, as numbers: a pointer that went through a map is a scalar to the verifier. */
	volatile __u64 dentry;
	volatile __u64 vfsmount;
	struct merlon_walk walk;
	struct merlon_found found;
	__u8 text[MERLON_TEXT_SIZE]; /* a path, written from the end */
	struct merlon_event event;
	__u8 strings[MERLON_EVENT_TEXT + MERLON_PATH_MAX]; /* the last part is slack for masks */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MERLON_SCRATCH_SHARED); /* and those of the possible CPUs, set by the agent before load */
	__type(key, __u32);
	__type(value, struct merlon_scratch);
} scratch SEC(".maps");

#endif
