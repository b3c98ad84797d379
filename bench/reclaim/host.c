/* SPDX-License-Identifier: MIT */
/*
 * The host's side: a memory cgroup (version 1) and a swap file.
 *
 *   program ---socket--- keeper          makes both, says so, and waits
 *      |                                 the socket ends (however the program does): ends what is
 *   child, in the cgroup                 left in the cgroup, removes both
 *
 * The keeper has a session of its own and ignores all signals that can be, so that ^C ends the
 * program only.
 */
#define _GNU_SOURCE
#include "reclaim.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CGROUPS "/sys/fs/cgroup/memory"
#define NAMES 256

static int keeper_fd = -1;
static pid_t keeper;
static char group[NAMES], file[PATH_MAX];

/* what is set up ------------------------------------------------------------------ */

static int write_text(const char *name, const char *text)
{
	char path[NAMES + 64];
	ssize_t n;
	int fd, err;

	snprintf(path, sizeof(path), "%s/%s", group, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	err = n < 0 ? -errno : 0;
	close(fd);
	return err;
}

static int write_number(const char *name, unsigned long long number)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", number);
	return write_text(name, text);
}

/* A header as mkswap(8) writes it, and zeros: a file with holes is refused. */
static int fill_swap_file(int fd, unsigned long pages)
{
	struct {
		char boot[1024];
		uint32_t version, last_page, bad_pages;
		char rest[PAGE - 1024 - 12 - 10];
		char magic[10];
	} __attribute__((packed)) header = { .version = 1, .last_page = (uint32_t)pages };

	_Static_assert(sizeof(header) == PAGE, "one page");
	memcpy(header.magic, "SWAPSPACE2", sizeof(header.magic));
	if (write(fd, &header, sizeof(header)) != (ssize_t)sizeof(header))
		return -1;
	memset(&header, 0, sizeof(header));
	for (unsigned long i = 0; i < pages; i++)
		if (write(fd, &header, sizeof(header)) != (ssize_t)sizeof(header))
			return -1;
	return fsync(fd);
}

static const char *make_swap(const char *dir, unsigned long pages)
{
	static char why[160];
	int fd, err;

	snprintf(file, sizeof(file), "%s/samara-swap-XXXXXX", dir);
	fd = mkostemp(file, O_CLOEXEC);
	if (fd < 0) {
		file[0] = '\0';
		snprintf(why, sizeof(why), "no file in %.64s: %s", dir, strerror(errno));
		return why;
	}
	err = fill_swap_file(fd, pages);
	close(fd);
	if (!err)
		err = swapon(file, SWAP_FLAG_PREFER | 32767);
	if (!err)
		return NULL;
	snprintf(why, sizeof(why), "swapon: %s", strerror(errno));
	return why;
}

static const char *make_group(unsigned long ram_pages)
{
	static char why[160];
	int err;

	snprintf(group, sizeof(group), CGROUPS "/samara-reclaim-%d", (int)getpid());
	if (mkdir(group, 0755)) {
		group[0] = '\0';
		snprintf(why, sizeof(why), "no memory cgroup in %s: %s", CGROUPS, strerror(errno));
		return why;
	}
	err = write_number("memory.limit_in_bytes", (unsigned long long)ram_pages * PAGE);
	if (!err)
		return NULL;
	snprintf(why, sizeof(why), "memory.limit_in_bytes: %s", strerror(-err));
	return why;
}

/* the keeper ---------------------------------------------------------------------- */

/* What the program has left in its cgroup. */
static bool end_members(void)
{
	char path[NAMES + 64];
	bool any = false;
	FILE *f;
	int pid;

	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	f = fopen(path, "re");
	while (f && fscanf(f, "%d", &pid) == 1) {
		kill(pid, SIGKILL);
		any = true;
	}
	if (f)
		fclose(f);
	return any;
}

static void undo(void)
{
	static const struct timespec nap = { .tv_nsec = 20000000 };

	for (int i = 0; group[0] && i < 500 && rmdir(group); i++) {
		end_members();
		nanosleep(&nap, NULL);
	}
	if (file[0]) {
		swapoff(file);
		unlink(file);
	}
}

static void say(int fd, const char *text)
{
	if (send(fd, text, strlen(text) + 1, MSG_NOSIGNAL) < 0)
		return; /* the program has ended: the next read says so too */
}

