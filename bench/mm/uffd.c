/* SPDX-License-Identifier: MIT */
/*
 * userfaultfd beside the host's: answered faults, write protection, minor faults, and the scan for
 * what was written.
 *
 * The handler of the first row is a thread on another core, as a program would have it. The other
 * rows are requests over ranges that have pages.
 */
#define _GNU_SOURCE
#include "mm.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <samara/access.h>
#include <samara/uffd.h>

#include "../support/pin.h"
#include "touch.h"

#define RW (PROT_READ | PROT_WRITE)
#define PAGES 4096UL     /* of a range: 16 MiB */
#define FAULTS 512UL     /* one by one */
#define SCAN (1UL << 18) /* 1 GiB */
#define SPARSE 64UL      /* of the scanned pages one in so many was written */
#define TIMES 4

/* One userfaultfd, and what it is about. */
struct served {
	const struct side *s;
	int fd;                   /* the host's */
	struct samara_uffd *ours; /* ours */
	unsigned long at, faults;
	int cpu; /* the handler's */
};

static void request(const struct served *v, unsigned long nr, void *arg)
{
	int err;

	if (v->s->kind == HOST)
		err = ioctl(v->fd, nr, arg) ? -errno : 0;
	else
		err = samara_uffd_ioctl(v->ours, nr, arg);
	if (!err)
		return;
	fprintf(stderr, "%s: userfaultfd request %#lx: %s\n", bench_name, nr, strerror(-err));
	exit(1);
}

static int host_open(void)
{
	return (int)syscall(SYS_userfaultfd, O_CLOEXEC);
}

static void served_open(struct served *v, const struct side *s, unsigned long long features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };

	*v = (struct served){ .s = s, .fd = -1 };
	if (s->kind == HOST)
		v->fd = host_open();
	if (s->kind == HOST ? v->fd < 0 : samara_uffd_create(s->mm, 0, &v->ours))
		broken("userfaultfd");
	request(v, UFFDIO_API, &api);
}

static void served_close(const struct served *v)
{
	if (v->s->kind == HOST)
		close(v->fd);
	else
		samara_uffd_put(v->ours);
}

static void watch(const struct served *v, unsigned long at, unsigned long pages,
		  unsigned long long mode)
{
	struct uffdio_register reg = { .range = { at, pages * PAGE }, .mode = mode };

	request(v, UFFDIO_REGISTER, &reg);
}

static unsigned long fresh(const struct side *s, unsigned long pages)
{
	side_map(s, s->spare, pages, RW);
	if (s->kind == HOST)
		(void)madvise((void *)s->spare, pages * PAGE, MADV_NOHUGEPAGE);
	return s->spare;
}

/* A missing page, answered by another thread ---------------------------------- */

static void *serve(void *arg)
{
	static char page[PAGE];
	const struct served *v = arg;

	(void)bench_pin(v->cpu);
	for (unsigned long n = 0; n < v->faults; n++) {
		struct uffdio_copy copy = { .src = (unsigned long)page, .len = PAGE };
		struct uffd_msg msg;

		if (v->s->kind == HOST ? read(v->fd, &msg, sizeof(msg)) != sizeof(msg) :
					 samara_uffd_read(v->ours, &msg, 1) != sizeof(msg))
			broken("reading a message");
		copy.dst = msg.arg.pagefault.address & ~(PAGE - 1);
		request(v, UFFDIO_COPY, &copy);
	}
	return NULL;
}

BATCH missing(const struct run *r, const struct side *s, size_t n)
{
	struct served v;
	pthread_t thread;
	double start, ns;

	(void)n;
	served_open(&v, s, 0);
	v.at = fresh(s, FAULTS);
	v.faults = FAULTS;
	v.cpu = sched_getcpu() ? 0 : (int)(sysconf(_SC_NPROCESSORS_ONLN) - 1);
	watch(&v, v.at, FAULTS, UFFDIO_REGISTER_MODE_MISSING);
	if (pthread_create(&thread, NULL, serve, &v))
		broken("a thread");
	get(s, v.at); /* the thread runs */
	start = bench_read(&r->clock);
	for (unsigned long i = 1; i < FAULTS; i++)
		get(s, v.at + i * PAGE);
	ns = per_call(r, start, FAULTS - 1);
	pthread_join(thread, NULL);
	served_close(&v);
	side_unmap(s, v.at, FAULTS);
	return ns;
}

/* Ranges ------------------------------------------------------------------------ */

BATCH writeprotect(const struct run *r, const struct side *s, size_t n)
{
	const unsigned long at = fresh(s, PAGES);
	struct uffdio_writeprotect wp = { .range = { at, PAGES * PAGE } };
	struct served v;
	double start, ns;

	(void)n;
	for (unsigned long i = 0; i < PAGES; i++)
		put(s, at + i * PAGE);
	served_open(&v, s, UFFD_FEATURE_PAGEFAULT_FLAG_WP);
	watch(&v, at, PAGES, UFFDIO_REGISTER_MODE_WP);
	start = bench_read(&r->clock);
	for (int i = 0; i < 2 * TIMES; i++) {
		wp.mode = i % 2 ? 0 : UFFDIO_WRITEPROTECT_MODE_WP;
		request(&v, UFFDIO_WRITEPROTECT, &wp);
	}
	ns = per_call(r, start, 2 * TIMES * PAGES);
	served_close(&v);
	side_unmap(s, at, PAGES);
	return ns;
}

