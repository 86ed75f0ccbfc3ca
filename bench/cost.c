// SPDX-License-Identifier: Apache-2.0
/*
 * What Merlon adds to operations, in instructions. Runs in a guest whose clock counts instructions (icount), so a nanosecond is an
 * instruction. Loads the BPF object itself: Node would take minutes to start here.
 *
 *   cost OBJECT TABLE_1 TABLE_1000 TABLE_ALLOW
 *
 * Prints lines: configuration, workload, instructions per operation (best of ROUNDS).
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../bpf/abi.h"
#include "../bpf/table.h"

#define ROUNDS 5
/* Attached only while a table has file rules (agent/on-demand.ts). */
#define ON_DEMAND "merlon_file_open"
#define FILES 128
#define CGROUP "/sys/fs/cgroup/bench"
#define FILE_PATH "/tmp/bench/data/file"

static void check(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		exit(1);
	}
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

/* ---- Workloads ---- */

static void open_same(int n)
{
	for (int i = 0; i < n; i++)
		close(open(FILE_PATH, O_RDONLY));
}

static void open_many(int n)
{
	static char paths[FILES][48];
	static int made;

	for (; made < FILES; made++)
		snprintf(paths[made], sizeof(paths[made]), "/tmp/bench/data/%03d", made);
	for (int i = 0; i < n; i++)
		close(open(paths[i % FILES], O_RDONLY));
}

static void open_deep(int n)
{
	for (int i = 0; i < n; i++)
		close(open("/tmp/bench/data/a/b/c/d/e/f/g/h/i/j/file", O_RDONLY));
}

static void stat_same(int n)
{
	struct stat s;

	for (int i = 0; i < n; i++)
		stat(FILE_PATH, &s);
}

static void write_same(int n)
{
	int fd = open("/tmp/bench/data/out", O_WRONLY | O_CREAT, 0600);

	for (int i = 0; i < n; i++)
		pwrite(fd, "x", 1, 0);
	close(fd);
}

static void fork_exit(int n)
{
	for (int i = 0; i < n; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
}

static void spawn_exit(int n)
{
	for (int i = 0; i < n; i++) {
		char *argv[] = { "true", NULL };
		pid_t pid;

		check(posix_spawn(&pid, "/tmp/bench/true", NULL, NULL, argv, NULL) == 0, "posix_spawn");
		waitpid(pid, NULL, 0);
	}
}

static const struct {
	const char *name;
	void (*run)(int n);
	int n;
} workloads[] = {
	{ "open+close, same file", open_same, 1800 },
	{ "open+close, 128 files", open_many, 1792 },
	{ "open+close, 13 directories deep", open_deep, 1000 },
	{ "stat", stat_same, 2000 },
	{ "pwrite 1 B", write_same, 2000 },
	{ "fork+exit", fork_exit, 60 },
	{ "spawn+exit", spawn_exit, 40 },
};

#define WORKLOADS (sizeof(workloads) / sizeof(workloads[0]))

/* The worker exists before anything is loaded: a fork copies its own memory, not the loader's. */
static uint64_t *results;
static int to_worker[2], from_worker[2];

/* The loader empties the ring of events, outside of what is measured: a round's records fit into the half that logs may take. */
static void have_emptied(void)
{
	char done;

	check(write(from_worker[1], "e", 1) == 1 && read(to_worker[0], &done, 1) == 1, "empty the ring");
}

static void worker(void)
{
	char command;

	while (read(to_worker[0], &command, 1) == 1) {
		for (size_t w = 0; w < WORKLOADS; w++) {
			workloads[w].run(workloads[w].n / 4 + 1);
			results[w] = UINT64_MAX;
			for (int r = 0; r < ROUNDS; r++) {
				uint64_t start, spent;

				have_emptied();
				start = now();
				workloads[w].run(workloads[w].n);
				spent = (now() - start) / workloads[w].n;
				if (spent < results[w])
					results[w] = spent;
			}
		}
		check(write(from_worker[1], "d", 1) == 1, "write");
	}
	exit(0);
}

static struct ring_buffer *ring;

static void measure(const char *configuration)
{
	char said;

	check(write(to_worker[1], "g", 1) == 1, "write");
	while (read(from_worker[0], &said, 1) == 1 && said == 'e') {
		if (ring)
			ring_buffer__consume(ring);
		check(write(to_worker[1], "c", 1) == 1, "write");
	}
	check(said == 'd', "read");
	for (size_t w = 0; w < WORKLOADS; w++)
		printf("%s\t%s\t%llu\n", configuration, workloads[w].name, (unsigned long long)results[w]);
	fflush(stdout);
}

/* ---- Loading ---- */

static struct bpf_object *object;
static struct bpf_link *links[16];
static int link_count;

static int fd_of(const char *map)
{
	return bpf_object__find_map_fd_by_name(object, map);
}

static void attach(struct bpf_program *program)
{
	links[link_count] = bpf_program__attach(program);
	check(links[link_count++] != NULL, "attach");
}

static void load(const char *path)
{
	struct bpf_program *program;
	struct bpf_map *map;
	struct stat s;
	uint32_t config;

	object = bpf_object__open_file(path, NULL);
	check(object != NULL, "open object");
	check(stat("/proc/self/ns/mnt", &s) == 0, "stat");
	config = s.st_ino;
	map = bpf_object__find_map_by_name(object, ".rodata.config");
	check(map && bpf_map__set_initial_value(map, &config, sizeof(config)) == 0, "set .rodata.config");
	bpf_map__set_max_entries(bpf_object__find_map_by_name(object, "scratch"), MERLON_SCRATCH_SHARED + MERLON_SCRATCH_PER_CPU * libbpf_num_possible_cpus());
	check(bpf_object__load(object) == 0, "load object");
	bpf_object__for_each_program(program, object)
		if (strcmp(bpf_program__name(program), ON_DEMAND))
			attach(program);
}

static void put_table(uint32_t slot, const char *path)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_INNER_MAP);
	static uint32_t serial, counter_base;
	struct merlon_table *head;
	int cpus = libbpf_num_possible_cpus();
	uint64_t zero[256] = { 0 };
	struct stat s;
	uint8_t *bytes;
	int fd, file = open(path, O_RDONLY);

	check(file >= 0 && fstat(file, &s) == 0, path);
	bytes = malloc(s.st_size);
	check(read(file, bytes, s.st_size) == s.st_size, "read table");
	close(file);
	head = (struct merlon_table *)bytes;
	head->stamp.generation = head->stamp.serial = ++serial;
	head->stamp.slot = slot;
	head->stamp.counter_base = counter_base;
	check(cpus <= 256, "cpus");
	for (uint32_t c = 0; c <= head->clauses; c++, counter_base++)
		check(bpf_map_update_elem(fd_of("counters"), &counter_base, zero, 0) == 0, "counter");
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "table", 4, MERLON_PAGE, head->pages, &options);
	check(fd >= 0, "create table");
	for (uint32_t page = 0; page < head->pages; page++)
		check(bpf_map_update_elem(fd, &page, bytes + page * MERLON_PAGE, 0) == 0, "write page");
	check(bpf_map_update_elem(fd_of("tables"), &slot, &fd, 0) == 0, "slot");
	close(fd);
	free(bytes);
}

