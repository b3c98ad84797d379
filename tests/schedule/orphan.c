/* SPDX-License-Identifier: MIT */
/*
 * A page that nothing names any more leaves the swap cache at once, also when a thread had it
 * locked while its last name went: that thread looks when it unlocks it.
 *
 *   read_in    Two threads need the page of an entry while it is unmapped.
 *   file       Two threads need a page of shared memory while it is truncated.
 */
#include "schedule/world.h"

#include <errno.h>
#include <string.h>

#include <samara/reclaim.h>

#include "core/mm.h"
#include "frame/frame.h"
#include "store/file.h"
#include "store/pages.h"
#include "store/swap.h"

#define SLOTS 4UL

struct orphan_world {
	struct world w;
	swp_entry_t entry;         /* of the page */
	struct world_flag reading; /* the area has been asked for it */
	char bytes[SLOTS][WORLD_PAGE];
};

static int read_slot(void *priv, unsigned long slot, void *page)
{
	struct orphan_world *o = priv;

	world_raise(&o->reading);
	memcpy(page, o->bytes[slot], WORLD_PAGE);
	return 0;
}

static int write_slot(void *priv, unsigned long slot, const void *page)
{
	struct orphan_world *o = priv;

	memcpy(o->bytes[slot], page, WORLD_PAGE);
	return 0;
}

static void open_swap(struct orphan_world *o)
{
	static const struct samara_swap_ops ops = {
		.size = sizeof(ops),
		.read = read_slot,
		.write = write_slot,
	};
	struct samara_swap *swap;

	world_open(&o->w);
	schedule_require(!samara_swapon_ops(o->w.machine, &ops, o, SLOTS, 0, &swap));
}

/* No page is mapped or stored: nothing is left, though reclaim has not looked. */
static void nothing_is_left(void *arg)
{
	struct orphan_world *o = arg;
	struct samara_report report;
	struct swap_stats stats;

	swap_stats(o->w.machine->store, &stats);
	schedule_require(stats.free == stats.total && !stats.cached);
	schedule_require(!world_frames(&o->w));
	schedule_require(!swap_validate(o->w.machine->store, &report));
	world_check(&o->w);
	world_close(&o->w);
}

/* read_in ------------------------------------------------------------------------------- */

/* A page that has left for its slot; the entry is the test's. */
static void open_slot(void *arg)
{
	struct orphan_world *o = arg;
	struct file_store *store;
	struct folio *folio;

	open_swap(o);
	store = o->w.machine->store;
	folio = folio_alloc(store->ram, 0, FOLIO_ZEROED);
	schedule_require(folio);
	*(uint64_t *)folio_virt(store->ram, folio) = 1; /* a page of zeros is not read */
	folio_lock(folio);
	schedule_require(!swap_cache_add(store, folio));
	o->entry = folio_swap(folio);
	schedule_require(swap_dup(store, o->entry) && !swap_write(store, folio));
	swap_cache_del(store, folio);
	folio_unlock(folio);
	folio_put(store->ram, folio);
}

/* As a fault that waits for the page, and comes too late. */
static void read_page(void *arg)
{
	struct orphan_world *o = arg;
	struct file_store *store = o->w.machine->store;
	struct folio *folio;
	bool major;
	const int err = swap_read(store, o->entry, NULL, &folio, &major);

	schedule_require(!err || err == -ENOENT);
	if (!err)
		folio_put(store->ram, folio);
}

static void read_late(void *arg)
{
	struct orphan_world *o = arg;

	world_await(&o->reading);
	read_page(arg);
}

/* What an unmapping does with the entry, in few steps. */
static void put_entry(void *arg)
{
	struct orphan_world *o = arg;

	world_await(&o->reading);
	swap_put(o->w.machine->store, o->entry);
}

static const struct scenario read_in = {
	.name = "read_in",
	.what = "a page that is unmapped while threads wait for it to be read leaves nothing",
	.world_size = sizeof(struct orphan_world),
	.setup = open_slot,
	.threads = { { "first", read_page },
		     { "second", read_late },
		     { "third", read_late },
		     { "fourth", read_late },
		     { "put", put_entry } },
	.check = nothing_is_left,
};

/* file ---------------------------------------------------------------------------------- */

/* The only page of shared memory is in its slot. */
static void open_shmem(void *arg)
{
	struct orphan_world *o = arg;
	uint64_t one = 1;

	open_swap(o);
	world_shmem(&o->w, 1);
	schedule_require(samara_file_pwrite(o->w.file, &one, sizeof(one), 0) == sizeof(one));
	schedule_require(samara_reclaim(o->w.machine, 1) == 1 && !world_frames(&o->w));
}

static void get_page(void *arg)
{
	struct orphan_world *o = arg;
	struct file_store *store = o->w.machine->store;
	struct folio *folio;
	bool major;

	if (page_cache_get(o->w.file->inode, 0, &folio, &major))
		return;
	schedule_require(*(uint64_t *)folio_virt(store->ram, folio) == 1);
	folio_unlock(folio);
	folio_put(store->ram, folio);
}

static void truncate_file(void *arg)
{
	struct orphan_world *o = arg;

	world_await(&o->reading);
	schedule_require(!samara_file_set_length(o->w.file, 0));
}

static const struct scenario file = {
	.name = "file",
	.what = "a page of shared memory that is truncated while it is read in leaves nothing",
	.world_size = sizeof(struct orphan_world),
	.setup = open_shmem,
	.threads = { { "first", get_page }, { "second", get_page }, { "truncate", truncate_file } },
	.check = nothing_is_left,
};

int main(int argc, char **argv)
{
	static const struct scenario *const all[] = { &read_in, &file, NULL };

	return schedule_main(argc, argv, all);
}
