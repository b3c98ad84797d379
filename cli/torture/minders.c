/* SPDX-License-Identifier: MIT */
/*
 * What makes pages leave, move and go bad: one turn of each thread (pressure.h).
 */
#define _GNU_SOURCE
#include "torture/pressure.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <samara/reclaim.h>

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define HOG_TURN 64    /* pages written or read in one turn */
#define POISON_PART 32 /* of the frames, at most */

static struct pressure *pressure_of(const struct minder *m)
{
	return m->w.t->pressure;
}

static void nap(struct minder *m, unsigned long most_us)
{
	const struct timespec t = { 0, (long)roll(&m->w, most_us) * 1000 };

	nanosleep(&t, NULL);
}

/* An area goes, if what it holds fits into memory, or comes back. */
static void turn_swapoff(struct minder *m)
{
	struct pressure *const p = pressure_of(m);
	const int nr = (int)roll(&m->w, AREAS);
	int err;

	nap(m, 20000);
	__atomic_store_n(&p->io.reads, !roll(&m->w, 4), __ATOMIC_RELAXED);
	if (p->area[nr].swap) {
		err = area_off(p, nr);
		if (err && err != -ENOMEM && err != -EINTR)
			wrong(&m->w, "swapoff: %d", err);
		m->w.ran_out += err == -ENOMEM;
	} else {
		err = area_on(p, nr, roll(&m->w, 1UL << 16));
		if (err && err != -ENOMEM)
			wrong(&m->w, "swapon: %d", err);
	}
}

static void turn_migrate(struct minder *m)
{
	struct pressure *const p = pressure_of(m);
	const unsigned long first = roll(&m->w, SLOTS * SLOT_PAGES);
	long ret;

	nap(m, 2000);
	pthread_mutex_lock(&p->still);
	if (roll(&m->w, 8))
		ret = samara_migrate_pages(m->w.t->mm, BASE + first * PAGE,
					   1 + roll(&m->w, 2UL * SLOT_PAGES));
	else
		ret = samara_compact(m->w.t->machine, (unsigned int)roll(&m->w, 6));
	pthread_mutex_unlock(&p->still);
	if (ret < 0 && ret != -ENOMEM)
		wrong(&m->w, "%ld", ret);
}

static void turn_reclaim(struct minder *m)
{
	struct samara_machine_memory memory = { .size = sizeof(memory) };
	struct samara_machine *const machine = m->w.t->machine;
	int err = 0;

	nap(m, 5000);
	if (samara_reclaim(machine, 1 + roll(&m->w, 256)) < 0)
		wrong(&m->w, "it fails");
	/* What it says is exact on a quiet machine only. */
	if (samara_machine_memory(machine, &memory))
		wrong(&m->w, "no report");
	switch (roll(&m->w, 24)) {
	case 0:
		err = samara_print_meminfo(machine, m->w.t->null);
		break;
	case 1:
		err = samara_print_vmstat(machine, m->w.t->null);
		break;
	case 2:
		err = samara_print_swaps(machine, m->w.t->null);
		break;
	default:
		break;
	}
	if (err)
		wrong(&m->w, "a report: %d", err);
}

/* the hog ---------------------------------------------------------------------------- */

static bool told(struct minder *m)
{
	return __atomic_load_n(&pressure_of(m)->victim.told, __ATOMIC_ACQUIRE);
}

static void end_hog(struct minder *m)
{
	struct pressure *const p = pressure_of(m);

	p->victim.killed += told(m);
	samara_mm_exit(m->mm);
	m->mm = NULL;
	free(m->ids);
	m->ids = NULL;
	__atomic_store_n(&p->victim.told, false, __ATOMIC_RELEASE);
}

/* One to four times the memory there is. */
static void begin_hog(struct minder *m)
{
	const unsigned long ram = ((unsigned long)m->w.t->asked.ram << 20) / PAGE;
	int err = samara_mm_create(m->w.t->machine, &m->mm);

	if (err) {
		m->mm = NULL;
		return;
	}
	m->pages = ram + roll(&m->w, 3 * ram);
	m->ids = calloc(m->pages, sizeof(*m->ids));
	if (!m->ids || samara_set_oom_score_adj(m->mm, 1000) ||
	    samara_mmap(m->mm, BASE, m->pages * PAGE, RW, ANON | MAP_FIXED, NULL, 0) != BASE)
		end_hog(m);
}

