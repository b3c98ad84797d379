/* SPDX-License-Identifier: MIT */
/*
 * Moving pages so that free frames lie together.
 *
 *   block   [ u . p u . . . u ]      u: in use, on a list; p: pinned; .: free
 *
 *   1. a block without a frame that cannot move, and with no more in use than are free elsewhere
 *   2. its free frames are taken, so that no other thread gets them
 *   3. each folio in it moves to a new frame outside; new frames inside are kept aside
 *   4. all that was taken is free again, and the buddy joins it
 *
 * Another thread may take a frame that was given back. Then the next block is tried.
 *
 * While frames are taken lru_isolation() is held: a thread that finds none waits for them there
 * before it says that memory is full (worker.c).
 */
#include <errno.h>

#include "frame/pfn.h"
#include "reclaim/reclaim.h"
#include "rmap/rmap.h"
#include "store/file.h"

/* A lookup, or a thread that waits for an entry, holds a folio for a moment only. */
#define MOVE_TRIES 3

/* lru_isolation() is held. */
static int move_isolated(struct file_store *store, struct folio *folio, struct folio *to)
{
	int err = -EBUSY;

	if (!lru_isolate_folio(store->ram, folio))
		return -EBUSY;
	for (int i = 0; err && i < MOVE_TRIES; i++)
		err = folio_migrate(store, folio, to);
	lru_add(store->ram, err ? folio : to);
	return err;
}

int move_folio(struct file_store *store, struct folio *folio, struct folio *to)
{
	struct rwsem *isolation = lru_isolation(store->ram);
	int err;

	down_read(isolation);
	err = move_isolated(store, folio, to);
	up_read(isolation);
	return err;
}

/* One block of frames: [first, first + n). */
struct block {
	struct file_store *store;
	unsigned long first;
	unsigned int n, nr_held;
	struct folio *held[1U << (FRAME_ORDERS - 1)]; /* its free frames, taken */
};

static bool block_has(const struct block *block, unsigned long pfn)
{
	return pfn - block->first < block->n;
}

/* Folios of the block that would have to move; -1: one cannot. Others may come and go meanwhile. */
static long block_used(const struct block *block)
{
	struct ram *ram = block->store->ram;
	long used = 0;

	if (block_has(block, ZERO_FRAME))
		return -1;
	for (unsigned long pfn = block->first; pfn < block->first + block->n; pfn++) {
		struct folio *folio = folio_get_pfn(ram, pfn);
		bool movable;

		if (!folio) {
			if (ram_is_poisoned(ram, pfn))
				return -1;
			continue;
		}
		movable = folio_test(folio, FOLIO_LRU) && !folio_test(folio, FOLIO_POISONED) &&
			  !folio_maybe_pinned(folio);
		folio_put(ram, folio);
		if (!movable)
			return -1;
		used++;
	}
	return used;
}

/* A frame outside; those inside that come are kept. NULL: there is none. */
static struct folio *frame_outside(struct block *block)
{
	struct ram *ram = block->store->ram;
	struct folio *folio;

	while ((folio = folio_alloc(ram, 0, FOLIO_RAW)) && block_has(block, folio_pfn(ram, folio)))
		block->held[block->nr_held++] = folio;
	return folio;
}

/* False: it cannot move, or there is no frame. */
static bool move_out(struct block *block, struct folio *folio)
{
	struct folio *to = frame_outside(block);
	int err;

	if (!to)
		return false;
	err = move_isolated(block->store, folio, to);
	folio_put(block->store->ram, to);
	return !err;
}

static bool empty(struct block *block)
{
	struct ram *ram = block->store->ram;
	bool moved = true;

	block->nr_held = ram_take_free(ram, block->first, block->n, block->held);
	for (unsigned long pfn = block->first; moved && pfn < block->first + block->n; pfn++) {
		struct folio *folio = folio_get_pfn(ram, pfn);

		if (!folio)
			continue;
		/* What we hold is on no list. */
		if (folio_test(folio, FOLIO_LRU))
			moved = move_out(block, folio);
		folio_put(ram, folio);
	}
	for (unsigned int i = 0; i < block->nr_held; i++)
		folio_put(ram, block->held[i]);
	return moved;
}

static bool is_free(struct ram *ram, unsigned int order)
{
	struct folio *folio = folio_alloc(ram, order, FOLIO_RAW);

	if (folio)
		folio_put(ram, folio);
	return folio;
}

static bool may_be_emptied(const struct block *block)
{
	const long used = block_used(block), inside = (long)block->n - used;

	return used >= 0 && used <= (long)ram_free_frames(block->store->ram) - inside;
}

/* A free block of that order exists: there was one, or block has been emptied. */
static bool make_block(struct block *block, unsigned int order, bool (*how)(struct block *block))
{
	struct rwsem *isolation = lru_isolation(block->store->ram);
	bool made;

	down_read(isolation);
	made = (!how || how(block)) && is_free(block->store->ram, order);
	up_read(isolation);
	return made;
}

int compact(struct samara_machine *machine, unsigned int order)
{
	struct block block = { .store = machine->store };

	if (order >= FRAME_ORDERS)
		return -EINVAL;
	block.n = 1U << order;
	if (make_block(&block, order, NULL))
		return 0;
	for (; block.first + block.n <= ram_view(machine->ram)->nr_frames; block.first += block.n)
		if (may_be_emptied(&block) && make_block(&block, order, empty))
			return 0;
	return -ENOMEM;
}
