/* SPDX-License-Identifier: MIT */
/*
 * Giving slots out, and taking them back. See swap_area.h.
 *
 * A shard takes the free slots of its cluster in ascending order, and then another cluster: an
 * empty one if there is one, else one that was never used, else one with some free slots, else
 * another shard's. A cluster whose last slot becomes free is discarded before it is used again, if
 * the area wants to be told. That may sleep, so the next caller that may sleep does it.
 */
#include <errno.h>

#include "base/this_thread.h"
#include "store/swap_area.h"

static struct swap_cluster *cluster_at(struct samara_swap *area, unsigned long link)
{
	return &area->slots.cluster[link - 1];
}

static unsigned long cluster_size(const struct samara_swap *area, unsigned long link)
{
	return min(SWAP_CLUSTER, area->slots.nr - (link - 1) * SWAP_CLUSTER);
}

/* lists of clusters: area->lock is held -------------------------------------------- */

static void push(struct samara_swap *area, unsigned long link, enum cluster_state list)
{
	struct swap_cluster *cluster = cluster_at(area, link);
	unsigned long *first = &area->clusters.first[list];

	spin_assert_held(&area->lock);
	cluster->state = (uint8_t)list;
	cluster->prev = 0;
	cluster->next = *first;
	if (*first)
		cluster_at(area, *first)->prev = link;
	*first = link;
}

static void unlink_cluster(struct samara_swap *area, unsigned long link)
{
	struct swap_cluster *cluster = cluster_at(area, link);

	spin_assert_held(&area->lock);
	if (cluster->prev)
		cluster_at(area, cluster->prev)->next = cluster->next;
	else
		area->clusters.first[cluster->state] = cluster->next;
	if (cluster->next)
		cluster_at(area, cluster->next)->prev = cluster->prev;
	cluster->next = cluster->prev = 0;
}

/* The first of the list, off it and somebody's; 0: the list is empty. */
static unsigned long pop(struct samara_swap *area, enum cluster_state list, enum cluster_state now)
{
	const unsigned long link = area->clusters.first[list];

	if (link) {
		unlink_cluster(area, link);
		cluster_at(area, link)->state = (uint8_t)now;
	}
	return link;
}

/* The cluster is no shard's: where it belongs. */
static void settle(struct samara_swap *area, unsigned long link)
{
	struct swap_cluster *cluster = cluster_at(area, link);

	if (cluster->used == cluster_size(area, link))
		cluster->state = CLUSTER_FULL;
	else if (cluster->used)
		push(area, link, CLUSTER_PARTIAL);
	else
		push(area, link, area->behind.discards ? CLUSTER_DISCARD : CLUSTER_FREE);
}

/* taking: area->lock is held --------------------------------------------------------- */

static void park(struct samara_swap *area, struct swap_cursor *cursor)
{
	const unsigned long link = cursor->cluster;

	if (!link)
		return;
	cursor->cluster = 0;
	settle(area, link);
}

/* The next free slot of the cursor's cluster; false: there is none behind it. */
static bool scan(struct samara_swap *area, struct swap_cursor *cursor, unsigned long *slot)
{
	const unsigned long link = cursor->cluster;
	const unsigned long end = (link - 1) * SWAP_CLUSTER + cluster_size(area, link);

	while (cursor->next < end) {
		const unsigned long at = cursor->next++;

		if (READ_ONCE(area->slots.word[at]))
			continue;
		WRITE_ONCE(area->slots.word[at], SLOT_USED);
		cluster_at(area, link)->used++;
		*slot = at;
		return true;
	}
	return false;
}

static bool next_cluster(struct samara_swap *area, struct swap_cursor *cursor)
{
	struct swap_clusters *clusters = &area->clusters;
	unsigned long link = pop(area, CLUSTER_FREE, CLUSTER_CURRENT);

	if (!link && clusters->fresh * SWAP_CLUSTER < area->slots.nr) {
		link = ++clusters->fresh;
		cluster_at(area, link)->state = CLUSTER_CURRENT;
	}
	if (!link)
		link = pop(area, CLUSTER_PARTIAL, CLUSTER_CURRENT);
	cursor->cluster = link;
	cursor->next = (link - 1) * SWAP_CLUSTER;
	return link;
}

