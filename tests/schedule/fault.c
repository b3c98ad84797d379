/* SPDX-License-Identifier: MIT */
/*
 * Page faults against each other, and against calls that change the map under them.
 *
 *   same_page   Two first writes to one page make one page, and no store is lost.
 *   two_leaves  Two first faults of an mm make one root, and both pages are there.
 *   neighbours  Two first writes to neighbours that could be merged: each has a family afterwards.
 *   unmap       A read sees the value, or a signal; after munmap has returned, a signal.
 *   protect     A store beside mprotect and munmap is made or stopped by a signal; the page
 *               of another mapping, made at the same place, holds none of it.
 *   dontneed    A read beside MADV_DONTNEED sees the value or zero, and never the value after zero.
 *   move        A read at a page's old place beside mremap sees the value or a signal, and at its
 *               new place a signal or the value.
 *   populate    MADV_POPULATE_WRITE beside munmap says 0 or -ENOMEM, and leaves no page behind.
 */
#define _GNU_SOURCE
#include "schedule/world.h"

#include <errno.h>

struct fault_world {
	struct world w;
	struct world_flag done;
};

static void open_two_pages(void *arg)
{
	struct fault_world *f = arg;

	world_open(&f->w);
	world_map(f->w.mm, 1, 2, WORLD_RW, MAP_PRIVATE, NULL);
}

static void open_written(void *arg)
{
	struct fault_world *f = arg;

	open_two_pages(arg);
	world_set(f->w.mm, 1, 7);
}

static void close_world(void *arg)
{
	struct fault_world *f = arg;

	world_close(&f->w);
}

/* same_page ------------------------------------------------------------------------ */

static void write_first_word(void *arg)
{
	struct fault_world *f = arg;

	world_set(f->w.mm, 1, 5);
	schedule_require(world_value(f->w.mm, 1) == 5);
}

static void write_second_word(void *arg)
{
	struct fault_world *f = arg;
	const uint64_t value = 6;

	schedule_require(samara_write(f->w.mm, PG(1) + 8, &value, 8, NULL) == 8);
}

static void both_words(void *arg)
{
	struct fault_world *f = arg;
	uint64_t word[2];

	schedule_require(samara_read(f->w.mm, PG(1), word, 16, NULL) == 16);
	schedule_require(word[0] == 5 && word[1] == 6);
	schedule_require(world_frames(&f->w) == 1);
	world_close(&f->w);
}

static const struct scenario same_page = {
	.name = "same_page",
	.what = "two first writes to a page make one page and lose no store",
	.world_size = sizeof(struct fault_world),
	.setup = open_two_pages,
	.threads = { { "first", write_first_word }, { "second", write_second_word } },
	.check = both_words,
};

/* two_leaves, neighbours ------------------------------------------------------------- */

static void open_apart(void *arg)
{
	struct fault_world *f = arg;

	world_open(&f->w);
	world_map(f->w.mm, 1, 1, WORLD_RW, MAP_PRIVATE, NULL);
	world_map(f->w.mm, 9, 1, WORLD_RW, MAP_PRIVATE, NULL);
}

static void write_low(void *arg)
{
	struct fault_world *f = arg;

	world_set(f->w.mm, 1, 5);
}

static void write_high(void *arg)
{
	struct fault_world *f = arg;

	world_set(f->w.mm, 9, 6);
}

static void both_pages(void *arg)
{
	struct fault_world *f = arg;

	schedule_require(world_value(f->w.mm, 1) == 5 && world_value(f->w.mm, 9) == 6);
	schedule_require(world_frames(&f->w) == 2);
	world_close(&f->w);
}

static const struct scenario two_leaves = {
	.name = "two_leaves",
	.what = "two first faults grow one table",
	.world_size = sizeof(struct fault_world),
	.setup = open_apart,
	.threads = { { "low", write_low }, { "high", write_high } },
	.check = both_pages,
};

/* Pages 8 and 9 differ in rights only: their families may be shared. */
static void open_neighbours(void *arg)
{
	struct fault_world *f = arg;

	world_open(&f->w);
	world_map(f->w.mm, 8, 2, WORLD_RW, MAP_PRIVATE, NULL);
	schedule_require(!samara_mprotect(f->w.mm, PG(8), WORLD_PAGE, WORLD_RW | PROT_EXEC));
}

static void write_left(void *arg)
{
	struct fault_world *f = arg;

	world_set(f->w.mm, 8, 5);
}

static void merge_neighbours(void *arg)
{
	struct fault_world *f = arg;

	world_check(&f->w);
	schedule_require(!samara_mprotect(f->w.mm, PG(8), 2 * WORLD_PAGE, WORLD_RW));
	schedule_require(world_value(f->w.mm, 8) == 5 && world_value(f->w.mm, 9) == 6);
	world_close(&f->w);
}

static const struct scenario neighbours = {
	.name = "neighbours",
	.what = "neighbours that are first written at once have a family each, or one",
	.world_size = sizeof(struct fault_world),
	.setup = open_neighbours,
	.threads = { { "left", write_left }, { "right", write_high } },
	.check = merge_neighbours,
};

/* unmap, protect ---------------------------------------------------------------------- */

