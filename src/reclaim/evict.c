/* SPDX-License-Identifier: MIT */
/*
 * One folio leaves memory, in the steps that reclaim.h draws.
 *
 *   kind                        where its bytes are then            unmap leaves
 *   a page of a host file       in the file                         empty entries
 *   of a file known by name     nowhere: clean ones are zeros       empty entries
 *   MADV_FREE, MAP_DROPPABLE    nowhere                             empty entries
 *   anonymous                   in a slot                           swap entries
 *   shared memory               in a slot (page cache: its entry)   empty entries
 *
 * Its lock is held from the look at its use to its end. So no fault maps it meanwhile, truncation
 * waits, and its inode stays as long as the folio is in its page cache, though nothing here has a
 * reference to the inode: the last put of a file writes back and frees by itself, in the thread
 * that puts it.
 *
 * Was it used?  Entries with the accessed bit, which the look clears, and FOLIO_REFERENCED:
 *
 *   accessed   REFERENCED before
 *   more than one                  active
 *   one        yes                 active
 *   one        no                  stays, REFERENCED
 *   none       yes, file           leaves if it is clean
 *   none                           leaves
 */
#include "base/assert.h"
#include "mmu/gather.h"
#include "reclaim/reclaim.h"
#include "rmap/rmap.h"
#include "store/file.h"

bool folio_still_mlocked(struct file_store *store, struct folio *folio)
{
	if (folio_mlocked(store, folio))
		return true;
	folio_test_clear(folio, FOLIO_MLOCKED);
	return false;
}

static const swp_entry_t no_slot = { 0 };

enum use { UNUSED, UNUSED_IF_CLEAN, USED_ONCE, USED_MORE };

static enum use look_at_use(struct file_store *store, struct folio *folio)
{
	const unsigned int times = folio_maps(folio) ? folio_referenced(store, folio) : 0;
	const bool before = folio_test_clear(folio, FOLIO_REFERENCED);

	if (times) {
		folio_set(folio, FOLIO_REFERENCED);
		return times > 1 || before ? USED_MORE : USED_ONCE;
	}
	return before && !folio_test(folio, FOLIO_SWAPBACKED) ? UNUSED_IF_CLEAN : UNUSED;
}

/*
 * It is still mapped: why? munlock changes the mapping first and then looks for FOLIO_MLOCKED. So
 * it is set first, and then the mapping looked at again.
 */
static enum evicted still_mapped(struct file_store *store, struct folio *folio)
{
	if (!folio_mlocked(store, folio))
		return EVICT_KEPT;
	folio_set(folio, FOLIO_MLOCKED);
	return folio_still_mlocked(store, folio) ? EVICT_MLOCKED : EVICT_KEPT;
}

static bool is_mapped(struct file_store *store, struct folio *folio)
{
	return folio_maps(folio) && folio_unmap_all(store, folio, no_slot);
}

/* A page of inode's page cache, not of shared memory. */
static enum evicted evict_file(struct inode *inode, struct folio *folio, bool write)
{
	struct file_store *store = inode->store;

	if (inode->kind != INODE_HOST && folio_test(folio, FOLIO_DIRTY))
		return EVICT_ACTIVE;
	if (is_mapped(store, folio))
		return still_mapped(store, folio);
	if (folio_test(folio, FOLIO_DIRTY)) {
		if (!write)
			return EVICT_KEPT;
		if (inode_write_folio(inode, folio))
			return EVICT_ACTIVE;
	}
	return page_cache_evict(inode, folio) ? EVICT_FREED : EVICT_KEPT;
}

/* An anonymous page that may be dropped: nothing has it but entries. */
static enum evicted evict_lazyfree(struct file_store *store, struct folio *folio)
{
	if (is_mapped(store, folio)) {
		/* It was written to again. */
		if (folio_test(folio, FOLIO_SWAPBACKED))
			return EVICT_ACTIVE;
		return still_mapped(store, folio);
	}
	return folio_refs(folio) == 1 ? EVICT_FREED : EVICT_KEPT;
}

