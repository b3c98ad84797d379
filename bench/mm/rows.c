/* SPDX-License-Identifier: MIT */
/*
 * What is measured. A round does a batch of calls on one side and then on the
 * other, and every other round begins with the other one.
 */
#include "mm.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "../support/random.h"

#define RW (PROT_READ | PROT_WRITE)
#define MIB_PAGES 256UL

/* A page mapped where the kernel wants it, and unmapped. It fits no neighbour. */
BATCH pair(const struct run *r, const struct side *s, size_t n)
{
	const double start = bench_read(&r->clock);

	for (size_t i = 0; i < n; i++)
		side_unmap(s, side_map(s, 0, 1, PROT_READ), 1);
	return per_call(r, start, n);
}

/* Two pages: the holes between slots are too small. */
BATCH place(const struct run *r, const struct side *s, size_t n)
{
	const double start = bench_read(&r->clock);

	for (size_t i = 0; i < n; i++)
		side_unmap(s, side_map(s, 0, 2, PROT_READ), 2);
	return per_call(r, start, n);
}

static unsigned long any_slot(const struct side *s, struct bench_random *rnd)
{
	return s->base + bench_below(rnd, s->vmas) * SLOT_STRIDE * PAGE;
}

/* A hole punched into a VMA and filled again. */
BATCH punch(const struct run *r, const struct side *s, size_t n)
{
	struct bench_random rnd = { 1 };
	const double start = bench_read(&r->clock);

	for (size_t i = 0; i < n; i++) {
		const unsigned long at = any_slot(s, &rnd) + PAGE;

		side_unmap(s, at, 1);
		side_map(s, at, 1, RW);
	}
	return per_call(r, start, n);
}

/* The middle page of a VMA becomes a VMA of its own, and is merged back. */
BATCH protect(const struct run *r, const struct side *s, size_t n)
{
	struct bench_random rnd = { 2 };
	const double start = bench_read(&r->clock);

	for (size_t i = 0; i < n; i++) {
		const unsigned long at = any_slot(s, &rnd) + PAGE;

		side_protect(s, at, 1, PROT_READ);
		side_protect(s, at, 1, RW);
	}
	return per_call(r, start, 2 * n);
}

/* 1 MiB that was never touched, to and fro. */
BATCH move(const struct run *r, const struct side *s, size_t n)
{
	const unsigned long from = s->spare + (8UL << 20), to = s->spare + (16UL << 20);
	double start, ns;

	side_map(s, from, MIB_PAGES, RW);
	start = bench_read(&r->clock);
	for (size_t i = 0; i < n; i++) {
		side_move(s, from, MIB_PAGES, to);
		side_move(s, to, MIB_PAGES, from);
	}
	ns = per_call(r, start, 2 * n);
	side_unmap(s, from, MIB_PAGES);
	return ns;
}

struct figure *measure(struct run *r, struct figure *f, struct side *sides, batch_fn batch,
		       size_t calls)
{
	const size_t n = (size_t)((double)calls * r->scale) + 1;

	for (int round = -1; round < r->rounds; round++) {
		for (int i = 0; i < SIDES; i++) {
			const int which = i ^ (round & 1);
			double ns;

			if (!sides[which].vmas)
				continue;
			/* The kernel takes ten times as long: fewer calls do. */
			ns = batch(r, &sides[which], which == HOST ? n / 4 + 1 : n);
			if (round >= 0)
				f->side[which].ns[f->side[which].n++] = ns;
		}
	}
	return f;
}

void open_sides(struct side *sides, size_t vmas)
{
	side_begin(&sides[HOST], HOST, vmas);
	side_begin(&sides[OURS], OURS, vmas);
}

void close_sides(struct side *sides)
{
	side_end(&sides[OURS]);
	side_end(&sides[HOST]);
}

void measure_calls(struct run *r, size_t vmas)
{
	struct side sides[SIDES];

	open_sides(sides, vmas);
	measure(r, run_figure(r, "mmap+munmap, one page", vmas, 1.0 / 10), sides, pair, 40000);
	measure(r, run_figure(r, "mprotect, middle page", vmas, 1.0 / 8), sides, protect, 40000);
	measure(r, run_figure(r, "mremap, move 1 MiB", vmas, 1.0 / 8), sides, move, 20000);
	measure(r, run_figure(r, "punch and fill a hole", vmas, 0), sides, punch, 20000);
	close_sides(sides);
}

