/* SPDX-License-Identifier: MIT */
/*
 * A world for tests that hold a fork or an exit where one of its steps begins, while a walker comes
 * to its pages from another side; and these walkers.
 */
#ifndef SAMARA_TEST_HELD_H
#define SAMARA_TEST_HELD_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include "family.h"
#include "core/mms.h"
#include "frame/lru.h"
#include "process/exit.h"
#include "process/fork.h"
#include "reclaim/reclaim.h"
#include "rmap/rmap.h"
#include "support/fork_steps.h"
#include "support/mm_text.h"
#include "support/store_box.h"

#define PAGES 20UL
#define KEPT 3UL /* pages that truncation leaves */
#define LAST 0x7fffffff0000UL

static struct mem m;
static struct samara_file *file;
static int fd;
static unsigned long shared, copied, anon; /* mappings of PAGES pages each */
static char text[MM_TEXT];

static unsigned long nth(unsigned long mapping, unsigned long i)
{
	return mapping + i * MEM_PAGE;
}

/*
 *   shared   the file; all pages written to, the last a guard, so that fork copies its entries
 *   copied   the same file, private: the upper half written to, the lower read
 *   LAST     a page above all others, in a leaf table of its own
 */
static int set_up(void **state)
{
	(void)state;
	mem_open(&m, 16 << 20);
	fd = box_host_file(PAGES * MEM_PAGE);
	assert_int_equal(samara_file_from_fd(m.machine, fd, &file), 0);
	shared = mem_map(&m, PAGES, RW, MAP_SHARED, file);
	copied = mem_map(&m, PAGES, RW, MAP_PRIVATE, file);
	anon = mem_map(&m, PAGES, RW, MAP_PRIVATE, NULL);
	for (unsigned long i = 0; i < PAGES; i++) {
		put(m.mm, nth(shared, i), i + 100);
		put(m.mm, nth(anon, i), i + 300);
		if (i >= PAGES / 2)
			put(m.mm, nth(copied, i), i + 200);
		else
			get(m.mm, nth(copied, i));
	}
	assert_int_equal(samara_madvise(m.mm, nth(shared, PAGES - 1), MEM_PAGE, MADV_GUARD_INSTALL),
			 0);
	assert_int_equal(samara_mmap(m.mm, LAST, MEM_PAGE, RW,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0),
			 LAST);
	put(m.mm, LAST, 400);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	at_fork_steps_end();
	at_exit_steps_end();
	mem_check(&m);
	samara_file_put(file);
	close(fd);
	mem_close(&m);
	return 0;
}

/* walkers --------------------------------------------------------------------- */

static struct folio *folios[2]; /* of the file, and anonymous */
static unsigned int referenced[2];
static int unmapped, reaped, migrated[2], swapped_off;
static bool done; /* atomic */

static void take_folios(void)
{
	folios[0] = mem_folio(&m, nth(shared, 4));
	folios[1] = mem_folio(&m, nth(anon, 4));
	folio_get(folios[0]);
	folio_get(folios[1]);
}

static void give_folios(void)
{
	folio_put(m.machine->ram, folios[0]);
	folio_put(m.machine->ram, folios[1]);
}

static void *truncate_it(void *arg)
{
	assert_int_equal(samara_file_set_length(file, KEPT * MEM_PAGE), 0);
	return arg;
}

static void *punch(void *arg)
{
	assert_int_equal(samara_file_punch_hole(file, KEPT * MEM_PAGE, PAGES * MEM_PAGE), 0);
	return arg;
}

static void *write_back(void *arg)
{
	assert_int_equal(samara_file_sync(file), 0);
	return arg;
}

static void *ask(void *arg)
{
	for (int i = 0; i < 2; i++) {
		folio_lock(folios[i]);
		referenced[i] = folio_referenced(m.machine->store, folios[i]);
		folio_unlock(folios[i]);
	}
	return arg;
}

static void *unmap(void *arg)
{
	folio_lock(folios[0]);
	unmapped = folio_unmap_all(m.machine->store, folios[0], (swp_entry_t){ 0 });
	folio_unlock(folios[0]);
	return arg;
}

static void *report(void *arg)
{
	assert_int_equal(mm_text(m.mm, samara_print_smaps, text), 0);
	__atomic_store_n(&done, true, __ATOMIC_RELEASE);
	return arg;
}

/* The parent's page at addr, which nothing else holds, goes to another frame. */
static int migrate_one(unsigned long addr)
{
	struct ram *ram = m.machine->ram;
	struct folio *folio = mem_folio(&m, addr), *to = folio_alloc(ram, 0, FOLIO_RAW);
	int err;

	assert_true(to && folio_try_get(folio) && lru_isolate_folio(ram, folio));
	err = folio_migrate(m.machine->store, folio, to);
	if (err) {
		lru_putback(ram, &folio, 1);
	} else {
		lru_add(ram, to);
		folio_put(ram, folio);
	}
	folio_put(ram, to);
	return err;
}

static void *migrate(void *arg)
{
	migrated[0] = migrate_one(nth(shared, 4));
	migrated[1] = migrate_one(nth(anon, 4));
	return arg;
}

static void *reclaim(void *arg)
{
	for (int i = 0; i < 3; i++) /* what is not used meanwhile leaves */
		reclaim_direct(m.machine, 8 * PAGES);
	return arg;
}

