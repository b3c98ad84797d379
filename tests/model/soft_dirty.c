/* SPDX-License-Identifier: MIT */
/*
 * Which pages were written to since each process last asked to forget it, in address spaces that
 * change at random; and a model that knows it page by page.
 *
 *   page      own    written to in this process: there is an entry for it, in memory or in swap
 *             entry  its entry is soft-dirty
 *             vma    its mapping is
 *
 * What the model takes from the library is where VMAs begin and end, and which pages of files and
 * of shared memory are in the page tables: reclaim and fork may leave those out.
 *
 * Besides what a program does, a handler gives it pages, a driver pins pages to read them, and a
 * debugger writes where the program may not.
 *
 * After every step, for each page of each process: pagemap's bit 55 is entry or vma; each VMA shows
 * "sd" exactly if a page of its has vma, and then all of them have.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <samara/reclaim.h>
#include <samara/uffd.h>

#include "support/cmocka_all.h"
#include "support/mem.h"
#include "support/random.h"
#include "support/uffd_calls.h"

#define RW (PROT_READ | PROT_WRITE)
#define PROCESSES 3
#define PAGES 48UL
/* The arena's middle is the border of two leaf tables. */
#define AT(i) (0x100000200000UL + ((i)-PAGES / 2) * MEM_PAGE)
#define ROUNDS 6000

enum kind { HOLE, ANON, SHARED, PRIVATE };

struct page {
	enum kind kind;
	bool writable, own, entry, vma;
};

struct process {
	struct samara_mm *mm; /* NULL: none */
	struct page page[PAGES];
};

static struct mem m;
static struct rng rng;
static struct samara_file *file;
static struct samara_swap *area;
static struct process process[PROCESSES];
static unsigned long bits, swapped, clean; /* pages seen so */
static unsigned long copied;
static bool finished;

struct run {
	unsigned long i, n;
};

static struct run any_run(unsigned long most)
{
	struct run run = { .i = rng_below(&rng, PAGES) };

	run.n = rng_between(&rng, 1, most);
	if (run.n > PAGES - run.i)
		run.n = PAGES - run.i;
	return run;
}

static unsigned long long word_of(const struct process *p, unsigned long i)
{
	unsigned long long entry;

	assert_int_equal(samara_pagemap(p->mm, AT(i), 1, &entry), 0);
	return entry;
}

static bool has_entry(const struct process *p, unsigned long i)
{
	return word_of(p, i) & (SAMARA_PM_PRESENT | SAMARA_PM_SWAP);
}

/* The run as far as it lies in one VMA. */
static bool in_one_vma(const struct process *p, struct run *run)
{
	struct samara_vma_info info;

	if (samara_vma_next(p->mm, AT(run->i), &info) || info.start > AT(run->i))
		return false;
	if (info.end < AT(run->i + run->n))
		run->n = (info.end - AT(run->i)) / MEM_PAGE;
	return true;
}

/* Pages of files that are in the page tables no more. */
static void forget_what_left(struct process *p)
{
	for (unsigned long i = 0; i < PAGES; i++)
		if (!has_entry(p, i)) {
			assert_false(p->page[i].own);
			p->page[i].entry = false;
		}
}

/* steps -------------------------------------------------------------------------- */

static void write_page(struct process *p, unsigned long i)
{
	struct page *page = &p->page[i];
	const bool may = page->kind != HOLE && page->writable;

	assert_int_equal(samara_write(p->mm, AT(i), "x", 1, NULL), may);
	if (!may)
		return;
	page->entry = true;
	page->own = page->kind != SHARED;
}

static void read_page(struct process *p, unsigned long i)
{
	char c;

	assert_int_equal(samara_read(p->mm, AT(i), &c, 1, NULL), p->page[i].kind != HOLE);
}

static void forget(struct process *p)
{
	assert_int_equal(samara_clear_refs(p->mm, 4), 0);
	for (unsigned long i = 0; i < PAGES; i++)
		p->page[i].entry = p->page[i].vma = false;
}

/* A handler gives pages to the places that have none, one after the other. */
static void copy(struct process *p)
{
	static char bytes[MEM_PAGE];
	struct run run = any_run(8);
	const unsigned long at = AT(run.i);
	struct samara_uffd *uffd;
	long long done;

	if (!in_one_vma(p, &run))
		return;
	uffd = uffd_open(p->mm, 0, 0);
	uffd_register_at(uffd, at, run.n * MEM_PAGE, UFFDIO_REGISTER_MODE_MISSING);
	for (unsigned long i = run.i; i < run.i + run.n; i++) {
		struct page *page = &p->page[i];

		/* The cache may have a page that no entry shows. */
		if (uffd_copy_to(uffd, AT(i), bytes, MEM_PAGE, 0, &done))
			continue;
		page->entry = true;
		page->own = page->kind != SHARED;
		copied++;
	}
	samara_uffd_put(uffd);
}

