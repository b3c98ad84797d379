/* SPDX-License-Identifier: MIT */
/*
 * Small bugs of order that the scheduler must find, each before its twin without the bug. Memory is
 * not what they are about: toys_memory.c has those.
 */
#include "schedule/schedule.h"

#include <stdlib.h>

#include "base/atomic.h"
#include "base/futex.h"
#include "base/lock.h"
#include "base/rcu.h"

#define SCENARIO(name_, what_, finds_, world_, check_, a, b) \
	{ \
		.name = (name_), .what = (what_), .finds = (finds_), \
		.world_size = sizeof(struct world_), .check = (check_), \
		.threads = { { "a", a }, { "b", b } }, \
	}

/* A lost update ----------------------------------------------------------- */

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

static const struct scenario lost_update =
	SCENARIO("lost-update", "two threads add 1 each by a load and a store", "requirement",
		 counter, both_were_added, add_in_two_steps, add_in_two_steps);

static const struct scenario no_lost_update =
	SCENARIO("no-lost-update", "two threads add 1 each by one operation", NULL, counter,
		 both_were_added, add_at_once, add_at_once);

/* A lost wake-up: the sleeper looks, and then sleeps whatever has happened since ------- */

struct bell {
	unsigned int rung;
	unsigned int word;
};

static void sleep_on_another_word(void *world)
{
	struct bell *b = world;

	while (!smp_load_acquire(&b->rung))
		futex_wait(&b->word, 0, FUTEX_ANYONE, NULL);
}

static void ring_another_word(void *world)
{
	struct bell *b = world;

	smp_store_release(&b->rung, 1);
	futex_wake(&b->word, 1, FUTEX_ANYONE);
}

static void sleep_on_it(void *world)
{
	struct bell *b = world;

	while (!smp_load_acquire(&b->rung))
		futex_wait(&b->rung, 0, FUTEX_ANYONE, NULL);
}

static void ring_it(void *world)
{
	struct bell *b = world;

	smp_store_release(&b->rung, 1);
	futex_wake(&b->rung, 1, FUTEX_ANYONE);
}

static const struct scenario lost_wake =
	SCENARIO("lost-wake", "a sleeper's word does not say what it waits for", "deadlock", bell,
		 NULL, sleep_on_another_word, ring_another_word);

static const struct scenario no_lost_wake =
	SCENARIO("no-lost-wake", "a sleeper's word is what it waits for", NULL, bell, NULL,
		 sleep_on_it, ring_it);

/* Two locks --------------------------------------------------------------- */

struct locks {
	struct samara_spinlock first, second;
	unsigned long n;
};

static void first_then_second(void *world)
{
	struct locks *l = world;

	spin_acquire(&l->first);
	spin_acquire(&l->second);
	l->n++;
	spin_release(&l->second);
	spin_release(&l->first);
}

static void second_then_first(void *world)
{
	struct locks *l = world;

	spin_acquire(&l->second);
	spin_acquire(&l->first);
	l->n++;
	spin_release(&l->first);
	spin_release(&l->second);
}

static void no_lock(void *world)
{
	struct locks *l = world;

	l->n++;
}

static void both_counted(void *world)
{
	struct locks *l = world;

	schedule_require(l->n == 2);
}

static const struct scenario lock_inversion =
	SCENARIO("lock-inversion", "two locks in both orders", "deadlock", locks, both_counted,
		 first_then_second, second_then_first);

static const struct scenario no_lock_inversion =
	SCENARIO("no-lock-inversion", "two locks in one order", NULL, locks, both_counted,
		 first_then_second, first_then_second);

static const struct scenario unlocked = SCENARIO("unlocked", "one of two threads forgets the lock",
						 "race", locks, NULL, first_then_second, no_lock);

/* Check, then act: the last reference is dropped twice --------------------- */

struct object {
	unsigned long refs;
	unsigned long freed;
};

static void init_object(void *world)
{
	struct object *o = world;

	o->refs = 2;
}

static void check_then_drop(void *world)
{
	struct object *o = world;

	if (READ_ONCE(o->refs) > 1)
		atomic_dec(&o->refs);
	else
		atomic_inc(&o->freed);
}

static void drop_and_check(void *world)
{
	struct object *o = world;

	if (!atomic_sub_return_acq_rel(&o->refs, 1))
		atomic_inc(&o->freed);
}

static void freed_once(void *world)
{
	struct object *o = world;

	schedule_require(READ_ONCE(o->freed) == 1);
}

static const struct scenario check_then_act = {
	.name = "check-then-act",
	.what = "a count is looked at, then lowered",
	.finds = "requirement",
	.world_size = sizeof(struct object),
	.setup = init_object,
	.threads = { { "a", check_then_drop }, { "b", check_then_drop } },
	.check = freed_once,
};

static const struct scenario no_check_then_act = {
	.name = "no-check-then-act",
	.what = "a count is lowered and looked at, at once",
	.world_size = sizeof(struct object),
	.setup = init_object,
	.threads = { { "a", drop_and_check }, { "b", drop_and_check } },
	.check = freed_once,
};

