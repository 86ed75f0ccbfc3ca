/* SPDX-License-Identifier: Apache-2.0 */
/* The program that tries things where policies apply: see trial.c. */
#ifndef TRIAL_H
#define TRIAL_H

#include <sys/types.h>

#define MAX_WORDS 64

/* The reply to a command: 0 or an errno, and text, percent-encoded. */
struct reply {
	int error;
	char text[65536];
};

/* Runs one command. Never fails: the reply says what happened. */
void run(int count, char **words, struct reply *reply);

/* Commands that start processes or threads, and io_uring's. Return -1 where the command is none of theirs. */
int run_process(int count, char **words, struct reply *reply);
int run_uring(int count, char **words, struct reply *reply);

/* Opens as openat(2), and closes again. Returns 0 or an errno. */
int try_open(const char *path, int flags);

/* Mounts a directory a second time with other owners: `map` as in /proc/PID/uid_map. Returns 0 or an errno. */
int mount_with_ids(const char *from, const char *to, const char *map);

/* Executes a program in a new process and waits for it. Returns 0 or execve's errno. */
int try_exec(const char *path, char **argv, struct reply *reply);

#endif
