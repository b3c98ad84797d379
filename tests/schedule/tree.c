/* SPDX-License-Identifier: MIT */
/*
 * Lock-free readers of a range tree against a writer that makes it grow, splits, joins and erases.
 * Entries are odd numbers; the objects behind pointers belong to another scenario (rcu.c).
 *
 *   grow       An entry that is stored behind all others is seen whole, or not yet.
 *   split      While full leaves become two, an entry that nobody touches is always found.
 *   cut        A store into the middle of an entry: a reader sees the old entry or the new one, and
 *              outside of the range always the old one.
 *   join       While neighbours are erased until leaves join, an entry that stays is always found.
 *   empty      The last entry goes, the first one comes: the reader finds it or nothing.
 *   iterate    A walk finds each entry that stays once, and in order.
 */
#include "schedule/schedule.h"

#include <samara/inject.h>
#include <samara/maple_tree.h>

#define FULL SAMARA_MAPLE_SLOTS
/* Entry n is at [AT(n), AT(n) + 4]. */
#define AT(n) (10UL * (n))
#define VALUE(n) xa_mk_value(n)

struct tree_world {
	struct maple_tree mt;
	unsigned long live;
};

static void store(struct tree_world *t, unsigned long first, unsigned long last, unsigned long n)
{
	schedule_require(!mtree_store_range(&t->mt, first, last, n ? VALUE(n) : NULL, GFP_KERNEL));
}

static void put(struct tree_world *t, unsigned long n)
{
	store(t, AT(n), AT(n) + 4, n);
}

static void open_with(struct tree_world *t, unsigned long entries)
{
	t->live = samara_live_objects();
	mt_init_flags(&t->mt, MT_FLAGS_USE_RCU);
	for (unsigned long n = 1; n <= entries; n++)
		put(t, n);
}

static void open_three(void *arg)
{
	open_with(arg, 3);
}

static void open_full(void *arg)
{
	open_with(arg, FULL);
}

static void open_two_leaves(void *arg)
{
	open_with(arg, FULL + 1);
}

static void open_empty(void *arg)
{
	open_with(arg, 0);
}

static void close_tree(void *arg)
{
	struct tree_world *t = arg;
	struct samara_report report = { 0 };

	if (samara_mtree_validate(&t->mt, &report))
		schedule_require_(false, report.text, __FILE__, __LINE__);
	mtree_destroy(&t->mt);
	schedule_require(samara_live_objects() == t->live);
}

/* Entry n, or, if absent is allowed, nothing; at its first and its last index. */
enum absent { ALWAYS_THERE, MAY_BE_ABSENT };
static void find(struct tree_world *t, unsigned long n, enum absent absent)
{
	const void *entry = mtree_load(&t->mt, AT(n));

	schedule_require(entry == VALUE(n) || (!entry && absent));
	entry = mtree_load(&t->mt, AT(n) + 4);
	schedule_require(entry == VALUE(n) || (!entry && absent));
	schedule_require(!mtree_load(&t->mt, AT(n) + 5));
}

/* grow ---------------------------------------------------------------------------- */

static void read_new(void *arg)
{
	find(arg, 4, MAY_BE_ABSENT);
	find(arg, 3, ALWAYS_THERE);
}

static void grow(void *arg)
{
	put(arg, 4);
	put(arg, 5);
}

static const struct scenario grow_scenario = {
	.name = "grow",
	.what = "an entry stored at a leaf's end is seen whole or not at all",
	.world_size = sizeof(struct tree_world),
	.setup = open_three,
	.threads = { { "reader", read_new }, { "writer", grow } },
	.check = close_tree,
};

/* split --------------------------------------------------------------------------- */

static void read_old(void *arg)
{
	find(arg, 1, ALWAYS_THERE);
	find(arg, FULL, ALWAYS_THERE);
}

static void split(void *arg)
{
	struct tree_world *t = arg;

	store(t, AT(2) + 6, AT(2) + 8, 100);
	put(t, FULL + 1);
}

