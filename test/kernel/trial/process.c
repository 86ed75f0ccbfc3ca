// SPDX-License-Identifier: Apache-2.0
/* Commands that start processes and threads, and those that try the same thing many times. */
#define _GNU_SOURCE
#include "trial.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Reads to the end, into a text of `size` bytes, blanks for line breaks. */
static void read_all(int fd, char *text, size_t size)
{
	size_t used = 0;
	ssize_t n;

	while (used + 1 < size && (n = read(fd, text + used, size - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = 0;
	for (char *each = text; *each; each++)
		if (*each == '\n')
			*each = ' ';
}

/* In the child: says execve's errno through a pipe that a successful exec closes. */
static void start(const char *path, int fd, char **argv, int output, int problem)
{
	char *none[] = { 0 };
	int error;

	dup2(output, 1);
	dup2(output, 2);
	if (fd >= 0)
		syscall(SYS_execveat, fd, "", argv, none, AT_EMPTY_PATH);
	else
		execve(path, argv, none);
	error = errno;
	if (write(problem, &error, sizeof(error)) != sizeof(error))
		_exit(3);
	_exit(2);
}

static int exec_and_wait(const char *path, int fd, char **argv, struct reply *reply)
{
	int problem[2], output[2], error = 0, status = 0;
	pid_t child;

	if (pipe2(problem, O_CLOEXEC) || pipe2(output, O_CLOEXEC))
		return errno;
	child = fork();
	if (child == 0)
		start(path, fd, argv, output[1], problem[1]);
	close(problem[1]);
	close(output[1]);
	if (read(problem[0], &error, sizeof(error)) != sizeof(error))
		error = 0;
	read_all(output[0], reply->text, sizeof(reply->text));
	close(problem[0]);
	close(output[0]);
	waitpid(child, &status, 0);
	if (!error && WIFSIGNALED(status))
		sprintf(reply->text, "killed by %d", WTERMSIG(status));
	return error;
}

int try_exec(const char *path, char **argv, struct reply *reply)
{
	return exec_and_wait(path, -1, argv, reply);
}

/* ---- The same command elsewhere ---- */

struct elsewhere {
	int count;
	char **words;
	struct reply *reply;
};

static void *in_thread(void *context)
{
	struct elsewhere *command = context;

	run(command->count, command->words, command->reply);
	return 0;
}

static int run_in_thread(int count, char **words, struct reply *reply)
{
	struct elsewhere command = { count, words, reply };
	pthread_t thread;

	if (pthread_create(&thread, 0, in_thread, &command))
		return EAGAIN;
	pthread_join(thread, 0);
	return reply->error;
}

/* Writes a process's number into a cgroup's file: the process is moved by this one. */
static int move(pid_t pid, const char *procs)
{
	int fd = open(procs, O_WRONLY | O_CLOEXEC), error;

	if (fd < 0)
		return errno;
	error = dprintf(fd, "%d", pid) < 0 ? errno : 0;
	close(fd);
	return error;
}

/* In a child that does nothing before its parent has moved it to another cgroup (its cgroup.procs). */
static int run_moved(const char *procs, int count, char **words, struct reply *reply)
{
	int go[2], answer[2], error;
	pid_t child;
	char byte;

	if (pipe2(go, O_CLOEXEC) || pipe2(answer, O_CLOEXEC))
		return errno;
	child = fork();
	if (child == 0) {
		if (read(go[0], &byte, 1) != 1)
			_exit(1);
		run(count, words, reply);
		dprintf(answer[1], "%d", reply->error);
		_exit(0);
	}
	close(answer[1]);
	error = move(child, procs);
	if (error) {
		kill(child, SIGKILL);
	} else if (write(go[1], "", 1) == 1) {
		read_all(answer[0], reply->text, sizeof(reply->text));
		error = atoi(reply->text);
	}
	close(go[0]);
	close(go[1]);
	close(answer[0]);
	waitpid(child, 0, 0);
	return error;
}

/* In a child, which may start in another cgroup (its directory) from its first instruction. */
static int run_in_child(const char *cgroup, int count, char **words, struct reply *reply)
{
	struct clone_args how = { .exit_signal = SIGCHLD };
	int answer[2], error, fd = -1;
	pid_t child;

	if (pipe2(answer, O_CLOEXEC))
		return errno;
	if (cgroup) {
		fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			return errno;
		how.flags = CLONE_INTO_CGROUP;
		how.cgroup = (unsigned)fd;
	}
	child = (pid_t)syscall(SYS_clone3, &how, sizeof(how));
	if (child < 0)
		return errno;
	if (child == 0) {
		run(count, words, reply);
		dprintf(answer[1], "%d %s", reply->error, reply->text);
		_exit(0);
	}
	close(answer[1]);
	read_all(answer[0], reply->text, sizeof(reply->text));
	close(answer[0]);
	if (fd >= 0)
		close(fd);
	waitpid(child, 0, 0);
	error = atoi(reply->text);
	memmove(reply->text, strchr(reply->text, ' ') + 1, strlen(strchr(reply->text, ' ')));
	return error;
}

/* ---- Many times ---- */

/* Opens a path `times` times: "succeeded denied". */
static int flood(const char *path, int flags, int times, struct reply *reply)
{
	long succeeded = 0, denied = 0;

	for (int i = 0; i < times; i++) {
		int error = try_open(path, flags);

		if (error && error != EACCES)
			return error;
		*(error ? &denied : &succeeded) += 1;
	}
	sprintf(reply->text, "%ld %ld", succeeded, denied);
	return 0;
}

static int try_each(const char *how, const char *path, struct reply *scratch)
{
	char *argv[] = { (char *)path, 0 };

	return *how == 'x' ? try_exec(path, argv, scratch) : try_open(path, *how == 'w' ? O_WRONLY : O_RDONLY);
}

/*
 * Tries pairs of how (r, w, x) and path in turn until a line comes in on standard input: "succeeded denied" of each. Some rest after
 * each round (first word, in microseconds) leaves the reader of the events time to follow.
 * Says "going" first, on a line of its own, once each has been tried.
 */
static int violate(int count, char **words, struct reply *reply)
{
	static struct reply scratch;
	struct pollfd input = { .fd = 0, .events = POLLIN };
	long seen[MAX_WORDS][2] = { 0 };
	char *text = reply->text, line[16];

	for (long round = 0;; round++, usleep((unsigned)atoi(words[0]))) {
		for (int i = 1; i + 1 < count; i += 2) {
			int error = try_each(words[i], words[i + 1], &scratch);

			if (error && error != EACCES)
				return error;
			seen[i][error != 0]++;
		}
		if (round == 0)
			dprintf(1, "0 going\n");
		if (poll(&input, 1, 0) > 0)
			break;
	}
	if (read(0, line, sizeof(line)) < 0)
		return errno;
	for (int i = 1; i + 1 < count; i += 2)
		text += sprintf(text, "%ld %ld ", seen[i][0], seen[i][1]);
	return 0;
}

int run_process(int count, char **words, struct reply *reply)
{
	const char *verb = words[0];

	if (!strcmp(verb, "exec") && count > 1) {
		words[count] = 0;
		return try_exec(words[1], words + 1, reply);
	}
	if (!strcmp(verb, "replace") && count > 1) {
		words[count] = 0;
		execve(words[1], words + 1, words + count);
		return errno;
	}
	if (!strcmp(verb, "execfd") && count > 1) {
		words[count] = 0;
		return exec_and_wait(0, atoi(words[1]), words + 1, reply);
	}
	if (!strcmp(verb, "thread") && count > 1)
		return run_in_thread(count - 1, words + 1, reply);
	if (!strcmp(verb, "fork") && count > 1)
		return run_in_child(0, count - 1, words + 1, reply);
	if (!strcmp(verb, "into") && count > 2)
		return run_in_child(words[1], count - 2, words + 2, reply);
	if (!strcmp(verb, "moved") && count > 2)
		return run_moved(words[1], count - 2, words + 2, reply);
	if (!strcmp(verb, "flood") && count > 3)
		return flood(words[1], atoi(words[2]), atoi(words[3]), reply);
	if (!strcmp(verb, "violate"))
		return violate(count - 1, words + 1, reply);
	return -1;
}
