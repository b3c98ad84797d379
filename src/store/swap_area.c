/* SPDX-License-Identifier: MIT */
/*
 * Swap areas as counted objects, and the list of a machine's.
 *
 *   create --> list (on) --> stop <--> resume
 *                             '--> end: out of the list --> last reference --> a grace period
 *
 * A lookup finds an area under RCU. It stays while one of its slots is used, since swapoff ends it
 * only then.
 */
#include <errno.h>
#include <string.h>
#include <sys/swap.h>

#include "alloc/mem.h"
#include "base/assert.h"
#include "base/nap.h"
#include "store/swap_area.h"

static DEFINE_ALLOC_SITE(area_site, "swap_area");
static DEFINE_ALLOC_SITE(slots_site, "swap_slots");

/* Not in the C library's header. */
#ifndef SWAP_FLAG_DISCARD_ONCE
#define SWAP_FLAG_DISCARD_ONCE 0x20000
#define SWAP_FLAG_DISCARD_PAGES 0x40000
#endif
#define SWAP_FLAGS \
	(SWAP_FLAG_PREFER | SWAP_FLAG_PRIO_MASK | SWAP_FLAG_DISCARD | SWAP_FLAG_DISCARD_ONCE | \
	 SWAP_FLAG_DISCARD_PAGES)

void swap_areas_init(struct swap_areas *areas)
{
	areas->lowest = -1;
	list_init(&areas->swapped);
}

bool swap_flags_valid(int flags)
{
	return !(flags & ~SWAP_FLAGS);
}

bool swap_discards_at_once(int flags)
{
	return (flags & SWAP_FLAG_DISCARD) && !(flags & SWAP_FLAG_DISCARD_PAGES);
}

bool swap_discards_pages(int flags)
{
	return (flags & SWAP_FLAG_DISCARD) && !(flags & SWAP_FLAG_DISCARD_ONCE);
}

/* making and freeing ------------------------------------------------------------------- */

static int make_slots(struct swap_slots *slots, unsigned long nr)
{
	const unsigned long clusters = (nr + SWAP_CLUSTER - 1) / SWAP_CLUSTER;
	char *p;

	slots->nr = nr;
	slots->bytes = nr * (sizeof(*slots->word) + sizeof(*slots->family)) +
		       clusters * sizeof(*slots->cluster);
	p = mem_map_zeros(&slots_site, slots->bytes);
	if (!p)
		return -ENOMEM;
	slots->word = (uint64_t *)p;
	slots->family = (void **)(slots->word + nr);
	slots->cluster = (struct swap_cluster *)(slots->family + nr);
	return 0;
}

int swap_area_create(struct file_store *store, const struct swap_area_desc *desc,
		     struct samara_swap **out)
{
	const size_t name = strlen(desc->behind.name) + 1;
	struct samara_swap *area = mem_zalloc(&area_site, sizeof(*area) + name);
	int err;

	if (!area)
		return -ENOMEM;
	err = make_slots(&area->slots, desc->slots);
	if (err) {
		mem_free(&area_site, area);
		return err;
	}
	area->store = store;
	area->behind = desc->behind;
	area->behind.name = memcpy(area + 1, desc->behind.name, name);
	area->order.prio =
		desc->flags & SWAP_FLAG_PREFER ? desc->flags & SWAP_FLAG_PRIO_MASK : desc->prio;
	area->usage.pages = desc->slots;
	area->ahead.window = SWAP_WINDOW;
	area->state = SWAP_STOPPED;
	refcount_set(&area->refs, 1);
	*out = area;
	return 0;
}

void swap_area_destroy(struct samara_swap *area)
{
	mem_unmap_zeros(&slots_site, area->slots.word, area->slots.bytes);
	mem_free(&area_site, area);
}

static void destroy_later(struct rcu_cb *cb)
{
	swap_area_destroy(container_of(cb, struct samara_swap, cb));
}

void swap_area_put(struct samara_swap *area)
{
	if (!refcount_dec_and_test(&area->refs))
		return;
	if (area->behind.ops->release)
		area->behind.ops->release(area);
	rcu_defer(&area->cb, destroy_later);
}

/* the list ----------------------------------------------------------------------------- */

/* How many pages the machine has in areas that are on, or free of them: by so many more. */
static void count(struct samara_swap *area, long sign)
{
	struct swap_areas *areas = &area->store->swap;
	const long pages = (long)area->usage.pages, used = (long)area->usage.used;

	spin_assert_held(&area->lock);
	atomic_add(&areas->total, sign * pages);
	atomic_add(&areas->free, sign * (pages - used));
	commit_add_swap(&area->store->commit, sign * pages);
}

static void turn_on(struct samara_swap *area)
{
	spin_lock(&area->lock, RANK_SWAP);
	area->state = SWAP_ON;
	count(area, 1);
	spin_unlock(&area->lock);
}

/* Where it goes; -EPERM, -EBUSY. areas->lock is held. */
static int find_place(const struct swap_areas *areas, const struct samara_swap *area)
{
	const struct swap_file_id *file = &area->behind.file;
	int place = -EPERM;

	for (int i = SWAP_AREAS - 1; i >= 0; i--) {
		const struct samara_swap *other = areas->area[i];

		if (!other)
			place = i;
		else if ((file->dev || file->ino) && other->behind.file.dev == file->dev &&
			 other->behind.file.ino == file->ino)
			return -EBUSY;
	}
	return place;
}

