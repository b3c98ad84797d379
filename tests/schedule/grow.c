/* SPDX-License-Identifier: MIT */
/*
 * Mappings that grow and shrink under faults.
 *
 *   brk    A store above the heap's end is made or stopped; a heap that has shrunk and grown again
 *          holds zeros.
 *   stack  A stack grows under two faults at once, and not into a mapping that comes meanwhile.
 */
#include "schedule/world.h"

#include <errno.h>

struct grow_world {
	struct world w;
	bool stored;
};

/* brk --------------------------------------------------------------------------------- */

static void open_heap(void *arg)
{
	struct grow_world *g = arg;
	struct samara_layout layout = SAMARA_LAYOUT_INIT;

	world_open(&g->w);
	layout.start_brk = layout.brk = PG(4);
	schedule_require(!samara_set_layout(g->w.mm, &layout));
	schedule_require(samara_brk(g->w.mm, PG(5)) == PG(5));
	world_set(g->w.mm, 4, 7);
}

static void use_heap(void *arg)
{
	struct grow_world *g = arg;
	uint64_t value = 0;

	g->stored = world_store(g->w.mm, 4, 8);
	if (world_load(g->w.mm, 4, &value))
		schedule_require(!value || (value == 8 && g->stored));
}

static void move_break(void *arg)
{
	struct grow_world *g = arg;
	uint64_t value;

	schedule_require(samara_brk(g->w.mm, PG(4)) == PG(4));
	schedule_require(samara_brk(g->w.mm, PG(6)) == PG(6));
	value = world_value(g->w.mm, 4);
	schedule_require(!value || value == 8);
	schedule_require(!world_value(g->w.mm, 5));
}

static void heap_holds_nothing_old(void *arg)
{
	struct grow_world *g = arg;
	const uint64_t value = world_value(g->w.mm, 4);

	schedule_require(!value || (value == 8 && g->stored));
	world_close(&g->w);
}

static const struct scenario brk_scenario = {
	.name = "brk",
	.what = "a heap that has shrunk and grown again holds nothing old",
	.world_size = sizeof(struct grow_world),
	.setup = open_heap,
	.threads = { { "writer", use_heap }, { "brk", move_break } },
	.check = heap_holds_nothing_old,
};

/* stack ------------------------------------------------------------------------------- */

static void open_stack(void *arg)
{
	struct grow_world *g = arg;

	world_open(&g->w);
	world_map(g->w.mm, 12, 1, WORLD_RW, MAP_PRIVATE | MAP_GROWSDOWN, NULL);
	world_set(g->w.mm, 12, 7);
}

static void push_one(void *arg)
{
	struct grow_world *g = arg;

	world_set(g->w.mm, 11, 8);
	schedule_require(world_value(g->w.mm, 11) == 8);
}

static void push_more(void *arg)
{
	struct grow_world *g = arg;

	g->stored = world_store(g->w.mm, 9, 9);
}

static void map_below(void *arg)
{
	struct grow_world *g = arg;
	const unsigned long at =
		samara_mmap(g->w.mm, PG(8), WORLD_PAGE, WORLD_RW,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, NULL, 0);

	schedule_require(at == PG(8) || at == (unsigned long)-EEXIST);
	if (at == PG(8))
		schedule_require(!world_value(g->w.mm, 8));
}

static void stack_is_whole(void *arg)
{
	struct grow_world *g = arg;

	schedule_require(world_value(g->w.mm, 12) == 7 && world_value(g->w.mm, 11) == 8);
	if (g->stored)
		schedule_require(world_value(g->w.mm, 9) == 9);
	world_close(&g->w);
}

static const struct scenario stack = {
	.name = "stack",
	.what = "a stack grows under two faults, beside a mapping that comes below it",
	.world_size = sizeof(struct grow_world),
	.setup = open_stack,
	.threads = { { "push", push_one }, { "push more", push_more }, { "mmap", map_below } },
	.check = stack_is_whole,
};

int main(int argc, char **argv)
{
	static const struct scenario *const all[] = { &brk_scenario, &stack, NULL };

	return schedule_main(argc, argv, all);
}
