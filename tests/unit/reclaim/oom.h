/* SPDX-License-Identifier: MIT */
/*
 * A small machine with four mms, whose owners are told when they are to end, and do nothing.
 */
#ifndef SAMARA_TEST_OOM_H
#define SAMARA_TEST_OOM_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

#include <samara/reclaim.h>

#include "../process/family.h"
#include "core/mms.h"
#include "frame/vm_event.h"
#include "reclaim/reclaim.h"

#define FRAMES 256UL
#define MMS 4

static struct mem m;
static struct samara_mm *mms[MMS]; /* mms[0] is m.mm; the oldest first */

static struct {
	struct samara_mm *victim[8];
	unsigned int n;
	void (*meanwhile)(struct samara_mm *victim);
} told;

static void kill_it(struct samara_mm *victim, void *priv)
{
	assert_ptr_equal(priv, &told);
	assert_false(lock_rank_holds_any());
	told.victim[__atomic_fetch_add(&told.n, 1, __ATOMIC_RELAXED) % 8] = victim;
	if (told.meanwhile)
		told.meanwhile(victim);
}

static const struct samara_oom_ops ops = { .size = sizeof(ops), .kill = kill_it };

static int set_up(void **state)
{
	(void)state;
	memset(&told, 0, sizeof(told));
	mem_open(&m, FRAMES * MEM_PAGE);
	mms[0] = m.mm;
	for (int i = 1; i < MMS; i++)
		assert_int_equal(samara_mm_create(m.machine, &mms[i]), 0);
	samara_set_oom(m.machine, &ops, &told);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	mem_check(&m);
	for (int i = 1; i < MMS; i++)
		samara_mm_exit(mms[i]);
	mem_close(&m);
	return 0;
}

static unsigned long map_in(struct samara_mm *mm, unsigned long pages, int flags)
{
	const struct mem o = other(&m, mm);

	return mem_map(&o, pages, RW, flags, NULL);
}

/* mm writes to that many pages of its own. Their address. */
static unsigned long fill(struct samara_mm *mm, unsigned long pages)
{
	const unsigned long a = map_in(mm, pages, MAP_PRIVATE);

	for (unsigned long i = 0; i < pages; i++)
		put(mm, a + i * MEM_PAGE, i);
	return a;
}

/* Shared memory, which no victim gives back, has all frames that are left but keep. */
static void fill_up(struct samara_mm *mm, unsigned long keep)
{
	const unsigned long pages = FRAMES - mem_frames(&m) - keep;
	const unsigned long a = map_in(mm, pages, MAP_SHARED);

	for (unsigned long i = 0; i < pages; i++)
		put(mm, a + i * MEM_PAGE, i);
}

static void assert_told(unsigned int n, const struct samara_mm *last)
{
	assert_int_equal(told.n, n);
	assert_ptr_equal(told.victim[n - 1], last);
}

/* A file that no mm maps gets all frames that are left. */
static inline void fill_file(struct samara_file *file)
{
	char byte = 1;

	for (unsigned long p = 0; mem_frames(&m) < FRAMES; p++)
		assert_int_equal(samara_file_pwrite(file, &byte, 1, p * MEM_PAGE), 1);
}

#endif
