/* SPDX-License-Identifier: MIT */
/*
 * A page moves while other threads come to it from outside.
 *
 *   truncate         A file's page, mapped shared and private.
 *   write_back       What was stored before is in the host's file.
 *   exit             An mm exits; the other one that has the page keeps it.
 *   pin, pin_file    What the holder of a pin stores is in the page.
 *   twice            Two threads move it.
 *   bad              Its frame is told to be bad: the page is lost, or had moved before.
 *   compact          Pages move to make room, beside stores.
 *   compact_full     The same where few frames are free, beside stores to new pages.
 */
#include "schedule/migrate.h"

static void one_is_whole(void *arg)
{
	is_whole(arg, 1);
}

/* truncate, write_back ----------------------------------------------------------------- */

static void open_file(void *arg)
{
	struct migrate_world *m = arg;

	world_open(&m->w);
	world_shmem(&m->w, 1);
	world_map(m->w.mm, 1, 1, WORLD_RW, MAP_SHARED, m->w.file);
	world_map(m->w.mm, 3, 1, PROT_READ, MAP_PRIVATE, m->w.file);
	world_set(m->w.mm, 1, 7);
	schedule_require(world_value(m->w.mm, 3) == 7);
	note_page(m, 1);
}

static void truncate_file(void *arg)
{
	struct migrate_world *m = arg;

	schedule_require(!samara_file_set_length(m->w.file, 0));
}

static void file_is_empty(void *arg)
{
	struct migrate_world *m = arg;
	uint64_t value;

	schedule_require(!world_frames(&m->w));
	schedule_require(!world_load(m->w.mm, 1, &value) && !world_load(m->w.mm, 3, &value));
	close_all(arg);
}

static void fault_in(void *arg)
{
	struct migrate_world *m = arg;
	uint64_t value = 7;

	if (world_load(m->w.mm, 3, &value))
		schedule_require(value == 7);
}

SCENARIO(truncate_scenario, "truncate", "a truncated page is in no mm, though it migrates",
	 open_file, file_is_empty, { "truncate", truncate_file }, { "reader", fault_in });

static void open_host_file(void *arg)
{
	struct migrate_world *m = arg;

	world_open(&m->w);
	world_host_file(&m->w, 1);
	world_map(m->w.mm, 1, 1, WORLD_RW, MAP_SHARED, m->w.file);
	world_set(m->w.mm, 1, 7);
	note_page(m, 1);
}

static void store_and_sync(void *arg)
{
	struct migrate_world *m = arg;

	world_set(m->w.mm, 1, 8);
	schedule_require(!samara_file_sync(m->w.file));
	schedule_require(world_on_host(&m->w, 0) == 8);
	world_set(m->w.mm, 1, 9);
}

static void file_has_9(void *arg)
{
	struct migrate_world *m = arg;

	schedule_require(!samara_file_sync(m->w.file));
	schedule_require(world_on_host(&m->w, 0) == 9);
	value_is_9(arg);
}

SCENARIO(write_back, "write_back", "a store is written back although its page has moved",
	 open_host_file, file_has_9, { "writer", store_and_sync });

/* exit --------------------------------------------------------------------------------- */

static void open_forked(void *arg)
{
	struct migrate_world *m = arg;

	open_anon(arg);
	schedule_require(!samara_fork(m->w.mm, &m->other));
}

static void exit_other(void *arg)
{
	struct migrate_world *m = arg;

	samara_mm_exit(m->other);
	m->other = NULL;
}

SCENARIO(exit_scenario, "exit", "an mm exits while its page migrates", open_forked, one_is_whole,
	 { "exit", exit_other });

/* pin ---------------------------------------------------------------------------------- */

static void pin_store_unpin(void *arg)
{
	struct migrate_world *m = arg;
	struct samara_pin pin;
	uint64_t *word;

	schedule_require(samara_pin_pages(m->w.mm, PG(1), 1, SAMARA_PIN_WRITE, &pin) == 1);
	word = pin.host;
	WRITE_ONCE(*word, 8);
	schedule_require(world_value(m->w.mm, 1) == 8);
	world_set(m->w.mm, 1, 9);
	schedule_require(READ_ONCE(*word) == 9);
	samara_unpin_pages(&pin, 1, 1);
}

SCENARIO(pin, "pin", "a pinned page does not move", open_anon, value_is_9,
	 { "pin", pin_store_unpin });