static const struct scenario split_scenario = {
	.name = "split",
	.what = "entries that stay are found while their leaf is split",
	.world_size = sizeof(struct tree_world),
	.setup = open_full,
	.threads = { { "reader", read_old }, { "writer", split } },
	.check = close_tree,
};

/* cut ----------------------------------------------------------------------------- */

static void read_cut(void *arg)
{
	struct tree_world *t = arg;
	const void *middle = mtree_load(&t->mt, AT(2) + 2);

	schedule_require(middle == VALUE(2) || middle == VALUE(50));
	schedule_require(mtree_load(&t->mt, AT(2)) == VALUE(2));
	schedule_require(mtree_load(&t->mt, AT(2) + 4) == VALUE(2));
	/* What was seen stays seen. */
	if (middle == VALUE(50))
		schedule_require(mtree_load(&t->mt, AT(2) + 2) == VALUE(50));
}

static void cut(void *arg)
{
	store(arg, AT(2) + 1, AT(2) + 3, 50);
}

static const struct scenario cut_scenario = {
	.name = "cut",
	.what = "a store into an entry's middle is seen whole, its sides stay",
	.world_size = sizeof(struct tree_world),
	.setup = open_three,
	.threads = { { "reader", read_cut }, { "writer", cut } },
	.check = close_tree,
};

/* join ---------------------------------------------------------------------------- */

static void read_ends(void *arg)
{
	find(arg, 1, ALWAYS_THERE);
	find(arg, FULL + 1, ALWAYS_THERE);
	find(arg, 3, MAY_BE_ABSENT);
}

static void join(void *arg)
{
	struct tree_world *t = arg;

	schedule_require(mtree_erase(&t->mt, AT(2)) == VALUE(2));
	store(t, AT(3), AT(FULL), 0);
}

static const struct scenario join_scenario = {
	.name = "join",
	.what = "entries that stay are found while all between them go",
	.world_size = sizeof(struct tree_world),
	.setup = open_two_leaves,
	.threads = { { "reader", read_ends }, { "writer", join } },
	.check = close_tree,
};

/* empty --------------------------------------------------------------------------- */

static void read_one(void *arg)
{
	find(arg, 1, MAY_BE_ABSENT);
	find(arg, 1, MAY_BE_ABSENT);
}

static void come_and_go(void *arg)
{
	struct tree_world *t = arg;

	put(t, 1);
	schedule_require(mtree_erase(&t->mt, AT(1)) == VALUE(1));
	put(t, 1);
}

static const struct scenario empty_scenario = {
	.name = "empty",
	.what = "the only entry comes and goes whole",
	.world_size = sizeof(struct tree_world),
	.setup = open_empty,
	.threads = { { "reader", read_one }, { "writer", come_and_go } },
	.check = close_tree,
};

/* iterate ------------------------------------------------------------------------- */

static void walk(void *arg)
{
	struct tree_world *t = arg;
	unsigned long index = 0, last = 0, seen = 0;
	const void *entry;

	mt_for_each(&t->mt, entry, index, ~0UL) {
		/* index is one behind the entry that was found. */
		schedule_require(index > last);
		last = index;
		seen += entry == VALUE(1);
		seen += (entry == VALUE(FULL + 1)) * 100;
	}
	schedule_require(seen == 101);
}

static const struct scenario iterate = {
	.name = "iterate",
	.what = "a walk meets what stays once and in order",
	.world_size = sizeof(struct tree_world),
	.setup = open_two_leaves,
	.threads = { { "walker", walk }, { "writer", join } },
	.check = close_tree,
};

int main(int argc, char **argv)
{
	static const struct scenario *const all[] = {
		&grow_scenario,  &split_scenario, &cut_scenario, &join_scenario,
		&empty_scenario, &iterate,        NULL,
	};

	return schedule_main(argc, argv, all);
}
