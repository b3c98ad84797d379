/* SPDX-License-Identifier: MIT */
/*
 * Reclaim beside what others do with the same pages.
 *
 *   read       Reads of a file's page find its bytes, from memory or from the host.
 *   write      A store to a shared page of a file is not lost: it is in memory, or on the host.
 *   truncate   Behind a truncation there is no page, and the host's file does not grow again.
 *   last_put   The last put of a file beside reclaim of its pages leaves nothing.
 *   anon       Stores to a private page are not lost: they are in memory, or in its slot.
 *   fork       Parent and child both have what was written.
 *   lock       Memory that mlock() has locked is there when it returns, and stays.
 *   lazy       What MADV_FREE has marked can leave, also while it moves.
 *   unmap      What is unmapped has no frame and no slot any more.
 *   room       Memory is not full as long as a page that another thread has isolated can leave.
 */
#include "schedule/world.h"

#include <string.h>

#include <samara/reclaim.h>

#include "frame/frame.h"
#include "reclaim/reclaim.h"
#include "store/file.h"
#include "store/swap.h"

#define SLOTS 8

struct reclaim_world {
	struct world w;
	struct samara_mm *child;
	unsigned char slot[SLOTS][WORLD_PAGE];
};

static int read_slot(void *priv, unsigned long slot, void *page)
{
	struct reclaim_world *r = priv;

	memcpy(page, r->slot[slot], WORLD_PAGE);
	return 0;
}

static int write_slot(void *priv, unsigned long slot, const void *page)
{
	struct reclaim_world *r = priv;

	memcpy(r->slot[slot], page, WORLD_PAGE);
	return 0;
}

static void open_swap(struct reclaim_world *r, unsigned long slots)
{
	static const struct samara_swap_ops ops = {
		.size = sizeof(ops),
		.read = read_slot,
		.write = write_slot,
	};
	struct samara_swap *swap;

	schedule_require(!samara_swapon_ops(r->w.machine, &ops, r, slots, 0, &swap));
}

/* All that can leave does, used or not. */
static void take_all(void *arg)
{
	struct reclaim_world *r = arg;
	struct ram *ram = r->w.machine->ram;

	down_read(lru_isolation(ram));
	for (enum lru_list list = 0; list < LRU_LISTS; list++) {
		struct folio *folio[4];
		const unsigned int n = lru_isolate(ram, list, 4, folio);

		reclaim_folios(r->w.machine, folio, n);
	}
	up_read(lru_isolation(ram));
}

/* By use, as a thread that lacks a frame does it. */
static void take_unused(void *arg)
{
	struct reclaim_world *r = arg;

	reclaim_direct(r->w.machine, 2);
}

static void close_world(void *arg)
{
	struct reclaim_world *r = arg;
	struct samara_report report;

	schedule_require(!swap_validate(r->w.machine->store, &report));
	world_check(&r->w);
	samara_mm_exit(r->child);
	world_close(&r->w);
}

/* files --------------------------------------------------------------------------------- */

static void open_file(void *arg)
{
	struct reclaim_world *r = arg;

	world_open(&r->w);
	world_host_file(&r->w, 2);
	world_map(r->w.mm, 1, 2, WORLD_RW, MAP_SHARED, r->w.file);
	schedule_require(world_value(r->w.mm, 1) == 1);
}

static void read_twice(void *arg)
{
	struct reclaim_world *r = arg;

	schedule_require(world_value(r->w.mm, 1) == 1);
	schedule_require(world_value(r->w.mm, 2) == 2);
}

static const struct scenario read_scenario = {
	.name = "read",
	.what = "a page that leaves is read again with the same bytes",
	.world_size = sizeof(struct reclaim_world),
	.setup = open_file,
	.threads = { { "read", read_twice }, { "all", take_all }, { "unused", take_unused } },
	.check = close_world,
};

static void write_one(void *arg)
{
	struct reclaim_world *r = arg;

	world_set(r->w.mm, 1, 7);
	schedule_require(world_value(r->w.mm, 1) == 7);
}

static void is_written(void *arg)
{
	struct reclaim_world *r = arg;

	schedule_require(world_value(r->w.mm, 1) == 7);
	schedule_require(!samara_file_sync(r->w.file));
	schedule_require(world_on_host(&r->w, 0) == 7);
	close_world(arg);
}