/* The page becomes the process's own if it is shared with another; it is not written to. */
static void pin_to_read(struct process *p)
{
	const unsigned long i = rng_below(&rng, PAGES);
	const unsigned int how = rng_one_in(&rng, 2) ? SAMARA_PIN_LONGTERM : 0;
	struct samara_pin pin;

	if (p->page[i].kind == HOLE)
		return;
	assert_int_equal(samara_pin_pages(p->mm, AT(i), 1, how, &pin), 1);
	samara_unpin_pages(&pin, 1, 0);
}

/* As a debugger, where the program itself may not. */
static void force(struct process *p)
{
	const unsigned long i = rng_below(&rng, PAGES);
	struct page *page = &p->page[i];
	const bool may = page->kind != HOLE && (page->writable || page->kind != SHARED);

	assert_int_equal(samara_access(p->mm, AT(i), (char[]){ 'y' }, 1,
				       SAMARA_WRITE | SAMARA_FORCE, NULL),
			 may);
	if (!may)
		return;
	page->entry = true;
	page->own = page->kind != SHARED;
}

static void forget_pinned(struct process *p)
{
	const unsigned long i = rng_below(&rng, PAGES);
	struct page *page = &p->page[i];
	struct samara_pin pin;

	if (page->kind == HOLE || page->kind == SHARED || !page->writable)
		return;
	assert_int_equal(samara_pin_pages(p->mm, AT(i), 1, SAMARA_PIN_WRITE, &pin), 1);
	forget(p);
	page->entry = page->own = true;
	samara_unpin_pages(&pin, 1, 0);
}

static void unmap(struct process *p)
{
	const struct run run = any_run(10);

	assert_int_equal(samara_munmap(p->mm, AT(run.i), run.n * MEM_PAGE), 0);
	memset(&p->page[run.i], 0, run.n * sizeof(struct page));
}

static void map(struct process *p)
{
	const struct run run = any_run(12);
	const enum kind kind = (enum kind)rng_between(&rng, ANON, PRIVATE);
	const int flags = MAP_FIXED | (kind == SHARED ? MAP_SHARED : MAP_PRIVATE) |
			  (kind == ANON ? MAP_ANONYMOUS : 0);

	assert_int_equal(samara_mmap(p->mm, AT(run.i), run.n * MEM_PAGE, RW, flags,
				     kind == ANON ? NULL : file, run.i * MEM_PAGE),
			 AT(run.i));
	for (unsigned long i = run.i; i < run.i + run.n; i++)
		p->page[i] = (struct page){ .kind = kind, .writable = true, .vma = true };
}

static void protect(struct process *p)
{
	struct run run = any_run(12);
	const bool writable = rng_one_in(&rng, 2);

	if (!in_one_vma(p, &run))
		return;
	assert_int_equal(
		samara_mprotect(p->mm, AT(run.i), run.n * MEM_PAGE, writable ? RW : PROT_READ), 0);
	for (unsigned long i = run.i; i < run.i + run.n; i++)
		p->page[i].writable = writable;
}

static void move(struct process *p)
{
	struct run run = any_run(8);
	const unsigned long to = rng_below(&rng, PAGES);
	struct page moved[PAGES];

	if (!in_one_vma(p, &run) || to + run.n > PAGES ||
	    (to < run.i + run.n && run.i < to + run.n))
		return;
	for (unsigned long i = 0; i < run.n; i++) {
		moved[i] = p->page[run.i + i];
		moved[i].entry = has_entry(p, run.i + i);
	}
	assert_int_equal(samara_mremap(p->mm, AT(run.i), run.n * MEM_PAGE, run.n * MEM_PAGE,
				       MREMAP_MAYMOVE | MREMAP_FIXED, AT(to)),
			 AT(to));
	memset(&p->page[run.i], 0, run.n * sizeof(struct page));
	memcpy(&p->page[to], moved, run.n * sizeof(struct page));
}

static void advise(struct process *p)
{
	struct run run = any_run(16);
	const int advice = rng_one_in(&rng, 4) ? MADV_DONTNEED : MADV_PAGEOUT;

	if (!in_one_vma(p, &run))
		return;
	assert_int_equal(samara_madvise(p->mm, AT(run.i), run.n * MEM_PAGE, advice), 0);
	for (unsigned long i = run.i; i < run.i + run.n && advice == MADV_DONTNEED; i++)
		p->page[i].own = p->page[i].entry = false;
	forget_what_left(p);
	/* Some come back, and are written to then. */
	for (unsigned long i = run.i; i < run.i + run.n && advice == MADV_PAGEOUT; i++) {
		if (rng_one_in(&rng, 2))
			read_page(p, i);
		if (rng_one_in(&rng, 2))
			write_page(p, i);
	}
}

static void switch_off(void)
{
	assert_int_equal(samara_swapoff(area), 0);
	assert_int_equal(samara_swapon_compressed(m.machine, 4 << 20, "lz4", &area), 0);
}

