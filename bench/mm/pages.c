/* SPDX-License-Identifier: MIT */
/*
 * Calls and accesses where there are pages: faults, copies, forks.
 *
 * Ours go through samara_write() and samara_read() of one byte, the host's are
 * plain accesses. Frames are recycled on both sides, and few enough to stay in the
 * second-level cache (WARM). Each batch does once what is not measured: the
 * host's fork() write-protects this process, and so the library's memory too, which the next
 * calls of either side would pay for.
 */
#define _GNU_SOURCE
#include "mm.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <samara/access.h>
#include <samara/mm.h>

#include "../support/pin.h"
#include "touch.h"

#define RW (PROT_READ | PROT_WRITE)
#define MANY 4096UL /* pages that calls on ranges find: 16 MiB */
#define WARM 128UL  /* pages that are faulted in: 512 KiB */
#define TIMES 16
#define GIB_PAGES (1UL << 18)

static void put_all(const struct side *s, unsigned long at, unsigned long pages)
{
	for (unsigned long i = 0; i < pages; i++)
		put(s, at + i * PAGE);
}

/* Mapped anew, no page there. */
static unsigned long fresh(const struct side *s, unsigned long pages)
{
	side_map(s, s->spare, pages, RW);
	return s->spare;
}

/* ns a page of one pass; the mean of several after one that is not counted. */
typedef double pass_fn(const struct run *r, const struct side *s);
static double passes(const struct run *r, const struct side *s, pass_fn *pass)
{
	double ns = 0;

	(void)pass(r, s);
	for (int i = 0; i < TIMES; i++)
		ns += pass(r, s);
	return ns / TIMES;
}

static double write_fault_pass(const struct run *r, const struct side *s)
{
	const unsigned long at = fresh(s, WARM);
	const double start = bench_read(&r->clock);
	double ns;

	put_all(s, at, WARM);
	ns = per_call(r, start, WARM);
	side_unmap(s, at, WARM);
	return ns;
}

BATCH write_fault(const struct run *r, const struct side *s, size_t n)
{
	(void)n;
	return passes(r, s, write_fault_pass);
}

static double zero_fault_pass(const struct run *r, const struct side *s)
{
	const unsigned long at = fresh(s, WARM);
	const double start = bench_read(&r->clock);
	double ns;

	for (unsigned long i = 0; i < WARM; i++)
		get(s, at + i * PAGE);
	ns = per_call(r, start, WARM);
	side_unmap(s, at, WARM);
	return ns;
}

BATCH zero_fault(const struct run *r, const struct side *s, size_t n)
{
	(void)n;
	return passes(r, s, zero_fault_pass);
}

/* A child that has what the side has, and does nothing. */
struct child {
	pid_t pid;
	struct samara_mm *mm;
};

static struct child child_make(const struct side *s)
{
	struct child c = { 0 };

	if (s->kind == OURS) {
		if (samara_fork(s->mm, &c.mm))
			broken("samara_fork");
		return c;
	}
	c.pid = fork();
	if (c.pid < 0)
		broken("fork");
	if (!c.pid) {
		for (;;)
			pause();
	}
	return c;
}

static void child_end(const struct side *s, struct child c)
{
	if (s->kind == OURS) {
		samara_mm_exit(c.mm);
		return;
	}
	kill(c.pid, SIGKILL);
	waitpid(c.pid, NULL, 0);
}

static double cow_copy_pass(const struct run *r, const struct side *s)
{
	const unsigned long at = fresh(s, WARM);
	struct child c;
	double start, ns;

	put_all(s, at, WARM);
	c = child_make(s);
	start = bench_read(&r->clock);
	put_all(s, at, WARM);
	ns = per_call(r, start, WARM);
	child_end(s, c);
	side_unmap(s, at, WARM);
	return ns;
}

BATCH cow_copy(const struct run *r, const struct side *s, size_t n)
{
	(void)n;
	return passes(r, s, cow_copy_pass);
}

static double cow_reuse_pass(const struct run *r, const struct side *s)
{
	const unsigned long at = fresh(s, WARM);
	double start, ns;

	put_all(s, at, WARM);
	child_end(s, child_make(s));
	start = bench_read(&r->clock);
	put_all(s, at, WARM);
	ns = per_call(r, start, WARM);
	side_unmap(s, at, WARM);
	return ns;
}

