/* SPDX-License-Identifier: MIT */
/*
 * What readers beside a writer may see; see tree_zones.h.
 */
#include "tree_zones.h"

#include <stdarg.h>
#include <stdio.h>

static unsigned long wrongs;

enum part zone_part(unsigned long index)
{
	unsigned long cell = index / CELL % CELLS;

	if (index / CELL >= ZONES * CELLS)
		return NOTHING;
	if (!cell)
		return ANCHOR;
	if (cell < COVERED_FROM)
		return NOTHING;
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

	if (!value && (part == ANCHOR || part == COVERED))
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

	if (part == ANCHOR || part == COVERED || zone_part(last) == ANCHOR ||
	    zone_part(last) == COVERED)
		zone_wrong("%s: %#lx..%#lx is said to be empty", call, first, last);
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
