/* SPDX-License-Identifier: MIT */
/*
 * Which places meet: two operations on one word, by different threads, one right after the other,
 * of which one writes. A pair that was met in one order only says what the schedules have not tried
 * or what cannot be. Places that ever meet are where exhaustive search changes threads (explore.c).
 */
#include "main.h"

#include <stdlib.h>
#include <string.h>

#define PAIRS_MAX (1U << 16)     /* a power of two */
#define CONFLICTS_MAX (1U << 14) /* the same */

static struct pair {
	uintptr_t first, second;
	unsigned long met;
} * pairs;
static unsigned int pair_count;

static uintptr_t *conflicts;
static unsigned int conflict_total;

void pairs_begin(void)
{
	free(pairs);
	free(conflicts);
	pairs = calloc(PAIRS_MAX, sizeof(*pairs));
	conflicts = calloc(CONFLICTS_MAX, sizeof(*conflicts));
	if (!pairs || !conflicts)
		abort();
	pair_count = 0;
	conflict_total = 0;
}

static struct pair *pair_at(uintptr_t first, uintptr_t second)
{
	unsigned int i = (unsigned int)((first * 31 + second) * 0x9e3779b97f4a7c15UL >> 48);

	while (pairs[i].met && (pairs[i].first != first || pairs[i].second != second))
		i = (i + 1) % PAIRS_MAX;
	return &pairs[i];
}

static uintptr_t *conflict_at(uintptr_t place)
{
	unsigned int i = (unsigned int)(place * 0x9e3779b97f4a7c15UL >> 50);

	while (conflicts[i] && conflicts[i] != place)
		i = (i + 1) % CONFLICTS_MAX;
	return &conflicts[i];
}

/* With no room to learn more, every place may be one. */
bool place_conflicts(uintptr_t place)
{
	return *conflict_at(place) || conflict_total > CONFLICTS_MAX / 2;
}

unsigned int conflict_count(void)
{
	return conflict_total;
}

static void note_conflict(uintptr_t place)
{
	uintptr_t *at = conflict_at(place);

	if (*at || conflict_total > CONFLICTS_MAX / 2)
		return;
	*at = place;
	conflict_total++;
}

static void note_pair(uintptr_t first, uintptr_t second)
{
	struct pair *p = pair_at(first, second);

	if (!p->met) {
		if (pair_count > PAIRS_MAX / 2)
			return;
		*p = (struct pair){ .first = first, .second = second };
		pair_count++;
	}
	p->met++;
}

/* What an event is to the others on its word. Fences meet each other. */
static uintptr_t word_of(const struct event *e)
{
	return e->kind == OP_FENCE ? 8 : e->addr >> 3 << 3;
}

static bool writes(const struct event *e)
{
	switch (e->kind) {
	case OP_LOAD:
	case OP_WAIT:
	case OP_RCU_LOCK:
	case OP_RCU_UNLOCK:
		return false;
	default:
		return true;
	}
}

/* By word, then by time. */
static int by_word(const void *a, const void *b)
{
	const struct event *const *x = a, *const *y = b;

	if (word_of(*x) != word_of(*y))
		return word_of(*x) < word_of(*y) ? -1 : 1;
	return *x < *y ? -1 : *x > *y;
}

/* The events of one word, n of them. */
static void add_word(const struct event **e, unsigned int n)
{
	bool others = false, written = false;

	for (unsigned int i = 0; i < n; i++) {
		others |= e[i]->thread != e[0]->thread;
		written |= writes(e[i]);
		if (i && e[i]->thread != e[i - 1]->thread && (writes(e[i]) || writes(e[i - 1])))
			note_pair(e[i - 1]->place, e[i]->place);
	}
	for (unsigned int i = 0; others && written && i < n; i++)
		note_conflict(e[i]->place);
}

void pairs_add(void)
{
	const struct event **e = calloc(shared->events + 1UL, sizeof(*e));
	unsigned int n = 0;

	if (!e)
		abort();
	for (unsigned int i = 0; i < shared->events; i++) {
		if (word_of(&shared->event[i]))
			e[n++] = &shared->event[i];
	}
	qsort(e, n, sizeof(*e), by_word);
	for (unsigned int from = 0, to; from < n; from = to) {
		for (to = from; to < n && word_of(e[to]) == word_of(e[from]); to++)
			;
		add_word(e + from, to - from);
	}
	free(e);
}

/* printing ---------------------------------------------------------------- */

static void load_places(void)
{
	uintptr_t *places = calloc(2UL * pair_count + 1, sizeof(*places));
	unsigned int n = 0;

	if (!places)
		abort();
	for (unsigned int i = 0; i < PAIRS_MAX; i++) {
		if (pairs[i].met) {
			places[n++] = pairs[i].first;
			places[n++] = pairs[i].second;
		}
	}
	places_load(places, n);
	free(places);
}

void pairs_print(void)
{
	unsigned int both = 0, one = 0;

	load_places();
	for (unsigned int i = 0; i < PAIRS_MAX; i++) {
		const struct pair *p = &pairs[i];
		const struct pair *back = p->met ? pair_at(p->second, p->first) : NULL;

		if (!back || (back->met && p->first > p->second))
			continue;
		both += back->met != 0;
		one += !back->met;
		printf("%-4s %8lu %8lu  %s | %s\n", back->met ? "both" : "one", p->met,
		       p == back ? 0 : back->met, place_text(p->first), place_text(p->second));
	}
	printf("pairs: %u met in both orders, %u in one\n", both, one);
}