/* The other shards' clusters may be taken. */
static bool steal(struct samara_swap *area)
{
	for (unsigned int i = 0; i < SWAP_SHARDS; i++)
		park(area, &area->clusters.cursor[i]);
	return area->clusters.first[CLUSTER_FREE] || area->clusters.first[CLUSTER_PARTIAL];
}

static bool take(struct samara_swap *area, unsigned long *slot)
{
	struct swap_cursor *cursor = &area->clusters.cursor[this_thread_number() % SWAP_SHARDS];

	if (area->state != SWAP_ON || area->usage.used >= area->usage.pages)
		return false;
	while (!cursor->cluster || !scan(area, cursor, slot)) {
		park(area, cursor);
		if (!next_cluster(area, cursor) && !steal(area))
			return false;
	}
	area->usage.used++;
	atomic_dec(&area->store->swap.free);
	return true;
}

int swap_slot_take(struct samara_swap *area, unsigned long *slot)
{
	bool taken, discard;

	do {
		spin_lock(&area->lock, RANK_SWAP);
		taken = take(area, slot);
		discard = area->clusters.first[CLUSTER_DISCARD];
		spin_unlock(&area->lock);
		if (discard)
			swap_discard(area);
	} while (!taken && discard);
	return taken ? 0 : -ENOSPC;
}

/* giving back -------------------------------------------------------------------------- */

/* A slot of the cluster has become free. */
static void emptier(struct samara_swap *area, unsigned long link)
{
	struct swap_cluster *cluster = cluster_at(area, link);

	cluster->used--;
	if (cluster->state == CLUSTER_FULL) {
		settle(area, link);
	} else if (cluster->state == CLUSTER_PARTIAL && !cluster->used) {
		unlink_cluster(area, link);
		settle(area, link);
	}
}

void swap_slot_free(struct samara_swap *area, unsigned long slot)
{
	struct swap_areas *areas = &area->store->swap;
	uint64_t *word = &area->slots.word[slot];
	const uint64_t old = smp_load_acquire(word);
	const bool dead = old & SLOT_BAD;

	VM_WARN_ON(!slot_unnamed(old) || !(old & SLOT_USED) || area->slots.family[slot]);
	if ((old & SLOT_STORED) && area->behind.ops->forget)
		area->behind.ops->forget(area, slot);
	spin_lock(&area->lock, RANK_SWAP);
	smp_store_release(word, old & SLOT_BAD);
	area->usage.used--;
	if (dead)
		area->usage.pages--;
	else
		emptier(area, slot / SWAP_CLUSTER + 1);
	if (area->state == SWAP_ON) {
		if (dead) {
			atomic_dec(&areas->total);
			commit_add_swap(&area->store->commit, -1);
		} else {
			atomic_inc(&areas->free);
		}
	}
	spin_unlock(&area->lock);
}

void swap_slot_kill(struct samara_swap *area, unsigned long slot)
{
	uint64_t *word = &area->slots.word[slot];

	if (READ_ONCE(*word))
		return;
	WRITE_ONCE(*word, SLOT_BAD);
	area->slots.cluster[slot / SWAP_CLUSTER].used++;
	area->usage.pages--;
}

void swap_discard(struct samara_swap *area)
{
	for (;;) {
		unsigned long link;

		spin_lock(&area->lock, RANK_SWAP);
		link = pop(area, CLUSTER_DISCARD, CLUSTER_TOLD);
		spin_unlock(&area->lock);
		if (!link)
			return;
		area->behind.ops->discard(area, (link - 1) * SWAP_CLUSTER,
					  cluster_size(area, link));
		spin_lock(&area->lock, RANK_SWAP);
		push(area, link, CLUSTER_FREE);
		spin_unlock(&area->lock);
	}
}