int swap_area_list(struct samara_swap *area)
{
	struct swap_areas *areas = &area->store->swap;
	int place;

	spin_lock(&areas->lock, RANK_SWAP);
	place = find_place(areas, area);
	if (place >= 0) {
		if (area->order.prio < 0)
			area->order.prio = --areas->lowest;
		area->number = (unsigned int)place;
		rcu_assign_pointer(areas->area[place], area);
	}
	spin_unlock(&areas->lock);
	return min(place, 0);
}

/* An area of a priority that it did not choose is gone: those below it move up, as in Linux. */
static void close_gap(struct swap_areas *areas, int prio)
{
	if (prio >= 0)
		return;
	for (unsigned int i = 0; i < SWAP_AREAS; i++) {
		struct samara_swap *area = areas->area[i];

		if (area && area->order.prio < prio)
			WRITE_ONCE(area->order.prio, area->order.prio + 1);
	}
	areas->lowest++;
}

static void unlist(struct samara_swap *area)
{
	struct swap_areas *areas = &area->store->swap;

	spin_lock(&areas->lock, RANK_SWAP);
	rcu_assign_pointer(areas->area[area->number], NULL);
	close_gap(areas, area->order.prio);
	spin_unlock(&areas->lock);
}

struct samara_swap *swap_area_get(struct file_store *store, unsigned int number)
{
	struct samara_swap *area;

	rcu_read_lock();
	area = swap_area_at(store, number);
	if (area && !refcount_inc_not_zero(&area->refs))
		area = NULL;
	rcu_read_unlock();
	return area;
}

unsigned int swap_area_number(const struct samara_swap *area)
{
	return area->number;
}

struct file_store *swap_area_store(const struct samara_swap *area)
{
	return area->store;
}

/* off ------------------------------------------------------------------------------------ */

int swap_area_stop(struct samara_swap *area)
{
	int err = -EBUSY;

	spin_lock(&area->lock, RANK_SWAP);
	if (area->state == SWAP_ON) {
		area->state = SWAP_STOPPED;
		count(area, -1);
		err = 0;
	}
	spin_unlock(&area->lock);
	return err;
}

void swap_area_resume(struct samara_swap *area)
{
	turn_on(area);
}

static void leave_list(struct samara_swap *area)
{
	spin_lock(&area->lock, RANK_SWAP);
	BUG_ON(area->state != SWAP_STOPPED || area->usage.used);
	area->state = SWAP_GONE;
	spin_unlock(&area->lock);
	unlist(area);
	swap_discard(area);
}

void swap_area_end(struct samara_swap *area)
{
	leave_list(area);
	/* Lookups that began before have their reference or none, and drop it soon. */
	rcu_synchronize();
	for (unsigned long round = 0; refcount_read(&area->refs) > 1; round++)
		nap_between_looks(round);
	swap_area_put(area);
}

unsigned long swap_area_pages(struct samara_swap *area)
{
	unsigned long pages;

	spin_lock(&area->lock, RANK_SWAP);
	pages = area->usage.pages;
	spin_unlock(&area->lock);
	return pages;
}

unsigned long swap_area_used(struct samara_swap *area)
{
	unsigned long used;

	spin_lock(&area->lock, RANK_SWAP);
	used = area->usage.used;
	spin_unlock(&area->lock);
	return used;
}

bool swap_area_next(struct samara_swap *area, unsigned long *slot)
{
	unsigned long end;

	spin_lock(&area->lock, RANK_SWAP);
	end = min(area->clusters.fresh * SWAP_CLUSTER, area->slots.nr);
	spin_unlock(&area->lock);
	for (; *slot < end; ++*slot)
		if (!slot_unnamed(smp_load_acquire(&area->slots.word[*slot])))
			return true;
	return false;
}

/* Folios that only the cache has go: no entry is left. */
static void drop_cached(struct samara_swap *area)
{
	struct file_store *store = area->store;

	for (unsigned long slot = 0; swap_area_next(area, &slot); slot++) {
		struct folio *folio = swap_cache_find(store, mk_swp_entry(area->number, slot));
		bool alone;

		if (VM_WARN_ON(!folio))
			continue;
		folio_lock(folio);
		alone = swap_cache_free(store, folio);
		VM_WARN_ON(!alone);
		folio_unlock(folio);
		folio_put(store->ram, folio);
	}
}

void swap_areas_end(struct file_store *store)
{
	for (unsigned int i = 0; i < SWAP_AREAS; i++) {
		struct samara_swap *area = store->swap.area[i];
		int err;

		if (!area)
			continue;
		drop_cached(area);
		err = swap_area_stop(area);
		VM_WARN_ON(err);
		leave_list(area);
		swap_area_put(area);
	}
	VM_WARN_ON(store->swap.total || store->swap.free || store->swap.cached);
}

void swap_stats(struct file_store *store, struct swap_stats *out)
{
	*out = (struct swap_stats){
		.total = (unsigned long)max(READ_ONCE(store->swap.total), 0L),
		.free = (unsigned long)max(READ_ONCE(store->swap.free), 0L),
		.cached = (unsigned long)max(READ_ONCE(store->swap.cached), 0L),
	};
}