static void fork_one(const struct process *p)
{
	for (struct process *q = process; q < process + PROCESSES; q++) {
		if (q->mm)
			continue;
		assert_int_equal(samara_fork(p->mm, &q->mm), 0);
		memcpy(q->page, p->page, sizeof(q->page));
		return;
	}
}

static void exit_one(struct process *p)
{
	if (p == process)
		return;
	samara_mm_exit(p->mm);
	p->mm = NULL;
}

/* looks ---------------------------------------------------------------------------- */

static void check_vmas(struct process *p)
{
	struct samara_vma_info info;

	for (unsigned long from = 0; !samara_vma_next(p->mm, from, &info); from = info.end) {
		const unsigned long first = (info.start - AT(0)) / MEM_PAGE;
		const unsigned long end = (info.end - AT(0)) / MEM_PAGE;
		bool is = false;

		for (unsigned long i = first; i < end; i++)
			is |= p->page[i].vma;
		assert_int_equal(!!(info.flags & SAMARA_VM_SOFTDIRTY), is);
		for (unsigned long i = first; i < end; i++)
			p->page[i].vma = is;
	}
}

static void check_page(struct process *p, unsigned long i)
{
	struct page *page = &p->page[i];
	const unsigned long long word = word_of(p, i);

	if (!!(word & SAMARA_PM_SOFT_DIRTY) != (page->entry || page->vma))
		print_error("process %d page %lu: %llx, the model says entry %d vma %d\n",
			    (int)(p - process), i, word, page->entry, page->vma);
	assert_int_equal(!!(word & SAMARA_PM_SOFT_DIRTY), page->entry || page->vma);
	bits += page->entry && !page->vma;
	clean += page->kind != HOLE && !page->entry && !page->vma;
	swapped += page->own && !page->entry && !page->vma && word & SAMARA_PM_SWAP;
}

static void check_all(void)
{
	for (struct process *p = process; p < process + PROCESSES; p++) {
		if (!p->mm)
			continue;
		check_vmas(p);
		forget_what_left(p);
		for (unsigned long i = 0; i < PAGES; i++)
			check_page(p, i);
	}
}

static void step(void)
{
	static const unsigned char weights[] = { 26, 12, 8, 3, 4, 5, 8, 5, 13, 1, 3, 3, 4, 2, 2 };
	struct process *p;
	unsigned long what = rng_below(&rng, 99), op = 0;

	do {
		p = &process[rng_below(&rng, PROCESSES)];
	} while (!p->mm);
	while (what >= weights[op])
		what -= weights[op++];
	switch (op) {
	case 0:
		return write_page(p, rng_below(&rng, PAGES));
	case 1:
		return read_page(p, rng_below(&rng, PAGES));
	case 2:
		return forget(p);
	case 3:
		return forget_pinned(p);
	case 4:
		return unmap(p);
	case 5:
		return map(p);
	case 6:
		return protect(p);
	case 7:
		return move(p);
	case 8:
		return advise(p);
	case 9:
		return fork_one(p);
	case 10:
		return exit_one(p);
	case 11:
		return copy(p);
	case 12:
		return pin_to_read(p);
	case 13:
		return force(p);
	default:
		if (rng_one_in(&rng, 2))
			return switch_off();
		assert_true(samara_migrate_pages(p->mm, AT(0), PAGES) >= 0);
	}
}

static void what_is_soft_dirty_was_written_to(void **state)
{
	const unsigned long rounds = ROUNDS / test_slowdown() * (test_full() ? 20 : 1);
	struct samara_machine_config cfg = SAMARA_MACHINE_CONFIG_INIT;

	(void)state;
	rng_init(&rng, test_seed());
	cfg.ram_bytes = 4 << 20;
	cfg.flags = SAMARA_MACHINE_SOFT_DIRTY;
	mem_open_machine(&m, &cfg);
	assert_int_equal(samara_swapon_compressed(m.machine, 4 << 20, "lz4", &area), 0);
	file = mem_file(&m, PAGES);
	process[0].mm = m.mm;
	for (unsigned long round = 0; round < rounds; round++) {
		step();
		check_all();
		if (round % 500 == 0)
			mem_check(&m);
	}
	/* A slow build makes few rounds, and may meet no page that is in swap. */
	assert_true(bits > rounds && clean > rounds && (swapped || rounds < ROUNDS));
	assert_true(copied || rounds < ROUNDS);
	for (int k = 1; k < PROCESSES; k++)
		exit_one(process[k].mm ? &process[k] : process);
	samara_file_put(file);
	assert_int_equal(samara_swapoff(area), 0);
	mem_close(&m);
	finished = true;
}

static int tell_seed(void **state)
{
	(void)state;
	if (!finished)
		test_replay(test_seed());
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(what_is_soft_dirty_was_written_to, tell_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
