// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The kernel side of Merlon, one object.
 *
 *   lsm/file_open              open.bpf.h   decides reads and writes
 *   lsm/bprm_check_security    exec.bpf.h   decides execs; holds the first exec of an unknown container
 *   lsm/bprm_committed_creds   exec.bpf.h   a task has another executable
 *   tp_btf/cgroup_attach_task  life.bpf.h   a task comes into a cgroup from outside
 *   tp_btf/sched_process_fork  life.bpf.h   the same for clones
 */
#include "open.bpf.h"
#include "exec.bpf.h"
#include "life.bpf.h"

/* Several helpers are GPL-only. */
char merlon_license[] SEC("license") = "Dual BSD/GPL";
