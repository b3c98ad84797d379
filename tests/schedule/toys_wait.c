/* SPDX-License-Identifier: MIT */
/*
 * Small bugs of waiting. The first two show only by a choice that is not the next thread: a wake-up
 * without a reason, a weak exchange that fails. Each stands before its twin without the bug.
 */
#include "schedule/schedule.h"

#include "base/atomic.h"
#include "base/futex.h"

struct words {
	unsigned int rung, taken, gone;
	unsigned int first, second;
};

#define SCENARIO(name_, what_, finds_, ...) \
	{ \
		.name = (name_), .what = (what_), .finds = (finds_), \
		.world_size = sizeof(struct words), .threads = { __VA_ARGS__ }, \
	}

/* A wake-up without a reason ------------------------------------------------ */

static void sleep_once(void *world)
{
	struct words *w = world;

	futex_wait(&w->rung, 0, FUTEX_ANYONE, NULL);
	schedule_require(smp_load_acquire(&w->rung));
}

static void sleep_until_rung(void *world)
{
	struct words *w = world;

	while (!smp_load_acquire(&w->rung))
		futex_wait(&w->rung, 0, FUTEX_ANYONE, NULL);
	schedule_require(smp_load_acquire(&w->rung));
}

static void ring(void *world)
{
	struct words *w = world;

	smp_store_release(&w->rung, 1);
	futex_wake(&w->rung, FUTEX_ALL, FUTEX_ANYONE);
}

static const struct scenario spurious =
	SCENARIO("spurious", "a sleeper takes each wake-up for the one that it waits for",
		 "requirement", { "sleeper", sleep_once }, { "ringer", ring });

static const struct scenario no_spurious =
	SCENARIO("no-spurious", "a sleeper looks again behind each wake-up", NULL,
		 { "sleeper", sleep_until_rung }, { "ringer", ring });

/* A weak exchange that fails ------------------------------------------------ */

static void take_weakly(void *world)
{
	struct words *w = world;
	unsigned int none = 0;

	schedule_require(try_cmpxchg_weak_acquire(&w->taken, &none, 1));
}

static void take_strongly(void *world)
{
	struct words *w = world;
	unsigned int none = 0;

	schedule_require(try_cmpxchg_acq_rel(&w->taken, &none, 1));
}

static const struct scenario weak =
	SCENARIO("weak", "a weak exchange stands outside a loop", "requirement",
		 { "taker", take_weakly }, { "ringer", ring });

static const struct scenario no_weak =
	SCENARIO("no-weak", "an exchange that is not weak fails for another value only", NULL,
		 { "taker", take_strongly }, { "ringer", ring });

/* One of two sleepers is woken ---------------------------------------------- */

static void sleep_and_go(void *world)
{
	struct words *w = world;

	while (!smp_load_acquire(&w->rung))
		futex_wait(&w->rung, 0, FUTEX_ANYONE, NULL);
	atomic_inc(&w->gone);
}

static void wake_one(void *world)
{
	struct words *w = world;

	smp_store_release(&w->rung, 1);
	futex_wake(&w->rung, 1, FUTEX_ANYONE);
}

static const struct scenario one_woken =
	SCENARIO("one-woken", "two sleepers, and a wake-up for one", "deadlock",
		 { "first", sleep_and_go }, { "second", sleep_and_go }, { "waker", wake_one });

static const struct scenario all_woken =
	SCENARIO("all-woken", "two sleepers, and a wake-up for all", NULL,
		 { "first", sleep_and_go }, { "second", sleep_and_go }, { "waker", ring });

/* No end: two threads poll for each other ---------------------------------- */

static void announce_and_poll(void *world)
{
	struct words *w = world;

	store_seq_cst(&w->first, 1);
	while (load_seq_cst(&w->second))
		cpu_relax();
	store_seq_cst(&w->first, 0);
}

static void announce_and_poll_too(void *world)
{
	struct words *w = world;

	store_seq_cst(&w->second, 1);
	while (load_seq_cst(&w->first))
		cpu_relax();
	store_seq_cst(&w->second, 0);
}

static void poll_and_announce(void *world)
{
	struct words *w = world;

	while (load_seq_cst(&w->first))
		cpu_relax();
	store_seq_cst(&w->second, 1);
	store_seq_cst(&w->second, 0);
}

static const struct scenario no_end =
	SCENARIO("no-end", "two threads announce themselves and wait for each other", "steps",
		 { "a", announce_and_poll }, { "b", announce_and_poll_too });

static const struct scenario an_end =
	SCENARIO("an-end", "one of two threads waits before it announces itself", NULL,
		 { "a", announce_and_poll }, { "b", poll_and_announce });

static const struct scenario *const scenarios[] = {
	&spurious, &no_spurious, &weak, &no_weak, &one_woken, &all_woken, &no_end, &an_end, NULL,
};

int main(int argc, char **argv)
{
	return schedule_main(argc, argv, scenarios);
}
