/* SPDX-License-Identifier: MIT */
/*
 * The tree of areas, and what is counted of it. area_change.c makes changes on the host.
 */
#define _GNU_SOURCE
#include "run/areas.h"

#include <errno.h>

#include "run/area_entry.h"

#define PAGE_SHIFT 12
#define BLOCK (1UL << 21)

/* entries -------------------------------------------------------------------------------- */

void area_of_entry(struct area *out, unsigned long start, unsigned long last, const void *entry)
{
	const unsigned long word = samara_xa_to_value(entry);

	out->start = start;
	out->end = last + 1;
	out->kind = (enum area_kind)(word >> ENTRY_KIND & 15);
	out->prot = (int)(word >> ENTRY_PROT & 7);
	out->parked = word >> ENTRY_PARKED & 1;
	out->file = (unsigned int)(word >> ENTRY_FILE);
	out->first = ((word & ENTRY_DELTA) + (start >> PAGE_SHIFT)) & ENTRY_DELTA;
}

void *area_entry(const struct area *as)
{
	const unsigned long delta = as->first - (as->start >> PAGE_SHIFT);

	if (!as->kind)
		return NULL;
	return samara_xa_mk_value(
		(unsigned long)as->file << ENTRY_FILE | (unsigned long)as->kind << ENTRY_KIND |
		(unsigned long)as->prot << ENTRY_PROT | (unsigned long)as->parked << ENTRY_PARKED |
		(delta & ENTRY_DELTA));
}

static bool is_parked(const void *entry)
{
	return samara_xa_to_value(entry) >> ENTRY_PARKED & 1;
}

/* Two that touch are one host VMA. */
static bool one_vma(const void *left, const void *right)
{
	const unsigned long parked = 1UL << ENTRY_PARKED;

	return left && right &&
	       (samara_xa_to_value(left) | parked) == (samara_xa_to_value(right) | parked);
}

/* a tree --------------------------------------------------------------------------------- */

void areas_init(struct areas *areas, struct agent *agent, unsigned long max_map_count)
{
	*areas = (struct areas){ .agent = agent };
	areas->most = max_map_count > AREAS_SPARE ? max_map_count - AREAS_SPARE : 0;
	samara_mt_init_flags(&areas->tree, MT_FLAGS_USE_RCU | MT_FLAGS_LOCK_EXTERN);
	pthread_mutex_init(&areas->lock, NULL);
}

void areas_destroy(struct areas *areas)
{
	samara_mt_destroy(&areas->tree);
	pthread_mutex_destroy(&areas->lock);
}

bool areas_next(struct areas *areas, unsigned long addr, struct area *out)
{
	MA_STATE(mas, &areas->tree, addr, addr);
	const void *entry;

	samara_rcu_read_lock();
	entry = samara_mas_find(&mas, ULONG_MAX);
	if (entry)
		area_of_entry(out, mas.index, mas.last, entry);
	samara_rcu_read_unlock();
	return entry;
}

bool areas_find(struct areas *areas, unsigned long addr, struct area *out)
{
	return areas_next(areas, addr, out) && out->start <= addr;
}

unsigned int areas_pieces(struct areas *areas, unsigned long addr)
{
	const unsigned long start = addr & -BLOCK;
	MA_STATE(mas, &areas->tree, start, start);
	unsigned int pieces = 0;

	samara_rcu_read_lock();
	while (samara_mas_find(&mas, start + BLOCK - 1))
		pieces++;
	samara_rcu_read_unlock();
	return pieces;
}

/* counting ------------------------------------------------------------------------------- */

struct tally {
	unsigned long vmas, parked;
	bool merged;
};

/*
 * What begins within [start, end], and just below it: there edges may join or part by a change of
 * [start, end). The lock is held.
 */
static struct tally tally_around(struct areas *areas, unsigned long start, unsigned long end)
{
	struct tally t = { .merged = true };
	const unsigned long from = start ? start - 1 : 0;
	MA_STATE(mas, &areas->tree, from, from);
	const void *entry, *left = NULL;
	unsigned long left_end = 0;

	samara_rcu_read_lock();
	while ((entry = samara_mas_find(&mas, end))) {
		const bool touch = left && left_end == mas.index;

		t.vmas += !(touch && one_vma(left, entry));
		t.parked += is_parked(entry);
		t.merged &= !(touch && left == entry);
		left = entry;
		left_end = mas.last + 1;
	}
	samara_rcu_read_unlock();
	return t;
}

static void count(struct areas *areas, const struct tally *before, const struct tally *after)
{
	areas->vmas += after->vmas - before->vmas;
	areas->parked += (unsigned int)(after->parked - before->parked);
}

const char *areas_validate(struct areas *areas)
{
	const char *broken = NULL;
	struct tally t;

	pthread_mutex_lock(&areas->lock);
	t = tally_around(areas, 0, ULONG_MAX);
	if (t.vmas != areas->vmas)
		broken = "vmas";
	else if (t.parked != areas->parked)
		broken = "parked";
	else if (!t.merged && !areas->unmerged)
		broken = "merged";
	pthread_mutex_unlock(&areas->lock);
	return broken;
}