/* folio, unmapped, is in the swap cache: its slot gets its bytes, and it leaves. */
static enum evicted leave_swap_cache(struct file_store *store, struct folio *folio)
{
	if (folio_test(folio, FOLIO_DIRTY) && swap_write(store, folio))
		return EVICT_ACTIVE;
	if (!folio_try_freeze(folio, 2))
		return EVICT_KEPT;
	/* A pin may have made it dirty and have gone since. */
	if (folio_test(folio, FOLIO_DIRTY)) {
		folio_unfreeze(folio);
		return EVICT_KEPT;
	}
	folio_evicted(store->ram, folio);
	swap_cache_del(store, folio);
	return EVICT_FREED;
}

/* A page of inode's page cache. */
static enum evicted evict_shmem(struct inode *inode, struct folio *folio)
{
	struct file_store *store = inode->store;

	if (READ_ONCE(store->swap.free) <= 0)
		return EVICT_ACTIVE;
	if (is_mapped(store, folio))
		return still_mapped(store, folio);
	/* From here on there may be no inode any more. */
	return shmem_swap_out(inode, folio) ? EVICT_KEPT : leave_swap_cache(store, folio);
}

/* A mapped page. */
static enum evicted evict_anon(struct file_store *store, struct folio *folio)
{
	enum evicted why;

	if (!folio_test(folio, FOLIO_SWAPCACHE) && swap_cache_add(store, folio))
		return EVICT_ACTIVE;
	if (!folio_unmap_all(store, folio, folio_swap(folio)))
		return leave_swap_cache(store, folio);
	why = still_mapped(store, folio);
	/* The slot is given back if no entry has become one of it. */
	(void)!swap_cache_free(store, folio);
	return why;
}

/* What can leave to a slot only. */
static enum evicted evict_swapbacked(struct file_store *store, struct folio *folio)
{
	const bool anon = folio_test(folio, FOLIO_ANON);

	if (!folio_test(folio, FOLIO_SWAPCACHE) && !anon)
		return folio->mapping ? evict_shmem(folio->mapping, folio) : EVICT_KEPT;
	if (folio_maps(folio))
		return anon ? evict_anon(store, folio) : EVICT_KEPT;
	if (!folio_test(folio, FOLIO_SWAPCACHE))
		return EVICT_KEPT;
	/* Read ahead, or what is left of a page that is gone. */
	if (!swap_cache_free(store, folio))
		return leave_swap_cache(store, folio);
	return folio_refs(folio) == 1 ? EVICT_FREED : EVICT_KEPT;
}

static enum evicted evict_locked(struct file_store *store, struct folio *folio, enum evict_how how)
{
	enum use use = UNUSED;

	if (folio_test(folio, FOLIO_POISONED) || folio_maybe_pinned(folio))
		return EVICT_ACTIVE;
	if (how == EVICT_UNUSED)
		use = look_at_use(store, folio);
	if (use == USED_MORE)
		return EVICT_ACTIVE;
	if (use == USED_ONCE)
		return EVICT_USED;
	/* MADV_FREE may have come while it was put there, and takes no lock. It is kept then. */
	if (folio_test(folio, FOLIO_SWAPCACHE))
		folio_set(folio, FOLIO_SWAPBACKED);
	if (folio_test(folio, FOLIO_SWAPBACKED))
		return evict_swapbacked(store, folio);
	if (folio_test(folio, FOLIO_ANON))
		return evict_lazyfree(store, folio);
	/* A page that was truncated has no inode, and goes with its last reference. */
	return folio->mapping ? evict_file(folio->mapping, folio, use == UNUSED) : EVICT_KEPT;
}

enum evicted folio_evict(struct file_store *store, struct folio *folio, enum evict_how how)
{
	enum evicted evicted;

	if (!folio_trylock(folio))
		return EVICT_KEPT;
	evicted = evict_locked(store, folio, how);
	if (evicted == EVICT_ACTIVE)
		folio_set(folio, FOLIO_ACTIVE);
	folio_unlock_cached(store, folio);
	return evicted;
}
