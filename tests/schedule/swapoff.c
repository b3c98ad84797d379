/* SPDX-License-Identifier: MIT */
/*
 * A swap area is switched off beside what other threads do with its pages. It ends each time, and
 * each page has what was written to it last.
 *
 *   fork      Parent and child have the page, in memory.
 *   fail_N    A fork whose Nth allocation is refused leaves no entry behind.
 *   exit      A child that has the page exits.
 *   fault     A thread reads the page, and then writes to it.
 *   end       The machine ends with its last mm.
 *   pageout   A page that came back leaves again, if there is an area still.
 *   move      UFFDIO_MOVE takes a page to where swapoff has been already.
 */
#include "schedule/world.h"

#include <samara/inject.h>
#include <samara/reclaim.h>
#include <samara/uffd.h>

#include <string.h>

#include "base/atomic.h"

#define SLOTS 4UL

struct swapoff_world {
	struct world w;
	struct samara_mm *child;
	struct samara_swap *area;
	struct samara_uffd *uffd;
	unsigned int released;   /* atomic */
	struct world_flag begun; /* it is being read */
	char bytes[SLOTS][WORLD_PAGE];
};

static int read_slot(void *priv, unsigned long slot, void *page)
{
	struct swapoff_world *s = priv;

	schedule_require(!READ_ONCE(s->released));
	world_raise(&s->begun);
	memcpy(page, s->bytes[slot], WORLD_PAGE);
	return 0;
}

static int write_slot(void *priv, unsigned long slot, const void *page)
{
	struct swapoff_world *s = priv;

	schedule_require(!READ_ONCE(s->released));
	memcpy(s->bytes[slot], page, WORLD_PAGE);
	return 0;
}

static void release_all(void *priv)
{
	struct swapoff_world *s = priv;

	schedule_require(!READ_ONCE(s->released));
	WRITE_ONCE(s->released, 1);
}

/* Pages 1 and 2 hold 1 and 2, and are in the area. */
static void open_paged(void *arg)
{
	static const struct samara_swap_ops ops = {
		.size = sizeof(ops),
		.read = read_slot,
		.write = write_slot,
		.release = release_all,
	};
	struct swapoff_world *s = arg;

	world_open(&s->w);
	schedule_require(!samara_swapon_ops(s->w.machine, &ops, s, SLOTS, 0, &s->area));
	world_map(s->w.mm, 1, 2, WORLD_RW, MAP_PRIVATE, NULL);
	world_set(s->w.mm, 1, 1);
	world_set(s->w.mm, 2, 2);
	schedule_require(!samara_madvise(s->w.mm, PG(1), 2 * WORLD_PAGE, MADV_PAGEOUT));
	schedule_require(!world_frames(&s->w));
}

static void open_forked(void *arg)
{
	struct swapoff_world *s = arg;

	open_paged(arg);
	schedule_require(!samara_fork(s->w.mm, &s->child));
}

static void switch_off(void *arg)
{
	struct swapoff_world *s = arg;

	schedule_require(!samara_swapoff(s->area));
	schedule_require(READ_ONCE(s->released));
}

static void close_all(void *arg)
{
	struct swapoff_world *s = arg;

	world_check(&s->w);
	samara_mm_exit(s->child);
	world_close(&s->w);
}

static void pages_are_here(void *arg)
{
	struct swapoff_world *s = arg;

	for (unsigned long page = 1; page <= 2; page++) {
		schedule_require(world_value(s->w.mm, page) == page);
		schedule_require(!s->child || world_value(s->child, page) == page);
	}
	schedule_require(world_frames(&s->w) == 2);
	close_all(arg);
}

/* fork, exit --------------------------------------------------------------------------- */

static void fork_it(void *arg)
{
	struct swapoff_world *s = arg;

	schedule_require(!samara_fork(s->w.mm, &s->child));
}

static const struct scenario fork_scenario = {
	.name = "fork",
	.what = "an area is switched off beside a fork, and both have the pages",
	.world_size = sizeof(struct swapoff_world),
	.setup = open_paged,
	.threads = { { "swapoff", switch_off }, { "fork", fork_it } },
	.check = pages_are_here,
};

static void exit_child(void *arg)
{
	struct swapoff_world *s = arg;

	samara_mm_exit(s->child);
	s->child = NULL;
}

static const struct scenario exit_scenario = {
	.name = "exit",
	.what = "an area is switched off beside an exit",
	.world_size = sizeof(struct swapoff_world),
	.setup = open_forked,
	.threads = { { "swapoff", switch_off }, { "exit", exit_child } },
	.check = pages_are_here,
};

/* fault, pageout ----------------------------------------------------------------------- */

static void read_and_write(void *arg)
{
	struct swapoff_world *s = arg;

	schedule_require(world_value(s->w.mm, 2) == 2);
	world_set(s->w.mm, 1, 5);
	schedule_require(world_value(s->w.mm, 1) == 5);
}

static void written_page_is_here(void *arg)
{
	struct swapoff_world *s = arg;

	schedule_require(world_value(s->w.mm, 1) == 5 && world_value(s->w.mm, 2) == 2);
	schedule_require(!s->child ||
			 (world_value(s->child, 1) == 1 && world_value(s->child, 2) == 2));
	close_all(arg);
}

