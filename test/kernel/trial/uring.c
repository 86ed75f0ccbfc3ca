// SPDX-License-Identifier: Apache-2.0
/* One openat through io_uring, without liburing. */
#define _GNU_SOURCE
#include "trial.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct ring {
	int fd;
	struct io_uring_params params;
	char *submission, *completion;
	struct io_uring_sqe *entries;
};

static int set_up(struct ring *ring)
{
	struct io_uring_params *p = &ring->params;
	int protection = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_POPULATE;

	memset(ring, 0, sizeof(*ring));
	ring->fd = (int)syscall(SYS_io_uring_setup, 2, p);
	if (ring->fd < 0)
		return errno;
	ring->submission = mmap(0, p->sq_off.array + p->sq_entries * sizeof(unsigned), protection, flags, ring->fd, IORING_OFF_SQ_RING);
	ring->completion = mmap(0, p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe), protection, flags, ring->fd, IORING_OFF_CQ_RING);
	ring->entries = mmap(0, p->sq_entries * sizeof(struct io_uring_sqe), protection, flags, ring->fd, IORING_OFF_SQES);
	if (ring->submission == MAP_FAILED || ring->completion == MAP_FAILED || (void *)ring->entries == MAP_FAILED)
		return errno;
	return 0;
}

/* `async`: the kernel's worker thread does it, not the task that asks. */
static int open_by_ring(const char *path, int flags, int async)
{
	struct ring ring;
	struct io_uring_cqe *done;
	int error = set_up(&ring), result;

	if (error)
		return error;
	memset(ring.entries, 0, sizeof(*ring.entries));
	ring.entries[0].opcode = IORING_OP_OPENAT;
	ring.entries[0].fd = AT_FDCWD;
	ring.entries[0].addr = (unsigned long)path;
	ring.entries[0].open_flags = (unsigned)flags;
	ring.entries[0].flags = async ? IOSQE_ASYNC : 0;
	((unsigned *)(ring.submission + ring.params.sq_off.array))[0] = 0;
	__atomic_store_n((unsigned *)(ring.submission + ring.params.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring.fd, 1, 1, IORING_ENTER_GETEVENTS, 0, 0) < 0)
		return errno;
	done = (struct io_uring_cqe *)(ring.completion + ring.params.cq_off.cqes);
	result = done->res;
	if (result >= 0)
		close(result);
	close(ring.fd);
	return result < 0 ? -result : 0;
}

int run_uring(int count, char **words, struct reply *reply)
{
	(void)reply;
	if (strcmp(words[0], "uring") || count < 4)
		return -1;
	return open_by_ring(words[1], atoi(words[2]), atoi(words[3]));
}
