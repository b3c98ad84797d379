/* SPDX-License-Identifier: MIT */
/*
 * What readers beside a writer may see; see tree_zones.h.
 */
#include "tree_zones.h"

#include <stdarg.h>
#include <stdio.h>

static unsigned long wrongs;
static unsigned long fresh[ZONES];
static unsigned long toggle[ZONES]; /* odd: being changed */
static bool toggle_there[ZONES];

enum part zone_part(unsigned long index)
{
	unsigned long cell = index / CELL % CELLS;

	if (index / CELL >= ZONES * CELLS)
		return NOTHING;
	if (!cell)
		return ANCHOR;
	if (cell < COVERED_FROM)
		return cell == TOGGLE_CELL ? TOGGLE : cell == FRESH_CELL ? FRESH : NOTHING;
	return cell < CHURN_FROM ? COVERED : CHURN;
}

unsigned long zone_index(unsigned long zone, unsigned long cell)
{
	return (zone * CELLS + cell) * CELL;
}

/* first cell, number of cells, store's number: 13 + 13 + 37 bits and the value's own */
void *zone_value(unsigned long first, unsigned long last, unsigned long number)
{
	unsigned long cells = (last + 1 - first) / CELL;

	return xa_mk_value(first / CELL | cells << 13 | (number & ((1ul << 37) - 1)) << 26);
}

unsigned long zone_value_first(const void *value)
{
	return (xa_to_value(value) & 8191) * CELL;
}

unsigned long zone_value_last(const void *value)
{
	return zone_value_first(value) + (xa_to_value(value) >> 13 & 8191) * CELL - 1;
}

void zone_fresh_done(unsigned long zone, unsigned long number)
{
	__atomic_store_n(&fresh[zone], number, __ATOMIC_RELEASE);
}

void zone_toggle_begin(unsigned long zone)
{
	__atomic_fetch_add(&toggle[zone], 1, __ATOMIC_RELEASE);
}

void zone_toggle_end(unsigned long zone, bool there)
{
	__atomic_store_n(&toggle_there[zone], there, __ATOMIC_RELAXED);
	__atomic_fetch_add(&toggle[zone], 1, __ATOMIC_RELEASE);
}

struct zone_moment zone_note(unsigned long index)
{
	struct zone_moment m = { index / CELL / CELLS, 0, 1, false };

	if (m.zone >= ZONES)
		return m;
	m.fresh = __atomic_load_n(&fresh[m.zone], __ATOMIC_ACQUIRE);
	m.toggle = __atomic_load_n(&toggle[m.zone], __ATOMIC_ACQUIRE);
	m.there = __atomic_load_n(&toggle_there[m.zone], __ATOMIC_ACQUIRE);
	return m;
}

/* Whether the toggle was there all the time since then, or was not there all the time. */
static bool toggle_is_known(const struct zone_moment *m)
{
	return !(m->toggle & 1) && __atomic_load_n(&toggle[m->zone], __ATOMIC_ACQUIRE) == m->toggle;
}

static void check_fresh(const char *call, const struct zone_moment *m, const void *value)
{
	unsigned long number = xa_to_value(value) >> 26;

	if (number < m->fresh)
		zone_wrong("%s: %#lx has number %lu, and %lu was there before", call,
			   zone_value_first(value), number, m->fresh);
}

void zone_check_load(const char *call, const struct zone_moment *m, unsigned long index,
		     const void *value)
{
	enum part part = zone_part(index);

	zone_check_at(call, index, value);
	if (part == FRESH && value)
		check_fresh(call, m, value);
	if (part == TOGGLE && !value == m->there && toggle_is_known(m))
		zone_wrong("%s: %p at %#lx, where %s was", call, value, index,
			   m->there ? "an entry" : "nothing");
}

void zone_check_step(const char *call, const struct zone_moment *m, unsigned long from,
		     unsigned long to, const void *value)
{
	/* between anchor and fresh entry there is the toggle or nothing */
	bool over = zone_part(from) == (from < to ? ANCHOR : FRESH);
	bool same_zone = to / CELL / CELLS == m->zone;

	if (same_zone && zone_part(to) == FRESH)
		check_fresh(call, m, value);
	if (over && (same_zone && zone_part(to) == TOGGLE) != m->there && toggle_is_known(m))
		zone_wrong("%s: from %#lx to %#lx, and %s was between", call, from, to,
			   m->there ? "an entry" : "nothing");
}

void zone_wrong(const char *fmt, ...)
{
	char text[300];
	va_list ap;

	if (__atomic_fetch_add(&wrongs, 1, __ATOMIC_RELAXED) > 5)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(stderr, "reader: %s\n", text);
}

void zone_check_range(const char *call, unsigned long index, unsigned long last, const void *value)
{
	enum part part = zone_part(index);
	unsigned long first = zone_value_first(value), end = zone_value_last(value);

	if (part == NOTHING || zone_part(last) != part)
		zone_wrong("%s: %#lx..%#lx %p: nothing like that was stored", call, index, last,
			   value);
	else if (part == COVERED ? first > index || end < last : first != index || end != last)
		zone_wrong("%s: %#lx..%#lx has the value of %#lx..%#lx", call, index, last, first,
			   end);
}

void zone_check_at(const char *call, unsigned long at, const void *value)
{
	enum part part = zone_part(at);

	if (!value && (part == ANCHOR || part == FRESH || part == COVERED))
		zone_wrong("%s: nothing at %#lx", call, at);
	if (value &&
	    (part == NOTHING || zone_value_first(value) > at || zone_value_last(value) < at))
		zone_wrong("%s: %p at %#lx", call, value, at);
}

/* No empty range may hide an anchor or the covered part. */
void zone_check_empty(const char *call, unsigned long first, unsigned long last)
{
	enum part part = zone_part(first);
	unsigned long zone = first / CELL / CELLS;

	if (part == ANCHOR || part == FRESH || part == COVERED || zone_part(last) == ANCHOR ||
	    zone_part(last) == FRESH || zone_part(last) == COVERED)
		zone_wrong("%s: %#lx..%#lx is said to be empty", call, first, last);
	if (part == TOGGLE && zone < ZONES && last >= zone_index(zone, FRESH_CELL))
		zone_wrong("%s: %#lx..%#lx, fresh included, is said to be empty", call, first,
			   last);
	if (part == NOTHING && zone < ZONES && last >= zone_index(zone, COVERED_FROM))
		zone_wrong("%s: %#lx..%#lx, covered included, is said to be empty", call, first,
			   last);
	if (part == CHURN && zone + 1 < ZONES && last >= zone_index(zone + 1, 0))
		zone_wrong("%s: %#lx..%#lx, an anchor included, is said to be empty", call, first,
			   last);
}

/* Anchors lie at the start of each zone: how many starts are in from..to? */
unsigned long zone_anchors(unsigned long from, unsigned long to)
{
	unsigned long zone = CELLS * CELL, last = to / zone < ZONES ? to / zone : ZONES - 1;
	unsigned long first = (from + zone - 1) / zone;

	return first > last ? 0 : last - first + 1;
}

unsigned long zone_wrongs(void)
{
	return __atomic_load_n(&wrongs, __ATOMIC_RELAXED);
}
