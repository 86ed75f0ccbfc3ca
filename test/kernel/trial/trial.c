// SPDX-License-Identifier: Apache-2.0
/*
 * Tries things where policies apply and says exactly what the kernel answered. Static, so that starting it opens no other file.
 *
 *   trial serve              commands from standard input, one a line; a reply for each: "<errno> <text>"
 *   trial once WORD...       one command
 *   trial (anything else)    says "ran": a program to execute
 *
 * Words are percent-encoded: names may hold blanks, newlines and bytes above 0x7f.
 */
#define _GNU_SOURCE
#include "trial.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void decode(char *text)
{
	char *out = text;

	for (; *text; text++) {
		unsigned value;

		if (*text == '%' && sscanf(text + 1, "%2x", &value) == 1) {
			*out++ = (char)value;
			text += 2;
		} else {
			*out++ = *text;
		}
	}
	*out = 0;
}

int try_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0644);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int try_openat2(const char *path, int flags, int resolve)
{
	struct open_how how = { .flags = (unsigned)flags, .resolve = (unsigned)resolve };
	int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

/* Keeps the file open: the reply's text is its number. */
static int keep(int fd, struct reply *reply)
{
	if (fd < 0)
		return errno;
	sprintf(reply->text, "%d", fd);
	return 0;
}

static int copy(const char *from, int to)
{
	char buffer[65536];
	int fd = open(from, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return errno;
	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		if (write(to, buffer, (size_t)n) != n)
			return EIO;
	close(fd);
	return 0;
}

static int memory_file(const char *from, struct reply *reply)
{
	int fd = (int)syscall(SYS_memfd_create, "trial", 0), error = copy(from, fd);

	return error ? error : keep(fd, reply);
}

/* A new directory inside the last one, `count` times; the working directory is the deepest. */
static int descend(const char *name, int count)
{
	for (int i = 0; i < count; i++) {
		if (mkdir(name, 0755) && errno != EEXIST)
			return errno;
		if (chdir(name))
			return errno;
	}
	return 0;
}

static int result(long value)
{
	return value < 0 ? errno : 0;
}

/* A file by its handle alone, without a name (open_by_handle_at): asked for once, opened later. */
static struct {
	struct file_handle head;
	unsigned char rest[MAX_HANDLE_SZ];
} handle;

static int ask_handle(const char *path)
{
	int mount_id;

	handle.head.handle_bytes = MAX_HANDLE_SZ;
	return result(name_to_handle_at(AT_FDCWD, path, &handle.head, &mount_id, 0));
}

static int open_handle(const char *mount_path, int flags)
{
	int mount_fd = open(mount_path, O_RDONLY | O_CLOEXEC), fd = mount_fd < 0 ? -1 : open_by_handle_at(mount_fd, &handle.head, flags | O_CLOEXEC);
	int error = fd < 0 ? errno : 0;

	close(fd);
	close(mount_fd);
	return error;
}

static int run_file(int count, char **words, struct reply *reply)
{
	const char *verb = words[0], *a = count > 1 ? words[1] : "", *b = count > 2 ? words[2] : "", *c = count > 3 ? words[3] : "";
	int pair[2];

	if (!strcmp(verb, "open"))
		return try_open(a, atoi(b));
	if (!strcmp(verb, "openat2"))
		return try_openat2(a, atoi(b), atoi(c));
	if (!strcmp(verb, "keep"))
		return keep(open(a, atoi(b) | O_CLOEXEC, 0644), reply);
	if (!strcmp(verb, "handle"))
		return ask_handle(a);
	if (!strcmp(verb, "openhandle"))
		return open_handle(a, atoi(b));
	if (!strcmp(verb, "opentree"))
		return keep((int)syscall(SYS_open_tree, AT_FDCWD, a, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC), reply);
	if (!strcmp(verb, "close"))
		return result(close(atoi(a)));
	if (!strcmp(verb, "memfd"))
		return memory_file(a, reply);
	if (!strcmp(verb, "pipe"))
		return pipe(pair) ? errno : keep(pair[0], reply);
	if (!strcmp(verb, "socket"))
		return socketpair(AF_UNIX, SOCK_STREAM, 0, pair) ? errno : keep(pair[0], reply);
	if (!strcmp(verb, "rename"))
		return result(rename(a, b));
	if (!strcmp(verb, "link"))
		return result(link(a, b));
	if (!strcmp(verb, "symlink"))
		return result(symlink(a, b));
	if (!strcmp(verb, "unlink"))
		return result(unlink(a));
	if (!strcmp(verb, "mkdir"))
		return result(mkdir(a, 0755));
	if (!strcmp(verb, "descend"))
		return descend(a, atoi(b));
	if (!strcmp(verb, "chdir"))
		return result(chdir(a));
	return -1;
}

static int set_namespace(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), error = fd < 0 ? errno : result(setns(fd, 0));

	close(fd);
	return error;
}

static int run_task(int count, char **words, struct reply *reply)
{
	const char *verb = words[0], *a = count > 1 ? words[1] : "", *b = count > 2 ? words[2] : "", *c = count > 3 ? words[3] : "";
	int flags = count > 4 ? atoi(words[4]) : 0;

	if (!strcmp(verb, "pid")) {
		sprintf(reply->text, "%d", getpid());
		return 0;
	}
	if (!strcmp(verb, "mount"))
		return result(mount(a, b, c, (unsigned long)flags, count > 5 ? words[5] : 0));
	if (!strcmp(verb, "idmap"))
		return mount_with_ids(a, b, c);
	if (!strcmp(verb, "umount"))
		return result(umount2(a, MNT_DETACH));
	if (!strcmp(verb, "unshare"))
		return result(unshare(atoi(a)));
	if (!strcmp(verb, "setns"))
		return set_namespace(a);
	if (!strcmp(verb, "pivot"))
		return syscall(SYS_pivot_root, a, b) ? errno : result(chdir("/"));
	if (!strcmp(verb, "chroot"))
		return chroot(a) ? errno : result(chdir("/"));
	if (!strcmp(verb, "fsuid")) {
		setfsuid((uid_t)atoi(a));
		return 0;
	}
	return -1;
}

void run(int count, char **words, struct reply *reply)
{
	int (*const parts[])(int, char **, struct reply *) = { run_file, run_task, run_process, run_uring };

	reply->text[0] = 0;
	reply->error = -1;
	for (unsigned i = 0; i < 4 && reply->error < 0; i++)
		reply->error = parts[i](count, words, reply);
	if (reply->error < 0) {
		sprintf(reply->text, "no such command: %.40s", words[0]);
		reply->error = ENOSYS;
	}
}

static void answer(const struct reply *reply)
{
	dprintf(1, "%d %s\n", reply->error, reply->text);
}

static int split(char *line, char **words)
{
	int count = 0;

	for (char *word = strtok(line, " \n"); word && count < MAX_WORDS; word = strtok(0, " \n")) {
		decode(word);
		words[count++] = word;
	}
	return count;
}

/* Byte by byte: a command may look at standard input itself (see `violate`). */
static int read_line(char *line, size_t size)
{
	for (size_t at = 0; at + 1 < size; at++) {
		if (read(0, line + at, 1) != 1)
			return 0;
		if (line[at] == '\n') {
			line[at] = 0;
			return 1;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	static struct reply reply;
	static char line[65536];
	char *words[MAX_WORDS];

	if (argc > 2 && !strcmp(argv[1], "once")) {
		run(argc - 2, argv + 2, &reply);
		answer(&reply);
		return 0;
	}
	if (argc < 2 || strcmp(argv[1], "serve"))
		return write(1, "ran", 3) == 3 ? 0 : 1;
	while (read_line(line, sizeof(line))) {
		int count = split(line, words);

		if (count == 0)
			continue;
		run(count, words, &reply);
		answer(&reply);
	}
	return 0;
}