static const struct scenario write_scenario = {
	.name = "write",
	.what = "what is stored to a file's page is in memory or on the host",
	.world_size = sizeof(struct reclaim_world),
	.setup = open_file,
	.threads = { { "write", write_one }, { "all", take_all } },
	.check = is_written,
};

static void open_written(void *arg)
{
	struct reclaim_world *r = arg;

	open_file(arg);
	world_set(r->w.mm, 1, 7);
	world_set(r->w.mm, 2, 8);
}

static void truncate_file(void *arg)
{
	struct reclaim_world *r = arg;

	schedule_require(!samara_file_set_length(r->w.file, 0));
}

static void is_empty(void *arg)
{
	struct reclaim_world *r = arg;
	uint64_t value;

	schedule_require(!world_load(r->w.mm, 1, &value) && !world_frames(&r->w));
	schedule_require(!r->w.file->inode->length);
	inode_refresh(r->w.file->inode);
	schedule_require(!r->w.file->inode->length);
	close_world(arg);
}

static const struct scenario truncate_scenario = {
	.name = "truncate",
	.what = "a page that is written while its file is truncated does not make it longer",
	.world_size = sizeof(struct reclaim_world),
	.setup = open_written,
	.threads = { { "truncate", truncate_file }, { "all", take_all } },
	.check = is_empty,
};

static void open_stored(void *arg)
{
	struct reclaim_world *r = arg;

	open_written(arg);
	world_unmap(r->w.mm, 1, 2);
}

static void put_last(void *arg)
{
	struct reclaim_world *r = arg;

	samara_file_put(r->w.file);
	r->w.file = NULL;
	schedule_require(world_on_host(&r->w, 0) == 7 && world_on_host(&r->w, 1) == 8);
}

static void none_left(void *arg)
{
	struct reclaim_world *r = arg;

	schedule_require(!world_frames(&r->w));
	close_world(arg);
}

static const struct scenario last_put = {
	.name = "last_put",
	.what = "a file whose pages leave while it is put is written, and gone",
	.world_size = sizeof(struct reclaim_world),
	.setup = open_stored,
	.threads = { { "put", put_last }, { "all", take_all } },
	.check = none_left,
};

/* anonymous ------------------------------------------------------------------------------- */

static void open_anon(void *arg)
{
	struct reclaim_world *r = arg;

	world_open(&r->w);
	open_swap(r, SLOTS);
	world_map(r->w.mm, 1, 2, WORLD_RW, MAP_PRIVATE, NULL);
	world_set(r->w.mm, 1, 5);
	world_set(r->w.mm, 2, 6);
}

static void write_anon(void *arg)
{
	struct reclaim_world *r = arg;

	schedule_require(world_value(r->w.mm, 1) == 5);
	world_set(r->w.mm, 1, 9);
	schedule_require(world_value(r->w.mm, 1) == 9);
}

static void has_nine(void *arg)
{
	struct reclaim_world *r = arg;

	schedule_require(world_value(r->w.mm, 1) == 9 && world_value(r->w.mm, 2) == 6);
	close_world(arg);
}

static const struct scenario anon_scenario = {
	.name = "anon",
	.what = "what is stored to a private page is in memory or in its slot",
	.world_size = sizeof(struct reclaim_world),
	.setup = open_anon,
	.threads = { { "write", write_anon }, { "all", take_all } },
	.check = has_nine,
};

static void fork_one(void *arg)
{
	struct reclaim_world *r = arg;

	schedule_require(!samara_fork(r->w.mm, &r->child));
	world_set(r->child, 1, 50);
	schedule_require(world_value(r->w.mm, 1) == 5);
}

static void both_have_theirs(void *arg)
{
	struct reclaim_world *r = arg;

	schedule_require(world_value(r->w.mm, 1) == 5 && world_value(r->w.mm, 2) == 6);
	schedule_require(world_value(r->child, 1) == 50 && world_value(r->child, 2) == 6);
	close_world(arg);
}

static const struct scenario fork_scenario = {
	.name = "fork",
	.what = "a page that leaves while it is forked is the parent's and the child's",
	.world_size = sizeof(struct reclaim_world),
	.setup = open_anon,
	.threads = { { "fork", fork_one }, { "all", take_all } },
	.check = both_have_theirs,
};