static void bind(uint32_t slot, uint16_t visible)
{
	struct merlon_binding binding = { .slot = slot, .kind = MERLON_BIND_PLAIN, .visible = visible };
	static struct merlon_control control;
	uint32_t zero = 0;
	uint64_t id;
	struct stat s;

	check(stat(CGROUP, &s) == 0, "stat cgroup");
	id = s.st_ino;
	check(bpf_map_update_elem(fd_of("bindings"), &id, &binding, 0) == 0, "bind");
	control.bind_epoch++;
	check(bpf_map_update_elem(fd_of("control"), &zero, &control, 0) == 0, "control");
}

static uint64_t records;

static int count_record(void *context, void *data, size_t size)
{
	records++;
	return 0;
}

static uint64_t stat_of(uint32_t stat)
{
	uint64_t values[256] = { 0 }, sum = 0;

	check(bpf_map_lookup_elem(fd_of("stats"), &stat, values) == 0, "stat");
	for (int cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++)
		sum += values[cpu];
	return sum;
}

int main(int argc, char **argv)
{
	FILE *procs;
	pid_t pid;

	check(argc == 5, "usage: cost OBJECT TABLE_1 TABLE_1000 TABLE_ALLOW");
	results = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check(pipe(to_worker) == 0 && pipe(from_worker) == 0, "pipe");
	mkdir(CGROUP, 0755);
	pid = fork();
	if (!pid)
		worker();
	procs = fopen(CGROUP "/cgroup.procs", "w");
	check(procs && fprintf(procs, "%d", pid) > 0 && fclose(procs) == 0, "enter cgroup");
	sleep(120); /* virtual: the guest settles */
	measure("throw-away");
	measure("base");
	measure("base again");
	load(argv[1]);
	measure("loaded, no file rules on the node");
	attach(bpf_object__find_program_by_name(object, ON_DEMAND));
	measure("loaded, not bound");
	put_table(1, argv[2]);
	put_table(2, argv[3]);
	put_table(3, argv[4]);
	bind(1, 0);
	measure("bound, 1 rule");
	bind(2, 0);
	measure("bound, 1,000 rules");
	bind(3, 0);
	measure("bound, allow-list, matched");
	ring = ring_buffer__new(fd_of("events"), count_record, NULL, NULL);
	check(ring != NULL, "open ring");
	bind(0, MERLON_VISIBLE_PROCESS | MERLON_VISIBLE_FILE);
	measure("no rules, visible");
	check(records > 20000 && !stat_of(MERLON_STAT_LOGS_LOST), "all that is visible is recorded");
	while (link_count)
		bpf_link__destroy(links[--link_count]);
	measure("base last");
	return 0;
}
