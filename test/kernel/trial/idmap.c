// SPDX-License-Identifier: Apache-2.0
/* A mount with owners of its own (mount_setattr, MOUNT_ATTR_IDMAP), as runtimes make them for the volumes of pods with user namespaces. */
#define _GNU_SOURCE
#include "trial.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int write_map(pid_t pid, const char *which, const char *map)
{
	char path[64];
	int fd, error;

	sprintf(path, "/proc/%d/%s", pid, which);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	error = write(fd, map, strlen(map)) < 0 ? errno : 0;
	close(fd);
	return error;
}

/* A user namespace with this map ("inside outside count", lines), as a descriptor; or -1. */
static int user_namespace(const char *map)
{
	int ready[2], fd = -1;
	char path[64], byte;
	pid_t child;

	if (pipe2(ready, O_CLOEXEC))
		return -1;
	child = fork();
	if (child == 0) {
		if (unshare(CLONE_NEWUSER) || write(ready[1], "", 1) != 1)
			_exit(1);
		pause();
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) == 1 && !write_map(child, "uid_map", map) && !write_map(child, "gid_map", map)) {
		sprintf(path, "/proc/%d/ns/user", child);
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	close(ready[0]);
	kill(child, SIGKILL);
	waitpid(child, 0, 0);
	return fd;
}

/* Mounts `from` a second time at `to`: who owns id `inside` in the file system owns `outside` there. */
int mount_with_ids(const char *from, const char *to, const char *map)
{
	int namespace = user_namespace(map), tree, error;
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (unsigned)namespace };

	if (namespace < 0)
		return EPERM;
	tree = (int)syscall(SYS_open_tree, AT_FDCWD, from, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0 || syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) ||
	    syscall(SYS_move_mount, tree, "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH))
		error = errno;
	else
		error = 0;
	close(tree);
	close(namespace);
	return error;
}
