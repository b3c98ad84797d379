/* SPDX-License-Identifier: MIT */
/*
 * A failing schedule with fewer switches: delta debugging (Zeller and Hildebrandt, 2002) on the
 * choices that were not the usual ones. A choice is named by its thread and that thread's own step,
 * so that it stays the same when others go.
 */
#include "main.h"

#include <stdlib.h>
#include <string.h>

struct search {
	const struct scenario *scenario;
	struct plan plan;
	enum verdict verdict;
	unsigned long runs;
};

static bool still_fails(struct search *s, const struct choice *recipe, unsigned int n)
{
	memcpy(shared->recipe, recipe, n * sizeof(*recipe));
	s->plan.forced = n;
	s->runs++;
	schedule_run(s->scenario, &s->plan);
	return shared->verdict == s->verdict;
}

static unsigned int collect(struct choice *recipe)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < shared->choices; i++) {
		if (shared->choice[i].taken != shared->choice[i].usual)
			recipe[n++] = shared->choice[i];
	}
	return n;
}

/* Without choices [from, to), if that still fails: then what was left of them, anew. */
static bool try_without(struct search *s, struct choice *recipe, unsigned int *n, unsigned int from,
			unsigned int to)
{
	struct choice *rest = calloc(*n + 1, sizeof(*rest));
	bool fails;

	if (!rest)
		abort();
	memcpy(rest, recipe, from * sizeof(*rest));
	memcpy(rest + from, recipe + to, (*n - to) * sizeof(*rest));
	fails = still_fails(s, rest, *n - (to - from));
	free(rest);
	if (fails) {
		const unsigned int now_taken = collect(shared->recipe);

		fails = now_taken < *n;
		if (fails) {
			*n = now_taken;
			memcpy(recipe, shared->recipe, *n * sizeof(*recipe));
		}
	}
	return fails;
}

static unsigned int shrink(struct search *s, struct choice *recipe, unsigned int n)
{
	unsigned int size = n / 2 ? n / 2 : 1;

	while (n) {
		bool shorter = false;

		for (unsigned int from = 0; from < n;) {
			const unsigned int to = from + size < n ? from + size : n;

			if (try_without(s, recipe, &n, from, to))
				shorter = true;
			else
				from = to;
		}
		if (size > 1)
			size /= 2;
		else if (!shorter)
			break;
	}
	return n;
}

/* The schedule of *plan has just failed. Then the one in *shared is its smallest. */
struct plan minimize(const struct scenario *scenario, const struct plan *plan)
{
	struct search s = { scenario, *plan, shared->verdict, 0 };
	struct choice *recipe = calloc(CHOICES_MAX, sizeof(*recipe));
	const unsigned int switches = shared->switches;
	unsigned int n;

	if (!recipe)
		abort();
	n = collect(recipe);
	s.plan.strategy = RECIPE;
	if (!still_fails(&s, recipe, n)) {
		printf("minimize: the choices alone do not make it fail again\n");
		free(recipe);
		schedule_run(scenario, plan);
		return *plan;
	}
	n = shrink(&s, recipe, n);
	s.plan.events = true;
	(void)still_fails(&s, recipe, n);
	printf("minimize: %u of %u switches, %u choices, after %lu schedules\n", shared->switches,
	       switches, n, s.runs);
	free(recipe);
	return s.plan;
}