static const struct scenario fault_scenario = {
	.name = "fault",
	.what = "an area is switched off beside faults on its pages",
	.world_size = sizeof(struct swapoff_world),
	.setup = open_forked,
	.threads = { { "swapoff", switch_off }, { "faults", read_and_write } },
	.check = written_page_is_here,
};

static void page_out_again(void *arg)
{
	struct swapoff_world *s = arg;

	schedule_require(world_value(s->w.mm, 1) == 1);
	schedule_require(!samara_madvise(s->w.mm, PG(1), 2 * WORLD_PAGE, MADV_PAGEOUT));
}

static const struct scenario pageout_scenario = {
	.name = "pageout",
	.what = "an area is switched off while a page that has come back leaves again",
	.world_size = sizeof(struct swapoff_world),
	.setup = open_paged,
	.threads = { { "swapoff", switch_off }, { "pageout", page_out_again } },
	.check = pages_are_here,
};

/* fail_N ------------------------------------------------------------------------------- */

static void fork_without_memory(struct swapoff_world *s, unsigned long nth)
{
	samara_inject_nth(nth);
	schedule_require(samara_fork(s->w.mm, &s->child) && !s->child);
	samara_inject_nth(0);
}

#define FORK_FAILS(n) \
	static void fork_fails_##n(void *arg) \
	{ \
		fork_without_memory(arg, n); \
	} \
	static const struct scenario fail_##n = { \
		.name = "fail_" #n, \
		.what = "an area is switched off beside a fork that fails", \
		.world_size = sizeof(struct swapoff_world), \
		.setup = open_paged, \
		.threads = { { "swapoff", switch_off }, { "fork", fork_fails_##n } }, \
		.check = pages_are_here, \
	}

/* The VMA; its links; the tree; the tables. */
FORK_FAILS(2);
FORK_FAILS(4);
FORK_FAILS(5);
FORK_FAILS(6);

static void open_last(void *arg)
{
	struct swapoff_world *s = arg;

	open_paged(arg);
	samara_machine_destroy(s->w.machine);
}

static void end_last(void *arg)
{
	struct swapoff_world *s = arg;

	world_await(&s->begun);
	samara_mm_exit(s->w.mm);
}

static void nothing_left(void *arg)
{
	struct swapoff_world *s = arg;

	schedule_require(READ_ONCE(s->released));
	schedule_require(samara_live_objects() == s->w.live);
}

static const struct scenario end_scenario = {
	.name = "end",
	.what = "an area is switched off while its machine ends",
	.world_size = sizeof(struct swapoff_world),
	.setup = open_last,
	.threads = { { "off", switch_off }, { "exit", end_last } },
	.check = nothing_left,
};

/* move --------------------------------------------------------------------------------- */

#define FROM 9UL
#define TO 4UL

/* Page FROM holds 9 and is in the area too; TO is registered. */
static void open_move(void *arg)
{
	struct swapoff_world *s = arg;
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { PG(TO), WORLD_PAGE },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};

	open_paged(arg);
	world_map(s->w.mm, TO, 1, WORLD_RW, MAP_PRIVATE, NULL);
	world_map(s->w.mm, FROM, 1, WORLD_RW, MAP_PRIVATE, NULL);
	world_set(s->w.mm, FROM, 9);
	schedule_require(!samara_madvise(s->w.mm, PG(FROM), WORLD_PAGE, MADV_PAGEOUT));
	schedule_require(!world_frames(&s->w));
	schedule_require(!samara_uffd_create(s->w.mm, 0, &s->uffd));
	schedule_require(!samara_uffd_ioctl(s->uffd, UFFDIO_API, &api));
	schedule_require(!samara_uffd_ioctl(s->uffd, UFFDIO_REGISTER, &reg));
}

static void move_down(void *arg)
{
	struct swapoff_world *s = arg;
	struct uffdio_move move = { PG(TO), PG(FROM), WORLD_PAGE, 0, 0 };

	schedule_require(!samara_uffd_ioctl(s->uffd, UFFDIO_MOVE, &move));
	schedule_require(move.move == WORLD_PAGE);
}

static void it_is_below(void *arg)
{
	struct swapoff_world *s = arg;

	schedule_require(world_value(s->w.mm, TO) == 9);
	schedule_require(world_frames(&s->w) == 3);
	schedule_require(!world_value(s->w.mm, FROM));
	samara_uffd_put(s->uffd);
	close_all(arg);
}

static const struct scenario move_scenario = {
	.name = "move",
	.what = "a page that moves to where swapoff has been comes back too",
	.world_size = sizeof(struct swapoff_world),
	.setup = open_move,
	.threads = { { "swapoff", switch_off }, { "move", move_down } },
	.check = it_is_below,
};

int main(int argc, char **argv)
{
	static const struct scenario *const all[] = {
		&fork_scenario, &exit_scenario, &fault_scenario, &pageout_scenario, &fail_2,
		&fail_4,        &fail_5,        &fail_6,         &end_scenario,     &move_scenario,
		NULL,
	};

	return schedule_main(argc, argv, all);
}
