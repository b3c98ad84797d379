/* SPDX-License-Identifier: MIT */
/*
 * Small bugs of memory order that the scheduler must find, each before its twin without the bug.
 * Most of them cannot happen on x86, and none of them with memory that is sequentially consistent.
 */
#include "schedule/schedule.h"

#include "base/atomic.h"

struct words {
	unsigned long x, y, plain;
	unsigned long a, b, c, d; /* what the threads saw */
};

#define WORDS(name_, what_, finds_, check_, ...) \
	{ \
		.name = (name_), .what = (what_), .finds = (finds_), \
		.world_size = sizeof(struct words), .threads = { __VA_ARGS__ }, .check = (check_), \
	}

/* Message passing: y says that x is there ----------------------------------- */

static void send_relaxed(void *world)
{
	struct words *w = world;

	WRITE_ONCE(w->x, 1);
	WRITE_ONCE(w->y, 1);
}

static void send(void *world)
{
	struct words *w = world;

	WRITE_ONCE(w->x, 1);
	smp_store_release(&w->y, 1);
}

static void send_with_fence(void *world)
{
	struct words *w = world;

	WRITE_ONCE(w->x, 1);
	smp_mb();
	WRITE_ONCE(w->y, 1);
}

static void receive_relaxed(void *world)
{
	struct words *w = world;

	if (READ_ONCE(w->y))
		schedule_require(READ_ONCE(w->x) == 1);
}

static void receive(void *world)
{
	struct words *w = world;

	if (smp_load_acquire(&w->y))
		schedule_require(READ_ONCE(w->x) == 1);
}

static void receive_with_fence(void *world)
{
	struct words *w = world;

	if (READ_ONCE(w->y)) {
		smp_mb();
		schedule_require(READ_ONCE(w->x) == 1);
	}
}

/* A change by another thread in between continues what the store releases. */
static void count_on(void *world)
{
	struct words *w = world;
	unsigned long one = 1;

	(void)try_cmpxchg(&w->y, &one, 2, __ATOMIC_RELAXED);
}

static void receive_second(void *world)
{
	struct words *w = world;

	if (smp_load_acquire(&w->y) == 2)
		schedule_require(READ_ONCE(w->x) == 1);
}

static const struct scenario no_release =
	WORDS("no-release", "the flag is stored without release", "requirement", NULL,
	      { "a", send_relaxed }, { "b", receive });
static const struct scenario no_acquire =
	WORDS("no-acquire", "the flag is loaded without acquire", "requirement", NULL,
	      { "a", send }, { "b", receive_relaxed });
static const struct scenario message =
	WORDS("message", "release and acquire", NULL, NULL, { "a", send }, { "b", receive });
static const struct scenario fenced_message =
	WORDS("fenced-message", "fences on both sides", NULL, NULL, { "a", send_with_fence },
	      { "b", receive_with_fence });
static const struct scenario half_fenced =
	WORDS("half-fenced", "a fence on one side", "requirement", NULL, { "a", send_with_fence },
	      { "b", receive_relaxed });
static const struct scenario third =
	WORDS("third", "a relaxed change between release and acquire", NULL, NULL, { "a", send },
	      { "b", count_on }, { "c", receive_second });

/* The same with a plain word: a race --------------------------------------- */

static void send_plain_relaxed(void *world)
{
	struct words *w = world;

	w->plain = 1;
	WRITE_ONCE(w->y, 1);
}

static void send_plain(void *world)
{
	struct words *w = world;

	w->plain = 1;
	smp_store_release(&w->y, 1);
}

static void receive_plain(void *world)
{
	struct words *w = world;

	if (smp_load_acquire(&w->y))
		schedule_require(w->plain == 1);
}

static const struct scenario plain_no_release =
	WORDS("plain-no-release", "a plain word before a relaxed flag", "race", NULL,
	      { "a", send_plain_relaxed }, { "b", receive_plain });
static const struct scenario plain_message =
	WORDS("plain-message", "a plain word before a release", NULL, NULL, { "a", send_plain },
	      { "b", receive_plain });

/* Store buffering: each stores, then looks at the other's ------------------- */

#define BUFFERED(name, own, others, seen, store, load) \
	static void name(void *world) \
	{ \
		struct words *w = world; \
\
		store(&w->own, 1); \
		w->seen = load(&w->others); \
	}

#define store_relaxed(p, v) WRITE_ONCE(*(p), v)
#define load_relaxed(p) READ_ONCE(*(p))
#define load_fenced(p) \
	({ \
		smp_mb(); \
		READ_ONCE(*(p)); \
	})

BUFFERED(buffered_x, x, y, a, smp_store_release, smp_load_acquire)
BUFFERED(buffered_y, y, x, b, smp_store_release, smp_load_acquire)
BUFFERED(fenced_x, x, y, a, store_relaxed, load_fenced)
BUFFERED(fenced_y, y, x, b, store_relaxed, load_fenced)
BUFFERED(ordered_x, x, y, a, store_seq_cst, load_seq_cst)
BUFFERED(ordered_y, y, x, b, store_seq_cst, load_seq_cst)

