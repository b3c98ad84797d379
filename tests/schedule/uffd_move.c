/* SPDX-License-Identifier: MIT */
/*
 * UFFDIO_MOVE beside what others do with the page, or with its two places.
 *
 *   reclaim   The page is written to swap, or has moved; its bytes are at the new place.
 *   swap_in   A page that is out is read at the old place, or has moved.
 *   migrate   The page goes to another frame meanwhile.
 *   fork      The page moves before the fork, or is shared and stays.
 *   store     A CPU's store is in the page that moved, or in a new one: none is lost.
 *   zap       MADV_DONTNEED of both places.
 *   both      Two threads move it to and fro.
 *   exit      The address space ends.
 */
#include "schedule/world.h"

#include <errno.h>
#include <string.h>

#include <samara/cpu.h>
#include <samara/reclaim.h>
#include <samara/uffd.h>

#include "frame/pfn.h"
#include "mmu/table.h"
#include "reclaim/reclaim.h"
#include "store/file.h"
#include "store/swap.h"

#define SLOTS 4
#define FROM 1
#define TO 8

struct move_world {
	struct world w;
	struct samara_mm *child;
	struct samara_uffd *uffd;
	struct samara_cpu *cpu;
	int moved, moved_back; /* what MOVE said */
	unsigned long pfn;     /* of page 1 at first */
	unsigned char slot[SLOTS][WORLD_PAGE];
};

static int read_slot(void *priv, unsigned long slot, void *page)
{
	struct move_world *m = priv;

	memcpy(page, m->slot[slot], WORLD_PAGE);
	return 0;
}

static int write_slot(void *priv, unsigned long slot, const void *page)
{
	struct move_world *m = priv;

	memcpy(m->slot[slot], page, WORLD_PAGE);
	return 0;
}

static int ask(struct move_world *m, unsigned long to, unsigned long from)
{
	struct uffdio_move move = { PG(to), PG(from), WORLD_PAGE, 0, 0 };

	return samara_uffd_ioctl(m->uffd, UFFDIO_MOVE, &move);
}

static void move(void *arg)
{
	struct move_world *m = arg;

	m->moved = ask(m, TO, FROM);
}

static void register_page(struct move_world *m, unsigned long page)
{
	struct uffdio_register reg = {
		.range = { PG(page), WORLD_PAGE },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};

	schedule_require(!samara_uffd_ioctl(m->uffd, UFFDIO_REGISTER, &reg));
}

/* Page 1 holds 7; page 8 is registered. */
static void open_move(void *arg)
{
	struct move_world *m = arg;
	struct uffdio_api api = { .api = UFFD_API };

	world_open(&m->w);
	world_map(m->w.mm, FROM, 1, WORLD_RW, MAP_PRIVATE, NULL);
	world_map(m->w.mm, TO, 1, WORLD_RW, MAP_PRIVATE, NULL);
	schedule_require(!samara_uffd_create(m->w.mm, 0, &m->uffd));
	schedule_require(!samara_uffd_ioctl(m->uffd, UFFDIO_API, &api));
	register_page(m, TO);
	world_set(m->w.mm, FROM, 7);
	m->pfn = pte_pfn(pte_read(table_pte(m->w.mm, table_find(m->w.mm, PG(FROM)), PG(FROM))));
}

static void close_move(void *arg)
{
	struct move_world *m = arg;
	struct samara_report report;

	schedule_require(!swap_validate(m->w.machine->store, &report));
	world_check(&m->w);
	samara_uffd_put(m->uffd);
	samara_mm_exit(m->child);
	samara_cpu_destroy(m->cpu);
	world_close(&m->w);
}

static void it_has_moved(void *arg)
{
	struct move_world *m = arg;

	schedule_require(!m->moved);
	schedule_require(world_value(m->w.mm, TO) == 7);
	schedule_require(!world_value(m->w.mm, FROM));
	close_move(arg);
}

#define SCENARIO(var, name_, what_, setup_, check_, ...) \
	static const struct scenario var = { \
		.name = name_, \
		.what = what_, \
		.world_size = sizeof(struct move_world), \
		.setup = setup_, \
		.threads = { { "move", move }, __VA_ARGS__ }, \
		.check = check_, \
	}

/* reclaim, swap_in --------------------------------------------------------------------- */

static void open_with_swap(void *arg)
{
	static const struct samara_swap_ops ops = {
		.size = sizeof(ops),
		.read = read_slot,
		.write = write_slot,
	};
	struct move_world *m = arg;
	struct samara_swap *swap;

	open_move(arg);
	schedule_require(!samara_swapon_ops(m->w.machine, &ops, m, SLOTS, 0, &swap));
}

static void take_all(void *arg)
{
	struct move_world *m = arg;
	struct ram *ram = m->w.machine->ram;

	down_read(lru_isolation(ram));
	for (enum lru_list list = 0; list < LRU_LISTS; list++) {
		struct folio *folio[4];
		const unsigned int n = lru_isolate(ram, list, 4, folio);

		reclaim_folios(m->w.machine, folio, n);
	}
	up_read(lru_isolation(ram));
}

static void page_out(void *arg)
{
	struct move_world *m = arg;

	schedule_require(!samara_madvise(m->w.mm, PG(TO), WORLD_PAGE, MADV_PAGEOUT));
}

SCENARIO(reclaim, "reclaim", "a page that moves and leaves memory has its bytes at the new place",
	 open_with_swap, it_has_moved, { "reclaim", take_all }, { "advice", page_out });

static void open_paged_out(void *arg)
{
	open_with_swap(arg);
	take_all(arg);
}

