/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every struct and constant that the kernel programs share with user space.
 *
 * Must match agent/abi.ts (a test compiles this header and compares offsets). Compiles for BPF and for the host.
 * All integers are little-endian: Merlon runs on little-endian machines only, and the agent refuses others.
 * The table's own format is in table.h and docs/table.md.
 */
#ifndef MERLON_ABI_H
#define MERLON_ABI_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

/* Version of everything in this file. The agent adopts pinned maps and programs of the same version only. */
#define MERLON_ABI_VERSION 3

#define MERLON_PATH_MAX 4096 /* PATH_MAX of the kernel, NUL included: a longer path is undecidable */
#define MERLON_ARGS_MAX 1024 /* bytes of arguments that an event carries at most, NUL-separated */
#define MERLON_COMM_LEN 16
#define MERLON_TTY_LEN 16

/* ---- Verdicts, operations ---- */

enum merlon_verdict {
	MERLON_ALLOW = 0, /* permitted; an event of it is a log */
	MERLON_AUDIT = 1, /* permitted and reported */
	MERLON_BLOCK = 2, /* refused with EACCES and reported */
};

enum merlon_op {
	MERLON_OP_EXEC = 0,
	MERLON_OP_READ = 1,  /* open without FMODE_WRITE */
	MERLON_OP_WRITE = 2, /* open with FMODE_WRITE, with or without reading */
	MERLON_OP_NETWORK = 3,
	MERLON_OP_DNS = 4,
	MERLON_OP_CAPABILITY = 5,
	MERLON_OP_SYSCALL = 6,
	MERLON_OP_DEVICE = 7,
	MERLON_OP_PRESET = 8,
	MERLON_OP_INGRESS = 9,
	MERLON_OP_EGRESS = 10,
	MERLON_OPS = 11,
};

/* ---- Maps ----
 *
 * name        type                 key                     value
 * bindings    HASH (no prealloc)   u64 cgroup id           struct merlon_binding
 * tables      ARRAY_OF_MAPS        u32 slot (0 is unused)  ARRAY of 4096-byte pages, one table (docs/table.md)
 * counters    PERCPU_HASH          u32 counter             u64 hits; counter = stamp.counter_base + clause id
 * errors      PERCPU_HASH          struct merlon_error_key u64 count
 * stats       PERCPU_ARRAY         u32 enum merlon_stat    u64 count
 * held        HASH                 u64 cgroup id           struct merlon_held
 * control     ARRAY (1 entry)      u32 0                   struct merlon_control, written by the agent only
 * denials     RINGBUF              -                       struct merlon_event, verdict BLOCK and holds
 * events      RINGBUF              -                       struct merlon_event, verdict AUDIT, and ALLOW while it is less than half full
 * tasks       TASK_STORAGE         task                    private to the programs
 * scratch     ARRAY                u32 slot                private to the programs
 */

/* The map `scratch` has so many entries that all processors share, and after them so many of each possible processor: whoever loads the programs sets its size. */
#define MERLON_SCRATCH_SHARED 64
#define MERLON_SCRATCH_PER_CPU 4

enum merlon_binding_kind {
	MERLON_BIND_CONTAINER = 1, /* a container's or a pod's cgroup: start-up code of its runtime is recognised */
	MERLON_BIND_PLAIN = 2,     /* any other cgroup (canary, service) */
	MERLON_BIND_HOST = 3,      /* the root cgroup: everything that no other binding covers */
};

/* Classes of operations that are recorded where they are permitted (KubeArmor's visibility). */
enum merlon_visible {
	MERLON_VISIBLE_PROCESS = 1,
	MERLON_VISIBLE_FILE = 2,
};

enum merlon_binding_flag {
	/* A pod some of whose containers have rules of their own: who executes something in a cgroup below it that is not bound itself is held. */
	MERLON_BOUND_HOLDS = 1,
};

struct merlon_binding {
	__u32 slot;   /* in `tables`; 0: bound, and no rule applies */
	__u16 kind;   /* enum merlon_binding_kind */
	__u8 visible; /* enum merlon_visible, or of several */
	__u8 flags;   /* enum merlon_binding_flag */
};

struct merlon_control {
	__u64 bind_epoch;   /* bumped after every change of `bindings` */
	__u64 heartbeat_ns; /* CLOCK_BOOTTIME when the agent last lived; holding needs a fresh one */
	__u32 hold;         /* enum merlon_hold_mode */
	__u32 pad;
};

/* Whether the first exec of an unknown container is stopped until the agent has bound it. */
enum merlon_hold_mode {
	MERLON_HOLD_OFF = 0,
	MERLON_HOLD_LIVE = 1,   /* while the agent lives: without it nobody would let go */
	MERLON_HOLD_ALWAYS = 2, /* unknown containers are blocked: they wait for the next agent */
};

/* The agent lives while its heartbeat is younger than this. */
#define MERLON_HEARTBEAT_MAX_NS 3000000000ULL