BATCH cow_reuse(const struct run *r, const struct side *s, size_t n)
{
	(void)n;
	return passes(r, s, cow_reuse_pass);
}

BATCH unmap_pages(const struct run *r, const struct side *s, size_t n)
{
	const unsigned long at = fresh(s, MANY);
	double start;

	(void)n;
	put_all(s, at, MANY);
	start = bench_read(&r->clock);
	side_unmap(s, at, MANY);
	return per_call(r, start, MANY);
}

BATCH protect_pages(const struct run *r, const struct side *s, size_t n)
{
	const unsigned long at = fresh(s, MANY);
	double start, ns;

	(void)n;
	put_all(s, at, MANY);
	start = bench_read(&r->clock);
	for (int i = 0; i < 4; i++) {
		side_protect(s, at, MANY, PROT_READ);
		side_protect(s, at, MANY, RW);
	}
	ns = per_call(r, start, 8 * MANY);
	side_unmap(s, at, MANY);
	return ns;
}

/* The call alone: the child's end isn't measured. */
static double fork_call(const struct run *r, const struct side *s)
{
	double start = bench_read(&r->clock), ns;
	struct samara_mm *mm = NULL;
	pid_t pid = 0;

	if (s->kind == OURS ? samara_fork(s->mm, &mm) != 0 : (pid = fork()) < 0)
		broken("fork");
	if (s->kind == HOST && !pid)
		_exit(0);
	ns = per_call(r, start, 1);
	if (s->kind == OURS)
		samara_mm_exit(mm);
	else
		waitpid(pid, NULL, 0);
	return ns;
}

/*
 * The measured one comes behind others. The host's fork has write-protected this process, and what
 * one of our children leaves comes back after a grace period, so that the next one takes other
 * memory: it takes a few until none of it is new.
 */
static double fork_warm(const struct run *r, const struct side *s)
{
	for (int i = 0; i < 4; i++)
		(void)fork_call(r, s);
	return fork_call(r, s);
}

/* One page in each of the slots. */
BATCH fork_vmas(const struct run *r, const struct side *s, size_t n)
{
	(void)n;
	for (size_t i = 0; i < s->vmas; i++)
		put(s, s->base + i * SLOT_STRIDE * PAGE);
	return fork_warm(r, s);
}

BATCH fork_pages(const struct run *r, const struct side *s, size_t n)
{
	(void)n;
	return fork_warm(r, s) / (double)GIB_PAGES;
}