static __attribute__((noreturn)) void keep(int fd, const char *dir, unsigned long ram_pages,
					   unsigned long swap_pages)
{
	const char *why;
	char byte;

	setsid();
	for (int sig = 1; sig < NSIG; sig++)
		if (sig != SIGCHLD)
			signal(sig, SIG_IGN);
	why = make_group(ram_pages);
	if (!why)
		why = make_swap(dir, swap_pages);
	say(fd, why ? why : group);
	while (read(fd, &byte, 1) > 0)
		;
	undo();
	_exit(0);
}

const char *host_open(const char *dir, unsigned long ram_pages, unsigned long swap_pages)
{
	static char answer[NAMES];
	ssize_t n;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return "no socket";
	keeper = fork();
	if (keeper < 0)
		return "no process";
	if (!keeper) {
		close(ends[0]);
		keep(ends[1], dir, ram_pages, swap_pages);
	}
	close(ends[1]);
	keeper_fd = ends[0];
	n = read(keeper_fd, answer, sizeof(answer) - 1);
	if (n <= 0)
		return "its keeper has ended";
	if (answer[0] != '/')
		return answer;
	snprintf(group, sizeof(group), "%s", answer);
	return NULL;
}

void host_close(void)
{
	if (keeper_fd < 0)
		return;
	close(keeper_fd);
	keeper_fd = -1;
	waitpid(keeper, NULL, 0);
}

/* measuring ----------------------------------------------------------------------- */

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static unsigned long long vmstat(const char *name)
{
	unsigned long long value = 0, found = 0;
	char word[64];
	FILE *f = fopen("/proc/vmstat", "re");

	while (f && fscanf(f, "%63s %llu", word, &value) == 2)
		if (!strcmp(word, name))
			found = value;
	if (f)
		fclose(f);
	return found;
}

/* What has happened until now: the whole system's for pages swapped, this process's else. */
static void stand(struct result *r)
{
	struct rusage usage;
	struct timespec now;

	getrusage(RUSAGE_SELF, &usage);
	clock_gettime(CLOCK_MONOTONIC, &now);
	r->cpu = seconds(usage.ru_utime) + seconds(usage.ru_stime);
	r->wall = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
	r->major = (unsigned long long)usage.ru_majflt;
	r->in = vmstat("pswpin");
	r->out = vmstat("pswpout");
}

static bool pages_are_right(const struct string *s, const volatile char *at)
{
	for (uint32_t p = 0; p < s->pages; p++)
		if (*(const volatile uint64_t *)(at + p * PAGE + word_in(p)) !=
		    word_of(p, s->last[p]))
			return false;
	return true;
}

void host_run(const struct string *s, enum memory memory, struct result *r)
{
	struct result before = { .cpu = 0 };
	volatile char *at;
	uint64_t sum = 0;

	if (memory == MEMORY_SHORT && write_number("cgroup.procs", (unsigned long long)getpid())) {
		snprintf(r->error, sizeof(r->error), "no entry to the cgroup");
		return;
	}
	at = mmap(NULL, s->pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		  0);
	if (at == MAP_FAILED) {
		snprintf(r->error, sizeof(r->error), "mmap: %s", strerror(errno));
		return;
	}
	(void)madvise((void *)at, s->pages * PAGE, MADV_NOHUGEPAGE);
	for (uint32_t p = 0; p < s->pages; p++)
		*(volatile uint64_t *)(at + p * PAGE + word_in(p)) = word_of(p, 0);
	stand(&before);
	for (size_t i = 0; i < s->n; i++) {
		const uint32_t page = s->at[i] & ~STRING_WRITES;
		volatile uint64_t *word = (volatile uint64_t *)(at + page * PAGE + word_in(page));

		if (s->at[i] & STRING_WRITES)
			*word = word_of(page, (uint32_t)i + 1);
		else
			sum += *word;
	}
	stand(r);
	r->cpu -= before.cpu;
	r->wall -= before.wall;
	r->major -= before.major;
	r->in -= before.in;
	r->out -= before.out;
	if (!sum || !pages_are_right(s, at))
		snprintf(r->error, sizeof(r->error), "a page is not what was written");
}