enum merlon_held_state {
	MERLON_HELD_WAITING = 1,  /* tasks are stopped; the agent must bind, set RELEASED, send SIGCONT, set RESUMED */
	MERLON_HELD_RELEASED = 2, /* decided by the agent: not held again, whether bound or not; SIGCONT is on its way */
	MERLON_HELD_RESUMED = 3,  /* and has been sent */
};

struct merlon_held {
	__u32 state; /* enum merlon_held_state */
	__u32 tgid;  /* the first task that was stopped, in the initial pid namespace */
};

enum merlon_stat {
	MERLON_STAT_DENIALS_LOST = 0, /* events that did not fit into `denials` */
	MERLON_STAT_EVENTS_LOST = 1,  /* events that did not fit into `events` */
	MERLON_STAT_UNDECIDABLE = 2,  /* operations that got the profile's undecidable verdict */
	MERLON_STAT_ENTERING = 3,     /* operations of a runtime's start-up code that were exempted */
	MERLON_STAT_HELD = 4,         /* execs that were held */
	MERLON_STAT_NOT_HELD = 5,     /* execs of unknown containers that went on: the agent's heartbeat was too old, or `held` full */
	MERLON_STAT_LOGS_LOST = 6,    /* records of permitted operations that would have taken room of audits in `events` */
	MERLON_STATS = 8,
};

enum merlon_error_file {
	MERLON_FILE_DECIDE = 1,
	MERLON_FILE_SUBJECT = 2,
	MERLON_FILE_PATH = 3,
	MERLON_FILE_EVENT = 4,
	MERLON_FILE_EXEC = 5,
	MERLON_FILE_OPEN = 6,
	MERLON_FILE_LIFE = 7,
};

struct merlon_error_key {
	__u16 file; /* enum merlon_error_file */
	__u16 line;
	__u32 error; /* positive errno */
};

/* ---- Events ---- */

enum merlon_event_kind {
	MERLON_EVENT_DECISION = 1,
	MERLON_EVENT_HELD = 2, /* an exec waits for the agent: cgroup_id and host_pid are set, no clause */
};

enum merlon_event_flag {
	MERLON_EVENT_OWNER = 1,          /* the task's fsuid owns the object */
	MERLON_EVENT_ARGS_TRUNCATED = 2, /* arguments beyond MERLON_ARGS_MAX, or not readable, are missing */
	MERLON_EVENT_ENTERING = 4,       /* the task is a runtime's start-up code */
};

/* Why an operation could not be decided; 0: it was decided. */
enum merlon_reason {
	MERLON_REASON_NONE = 0,
	MERLON_REASON_PATH_TOO_LONG = 1, /* longer than MERLON_PATH_MAX */
	MERLON_REASON_DETACHED = 2,      /* the object's mount hangs in no mount namespace: it has no path */
	MERLON_REASON_READ_FAILED = 3,   /* kernel memory could not be read */
	MERLON_REASON_NO_SCRATCH = 4,    /* every path buffer is in use */
	MERLON_REASON_BAD_TABLE = 5,     /* a table that verified led out of itself: a defect */
};

/*
 * One record of `denials` or `events`. Followed by path, exe, parent_exe and args: no NULs between them, lengths in
 * the header; args are NUL-separated. `size` counts everything.
 */
struct merlon_event {
	__u32 size;       /* bytes of header and strings */
	__u16 kind;       /* enum merlon_event_kind */
	__u8 op;          /* enum merlon_op */
	__u8 verdict;     /* enum merlon_verdict */
	__u64 time_ns;    /* CLOCK_BOOTTIME */
	__u64 cgroup_id;  /* of the task, cgroup v2 */
	__u64 bound_id;   /* cgroup id of the binding that decided; 0: none */
	__u64 generation; /* stamp.generation of the table that decided */
	__u32 serial;     /* stamp.serial of the table that decided */
	__u32 clause;     /* 1-based; 0: none */
	__u32 reason;     /* enum merlon_reason */
	__u32 flags;      /* enum merlon_event_flag */
	__u32 host_pid;   /* tgid, initial pid namespace */
	__u32 host_tid;
	__u32 host_ppid;  /* tgid of the real parent */
	__u32 pid;        /* tgid in the task's own pid namespace */
	__u32 ppid;       /* of the real parent in the task's pid namespace; 0: outside it */
	__u32 uid;        /* real uid in the initial user namespace */
	__u32 mnt_ns;     /* inode number */
	__u32 pid_ns;     /* inode number */
	char comm[MERLON_COMM_LEN];
	char tty[MERLON_TTY_LEN]; /* such as pts0; empty: none */
	__u16 path_len;           /* the object: file opened or executed */
	__u16 exe_len;            /* the task's executable (before an exec) */
	__u16 parent_exe_len;     /* the real parent's executable */
	__u16 args_len;           /* exec: of the new program; else of the task */
};

#endif