int areas_reserve(struct areas *areas, unsigned long nr)
{
	int err = 0;

	pthread_mutex_lock(&areas->lock);
	if (nr > areas->most || areas->vmas + areas->reserved > areas->most - nr)
		err = -ENOMEM;
	else
		areas->reserved += nr;
	pthread_mutex_unlock(&areas->lock);
	return err;
}

void areas_unreserve(struct areas *areas, unsigned long nr)
{
	pthread_mutex_lock(&areas->lock);
	areas->reserved -= nr;
	pthread_mutex_unlock(&areas->lock);
}

/* changing ------------------------------------------------------------------------------- */

/* All of these are called with the lock held. */

/* With the equal entries that touch [start, end). */
static void widen(struct areas *areas, const void *entry, unsigned long *start, unsigned long *end)
{
	MA_STATE(below, &areas->tree, *start - 1, *start - 1);
	MA_STATE(above, &areas->tree, *end, *end);

	if (!entry)
		return;
	samara_rcu_read_lock();
	if (*start && samara_mas_walk(&below) == entry)
		*start = below.index;
	if (samara_mas_walk(&above) == entry)
		*end = above.last + 1;
	samara_rcu_read_unlock();
}

int area_prepare(struct area_change *change, struct areas *areas, const struct area *as)
{
	change->areas = areas;
	change->entry = area_entry(as);
	change->start = as->start;
	change->end = as->end;
	widen(areas, change->entry, &change->start, &change->end);
	samara_mas_init(&change->mas, &areas->tree, change->start);
	samara_mas_set_range(&change->mas, change->start, change->end - 1);
	return samara_mas_preallocate(&change->mas, change->entry, GFP_KERNEL);
}

void area_commit(struct area_change *change)
{
	struct areas *areas = change->areas;
	const struct tally before = tally_around(areas, change->start, change->end);
	struct tally after;

	samara_mas_store_prealloc(&change->mas, change->entry);
	samara_mas_destroy(&change->mas);
	after = tally_around(areas, change->start, change->end);
	count(areas, &before, &after);
}

void area_abandon(struct area_change *change)
{
	samara_mas_destroy(&change->mas);
}

int area_cut(struct areas *areas, unsigned long addr)
{
	MA_STATE(mas, &areas->tree, addr, addr);
	unsigned long last;
	void *entry;
	int err;

	samara_rcu_read_lock();
	entry = samara_mas_walk(&mas);
	last = mas.last;
	samara_rcu_read_unlock();
	if (!entry || mas.index == addr)
		return 0;
	samara_mas_set_range(&mas, addr, last);
	err = samara_mas_store_gfp(&mas, entry, GFP_KERNEL);
	samara_mas_destroy(&mas);
	if (!err)
		areas->parked += is_parked(entry); /* two now */
	return err;
}

void area_set(struct areas *areas, const struct area *as)
{
	const struct tally before = tally_around(areas, as->start, as->end);
	MA_STATE(mas, &areas->tree, as->start, as->end - 1);
	struct tally after;

	/* Over exactly the range of one entry: it cannot fail. */
	samara_mas_store(&mas, area_entry(as));
	samara_mas_destroy(&mas);
	after = tally_around(areas, as->start, as->end);
	count(areas, &before, &after);
}

void area_join(struct areas *areas, unsigned long addr)
{
	MA_STATE(below, &areas->tree, addr - 1, addr - 1);
	MA_STATE(above, &areas->tree, addr, addr);
	void *entry;

	samara_rcu_read_lock();
	entry = samara_mas_walk(&below);
	if (!entry || below.last != addr - 1 || samara_mas_walk(&above) != entry)
		entry = NULL;
	samara_rcu_read_unlock();
	if (!entry)
		return;
	samara_mas_set_range(&below, below.index, above.last);
	if (samara_mas_store_gfp(&below, entry, GFP_KERNEL))
		areas->unmerged = true; /* it is one host VMA all the same */
	else
		areas->parked -= is_parked(entry);
	samara_mas_destroy(&below);
}

int areas_enter(struct areas *areas, const struct area *as)
{
	struct area_change change;
	int err;

	pthread_mutex_lock(&areas->lock);
	err = area_prepare(&change, areas, as);
	if (!err)
		area_commit(&change);
	pthread_mutex_unlock(&areas->lock);
	return err;
}

int areas_dup(struct areas *child, struct areas *parent)
{
	struct area as = { 0 };
	unsigned long at = 0;
	int err;

	pthread_mutex_lock(&parent->lock);
	err = samara_mt_dup(&parent->tree, &child->tree, GFP_KERNEL);
	if (!err) {
		child->vmas = parent->vmas;
		child->parked = parent->parked;
		child->unmerged = parent->unmerged;
	}
	pthread_mutex_unlock(&parent->lock);
	while (!err && areas_next(child, at, &as)) {
		at = as.end;
		if (as.kind == AREA_STUB) {
			as.kind = 0;
			err = areas_enter(child, &as);
		}
	}
	return err;
}
