/* SPDX-License-Identifier: MIT */
/*
 * bench/run: what an agent's batches cost, beside the same calls made by this process itself.
 *
 *   run [--pin] [--quick]
 *
 * Of many samples of each row the twentieth part from the quickest is printed, in microseconds: a
 * host is seldom quiet. --pin: all on one core, as with one core for the program and its agent.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest.h"
#include "support/clock.h"
#include "support/pin.h"

#define PAGE 4096UL
#define WINDOW 0x300000000000UL
#define PAGES 128UL
#define RAM_PAGES 1024UL
#define RW (PROT_READ | PROT_WRITE)
#define ALL_MODES \
	(UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_MINOR | UFFDIO_REGISTER_MODE_WP)

/* Steps are the guest's through its agent, or made here. */
struct side {
	struct bench_guest *guest; /* NULL: here */
	struct batch batch;
	int ram, uffd;
};

static void do_call(struct side *s, long nr, const unsigned long arg[6])
{
	if (s->guest)
		batch_call(&s->batch, nr, arg);
	else if (syscall(nr, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]) < 0 &&
		 nr != SYS_getppid)
		s->batch.err = -errno;
}

static void call3(struct side *s, long nr, unsigned long x, unsigned long y, unsigned long z)
{
	const unsigned long arg[6] = { x, y, z };

	do_call(s, nr, arg);
}

static void map(struct side *s, unsigned long page, int prot, int flags, unsigned long i)
{
	const unsigned long arg[6] = { WINDOW + page * PAGE,
				       PAGE,
				       (unsigned long)prot,
				       (unsigned long)(flags | MAP_SHARED | MAP_FIXED),
				       s->guest ? AGENT_FD_RAM : (unsigned long)s->ram,
				       (300 + i % 64 * 2) * PAGE };

	do_call(s, SYS_mmap, arg);
}

static void reg(struct side *s, unsigned long page, unsigned long pages)
{
	struct uffdio_register r = { .range = { WINDOW + page * PAGE, pages * PAGE },
				     .mode = ALL_MODES };

	if (s->guest)
		batch_uffd(&s->batch, UFFDIO_REGISTER, &r, sizeof(r));
	else if (ioctl(s->uffd, UFFDIO_REGISTER, &r))
		s->batch.err = -errno;
}

/* rows ----------------------------------------------------------------------------------- */

static void nothing(struct side *s, unsigned long i)
{
	(void)i;
	call3(s, SYS_getppid, 0, 0, 0);
}

static void nothing_32(struct side *s, unsigned long i)
{
	for (int n = 0; n < RING_STEPS; n++)
		nothing(s, i);
}

static void map_over(struct side *s, unsigned long i)
{
	map(s, i % 64 * 2, RW, 0, i);
}

static void map_reg(struct side *s, unsigned long i)
{
	map_over(s, i);
	reg(s, i % 64 * 2, 1);
}

static void fresh(struct side *s, unsigned long i)
{
	map(s, i % 64 * 2, PROT_NONE, 0, i);
	reg(s, i % 64 * 2, 1);
	call3(s, SYS_mprotect, WINDOW + i % 64 * 2 * PAGE, PAGE, RW);
}

static void replace(struct side *s, unsigned long i)
{
	map(s, i % 64 * 2, RW, MAP_POPULATE, i);
	reg(s, i % 64 * 2, 1);
}

static void protect(struct side *s, unsigned long i)
{
	call3(s, SYS_mprotect, WINDOW + i % 64 * 2 * PAGE, PAGE, i & 64 ? RW : PROT_READ);
}

static void zap(struct side *s, unsigned long i)
{
	call3(s, SYS_madvise, WINDOW + i % 64 * 2 * PAGE, PAGE, MADV_DONTNEED);
}

static const struct row {
	const char *name;
	void (*steps)(struct side *s, unsigned long i);
} rows[] = {
	{ "a call that does nothing", nothing },
	{ "32 of them", nothing_32 },
	{ "mmap of a page over another", map_over },
	{ "... and REGISTER", map_reg },
	{ "fresh: PROT_NONE, REGISTER, mprotect", fresh },
	{ "replaced: MAP_POPULATE, REGISTER", replace },
	{ "mprotect", protect },
	{ "MADV_DONTNEED, nothing is there", zap },
};

static int by_size(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* In us. Negative: a call failed. */
static double measure(struct side *s, const struct row *row, unsigned long samples)
{
	const struct bench_clock_state clock = bench_clock_open(BENCH_CLOCK_WALL);
	double *took = malloc(samples * sizeof(*took)), result;

	for (unsigned long i = 0; i < samples; i++) {
		const double start = bench_read(&clock);

		batch_begin(&s->batch, s->guest ? &s->guest->agent : NULL);
		row->steps(s, i);
		if (s->guest ? batch_end(&s->batch) : s->batch.err) {
			free(took);
			return -1;
		}
		took[i] = bench_elapsed(&clock, start, bench_read(&clock));
	}
	qsort(took, samples, sizeof(*took), by_size);
	result = took[samples / 20] / 1000;
	free(took);
	return result;
}

static bool prepare(struct side *s)
{
	static const struct row whole = { "", map_over };
	const unsigned long arg[6] = { WINDOW, PAGES * PAGE, RW, MAP_SHARED | MAP_FIXED,
				       s->guest ? AGENT_FD_RAM : (unsigned long)s->ram };

	batch_begin(&s->batch, s->guest ? &s->guest->agent : NULL);
	do_call(s, SYS_mmap, arg);
	reg(s, 0, PAGES);
	if (s->guest ? batch_end(&s->batch) : s->batch.err)
		return false;
	return measure(s, &whole, 64) >= 0;
}

static int own_uffd(const struct bench_guest *g)
{
	struct uffdio_api api = { .api = UFFD_API, .features = g->agents.features };
	const int fd = g->agents.dev >= 0 ? ioctl(g->agents.dev, USERFAULTFD_IOC_NEW, O_CLOEXEC) :
					    (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	return fd >= 0 && !ioctl(fd, UFFDIO_API, &api) ? fd : -1;
}

static int print_rows(struct bench_guest *g, unsigned long samples)
{
	struct side agent = { .guest = g }, bare = { .ram = g->agents.ram, .uffd = own_uffd(g) };
	int status = 0;

	if (!prepare(&agent) || !prepare(&bare)) {
		fprintf(stderr, "run: the window cannot be mapped and registered\n");
		return 1;
	}
	printf("%-40s %8s %8s %8s\n", "us", "agent", "bare", "more");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const double of_agent = measure(&agent, &rows[i], samples);
		const double of_bare = measure(&bare, &rows[i], samples);

		status |= of_agent < 0 || of_bare < 0;
		printf("%-40s %8.2f %8.2f %8.2f\n", rows[i].name, of_agent, of_bare,
		       of_agent - of_bare);
	}
	printf("%-40s %8.0f\n", "an agent is made behind execve, once", g->born / 1000);
	return status;
}

int main(int argc, char **argv)
{
	unsigned long samples = 4000;
	struct bench_guest g;
	const char *why;
	int status;

	if (argc == 1 && !strcmp(argv[0], "guest"))
		for (;;)
			pause();
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--pin")) {
			bench_pin(0);
		} else if (!strcmp(argv[i], "--quick")) {
			samples = 40;
		} else {
			fprintf(stderr, "usage: run [--pin] [--quick]\n");
			return 2;
		}
	}
	why = guest_start(&g, RAM_PAGES * PAGE);
	if (why) {
		printf("skipped: %s\n", why);
		return 77;
	}
	status = print_rows(&g, samples);
	guest_end(&g);
	return status;
}