static void lock_both(void *arg)
{
	struct reclaim_world *r = arg;

	samara_set_caps(r->w.mm, SAMARA_CAP_IPC_LOCK);
	schedule_require(!samara_mlock(r->w.mm, PG(1), 2 * WORLD_PAGE));
}

static void both_are_there(void *arg)
{
	struct reclaim_world *r = arg;

	schedule_require(mm_rss_sum(r->w.mm, MM_ANONPAGES) == 2);
	schedule_require(!mm_rss_sum(r->w.mm, MM_SWAPENTS));
	close_world(arg);
}

static const struct scenario lock_scenario = {
	.name = "lock",
	.what = "a page that leaves while it is locked in memory is there again",
	.world_size = sizeof(struct reclaim_world),
	.setup = open_anon,
	.threads = { { "lock", lock_both }, { "all", take_all } },
	.check = both_are_there,
};

static void mark_both(void *arg)
{
	struct reclaim_world *r = arg;

	schedule_require(!samara_madvise(r->w.mm, PG(1), 2 * WORLD_PAGE, MADV_FREE));
}

static void move_both(void *arg)
{
	struct reclaim_world *r = arg;

	(void)!samara_migrate_pages(r->w.mm, PG(1), 2);
}

static void can_leave(void *arg)
{
	struct reclaim_world *r = arg;
	uint64_t value;

	/* Written since it came back, or dropped: the second round takes all. */
	take_all(arg);
	take_all(arg);
	schedule_require(!world_frames(&r->w));
	value = world_value(r->w.mm, 1);
	schedule_require(value == 5 || !value);
	close_world(arg);
}

static const struct scenario lazy_scenario = {
	.name = "lazy",
	.what = "a page that MADV_FREE marks while it leaves can leave later",
	.world_size = sizeof(struct reclaim_world),
	.setup = open_anon,
	.threads = { { "mark", mark_both }, { "move", move_both }, { "unused", take_unused } },
	.check = can_leave,
};

static void unmap_both(void *arg)
{
	struct reclaim_world *r = arg;

	world_unmap(r->w.mm, 1, 2);
}

static void no_slot_left(void *arg)
{
	struct reclaim_world *r = arg;
	struct swap_stats stats;

	swap_stats(r->w.machine->store, &stats);
	schedule_require(stats.free == stats.total && !stats.cached && !world_frames(&r->w));
	close_world(arg);
}

static const struct scenario unmap_scenario = {
	.name = "unmap",
	.what = "an unmapped page has neither a frame nor a slot",
	.world_size = sizeof(struct reclaim_world),
	.setup = open_anon,
	.threads = { { "unmap", unmap_both }, { "all", take_all } },
	.check = no_slot_left,
};

/* Memory is full, and one page can leave. */
static void open_full(void *arg)
{
	struct reclaim_world *r = arg;
	struct samara_fault fault = { 0 };
	unsigned long page;

	world_open(&r->w);
	world_map(r->w.mm, 1, 15, WORLD_RW, MAP_PRIVATE, NULL);
	for (page = 1; samara_write(r->w.mm, PG(page), "x", 1, &fault) == 1; page++)
		schedule_require(page < 15);
	open_swap(r, 1);
}

static void write_full(void *arg)
{
	struct reclaim_world *r = arg;

	world_set(r->w.mm, 15, 3);
}

static void has_three(void *arg)
{
	struct reclaim_world *r = arg;

	schedule_require(world_value(r->w.mm, 15) == 3);
	close_world(arg);
}

static const struct scenario room_scenario = {
	.name = "room",
	.what = "a write finds the frame that another thread is about to free",
	.world_size = sizeof(struct reclaim_world),
	.setup = open_full,
	.threads = { { "write", write_full }, { "unused", take_unused } },
	.check = has_three,
};

int main(int argc, char **argv)
{
	static const struct scenario *const all[] = {
		&read_scenario,
		&write_scenario,
		&truncate_scenario,
		&last_put,
		&anon_scenario,
		&fork_scenario,
		&lock_scenario,
		&lazy_scenario,
		&unmap_scenario,
		&room_scenario,
		NULL,
	};

	return schedule_main(argc, argv, all);
}