static void read_old_place(void *arg)
{
	struct move_world *m = arg;
	const uint64_t value = world_value(m->w.mm, FROM);

	schedule_require(value == 7 || !value);
}

SCENARIO(swap_in, "swap_in", "a page that is out moves, or is read first and then moves",
	 open_paged_out, it_has_moved, { "reader", read_old_place }, { "reclaim", take_all });

/* migrate ------------------------------------------------------------------------------ */

static void migrate(void *arg)
{
	struct move_world *m = arg;
	struct ram *ram = m->w.machine->ram;
	struct folio *folio = folio_get_pfn(ram, m->pfn), *to;

	if (!folio)
		return;
	to = folio_alloc(ram, 0, FOLIO_RAW);
	schedule_require(to);
	(void)!move_folio(m->w.machine->store, folio, to);
	folio_put(ram, to);
	folio_put(ram, folio);
}

SCENARIO(migrate_scenario, "migrate", "a page moves to another place and to another frame",
	 open_move, it_has_moved, { "migrate", migrate });

/* fork --------------------------------------------------------------------------------- */

static void fork_it(void *arg)
{
	struct move_world *m = arg;

	schedule_require(!samara_fork(m->w.mm, &m->child));
}

static void both_have_it(void *arg)
{
	struct move_world *m = arg;
	const unsigned long at = m->moved ? FROM : TO;

	schedule_require(!m->moved || m->moved == -EBUSY);
	schedule_require(world_value(m->w.mm, at) == 7);
	schedule_require(world_value(m->child, at) == 7);
	schedule_require(world_frames(&m->w) == 1);
	world_set(m->w.mm, at, 8);
	schedule_require(world_value(m->child, at) == 7);
	close_move(arg);
}

SCENARIO(fork_scenario, "fork", "a page moves before the fork, or is shared and stays", open_move,
	 both_have_it, { "fork", fork_it });

/* store -------------------------------------------------------------------------------- */

static void open_with_cpu(void *arg)
{
	struct move_world *m = arg;

	open_move(arg);
	schedule_require(!samara_cpu_create(m->w.machine, &m->cpu));
}

static void store_by_cpu(void *arg)
{
	struct move_world *m = arg;

	samara_cpu_run(m->cpu, m->w.mm);
	schedule_require(world_cpu_store(m->cpu, FROM, 8));
	schedule_require(world_cpu_store(m->cpu, FROM, 9));
	samara_cpu_run(m->cpu, NULL);
}

/* Both stores in the page; or one there; or both in a new page. */
static void nothing_is_lost(void *arg)
{
	struct move_world *m = arg;
	const uint64_t there = world_value(m->w.mm, TO), here = world_value(m->w.mm, FROM);

	schedule_require(!m->moved);
	schedule_require((there == 9 && !here) || ((there == 8 || there == 7) && here == 9));
	close_move(arg);
}

SCENARIO(store, "store", "a store is in the page that moved, or behind it in a new one",
	 open_with_cpu, nothing_is_lost, { "cpu", store_by_cpu });

/* zap ---------------------------------------------------------------------------------- */

static void drop_both(void *arg)
{
	struct move_world *m = arg;

	schedule_require(!samara_madvise(m->w.mm, PG(FROM), WORLD_PAGE, MADV_DONTNEED));
	schedule_require(!samara_madvise(m->w.mm, PG(TO), WORLD_PAGE, MADV_DONTNEED));
}

static void it_is_gone(void *arg)
{
	struct move_world *m = arg;

	schedule_require(!m->moved || m->moved == -ENOENT);
	schedule_require(!world_value(m->w.mm, FROM) && !world_value(m->w.mm, TO));
	schedule_require(!world_frames(&m->w));
	close_move(arg);
}

SCENARIO(zap, "zap", "what is dropped at both places is gone", open_move, it_is_gone,
	 { "advice", drop_both });

/* both --------------------------------------------------------------------------------- */

static void open_both(void *arg)
{
	open_move(arg);
	register_page(arg, FROM);
}

static void move_back(void *arg)
{
	struct move_world *m = arg;

	m->moved_back = ask(m, FROM, TO);
}

static void it_is_somewhere(void *arg)
{
	struct move_world *m = arg;
	const bool back = !m->moved_back;

	schedule_require(!m->moved &&
			 (back || m->moved_back == -ENOENT || m->moved_back == -EEXIST));
	schedule_require(world_value(m->w.mm, back ? FROM : TO) == 7);
	schedule_require(!world_value(m->w.mm, back ? TO : FROM));
	close_move(arg);
}

SCENARIO(both, "both", "a page that is moved to and fro is at one place", open_both,
	 it_is_somewhere, { "back", move_back });

/* exit --------------------------------------------------------------------------------- */

static void end(void *arg)
{
	struct move_world *m = arg;

	samara_mm_exit(m->w.mm);
	m->w.mm = NULL;
}

static void nothing_is_left(void *arg)
{
	struct move_world *m = arg;

	schedule_require(!m->moved || m->moved == -ESRCH);
	schedule_require(!world_frames(&m->w));
	samara_uffd_put(m->uffd);
	world_close(&m->w);
}

SCENARIO(exit_scenario, "exit", "a page moves before its address space ends, or not", open_move,
	 nothing_is_left, { "exit", end });

int main(int argc, char **argv)
{
	static const struct scenario *const all[] = {
		&reclaim, &swap_in, &migrate_scenario, &fork_scenario, &store,
		&zap,     &both,    &exit_scenario,    NULL,
	};

	return schedule_main(argc, argv, all);
}