/* A memfd mapped at two places; the second is for its owner. */
static void map_twice(const struct side *s, unsigned long pages, unsigned long at[2])
{
	struct samara_file *file = NULL;
	int fd = -1;

	if (s->kind == HOST)
		fd = memfd_create("bench", MFD_CLOEXEC);
	if (s->kind == HOST ? fd < 0 || ftruncate(fd, (off_t)(pages * PAGE)) :
			      samara_file_memfd(ours_machine(), "bench", pages * PAGE, &file))
		broken("memfd_create");
	for (unsigned long i = 0; i < 2; i++) {
		const unsigned long want = s->spare + i * pages * PAGE;
		const int flags = MAP_SHARED | MAP_FIXED;

		at[i] = s->kind == HOST ?
				(unsigned long)mmap((void *)want, pages * PAGE, RW, flags, fd, 0) :
				samara_mmap(s->mm, want, pages * PAGE, RW, flags, file, 0);
		if (at[i] != want)
			broken("mmap");
	}
	if (s->kind == HOST)
		close(fd);
	else
		samara_file_put(file);
}

static void drop_pages(const struct side *s, unsigned long at, unsigned long pages)
{
	if (s->kind == HOST ? madvise((void *)at, pages * PAGE, MADV_DONTNEED) :
			      samara_madvise(s->mm, at, pages * PAGE, MADV_DONTNEED))
		broken("madvise");
}

BATCH minor(const struct run *r, const struct side *s, size_t n)
{
	unsigned long at[2];
	struct served v;
	double ns = 0;

	(void)n;
	map_twice(s, PAGES, at);
	for (unsigned long i = 0; i < PAGES; i++)
		put(s, at[1] + i * PAGE);
	served_open(&v, s, UFFD_FEATURE_MINOR_SHMEM);
	watch(&v, at[0], PAGES, UFFDIO_REGISTER_MODE_MINOR);
	for (int i = 0; i < TIMES; i++) {
		struct uffdio_continue cont = { .range = { at[0], PAGES * PAGE } };
		const double start = bench_read(&r->clock);

		request(&v, UFFDIO_CONTINUE, &cont);
		ns += per_call(r, start, TIMES * PAGES);
		drop_pages(s, at[0], PAGES);
	}
	served_close(&v);
	side_unmap(s, at[0], 2 * PAGES);
	return ns;
}

/* Who wrote what ---------------------------------------------------------------- */

static struct page_region found[SCAN / SPARSE + 1];
static int pagemap = -1;

static long scan(const struct side *s, unsigned long at, unsigned long long flags)
{
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = flags,
		.start = at,
		.end = at + SCAN * PAGE,
		.category_mask = PAGE_IS_WRITTEN,
		.return_mask = PAGE_IS_WRITTEN,
	};

	if (!flags) {
		arg.vec = (unsigned long)found;
		arg.vec_len = sizeof(found) / sizeof(found[0]);
	}
	return s->kind == HOST ? ioctl(pagemap, PAGEMAP_SCAN, &arg) :
				 samara_pagemap_scan(s->mm, &arg);
}

/* The pages, all protected, one in SPARSE written to since. */
static void scan_begin(struct served *v, const struct side *s)
{
	const unsigned long at = fresh(s, SCAN);

	for (unsigned long i = 0; i < SCAN; i++)
		put(s, at + i * PAGE);
	served_open(v, s, UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED);
	v->at = at;
	watch(v, at, SCAN, UFFDIO_REGISTER_MODE_WP);
	if (scan(s, at, PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC) < 0)
		broken("PAGEMAP_SCAN");
	for (unsigned long i = 0; i < SCAN; i += SPARSE)
		put(s, at + i * PAGE);
}

BATCH scan_gib(const struct run *r, const struct side *s, size_t n)
{
	const double start = bench_read(&r->clock);

	(void)n;
	if (scan(s, s->spare, 0) != SCAN / SPARSE)
		broken("PAGEMAP_SCAN");
	return per_call(r, start, 1);
}

/* Without the host's userfaultfd there is nothing to hold ours against. */
static bool host_can(void)
{
	const int fd = host_open();

	if (fd < 0) {
		fprintf(stderr, "%s: userfaultfd: left out, the host refuses it: %s\n", bench_name,
			strerror(errno));
		return false;
	}
	close(fd);
	return true;
}

void measure_uffd(struct run *r, bool quick)
{
	struct side sides[SIDES];
	struct served v[SIDES];

	if (!host_can())
		return;
	open_sides(sides, 10);
	measure(r, run_figure(r, "missing page, COPY by a thread", 10, 1.0 / 2), sides, missing, 1);
	measure(r, run_figure(r, "UFFDIO_WRITEPROTECT, per page", 10, 1.0 / 4), sides, writeprotect,
		1);
	measure(r, run_figure(r, "UFFDIO_CONTINUE, per page", 10, 1.0 / 4), sides, minor, 1);
	close_sides(sides);
	if (quick)
		return;
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (pagemap < 0)
		broken("/proc/self/pagemap");
	open_sides(sides, 10);
	for (int i = 0; i < SIDES; i++)
		scan_begin(&v[i], &sides[i]);
	measure(r, run_figure(r, "PAGEMAP_SCAN of 1 GiB", 10, 1.0 / 4), sides, scan_gib, 1);
	for (int i = 0; i < SIDES; i++) {
		served_close(&v[i]);
		side_unmap(&sides[i], v[i].at, SCAN);
	}
	close_sides(sides);
	close(pagemap);
}