/* Bugs of a known depth: how many orders must meet (pct's bound, itself.sh) ------------ */

struct steps {
	unsigned long x, y, z;
};

/* 1: b before a. */
static void make(void *world)
{
	WRITE_ONCE(((struct steps *)world)->x, 1);
}

static void use(void *world)
{
	schedule_require(READ_ONCE(((struct steps *)world)->x) == 1);
}

/* 2: b between two steps of a. */
static void open_and_close(void *world)
{
	struct steps *s = world;

	WRITE_ONCE(s->x, 1);
	WRITE_ONCE(s->x, 0);
}

static void look(void *world)
{
	schedule_require(READ_ONCE(((struct steps *)world)->x) == 0);
}

/* 3: the first step of b between two of a, whose second is between two of b. */
static void step_and_look(void *world)
{
	struct steps *s = world;

	WRITE_ONCE(s->x, 1);
	if (READ_ONCE(s->y) == 1)
		WRITE_ONCE(s->z, 1);
}

static void mark_and_look(void *world)
{
	struct steps *s = world;

	if (READ_ONCE(s->x) == 1) {
		WRITE_ONCE(s->y, 1);
		schedule_require(READ_ONCE(s->z) == 0);
	}
}

static const struct scenario depth_1 =
	SCENARIO("depth-1", "b before a", "requirement", steps, NULL, make, use);
static const struct scenario depth_2 =
	SCENARIO("depth-2", "b inside a", "requirement", steps, NULL, open_and_close, look);
static const struct scenario depth_3 =
	SCENARIO("depth-3", "a and b inside each other", "requirement", steps, NULL, step_and_look,
		 mark_and_look);

/* RCU --------------------------------------------------------------------- */

struct box {
	unsigned long *value;
};

static void fill_box(void *world)
{
	struct box *box = world;

	box->value = malloc(sizeof(*box->value));
	if (!box->value)
		abort();
	*box->value = 5;
}

static void read_box(void *world)
{
	struct box *box = world;
	unsigned long *value;

	rcu_read_lock();
	value = rcu_dereference(box->value);
	if (value)
		schedule_require(*value == 5);
	rcu_read_unlock();
}

static void empty_box_at_once(void *world)
{
	struct box *box = world;
	unsigned long *value = box->value;

	rcu_assign_pointer(box->value, NULL);
	free(value);
}

static void empty_box(void *world)
{
	struct box *box = world;
	unsigned long *value = box->value;

	rcu_assign_pointer(box->value, NULL);
	rcu_synchronize();
	free(value);
}

static const struct scenario no_grace = {
	.name = "no-grace",
	.what = "what readers may see is freed without a grace period",
	.finds = "freed",
	.world_size = sizeof(struct box),
	.setup = fill_box,
	.threads = { { "reader", read_box }, { "writer", empty_box_at_once } },
};

static const struct scenario grace = {
	.name = "grace",
	.what = "what readers may see is freed after a grace period",
	.world_size = sizeof(struct box),
	.setup = fill_box,
	.threads = { { "reader", read_box }, { "writer", empty_box } },
};

/* A crash: what was looked at is loaded once more -------------------------- */

static void read_box_twice(void *world)
{
	struct box *box = world;

	if (rcu_dereference(box->value))
		schedule_require(*rcu_dereference(box->value) == 5);
}

static void read_box_once(void *world)
{
	struct box *box = world;
	const unsigned long *value = rcu_dereference(box->value);

	if (value)
		schedule_require(*value == 5);
}

/* The value is nobody's: clear_box() only hides it. */
static void point_box(void *world)
{
	static unsigned long five = 5;
	struct box *box = world;

	box->value = &five;
}

static void clear_box(void *world)
{
	struct box *box = world;

	rcu_assign_pointer(box->value, NULL);
}

static const struct scenario null_loaded = {
	.name = "null-loaded",
	.what = "a pointer is looked at, then loaded again",
	.finds = "crash",
	.world_size = sizeof(struct box),
	.setup = point_box,
	.threads = { { "reader", read_box_twice }, { "writer", clear_box } },
};

static const struct scenario no_null_loaded = {
	.name = "no-null-loaded",
	.what = "a pointer is loaded once",
	.world_size = sizeof(struct box),
	.setup = point_box,
	.threads = { { "reader", read_box_once }, { "writer", clear_box } },
};

static const struct scenario *const scenarios[] = {
	&lost_update,
	&no_lost_update,
	&lost_wake,
	&no_lost_wake,
	&lock_inversion,
	&no_lock_inversion,
	&unlocked,
	&check_then_act,
	&no_check_then_act,
	&no_grace,
	&grace,
	&depth_1,
	&depth_2,
	&depth_3,
	&null_loaded,
	&no_null_loaded,
	NULL,
};

int main(int argc, char **argv)
{
	return schedule_main(argc, argv, scenarios);
}