/* The child, or what is left of it. */
static void *reap(void *arg)
{
	struct samara_mm *mm;

	for_each_mm(m.machine, mm) if (mm != m.mm) reaped = oom_reap(mm);
	return arg;
}

static int failed[2];
#define BAD 4UL /* the page of each mapping that fail_frames() takes */

/* The frames of a written page of the file and of an anonymous one are bad. */
static void *fail_frames(void *arg)
{
	failed[0] = samara_memory_failure(m.machine, pfn_of(&m, nth(shared, BAD)), 0);
	failed[1] = samara_memory_failure(m.machine, pfn_of(&m, nth(anon, BAD)), 0);
	return arg;
}

static inline void assert_lost(struct samara_mm *mm)
{
	assert_signal(mm, nth(shared, BAD), SIGBUS, BUS_MCEERR_AR);
	assert_signal(mm, nth(copied, BAD), SIGBUS, BUS_MCEERR_AR);
	assert_signal(mm, nth(anon, BAD), SIGBUS, BUS_MCEERR_AR);
}

static unsigned long bad_frames(void)
{
	struct ram_stats stats;

	ram_stats(m.machine->ram, &stats);
	return stats.poisoned;
}

/* Both frames are free of the file and of all processes, and not used again. */
static void give_lost_up(void)
{
	assert_int_equal(failed[0], 0);
	assert_int_equal(failed[1], 0);
	assert_lost(m.mm);
	assert_int_equal(samara_file_punch_hole(file, BAD * MEM_PAGE, MEM_PAGE), 0);
	/* A hole leaves private copies, and for all it knows poison stands for one. */
	assert_lost(m.mm);
	assert_int_equal(samara_madvise(m.mm, nth(shared, BAD), MEM_PAGE, MADV_DONTNEED), 0);
	assert_int_equal(samara_madvise(m.mm, nth(copied, BAD), MEM_PAGE, MADV_DONTNEED), 0);
	assert_int_equal(samara_madvise(m.mm, nth(anon, BAD), MEM_PAGE, MADV_DONTNEED), 0);
	assert_int_equal(bad_frames(), 2);
}

static struct samara_swap *area;

/* The upper half of the anonymous pages is in a swap area. */
static void page_out(void)
{
	const unsigned long half = PAGES / 2;

	assert_int_equal(samara_swapon_compressed(m.machine, 1 << 20, "lz4", &area), 0);
	assert_int_equal(samara_madvise(m.mm, nth(anon, half), half * MEM_PAGE, MADV_PAGEOUT), 0);
	assert_int_equal(mm_rss_sum(m.mm, MM_SWAPENTS), half);
}

static void *swap_off(void *arg)
{
#ifdef SAMARA_DEBUG
	const unsigned long rounds = swapoff_rounds;

	swapoff_rounds = 300;
	swapped_off = samara_swapoff(area);
	swapoff_rounds = rounds;
#endif
	__atomic_store_n(&done, true, __ATOMIC_RELEASE);
	return arg;
}

/* It has given up if a dying mm, which it does not enter, was held with its pages. */
static void swap_is_off(void)
{
	if (swapped_off == -EINTR)
		swapped_off = samara_swapoff(area);
	assert_int_equal(swapped_off, 0);
}

/* Those that come to pages, or all mms. What they do to the parent is nothing, or is said here. */
struct walker {
	const char *name;
	void *(*run)(void *);
	void (*prepare)(void); /* before the fork; or NULL */
	void (*finish)(void);  /* behind the fork or exit; or NULL */
	bool truncates;
	bool loses; /* the pages BAD */
	bool looks; /* at folios[], which are held for it; others do not want them held */
	bool waits; /* it takes mmap_locks, so it may end only when the fork or exit has */
};

static const struct walker walkers[] = {
	{ .name = "truncation", .run = truncate_it, .truncates = true },
	{ .name = "hole", .run = punch, .truncates = true },
	{ .name = "write-back", .run = write_back },
	{ .name = "accessed bits", .run = ask, .looks = true },
	{ .name = "unmapping", .run = unmap, .looks = true },
	{ .name = "report", .run = report, .waits = true },
	{ .name = "reclaim", .run = reclaim },
	{ .name = "migration", .run = migrate },
	{ .name = "swapoff",
	  .run = swap_off,
	  .prepare = page_out,
	  .finish = swap_is_off,
	  .waits = true },
	{ .name = "reaper", .run = reap },
	{ .name = "memory failure", .run = fail_frames, .loses = true },
};
#define WALKERS (sizeof(walkers) / sizeof(walkers[0]))

static pthread_t thread;

static bool waited_for(const struct samara_mm *mm)
{
	return READ_ONCE(mm->mmap_lock.sem.state) & RWSEM_WAITERS;
}

/* w runs now; one that waits is left when it does so, for the mmap_lock of one of the two. */
static inline void walk(const struct walker *w, const struct samara_mm *one,
			const struct samara_mm *other)
{
	done = false;
	assert_int_equal(pthread_create(&thread, NULL, w->run, NULL), 0);
	if (!w->waits) {
		pthread_join(thread, NULL);
		return;
	}
	while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE) && !waited_for(one) && !waited_for(other))
		sched_yield();
}

static inline void walk_end(const struct walker *w)
{
	if (w->waits)
		pthread_join(thread, NULL);
	if (w->finish)
		w->finish();
}

#endif
