/* SPDX-License-Identifier: MIT */
/*
 * Bad memory: what a frame that is never to be used again held.
 *
 *   free                       taken out of the allocator
 *   clean page of a file       unmapped, out of the cache: read again when it is wanted
 *   dirty page of a file,      poison markers; it stays in the cache, where each touch and each
 *   shared memory              read of that page finds it, until it is truncated (Linux does so for
 *                              shared memory; of a dirty file it reads again what the disk has)
 *   anonymous                  poison markers
 *   in the swap cache          dirty or mapped: the same; it stays in the cache, where faults on
 *                              swap entries find it. Else it leaves: the slot has its bytes
 *   pinned                     -EBUSY; the same when the last pin goes
 *   a device's, not yet used   -EBUSY; it leaves when it is freed
 *
 * FOLIO_POISONED is set first. A folio with it is not migrated or reclaimed, no fault maps it, it
 * is not written back, and when it is freed its frame leaves for good (frame/shard.c).
 *
 * A page whose mappings are not all gone (an mm that is dying has it, and may have written to it)
 * is taken as dirty.
 */
#include <errno.h>

#include "base/nap.h"
#include "frame/pfn.h"
#include "reclaim/reclaim.h"
#include "rmap/rmap.h"
#include "store/file.h"
#include "store/pages.h"

/* A file's page, locked. */
static void fail_file_page(struct file_store *store, struct folio *folio)
{
	struct inode *inode = folio->mapping;
	bool lost = inode_is_shmem(inode);

	if (!lost && folio_maps(folio) && folio_mkclean(store->ram, folio))
		folio_set(folio, FOLIO_DIRTY);
	lost |= folio_test(folio, FOLIO_DIRTY);
	/* Written to meanwhile, or still mapped: empty entries find the lost page in the cache. */
	if (folio_unmap_bad(store, folio, lost ? BAD_LEAVES_POISON : BAD_LEAVES_NOTHING))
		lost = true;
	if (!lost && !folio_test(folio, FOLIO_DIRTY))
		page_cache_remove(inode, folio);
}

/* folio is locked. */
static int fail_locked(struct file_store *store, struct folio *folio)
{
	if (folio_maybe_pinned(folio))
		return -EBUSY;
	if (folio_test(folio, FOLIO_SWAPCACHE) && !folio_maps(folio)) {
		if (!folio_test(folio, FOLIO_DIRTY))
			swap_cache_del(store, folio);
	} else if (folio_test(folio, FOLIO_ANON))
		(void)!folio_unmap_bad(store, folio, BAD_LEAVES_POISON);
	else if (folio->mapping)
		fail_file_page(store, folio);
	else if (folio_count(folio) > 1)
		return -EBUSY; /* a device's, or see is_coming() */
	return 0;
}

static int fail(struct file_store *store, struct folio *folio)
{
	int err;

	folio_lock(folio);
	err = fail_locked(store, folio);
	folio_unlock_cached(store, folio);
	return err;
}

/* Whether it was so before. */
static bool set_poisoned(struct folio *folio)
{
	const uint64_t bit = (uint64_t)FOLIO_POISONED << FOLIO_FLAGS_SHIFT;

	return atomic_fetch_or_acq_rel(&folio->state, bit) & bit;
}

int folio_failure(struct file_store *store, struct folio *folio)
{
	return set_poisoned(folio) ? -EHWPOISON : fail(store, folio);
}

/*
 * Given out, and not yet what it will be; or moved away, and about to be freed. Its flags say so:
 * its mapping may be read under its lock only.
 */
static bool is_coming(const struct folio *folio)
{
	return !folio_test(folio, FOLIO_ANON | FOLIO_UPTODATE) && folio_count(folio) > 1;
}

#define LOOKS_COMING (LOOKS_SPUN + 20UL)

int memory_failure(struct samara_machine *machine, unsigned long pfn)
{
	struct ram *ram = machine->ram;
	struct folio *folio;
	int err;

	if (pfn == ZERO_FRAME || pfn >= ram_view(ram)->nr_frames)
		return -ENXIO;
	/* A frame that is neither is just given out, or given back, or its folio is frozen. */
	for (unsigned long round = 0;; round++) {
		if (ram_is_poisoned(ram, pfn))
			return -EHWPOISON;
		folio = folio_get_pfn(ram, pfn);
		if (!folio && ram_take_free(ram, pfn, 1, &folio))
			break;
		if (folio && (round > LOOKS_COMING || !is_coming(folio)))
			break;
		if (folio)
			folio_put(ram, folio);
		nap_between_looks(round);
	}
	err = folio_failure(machine->store, folio);
	folio_put(ram, folio);
	return err;
}

void folio_failure_unpinned(struct file_store *store, struct folio *folio)
{
	if (folio_test(folio, FOLIO_POISONED))
		(void)!fail(store, folio);
}

int folio_soft_offline(struct file_store *store, struct folio *folio)
{
	unsigned long refused = frames_refused;
	struct folio *to;
	int err;

	if (folio_test(folio, FOLIO_POISONED))
		return 0;
	while (!(to = folio_alloc(store->ram, 0, FOLIO_RAW)))
		if (reclaim_make_room(store, &refused))
			return -ENOMEM;
	err = move_folio(store, folio, to);
	/* Nothing has it any more but those that wait for it. */
	if (!err)
		folio_set(folio, FOLIO_POISONED);
	folio_put(store->ram, to);
	return err;
}