static void read_until_gone(void *arg)
{
	struct fault_world *f = arg;
	uint64_t value = 7;

	if (world_load(f->w.mm, 1, &value))
		schedule_require(value == 7);
	world_await(&f->done);
	schedule_require(!world_load(f->w.mm, 1, &value));
}

static void unmap(void *arg)
{
	struct fault_world *f = arg;

	world_unmap(f->w.mm, 1, 1);
	world_raise(&f->done);
}

static const struct scenario unmap_scenario = {
	.name = "unmap",
	.what = "a read beside munmap sees the value or a signal, and behind it a signal",
	.world_size = sizeof(struct fault_world),
	.setup = open_written,
	.threads = { { "reader", read_until_gone }, { "munmap", unmap } },
	.check = close_world,
};

static void store_once(void *arg)
{
	struct fault_world *f = arg;

	(void)world_store(f->w.mm, 1, 8);
}

static void protect(void *arg)
{
	struct fault_world *f = arg;
	const int err = samara_mprotect(f->w.mm, PG(1), WORLD_PAGE, PROT_READ);

	schedule_require(!err || err == -ENOMEM);
}

static void unmap_and_map(void *arg)
{
	struct fault_world *f = arg;

	world_unmap(f->w.mm, 1, 1);
	world_map(f->w.mm, 1, 1, PROT_READ, MAP_PRIVATE, NULL);
	schedule_require(!world_value(f->w.mm, 1));
}

/* A store that was late would be in the next mapping by now. */
static void next_holds_nothing(void *arg)
{
	struct fault_world *f = arg;

	schedule_require(!world_value(f->w.mm, 1));
	world_close(&f->w);
}

static const struct scenario protect_scenario = {
	.name = "protect",
	.what = "a store beside mprotect and munmap never comes into the next mapping",
	.world_size = sizeof(struct fault_world),
	.setup = open_written,
	.threads = { { "writer", store_once },
		     { "mprotect", protect },
		     { "munmap", unmap_and_map } },
	.check = next_holds_nothing,
};

/* dontneed ------------------------------------------------------------------------------ */

static void read_twice(void *arg)
{
	struct fault_world *f = arg;
	const uint64_t first = world_value(f->w.mm, 1), second = world_value(f->w.mm, 1);

	schedule_require((first == 7 || !first) && (second == 7 || !second));
	schedule_require(first || !second);
}

static void dontneed(void *arg)
{
	struct fault_world *f = arg;

	schedule_require(!samara_madvise(f->w.mm, PG(1), WORLD_PAGE, MADV_DONTNEED));
	schedule_require(!world_value(f->w.mm, 1));
}

static const struct scenario dontneed_scenario = {
	.name = "dontneed",
	.what = "a read beside MADV_DONTNEED sees the value, then zero",
	.world_size = sizeof(struct fault_world),
	.setup = open_written,
	.threads = { { "reader", read_twice }, { "madvise", dontneed } },
	.check = close_world,
};

/* move ------------------------------------------------------------------------------- */

static void read_both_places(void *arg)
{
	struct fault_world *f = arg;
	uint64_t value;
	bool at_old, at_new;

	at_new = world_load(f->w.mm, 9, &value);
	schedule_require(!at_new || value == 7);
	at_old = world_load(f->w.mm, 1, &value);
	schedule_require(!at_old || value == 7);
	schedule_require(!at_new || !at_old);
}

static void move(void *arg)
{
	struct fault_world *f = arg;

	schedule_require(samara_mremap(f->w.mm, PG(1), WORLD_PAGE, WORLD_PAGE,
				       MREMAP_MAYMOVE | MREMAP_FIXED, PG(9)) == PG(9));
	schedule_require(world_value(f->w.mm, 9) == 7);
}

static const struct scenario move_scenario = {
	.name = "move",
	.what = "a page that mremap moves is at its old place or at its new one",
	.world_size = sizeof(struct fault_world),
	.setup = open_written,
	.threads = { { "reader", read_both_places }, { "mremap", move } },
	.check = close_world,
};

/* populate ---------------------------------------------------------------------------- */

static void populate(void *arg)
{
	struct fault_world *f = arg;
	const int err = samara_madvise(f->w.mm, PG(1), 2 * WORLD_PAGE, MADV_POPULATE_WRITE);

	schedule_require(!err || err == -ENOMEM);
}

static void unmap_both(void *arg)
{
	struct fault_world *f = arg;

	world_unmap(f->w.mm, 1, 2);
}

static void nothing_is_left(void *arg)
{
	struct fault_world *f = arg;

	schedule_require(!world_frames(&f->w));
	world_close(&f->w);
}

static const struct scenario populate_scenario = {
	.name = "populate",
	.what = "populating beside munmap leaves no page behind",
	.world_size = sizeof(struct fault_world),
	.setup = open_two_pages,
	.threads = { { "populate", populate }, { "munmap", unmap_both } },
	.check = nothing_is_left,
};

int main(int argc, char **argv)
{
	static const struct scenario *const all[] = {
		&same_page,      &two_leaves,        &neighbours,
		&unmap_scenario, &protect_scenario,  &dontneed_scenario,
		&move_scenario,  &populate_scenario, NULL,
	};

	return schedule_main(argc, argv, all);
}
