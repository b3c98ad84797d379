/* SPDX-License-Identifier: MIT */
/*
 * All schedules of a scenario, up to a number of choices that are not the usual ones: depth first,
 * each run from its begin (stateless). Running is the usual choice; a switch from a thread that
 * cannot go on is free, each other choice costs one.
 *
 *   choice   0    1    2    3    4 ...
 *   forced   a    b    a |  usual from here on
 *            '-- the path --'
 *
 * Partial-order reduction: a thread is only preempted before an operation that meets others: on a
 * word that in some schedule another thread used as well, one of them writing. Before any other
 * operation it is not needed: the operation commutes with all that others do, so that the switch
 * behind it leads to the same results at the same cost. Which operations meet others is learned
 * while the search goes on (pairs.c), by place; the search is repeated until it learns nothing new.
 */
#include "main.h"

#include <stdlib.h>

/* One choice of the path. */
struct node {
	struct choice choice;
	unsigned int tried; /* a mask, of threads; else the next one to try */
	unsigned int cost;  /* of the choices before it */
};

static struct node *path;
static unsigned int length;

static unsigned int cost_of(const struct choice *c, unsigned int taken)
{
	if (taken == c->usual)
		return 0;
	return c->kind != CHOICE_THREAD || c->stays || !(c->ready >> taken & 1);
}

/* What the last run has chosen behind the path. */
static void extend(void)
{
	for (unsigned int i = length; i < shared->choices; i++) {
		struct node *n = &path[i];
		const struct node *before = i ? n - 1 : NULL;

		n->choice = shared->choice[i];
		n->tried = n->choice.kind == CHOICE_THREAD ? 1U << n->choice.taken : 1;
		n->cost =
			before ? before->cost + cost_of(&before->choice, before->choice.taken) : 0;
	}
	length = shared->choices;
}

/* The next alternative that is allowed; false: none is left. */
static bool next_thread(struct node *n, unsigned int most)
{
	const unsigned int all = n->choice.ready | n->choice.reluctant;

	if (n->choice.stays && !place_conflicts(n->choice.place))
		return false;
	for (unsigned int t = 0; t < THREADS_MAX; t++) {
		if (!(all & ~n->tried & 1U << t) || n->cost + cost_of(&n->choice, t) > most)
			continue;
		n->tried |= 1U << t;
		n->choice.taken = t;
		return true;
	}
	return false;
}

static bool next_of(struct node *n, unsigned int most)
{
	if (n->choice.kind == CHOICE_THREAD)
		return next_thread(n, most);
	if (n->tried == n->choice.ready || n->cost + 1 > most)
		return false;
	n->choice.taken = n->tried++;
	return true;
}

/* The path to the next schedule; false: there is none. */
static bool advance(unsigned int most)
{
	while (length && !next_of(&path[length - 1], most))
		length--;
	for (unsigned int i = 0; i < length; i++)
		shared->forced[i] = path[i].choice.taken;
	return length;
}

/* One search. True: it has come to its end. */
static bool search(const struct scenario *s, const struct options *o, struct outcome *out,
		   double end)
{
	length = 0;
	do {
		if (out->verdict || is_enough(o, out, end))
			return false;
		out->plan.forced = length;
		schedule_run(s, &out->plan);
		pairs_add();
		out->schedules++;
		out->different += different_add(shared->hash);
		out->verdict = shared->verdict;
		extend();
	} while (advance(o->preemptions));
	return !out->verdict;
}

struct outcome explore(const struct scenario *s, const struct options *o)
{
	const double begin = now(), end = begin + o->seconds;
	struct outcome out = { .plan = { .strategy = REPLAY,
					 .memory = o->memory,
					 .max_steps = o->max_steps,
					 .events = true } };
	unsigned int known;

	if (!path)
		path = lazy_memory(CHOICES_MAX * sizeof(*path));
	pairs_begin();
	do {
		different_begin();
		out.different = 0;
		known = conflict_count();
		out.schedules = 0;
		out.complete = search(s, o, &out, end);
	} while (out.complete && conflict_count() != known);
	out.seconds = now() - begin;
	return out;
}
