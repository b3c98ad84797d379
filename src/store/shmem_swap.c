/* SPDX-License-Identifier: MIT */
/*
 * Pages of shared memory that go to swap areas and come back. Each index of the page cache's tree
 * has one of:
 *
 *   nothing   a page that was never written to
 *   folio     in memory; pages.nr
 *   value     the swap entry of its slot, whose count of 1 it is; or SWP_LOST, for good;
 *             pages.swapped
 *
 *   out   the folio, locked, gets a slot; is frozen; an entry takes its place; it is in the swap
 *         cache alone, and unfrozen
 *   in    the slot's folio, locked, takes the entry's place; the entry is put, which makes the slot
 *         free; the folio is the inode's
 *
 * Both change the tree in one step under pages.lock, while the folio is locked. So truncation,
 * which takes each index out of the tree however it finds it there, meets a page once.
 *
 * An inode that has had an entry is in the store's list until it ends.
 */
#include <errno.h>

#include "base/assert.h"
#include "base/rcu.h"
#include "maple/writer.h"
#include "store/file.h"
#include "store/pages.h"

/* the list --------------------------------------------------------------------------------- */

/* The caller keeps inode: by a reference, or by the lock of a folio in its page cache. */
static void list_swapped(struct inode *inode)
{
	struct swap_areas *areas = &inode->store->swap;

	spin_lock(&areas->swapped_lock, RANK_SWAP);
	if (!inode->pages.listed.next)
		list_add_tail(&inode->pages.listed, &areas->swapped);
	spin_unlock(&areas->swapped_lock);
}

void shmem_unlist(struct inode *inode)
{
	struct swap_areas *areas = &inode->store->swap;

	spin_lock(&areas->swapped_lock, RANK_SWAP);
	if (inode->pages.listed.next)
		list_del(&inode->pages.listed);
	spin_unlock(&areas->swapped_lock);
}

struct inode *shmem_swapped_next(struct file_store *store, struct inode *prev)
{
	struct swap_areas *areas = &store->swap;
	struct list_head *at;
	struct inode *next = NULL;

	spin_lock(&areas->swapped_lock, RANK_SWAP);
	for (at = prev ? prev->pages.listed.next : areas->swapped.next;
	     at != &areas->swapped && !next; at = at->next) {
		struct inode *inode = list_entry(at, struct inode, pages.listed);

		if (refcount_inc_not_zero(&inode->refs))
			next = inode;
	}
	spin_unlock(&areas->swapped_lock);
	if (prev)
		inode_put(prev);
	return next;
}

/* the tree --------------------------------------------------------------------------------- */

/* What mas, at its index, has: now becomes its entry, if it is old. pages.lock is held. */
static bool replace(struct ma_state *mas, const void *old, void *now)
{
	if (mas_walk(mas) != old)
		return false;
	maple_replace(mas, now);
	return true;
}

bool shmem_swap_drop(struct inode *inode, unsigned long index, swp_entry_t entry)
{
	MA_STATE(mas, &inode->pages.tree, index, index);
	struct file_store *store = inode->store;
	bool here;

	mutex_lock(&inode->pages.lock);
	here = mas_walk(&mas) == swp_to_value(entry);
	if (here) {
		mas_erase(&mas);
		inode->pages.swapped--;
		inode->pages.charged -= inode->pages.charge_each;
		if (inode->pages.charge_each)
			commit_uncharge(&store->commit, 1);
	}
	mutex_unlock(&inode->pages.lock);
	if (here && entry.v != SWP_LOST.v)
		swap_put(store, entry);
	return here;
}

void shmem_swap_lose(struct inode *inode, unsigned long index, swp_entry_t entry)
{
	MA_STATE(mas, &inode->pages.tree, index, index);
	bool here;

	mutex_lock(&inode->pages.lock);
	here = replace(&mas, swp_to_value(entry), swp_to_value(SWP_LOST));
	mutex_unlock(&inode->pages.lock);
	if (here)
		swap_put(inode->store, entry);
}

