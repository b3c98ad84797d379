/* SPDX-License-Identifier: MIT */
/*
 * A page moves while its entry is changed by its process.
 *
 *   store, cpu       No store is lost, neither one by the page table nor one by a TLB.
 *   unmap, discard   munmap, MADV_DONTNEED.
 *   there, back      mremap to a mapping behind in the tree of the family, and to one before.
 *   protect          mprotect takes the right to write away: no write is allowed afterwards.
 *   fork, fail_N     fork, which succeeds or fails at its Nth allocation. Then stores stay apart.
 */
#include "schedule/migrate.h"

/* store, cpu --------------------------------------------------------------------------- */

SCENARIO(store, "store", "no store is lost by a migration", open_anon, value_is_9,
	 { "writer", store_two });

static void open_with_cpu(void *arg)
{
	struct migrate_world *m = arg;

	open_anon(arg);
	schedule_require(!samara_cpu_create(m->w.machine, &m->cpu));
}

static void cpu_store_two(void *arg)
{
	struct migrate_world *m = arg;
	uint64_t value = 0;

	samara_cpu_run(m->cpu, m->w.mm);
	for (uint64_t n = 8; n < 10; n++) {
		schedule_require(world_cpu_store(m->cpu, 1, n));
		schedule_require(world_cpu_load(m->cpu, 1, &value) && value == n);
	}
}

SCENARIO(cpu, "cpu", "no store through a TLB is lost by a migration", open_with_cpu, value_is_9,
	 { "cpu", cpu_store_two });

/* unmap, discard ----------------------------------------------------------------------- */

static void unmap(void *arg)
{
	struct migrate_world *m = arg;

	world_unmap(m->w.mm, 1, 1);
}

static void discard(void *arg)
{
	struct migrate_world *m = arg;

	schedule_require(!samara_madvise(m->w.mm, PG(1), WORLD_PAGE, MADV_DONTNEED));
}

static void page_is_gone(void *arg)
{
	struct migrate_world *m = arg;

	schedule_require(pte_none(entry_of(m->w.mm, 1)) && !world_frames(&m->w));
	close_all(arg);
}

SCENARIO(unmap_scenario, "unmap", "munmap takes a page that migrates", open_anon, page_is_gone,
	 { "munmap", unmap });
SCENARIO(discard_scenario, "discard", "MADV_DONTNEED takes a page that migrates", open_anon,
	 page_is_gone, { "madvise", discard });

/* there, back -------------------------------------------------------------------------- */

static void remap(struct migrate_world *m, unsigned long from, unsigned long to)
{
	schedule_require(samara_mremap(m->w.mm, PG(from), WORLD_PAGE, WORLD_PAGE,
				       MREMAP_MAYMOVE | MREMAP_FIXED, PG(to)) == PG(to));
}

static void move_there(void *arg)
{
	remap(arg, 1, 9);
}

static void value_is_there(void *arg)
{
	struct migrate_world *m = arg;

	schedule_require(world_value(m->w.mm, 9) == 7 && world_frames(&m->w) == 1);
	close_all(arg);
}

SCENARIO(there, "there", "mremap to a mapping behind takes a page that migrates along", open_anon,
	 value_is_there, { "mremap", move_there });

/*
 * Page 2 is at 9, in a mapping of its own. Back at its place it is in the mapping of page 1, which
 * begins before that in the tree of their family.
 */
static void open_moved(void *arg)
{
	struct migrate_world *m = arg;

	world_open(&m->w);
	world_map(m->w.mm, 1, 2, WORLD_RW, MAP_PRIVATE, NULL);
	world_set(m->w.mm, 1, 6);
	world_set(m->w.mm, 2, 7);
	remap(m, 2, 9);
	note_page(m, 9);
}

static void move_back(void *arg)
{
	remap(arg, 9, 2);
}

static void value_is_back(void *arg)
{
	struct migrate_world *m = arg;

	schedule_require(world_value(m->w.mm, 1) == 6 && world_value(m->w.mm, 2) == 7);
	schedule_require(world_frames(&m->w) == 2);
	close_all(arg);
}

SCENARIO(back, "back", "mremap to a mapping before takes a page that migrates along", open_moved,
	 value_is_back, { "mremap", move_back });

/* protect ------------------------------------------------------------------------------ */

static void protect(void *arg)
{
	struct migrate_world *m = arg;

	schedule_require(!samara_mprotect(m->w.mm, PG(1), WORLD_PAGE, PROT_READ));
	schedule_require(!world_store(m->w.mm, 1, 8));
}

static void value_is_read_only(void *arg)
{
	struct migrate_world *m = arg;

	schedule_require(world_value(m->w.mm, 1) == 7 && !pte_write(entry_of(m->w.mm, 1)));
	schedule_require(!samara_mprotect(m->w.mm, PG(1), WORLD_PAGE, WORLD_RW));
	world_set(m->w.mm, 1, 8);
	schedule_require(world_frames(&m->w) == 1);
	close_all(arg);
}

SCENARIO(protect_scenario, "protect", "no right comes back with a page that has migrated",
	 open_anon, value_is_read_only, { "mprotect", protect });

/* fork, fail_N ------------------------------------------------------------------------- */

static void fork_and_store(void *arg)
{
	struct migrate_world *m = arg;

	schedule_require(!samara_fork(m->w.mm, &m->other));
	world_set(m->w.mm, 1, 8);
	schedule_require(world_value(m->other, 1) == 7);
}

static void values_are_apart(void *arg)
{
	struct migrate_world *m = arg;

	world_set(m->other, 1, 9);
	schedule_require(world_value(m->w.mm, 1) == 8 && world_value(m->other, 1) == 9);
	schedule_require(world_frames(&m->w) == 2);
	close_all(arg);
}

SCENARIO(fork_scenario, "fork", "parent and child share a page that migrates, and write copies",
	 open_anon, values_are_apart, { "fork", fork_and_store });

static void fork_without_memory(struct migrate_world *m, unsigned long nth)
{
	samara_inject_nth(nth);
	schedule_require(samara_fork(m->w.mm, &m->other) && !m->other);
	samara_inject_nth(0);
}

static void two_are_whole(void *arg)
{
	struct migrate_world *m = arg;

	world_set(m->w.mm, 6, 8);
	is_whole(arg, 2);
}

/* Pages in two leaves, so that fork fails with the first one copied. */
static void open_two(void *arg)
{
	struct migrate_world *m = arg;

	open_anon(arg);
	world_map(m->w.mm, 6, 1, WORLD_RW, MAP_PRIVATE, NULL);
	world_set(m->w.mm, 6, 6);
}

#define FORK_FAILS(n) \
	static void fork_fails_##n(void *arg) \
	{ \
		fork_without_memory(arg, n); \
	} \
	SCENARIO(fail_##n, "fail_" #n, "a fork that fails leaves a page that migrates", open_two, \
		 two_are_whole, { "fork", fork_fails_##n })

/* The mm; the second VMA's family; the tree; the tables, the last one for the second page. */
FORK_FAILS(1);
FORK_FAILS(8);
FORK_FAILS(10);
FORK_FAILS(11);
FORK_FAILS(12);
FORK_FAILS(13);

int main(int argc, char **argv)
{
	static const struct scenario *const all[] = {
		&store,
		&cpu,
		&unmap_scenario,
		&discard_scenario,
		&there,
		&back,
		&protect_scenario,
		&fork_scenario,
		&fail_1,
		&fail_8,
		&fail_10,
		&fail_11,
		&fail_12,
		&fail_13,
		NULL,
	};

	return schedule_main(argc, argv, all);
}