static void one_saw_the_other(void *world)
{
	struct words *w = world;

	schedule_require(w->a || w->b);
}

static const struct scenario buffered =
	WORDS("buffered", "store and load without a fence between", "requirement",
	      one_saw_the_other, { "a", buffered_x }, { "b", buffered_y });
static const struct scenario half_buffered =
	WORDS("half-buffered", "a fence in one of the threads only", "requirement",
	      one_saw_the_other, { "a", fenced_x }, { "b", buffered_y });
static const struct scenario fenced =
	WORDS("fenced", "store and load with a fence between", NULL, one_saw_the_other,
	      { "a", fenced_x }, { "b", fenced_y });
static const struct scenario ordered =
	WORDS("ordered", "store and load, sequentially consistent", NULL, one_saw_the_other,
	      { "a", ordered_x }, { "b", ordered_y });

/* Two readers see two independent stores in different orders ----------------- */

static void store_x(void *world)
{
	smp_store_release(&((struct words *)world)->x, 1);
}

static void store_y(void *world)
{
	smp_store_release(&((struct words *)world)->y, 1);
}

static void store_x_ordered(void *world)
{
	store_seq_cst(&((struct words *)world)->x, 1);
}

static void store_y_ordered(void *world)
{
	store_seq_cst(&((struct words *)world)->y, 1);
}

static void read_xy(void *world)
{
	struct words *w = world;

	w->a = smp_load_acquire(&w->x);
	w->b = smp_load_acquire(&w->y);
}

static void read_yx(void *world)
{
	struct words *w = world;

	w->c = smp_load_acquire(&w->y);
	w->d = smp_load_acquire(&w->x);
}

static void read_xy_ordered(void *world)
{
	struct words *w = world;

	w->a = load_seq_cst(&w->x);
	w->b = load_seq_cst(&w->y);
}

static void read_yx_ordered(void *world)
{
	struct words *w = world;

	w->c = load_seq_cst(&w->y);
	w->d = load_seq_cst(&w->x);
}

static void read_xy_fenced(void *world)
{
	struct words *w = world;

	w->a = READ_ONCE(w->x);
	smp_mb();
	w->b = READ_ONCE(w->y);
}

static void read_yx_fenced(void *world)
{
	struct words *w = world;

	w->c = READ_ONCE(w->y);
	smp_mb();
	w->d = READ_ONCE(w->x);
}

static void one_order(void *world)
{
	struct words *w = world;

	schedule_require(!(w->a && !w->b && w->c && !w->d));
}

static const struct scenario two_orders =
	WORDS("two-orders", "release and acquire only", "requirement", one_order, { "x", store_x },
	      { "y", store_y }, { "xy", read_xy }, { "yx", read_yx });
static const struct scenario one_order_of_all =
	WORDS("one-order", "sequentially consistent", NULL, one_order, { "x", store_x_ordered },
	      { "y", store_y_ordered }, { "xy", read_xy_ordered }, { "yx", read_yx_ordered });
static const struct scenario one_order_by_fences =
	WORDS("one-order-by-fences", "fences between the loads", NULL, one_order, { "x", store_x },
	      { "y", store_y }, { "xy", read_xy_fenced }, { "yx", read_yx_fenced });

/* One word: its values are never seen backwards ------------------------------ */

static void store_twice(void *world)
{
	struct words *w = world;

	WRITE_ONCE(w->x, 1);
	WRITE_ONCE(w->x, 2);
}

static void read_twice(void *world)
{
	struct words *w = world;
	const unsigned long first = READ_ONCE(w->x), second = READ_ONCE(w->x);

	schedule_require(first <= second);
}

/* What a thread saw, it passes on. */
static void see_and_tell(void *world)
{
	struct words *w = world;

	w->a = READ_ONCE(w->x);
	smp_store_release(&w->y, 1);
}

static void hear_and_see(void *world)
{
	struct words *w = world;

	if (smp_load_acquire(&w->y))
		schedule_require(READ_ONCE(w->x) >= w->a);
}

static const struct scenario forwards = WORDS("forwards", "a thread reads a word twice", NULL, NULL,
					      { "a", store_twice }, { "b", read_twice });
static const struct scenario forwards_of_two =
	WORDS("forwards-of-two", "a thread reads, tells another, which reads", NULL, NULL,
	      { "a", store_twice }, { "b", see_and_tell }, { "c", hear_and_see });

static const struct scenario *const scenarios[] = {
	&no_release, &no_acquire,       &message,       &fenced_message,   &half_fenced,
	&third,      &plain_no_release, &plain_message, &buffered,         &half_buffered,
	&fenced,     &ordered,          &two_orders,    &one_order_of_all, &one_order_by_fences,
	&forwards,   &forwards_of_two,  NULL,
};

int main(int argc, char **argv)
{
	return schedule_main(argc, argv, scenarios);
}