void measure_pages(struct run *r, bool quick)
{
	const struct {
		const char *name;
		batch_fn batch;
		double goal;
	} rows[] = {
		{ "anonymous write fault", write_fault, 1.0 / 6 },
		{ host_has_zero_page() ? "zero-page read fault" : "read fault, no zero page",
		  zero_fault, 1.0 / 6 },
		{ "copy-on-write, copied", cow_copy, 1.0 / 6 },
		{ "copy-on-write, reused", cow_reuse, 1.0 / 6 },
		{ "munmap, per page", unmap_pages, 1.0 / 3 },
		{ "mprotect, per page", protect_pages, 1.0 / 3 },
	};
	struct side sides[SIDES];

	open_sides(sides, quick ? 10 : 1000);
	/* First, while the host's process has little else. */
	measure(r, run_figure(r, "fork", sides[OURS].vmas, 1.0 / 5), sides, fork_vmas, 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		measure(r, run_figure(r, rows[i].name, sides[OURS].vmas, rows[i].goal), sides,
			rows[i].batch, 1);
	close_sides(sides);
	if (quick)
		return;
	open_sides(sides, 10);
	for (int i = 0; i < SIDES; i++) {
		side_map(&sides[i], sides[i].spare, GIB_PAGES, RW);
		if (i == HOST)
			madvise((void *)sides[i].spare, GIB_PAGES * PAGE, MADV_NOHUGEPAGE);
		put_all(&sides[i], sides[i].spare, GIB_PAGES);
	}
	measure(r, run_figure(r, "fork of 1 GiB, per page", 10, 1.0 / 2), sides, fork_pages, 1);
	side_unmap(&sides[HOST], sides[HOST].spare, GIB_PAGES);
	close_sides(sides);
}

/* A hit in the TLB: a byte of each of 64 pages, in turn. */
void measure_hits(struct run *r)
{
	struct side s;
	struct samara_cpu *cpu;
	struct samples ns = { .n = 0 };
	const unsigned long n = 1UL << 20;

	side_begin(&s, OURS, 0);
	side_map(&s, s.spare, 64, RW);
	put_all(&s, s.spare, 64);
	if (samara_cpu_create(ours_machine(), &cpu))
		broken("samara_cpu_create");
	samara_cpu_run(cpu, s.mm);
	for (int round = -1; round < r->rounds; round++) {
		struct samara_fault fault;
		unsigned long sum = 0;
		double start;

		samara_cpu_enter(cpu);
		for (unsigned long i = 0; i < 64; i++)
			(void)samara_cpu_miss(cpu, s.spare + i * PAGE, SAMARA_ACCESS_READ, &fault);
		start = bench_read(&r->clock);
		for (unsigned long i = 0; i < n; i++) {
			/* Not the same line of each page: they would share a set of the cache. */
			const unsigned long page = i & 63, addr = s.spare + page * (PAGE + 64);
			const unsigned char *p = samara_cpu_lookup(cpu, addr, SAMARA_ACCESS_READ);

			if (!p)
				broken("a lookup");
			sum += *p;
		}
		if (round >= 0)
			ns.ns[ns.n++] = per_call(r, start, n);
		samara_cpu_exit(cpu);
		if (sum != n / 64) /* the byte that was put in the first page */
			broken("a lookup");
	}
	samara_cpu_run(cpu, NULL);
	samara_cpu_destroy(cpu);
	side_end(&s);
	run_check(r, "access through the inline path, TLB hit, ns", median(&ns), 3);
}

/* Two threads ---------------------------------------------------------------- */

struct faulter {
	const struct side *s;
	unsigned long at;
	int cpu;
	bool maps; /* map and unmap elsewhere instead of faulting */
	bool *stop;
	unsigned long done;
};

static void *fault_or_map(void *arg)
{
	struct faulter *f = arg;

	bench_pin(f->cpu);
	while (!__atomic_load_n(f->stop, __ATOMIC_RELAXED)) {
		if (f->maps) {
			side_unmap(f->s, side_map(f->s, f->at, 1, PROT_READ), 1);
			f->done++;
			continue;
		}
		put_all(f->s, f->at, WARM);
		f->done += WARM;
		if (samara_madvise(f->s->mm, f->at, WARM * PAGE, MADV_DONTNEED))
			broken("madvise");
	}
	return NULL;
}

/* Faults a second of the first of n threads, or of both. */
static double rate(const struct side *s, int threads, bool second_maps)
{
	pthread_t thread[2];
	bool stop = false;
	struct faulter f[2] = {
		{ .s = s, .at = s->spare, .cpu = 0, .stop = &stop },
		{ .s = s, .at = s->spare + MANY / 2 * PAGE, .cpu = 1, .stop = &stop },
	};
	const struct timespec time = { 0, 200000000 };

	if (second_maps) {
		f[1].maps = true;
		f[1].at = s->spare + 2 * MANY * PAGE;
	}
	for (int i = 0; i < threads; i++)
		if (pthread_create(&thread[i], NULL, fault_or_map, &f[i]))
			broken("a thread");
	nanosleep(&time, NULL);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	return (double)f[0].done + (second_maps || threads == 1 ? 0 : (double)f[1].done);
}

void measure_two_threads(struct run *r)
{
	struct samples two = { .n = 0 }, beside = { .n = 0 };
	struct side s;

	side_begin(&s, OURS, 1000);
	side_map(&s, s.spare, MANY, RW);
	for (int round = -1; round < r->rounds; round++) {
		const double alone = rate(&s, 1, false);
		const double both = rate(&s, 2, false), mapping = rate(&s, 2, true);

		if (round < 0)
			continue;
		two.ns[two.n++] = alone / both;
		beside.ns[beside.n++] = alone / mapping;
	}
	side_end(&s);
	/* As shares of one thread's time, so that less is better like everywhere else. */
	run_check(r, "one thread's faults of two threads' in one VMA", median(&two), 1 / 1.8);
	run_check(r, "faults alone of those beside a thread that maps", median(&beside), 1 / 0.9);
}