bool shmem_swap_next(struct inode *inode, unsigned int area, unsigned long *index,
		     swp_entry_t *entry)
{
	MA_STATE(mas, &inode->pages.tree, *index, *index);
	const void *at;
	bool found = false;

	rcu_read_lock();
	mas_for_each(&mas, at, ULONG_MAX) {
		*entry = value_to_swp(at);
		if (area == SWAP_AREAS)
			found = !swp_none(*entry) && entry->v != SWP_LOST.v;
		else
			found = !swp_none(*entry) && swp_area(*entry) == area;
		if (found)
			break;
	}
	rcu_read_unlock();
	if (found)
		*index = mas.index;
	return found;
}

/* out -------------------------------------------------------------------------------------- */

/* folio, in the swap cache and still in the page cache, is in the page cache only. */
static void stay(struct inode *inode, struct folio *folio, swp_entry_t entry)
{
	swap_put(inode->store, entry);
	BUG_ON(!swap_cache_free(inode->store, folio));
	folio->mapping = inode;
}

/* folio is frozen: its last reference but the swap cache's and the caller's is the tree's. */
static void leave(struct inode *inode, struct folio *folio, swp_entry_t entry)
{
	MA_STATE(mas, &inode->pages.tree, folio->index, folio->index);
	struct ram *ram = inode->ram;

	mutex_lock(&inode->pages.lock);
	BUG_ON(!replace(&mas, folio, swp_to_value(entry)));
	inode->pages.nr--;
	inode->pages.swapped++;
	/* Without its last page inode may be freed once the lock is released (inode_destroy()). */
	mutex_unlock(&inode->pages.lock);
	folio_put(ram, folio);
}

int shmem_swap_out(struct inode *inode, struct folio *folio)
{
	struct file_store *store = inode->store;
	swp_entry_t entry;
	int err;

	VM_WARN_ON(folio->mapping != inode || folio_maps(folio) ||
		   !folio_test(folio, FOLIO_LOCKED));
	if (folio_refs(folio) != 2)
		return -EBUSY;
	list_swapped(inode);
	err = swap_cache_add(store, folio);
	if (err)
		return err;
	entry = folio_swap(folio);
	BUG_ON(!swap_dup(store, entry));
	/* The two caches' and the caller's. */
	if (!folio_try_freeze(folio, 3)) {
		stay(inode, folio, entry);
		return -EBUSY;
	}
	leave(inode, folio, entry);
	folio_unfreeze(folio);
	return 0;
}

/* in --------------------------------------------------------------------------------------- */

/* folio, locked, is the slot's. It is index's page now, unless inode has something else there. */
static void enter(struct inode *inode, unsigned long index, swp_entry_t entry, struct folio *folio)
{
	MA_STATE(mas, &inode->pages.tree, index, index);
	bool here;

	folio_get(folio);
	mutex_lock(&inode->pages.lock);
	here = replace(&mas, swp_to_value(entry), folio);
	if (here) {
		inode->pages.nr++;
		inode->pages.swapped--;
	}
	mutex_unlock(&inode->pages.lock);
	if (!here) {
		folio_put(inode->ram, folio);
		return;
	}
	swap_put(inode->store, entry);
	BUG_ON(!swap_cache_free(inode->store, folio));
	folio->index = index;
	folio->mapping = inode;
}

int shmem_swap_read(struct inode *inode, unsigned long index, swp_entry_t entry, bool *major)
{
	struct file_store *store = inode->store;
	struct folio *folio;
	int err;

	if (entry.v == SWP_LOST.v)
		return -EIO;
	err = swap_read(store, entry, NULL, &folio, major);
	/* Truncated, or brought in by another thread, which put the last entry. */
	if (err)
		return err == -ENOENT ? 0 : err;
	folio_lock(folio);
	if (swap_cache_is(folio, entry))
		enter(inode, index, entry, folio);
	folio_unlock_cached(store, folio);
	folio_put(inode->ram, folio);
	return 0;
}

static bool has_entry(struct inode *inode, unsigned long index, swp_entry_t entry)
{
	return mtree_load(&inode->pages.tree, index) == swp_to_value(entry);
}

int shmem_swap_in(struct inode *inode, unsigned long index, swp_entry_t entry)
{
	bool major = false;
	int err = 0;

	if (VM_WARN_ON(swp_none(entry)))
		return 0;
	/* The folio may leave the swap cache again before it is locked. */
	while (!err && has_entry(inode, index, entry))
		err = shmem_swap_read(inode, index, entry, &major);
	return err;
}