static void hog_page(struct minder *m, unsigned long page)
{
	struct page_state state = { .mapped = true, .prot = RW, .id = m->ids[page] };
	struct samara_fault fault = { 0 };
	long put;

	if (m->ids[page] && roll(&m->w, 2)) {
		const long got = samara_read(m->mm, BASE + page * PAGE, m->w.buf, PAGE, &fault);

		if (got == (long)PAGE && holds(m->w.buf, state.id))
			return;
		if (told(m) || (got != (long)PAGE && (ran_out(&m->w, got) || lost(&m->w, &fault))))
			return;
		wrong(&m->w,
		      "page %lu: %ld bytes were read (signal %d, code %d), of id %#lx, not %#lx",
		      page, got, fault.signo, fault.code, (unsigned long)m->w.buf[0],
		      (unsigned long)state.id);
		return;
	}
	state.id = new_id(m->w.t, (unsigned int)page & 0xff);
	fill(m->w.buf, state.id);
	put = samara_write(m->mm, BASE + page * PAGE, m->w.buf, PAGE, &fault);
	if (put == (long)PAGE)
		m->ids[page] = state.id;
	else if (!told(m) && !ran_out(&m->w, put) && !lost(&m->w, &fault))
		wrong(&m->w, "page %lu: %ld bytes written (signal %d, code %d)", page, put,
		      fault.signo, fault.code);
}

static void turn_hog(struct minder *m)
{
	unsigned long at;

	if (!m->mm) {
		nap(m, 50000);
		begin_hog(m);
		return;
	}
	at = roll(&m->w, m->pages);
	for (int i = 0; i < HOG_TURN && !told(m); i++)
		hog_page(m, (at + (unsigned long)i) % m->pages);
	if (told(m) || !roll(&m->w, 400))
		end_hog(m);
}

/* frames that go bad ------------------------------------------------------------------ */

static bool begin_poison(struct minder *m)
{
	if (m->mm)
		return true;
	if (samara_mm_create(m->w.t->machine, &m->mm)) {
		m->mm = NULL;
		return false;
	}
	return !samara_set_oom_score_adj(m->mm, -1000);
}

/* The page is there, locked, and no thread moves it: its frame, or 0. */
static unsigned long frame_of(struct minder *m)
{
	unsigned long long entry = 0;

	if (samara_pagemap(m->mm, BASE, 1, &entry) || !(entry & SAMARA_PM_PRESENT))
		return 0;
	return (unsigned long)(entry & SAMARA_PM_PFN);
}

/* No access gets at the page any more. */
static void check_poison(struct minder *m)
{
	struct samara_fault fault = { 0 };
	const long got = samara_read(m->mm, BASE, m->w.buf, PAGE, &fault);

	if (ran_out(&m->w, got))
		return;
	if (got || fault.signo != SIGBUS || fault.code != BUS_MCEERR_AR || fault.addr != BASE)
		wrong(&m->w, "%ld bytes of a bad page were read (signal %d, code %d, at %#lx)", got,
		      fault.signo, fault.code, fault.addr);
}

static void turn_poison(struct minder *m)
{
	struct pressure *const p = pressure_of(m);
	const unsigned long frames = ((unsigned long)m->w.t->asked.ram << 20) / PAGE;
	unsigned long frame;
	int err = 0;

	nap(m, 20000);
	if (m->pages >= frames / POISON_PART || !begin_poison(m) ||
	    samara_mmap(m->mm, BASE, PAGE, RW, ANON | MAP_FIXED, NULL, 0) != BASE)
		return;
	if (!samara_mlock(m->mm, BASE, PAGE) && samara_write(m->mm, BASE, "x", 1, NULL) == 1) {
		pthread_mutex_lock(&p->still);
		frame = frame_of(m);
		if (frame)
			err = samara_memory_failure(m->w.t->machine, frame, 0);
		pthread_mutex_unlock(&p->still);
		m->pages += frame && (!err || err == -EBUSY);
		if (err && err != -EBUSY)
			wrong(&m->w, "frame %#lx: %d", frame, err);
		else if (frame && !err)
			check_poison(m);
	}
	err = samara_munmap(m->mm, BASE, PAGE);
	if (err && err != -ENOMEM)
		wrong(&m->w, "munmap: %d", err);
}

void (*const minder_turns[MINDERS])(struct minder *m) = {
	turn_swapoff, turn_migrate, turn_reclaim, turn_hog, turn_poison,
};
