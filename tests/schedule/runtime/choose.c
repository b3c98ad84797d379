/* SPDX-License-Identifier: MIT */
/*
 * The strategies: what a schedule chooses where there is a choice. Each choice depends on the plan
 * and on the choices before it, on nothing else.
 *
 *   random  the seed also says how often threads change: at one yield point in 1, 4, 16 or 64
 *   pct     probabilistic concurrency testing (Burckhardt et al., 2010): each thread has a random
 *           priority, the highest runs, and at depth - 1 random steps the running thread's
 *           priority becomes the lowest
 *   replay, recipe  as forced; the usual choice else (runtime.h)
 *
 * The usual choice of a thread is to go on; if it cannot, the one that has waited longest. After
 * RUN_MOST steps in a row a thread lets the others go first, with any strategy.
 */
#include "runtime.h"

#define PCT_DEPTH_MAX 16
#define RUN_MOST 2000 /* steps of one thread, while others could run */

static uint64_t state;
static unsigned int period;
static unsigned int change_at[PCT_DEPTH_MAX];
static unsigned int lowest; /* pct: priorities below those of the begin */

/* splitmix64 */
static uint64_t random_word(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15UL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9UL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebUL;
	return z ^ z >> 31;
}

static unsigned int random_below(unsigned int n)
{
	return (unsigned int)((random_word() >> 32) * n >> 32);
}

void choose_begin(void)
{
	state = plan->seed * 0xd1342543de82ef95UL + plan->strategy;
	period = 1U << 2 * random_below(4);
	for (unsigned int i = 0; i + 1 < plan->depth && i < PCT_DEPTH_MAX; i++)
		change_at[i] = 1 + random_below(plan->length ? plan->length : 1);
	lowest = 1U << 20;
}

unsigned int nth_bit(unsigned int mask, unsigned int n)
{
	while (n--)
		mask &= mask - 1;
	return (unsigned int)__builtin_ctz(mask);
}

static unsigned int random_bit(unsigned int mask)
{
	return nth_bit(mask, random_below((unsigned int)__builtin_popcount(mask)));
}

/* threads ----------------------------------------------------------------- */

static unsigned int usual_thread(unsigned int mask)
{
	unsigned int best = THREADS_MAX;

	if (mask & 1U << self->id)
		return self->id;
	for (unsigned int i = 0; i < thread_count; i++) {
		if (mask & 1U << i &&
		    (best == THREADS_MAX || threads[i]->last_run < threads[best]->last_run))
			best = i;
	}
	return best;
}

static unsigned int random_thread(unsigned int ready, unsigned int reluctant)
{
	if (!ready || (reluctant && !random_below(32)))
		return random_bit(ready | reluctant);
	if (ready & 1U << self->id && random_below(period))
		return self->id;
	return random_bit(ready);
}

/* Above all that were lowered. */
static void pct_begin(struct thread *t)
{
	if (!t->priority)
		t->priority = (1U << 20) + 1 + random_below(1U << 20);
}

static unsigned int pct_thread(unsigned int ready, unsigned int reluctant)
{
	const unsigned int mask = ready ? ready : reluctant;
	unsigned int best = THREADS_MAX;

	for (unsigned int i = 0; i < thread_count; i++)
		pct_begin(threads[i]);
	for (unsigned int i = 0; i + 1 < plan->depth && i < PCT_DEPTH_MAX; i++) {
		if (change_at[i] == shared->steps)
			self->priority = --lowest;
	}
	if (self->relaxed || reluctant & 1U << self->id)
		self->priority = --lowest;
	for (unsigned int i = 0; i < thread_count; i++) {
		if (mask & 1U << i &&
		    (best == THREADS_MAX || threads[i]->priority > threads[best]->priority))
			best = i;
	}
	return best;
}

/* all --------------------------------------------------------------------- */

/* What is forced here; else usual. */
static unsigned int forced(enum choice_kind kind, unsigned int usual)
{
	if (plan->strategy == REPLAY)
		return shared->choices < plan->forced ? shared->forced[shared->choices] : usual;
	for (unsigned int i = 0; i < plan->forced; i++) {
		const struct choice *c = &shared->recipe[i];

		if (c->thread == self->id && c->own_step == self->own_step && c->kind == kind)
			return c->taken;
	}
	return usual;
}

static void note(struct choice choice)
{
	if (shared->choices == CHOICES_MAX)
		fail(TOO_LONG, "more than %u choices", CHOICES_MAX);
	choice.thread = self->id;
	choice.own_step = self->own_step;
	choice.place = (unsigned int)self->op.place;
	shared->choice[shared->choices++] = choice;
}

/* A thread that looks again and again, without a pause, must not keep the others from running. */
static bool has_run_long(void)
{
	return shared->steps - self->run_since > RUN_MOST;
}

struct thread *choose_thread(unsigned int ready, unsigned int reluctant)
{
	const unsigned int all = ready | reluctant, own = 1U << self->id;
	unsigned int usual, taken;

	if (has_run_long() && ready & ~own) {
		reluctant |= ready & own;
		ready &= ~own;
		self->run_since = shared->steps;
	}
	usual = usual_thread(ready ? ready : reluctant);
	taken = usual;
	if (!(all & (all - 1)) || alone)
		return threads[taken];
	if (plan->strategy == RANDOM)
		taken = random_thread(ready, reluctant);
	else if (plan->strategy == PCT)
		taken = pct_thread(ready, reluctant);
	else
		taken = forced(CHOICE_THREAD, usual);
	if (taken >= thread_count || !(all & 1U << taken))
		taken = usual;
	note((struct choice){ .kind = CHOICE_THREAD,
			      .taken = taken,
			      .usual = usual,
			      .ready = ready,
			      .reluctant = reluctant,
			      .stays = ready >> self->id & 1 });
	return threads[taken];
}

/* One in how many is not the usual, by kind. */
static const unsigned int rarity[] = {
	[CHOICE_STORE] = 4,
	[CHOICE_WEAK] = 8,
	[CHOICE_SPURIOUS] = 32,
	[CHOICE_SLEEPER] = 2,
};

unsigned int choose(enum choice_kind kind, unsigned int among)
{
	unsigned int taken = 0;

	if (among < 2 || alone)
		return 0;
	if (plan->strategy == REPLAY || plan->strategy == RECIPE)
		taken = forced(kind, 0);
	else if (!random_below(rarity[kind]))
		taken = 1 + random_below(among - 1);
	if (taken >= among)
		taken = 0;
	note((struct choice){ .kind = kind, .taken = taken, .ready = among });
	return taken;
}
