/* SPDX-License-Identifier: MIT */
/*
 * Swap areas that come and go, and the threads that make pages leave.
 */
#include "torture/pressure.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/swap.h>

#include <samara/reclaim.h>

#define FAIL_ONE_IN 64
#define GONE 0xdb /* what discarded slots hold */

bool lost(struct worker *w, const struct samara_fault *fault)
{
	struct pressure *const p = w->t->pressure;

	if (!p || fault->signo != SIGBUS || !__atomic_load_n(&p->io.failed, __ATOMIC_ACQUIRE))
		return false;
	w->lost++;
	return true;
}

/* an area that fails --------------------------------------------------------------- */

static bool fails(struct pressure *p)
{
	const uint64_t n = __atomic_add_fetch(&p->io.random, 1, __ATOMIC_RELAXED);

	return !((n * UINT64_C(0x9e3779b97f4a7c15) >> 32) % FAIL_ONE_IN);
}

static int failing_read(void *priv, unsigned long slot, void *page)
{
	struct pressure *const p = priv;

	if (__atomic_load_n(&p->io.reads, __ATOMIC_RELAXED) && fails(p)) {
		__atomic_add_fetch(&p->io.failed, 1, __ATOMIC_RELEASE);
		return -EIO;
	}
	memcpy(page, p->area[1].bytes + slot * PAGE, PAGE);
	return 0;
}

static int failing_write(void *priv, unsigned long slot, const void *page)
{
	struct pressure *const p = priv;

	if (fails(p))
		return -EIO;
	memcpy(p->area[1].bytes + slot * PAGE, page, PAGE);
	return 0;
}

static void failing_discard(void *priv, unsigned long slot, unsigned long nr)
{
	struct pressure *const p = priv;

	memset(p->area[1].bytes + slot * PAGE, GONE, nr * PAGE);
}

static const struct samara_swap_ops failing = {
	.size = sizeof(failing),
	.read = failing_read,
	.write = failing_write,
	.discard = failing_discard,
};

int area_on(struct pressure *p, int nr, unsigned long random)
{
	static const char *const algorithms[] = { "lz4", "zstd" };
	struct torture_area *const area = &p->area[nr];
	const int flags = SWAP_FLAG_DISCARD | (random & 2 ? SWAP_FLAG_PREFER | 32767 : 0);

	if (!nr)
		return samara_swapon_compressed(p->t->machine, area->pages * PAGE,
						algorithms[random & 1], &area->swap);
	return samara_swapon_ops(p->t->machine, &failing, p, area->pages, flags, &area->swap);
}

int area_off(struct pressure *p, int nr)
{
	const int err = samara_swapoff(p->area[nr].swap);

	if (!err)
		p->area[nr].swap = NULL;
	return err;
}

/* the victim ------------------------------------------------------------------------ */

static void kill_victim(struct samara_mm *mm, void *priv)
{
	struct pressure *const p = priv;

	if (mm == p->t->mm)
		wrong(&p->minder[0].w, "the victim has an oom_score_adj of -1000");
	__atomic_store_n(&p->victim.told, true, __ATOMIC_RELEASE);
}

/* threads ---------------------------------------------------------------------------- */

static void *mind(void *arg)
{
	struct minder *const m = arg;

	while (!__atomic_load_n(&m->w.t->stop, __ATOMIC_RELAXED)) {
		m->turn(m);
		m->w.done[m->w.now]++;
	}
	if (m->mm)
		samara_mm_exit(m->mm);
	m->mm = NULL;
	free(m->ids);
	return NULL;
}

static int start_threads(struct pressure *p)
{
	int err = 0;

	for (int i = 0; i < MINDERS && !err; i++) {
		struct minder *const m = &p->minder[i];

		m->w.t = p->t;
		m->w.random = p->t->asked.seed * 7919 + (uint64_t)i;
		m->w.now = (enum op)(OP_SWAPOFF + i);
		m->turn = minder_turns[i];
		err = -pthread_create(&m->w.thread, NULL, mind, m);
		p->started += !err;
	}
	return err;
}

int pressure_start(struct torture *t)
{
	const struct samara_oom_ops oom = { .size = sizeof(oom), .kill = kill_victim };
	const unsigned long ram = ((unsigned long)t->asked.ram << 20) / PAGE;
	struct pressure *const p = calloc(1, sizeof(*p));
	int err = p ? samara_set_oom_score_adj(t->mm, -1000) : -ENOMEM;

	if (err) {
		free(p);
		return err;
	}
	t->pressure = p;
	p->t = t;
	p->io.random = t->asked.seed;
	p->area[0].pages = p->area[1].pages = ram;
	p->area[1].bytes = malloc(ram * PAGE);
	pthread_mutex_init(&p->still, NULL);
	samara_set_oom(t->machine, &oom, p);
	if (!p->area[1].bytes)
		return -ENOMEM;
	for (int i = 0; i < AREAS && !err; i++)
		err = area_on(p, i, t->asked.seed);
	return err ? err : start_threads(p);
}

void pressure_stop(struct torture *t)
{
	__atomic_store_n(&t->stop, true, __ATOMIC_RELAXED);
	for (int i = 0; t->pressure && i < t->pressure->started; i++)
		pthread_join(t->pressure->minder[i].w.thread, NULL);
}

void pressure_end(struct torture *t)
{
	struct pressure *const p = t->pressure;
	struct samara_machine_memory memory = { .size = sizeof(memory) };

	if (!p)
		return;
	p->minder[0].w.now = OP_SWAPOFF;
	if (!samara_machine_memory(t->machine, &memory) && memory.swap_free != memory.swap_total)
		wrong(&p->minder[0].w, "%lu of %lu slots are free in the end", memory.swap_free,
		      memory.swap_total);
	for (int i = 0; i < AREAS; i++)
		if (p->area[i].swap && area_off(p, i))
			wrong(&p->minder[0].w, "an area that holds nothing cannot go");
	samara_set_oom(t->machine, NULL, NULL);
	free(p->area[1].bytes);
	t->pressure = NULL;
	free(p);
}