SCENARIO(pin_file, "pin_file", "a pinned page of a file does not move", open_host_file, file_has_9,
	 { "pin", pin_store_unpin });

/* twice, bad, compact ------------------------------------------------------------------ */

static void read_it(void *arg)
{
	struct migrate_world *m = arg;

	schedule_require(world_value(m->w.mm, 1) == 7);
}

SCENARIO(twice, "twice", "two threads move one page", open_file, close_all, { "other", move },
	 { "reader", read_it });

static void fail_frame(void *arg)
{
	struct migrate_world *m = arg;

	(void)!samara_memory_failure(m->w.machine, m->pfn, 0);
}

static void lost_or_whole(void *arg)
{
	struct migrate_world *m = arg;
	uint64_t value = 7;

	if (world_load(m->w.mm, 1, &value))
		schedule_require(value == 7);
	/* Given back by now, if it was not before. */
	samara_mm_exit(m->w.mm);
	m->w.mm = NULL;
	schedule_require(ram_is_poisoned(m->w.machine->ram, m->pfn));
	close_all(arg);
}

SCENARIO(bad, "bad", "a page is lost, or moved before its frame was bad", open_anon, lost_or_whole,
	 { "failure", fail_frame });

/* Two pages are left, one in each whole block of four frames but the first. */
static void open_scattered(void *arg)
{
	struct migrate_world *m = arg;

	world_open(&m->w);
	world_map(m->w.mm, 1, 9, WORLD_RW, MAP_PRIVATE, NULL);
	for (unsigned long page = 1; page < 10; page++)
		world_set(m->w.mm, page, page);
	for (unsigned long page = 1; page < 10; page++) {
		const unsigned long block = pte_pfn(entry_of(m->w.mm, page)) / 4;

		if ((block == 1 || block == 2) && !m->kept[block - 1])
			m->kept[block - 1] = page;
		else
			schedule_require(
				!samara_madvise(m->w.mm, PG(page), WORLD_PAGE, MADV_DONTNEED));
	}
	schedule_require(m->kept[0] && m->kept[1]);
}

static void compact_all(void *arg)
{
	struct migrate_world *m = arg;

	(void)!samara_compact(m->w.machine, 2);
}

static void store_kept(void *arg)
{
	struct migrate_world *m = arg;

	for (int i = 0; i < 2; i++)
		world_set(m->w.mm, m->kept[i], 20 + m->kept[i]);
}

static void has_room(void *arg)
{
	struct migrate_world *m = arg;

	schedule_require(!samara_compact(m->w.machine, 2));
	for (int i = 0; i < 2; i++)
		schedule_require(world_value(m->w.mm, m->kept[i]) == 20 + m->kept[i]);
	schedule_require(world_frames(&m->w) == 2);
	close_all(arg);
}

static const struct scenario compact_scenario = {
	.name = "compact",
	.what = "stores go on while pages move to make room",
	.world_size = sizeof(struct migrate_world),
	.setup = open_scattered,
	.threads = { { "compact", compact_all }, { "writer", store_kept } },
	.check = has_room,
};

/* All pages but four: every second one of the lower ones is free. */
static void open_nearly_full(void *arg)
{
	struct migrate_world *m = arg;

	world_open(&m->w);
	world_map(m->w.mm, 1, 15, WORLD_RW, MAP_PRIVATE, NULL);
	for (unsigned long page = 1; page < WORLD_FRAMES; page++)
		world_set(m->w.mm, page, page);
	for (unsigned long page = 1; page < 9; page += 2)
		schedule_require(!samara_madvise(m->w.mm, PG(page), WORLD_PAGE, MADV_DONTNEED));
}

static void store_new(void *arg)
{
	struct migrate_world *m = arg;

	world_set(m->w.mm, 1, 1);
	world_set(m->w.mm, 3, 3);
}

static const struct scenario compact_full = {
	.name = "compact_full",
	.what = "frames that are taken to make room are not missed",
	.world_size = sizeof(struct migrate_world),
	.setup = open_nearly_full,
	.threads = { { "compact", compact_all }, { "writer", store_new } },
	.check = close_all,
};

int main(int argc, char **argv)
{
	static const struct scenario *const all[] = {
		&truncate_scenario, &write_back,   &exit_scenario, &pin, &pin_file, &twice, &bad,
		&compact_scenario,  &compact_full, NULL,
	};

	return schedule_main(argc, argv, all);
}
