/* SPDX-License-Identifier: MIT */
/*
 * Small bugs that the scheduler must find, each beside a twin without the bug.
 */
#include "schedule/schedule.h"

#include "base/atomic.h"
#include "base/lock.h"

/* A lost update: read, add, write. */
struct counter {
	unsigned long n;
};

static void add_in_two_steps(void *world)
{
	struct counter *c = world;

	WRITE_ONCE(c->n, READ_ONCE(c->n) + 1);
}

static void add_at_once(void *world)
{
	struct counter *c = world;

	atomic_inc(&c->n);
}

static void both_were_added(void *world)
{
	struct counter *c = world;

	schedule_require(READ_ONCE(c->n) == 2);
}

static const struct scenario lost_update = {
	.name = "lost-update",
	.what = "two threads add 1 each by a load and a store",
	.finds = "requirement",
	.world_size = sizeof(struct counter),
	.threads = { { "a", add_in_two_steps }, { "b", add_in_two_steps } },
	.check = both_were_added,
};

static const struct scenario no_lost_update = {
	.name = "no-lost-update",
	.what = "two threads add 1 each by one operation",
	.world_size = sizeof(struct counter),
	.threads = { { "a", add_at_once }, { "b", add_at_once } },
	.check = both_were_added,
};

static const struct scenario *const scenarios[] = { &lost_update, &no_lost_update, NULL };

int main(int argc, char **argv)
{
	return schedule_main(argc, argv, scenarios);
}