void measure_places(struct run *r, size_t few, size_t many)
{
	struct side at[2][SIDES];
	struct figure *f[2];

	for (int i = 0; i < 2; i++) {
		/* One after the other: the kernel's holds only so many. */
		open_sides(at[i], i ? many : few);
		f[i] = measure(r, run_figure(r, "mmap+munmap, two pages", i ? many : few, 0), at[i],
			       place, 40000);
		close_sides(at[i]);
	}
	run_check(r, "a chosen address among many VMAs, times that among few",
		  median(&f[1]->side[OURS]) / median(&f[0]->side[OURS]), 2);
}

/* k VMAs side by side, which do not merge, gone with one call: nanoseconds a VMA. */
static double clear(const struct run *r, const struct side *s, unsigned long k)
{
	double start;

	for (unsigned long i = 0; i < k; i++)
		side_map(s, s->spare + i * PAGE, 1, i & 1 ? PROT_READ : RW);
	start = bench_read(&r->clock);
	side_unmap(s, s->spare, k);
	return per_call(r, start, k);
}

static double clear_10(const struct run *r, const struct side *s, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += clear(r, s, 10);
	return sum / (double)n;
}

static double clear_100(const struct run *r, const struct side *s, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += clear(r, s, 100);
	return sum / (double)n;
}

static double clear_10000(const struct run *r, const struct side *s, size_t n)
{
	(void)n;
	return clear(r, s, 10000);
}

void measure_clearing(struct run *r)
{
	struct side sides[SIDES];
	struct figure *f;

	open_sides(sides, 1000);
	f = measure(r, run_figure(r, "munmap of 10, per VMA", 1000, 0), sides, clear_10, 1000);
	run_check(r, "munmap of 10 VMAs, ns a VMA", median(&f->side[OURS]), 100);
	f = measure(r, run_figure(r, "munmap of 100, per VMA", 1000, 0), sides, clear_100, 100);
	run_check(r, "munmap of 100 VMAs, ns a VMA", median(&f->side[OURS]), 100);
	f = measure(r, run_figure(r, "munmap of 10000, per VMA", 1000, 0), sides, clear_10000, 1);
	run_check(r, "munmap of 10000 VMAs, ns a VMA", median(&f->side[OURS]), 100);
	close_sides(sides);
}

/* Side by side where the kernel puts them, not alike: what the library takes for each. */
static double bytes_chosen(size_t vmas)
{
	const size_t before = ours_bytes();
	struct side s;
	double taken;

	side_begin(&s, OURS, 0);
	for (size_t i = 0; i < vmas; i++)
		side_map(&s, 0, 1, i & 1 ? PROT_READ : RW);
	taken = (double)(ours_bytes() - before);
	side_end(&s);
	return taken / (double)vmas;
}

/* Slots, cut out of one large VMA. */
static double bytes_cut(size_t vmas)
{
	const size_t before = ours_bytes();
	struct side s;
	double taken;

	side_begin(&s, OURS, vmas);
	taken = (double)(ours_bytes() - before);
	side_end(&s);
	return taken / (double)vmas;
}

/* Before anything else, so that nothing but these maps is in the library's memory. */
void measure_bytes(struct run *r, size_t vmas)
{
	run_check(r, "bytes a VMA, tree included, mapped one by one", bytes_chosen(vmas), 200);
	run_check(r, "bytes a VMA, tree included, cut out of one", bytes_cut(vmas), 200);
}

/* Ours only: the kernel has a limit. */
void measure_growth(struct run *r, const size_t *vmas, int n)
{
	for (int i = 0; i < n; i++) {
		struct side sides[SIDES] = { { .vmas = 0 } };

		side_begin(&sides[OURS], OURS, vmas[i]);
		measure(r, run_figure(r, "mmap+munmap, two pages", vmas[i], 0), sides, place, 20000)
			->growth = true;
		measure(r, run_figure(r, "mprotect, middle page", vmas[i], 0), sides, protect,
			20000)
			->growth = true;
		side_end(&sides[OURS]);
	}
}
