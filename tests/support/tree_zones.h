/* SPDX-License-Identifier: MIT */
/*
 * An index space in which a reader can tell right from wrong without knowing
 * what the writer is doing.
 *
 * It is cut into zones of 64 cells; cells are of 4096 indices.
 *
 *   0         anchor: one entry a zone that never changes
 *   1         toggle: an entry comes and goes; whether it is there is known at
 *             every time when the writer is not just changing it
 *   2         fresh: one entry a zone, replaced all the time; whoever begins to
 *             look after a replacement must see that one or a later one
 *   3         nothing is ever stored here
 *   4..19     covered: the writer stores ranges of any kind, but never NULL, so
 *             a reader must find something at every index, at any time
 *   20..63    churn: whole ranges are stored, replaced, joined, swallowed and
 *             erased, one call each, wide ones over all of a zone's churn too
 *
 * A value tells its range and its number. What a reader sees in churn must be
 * exactly the range that some store wrote; in covered, a part of it.
 */
#ifndef SAMARA_TEST_TREE_ZONES_H
#define SAMARA_TEST_TREE_ZONES_H

#include <stdbool.h>
#include <samara/maple_tree.h>

#define ZONES 40ul
#define CELLS 64ul
#define CELL 4096ul
#define TOGGLE_CELL 1ul
#define FRESH_CELL 2ul
#define COVERED_FROM 4ul
#define COVERED_TO 19ul
#define CHURN_FROM 20ul

enum part { ANCHOR, TOGGLE, FRESH, NOTHING, COVERED, CHURN };

/* What a reader notes before a call, to judge by what the call finds. */
struct zone_moment {
	unsigned long zone, fresh, toggle;
	bool there;
};

enum part zone_part(unsigned long index);
unsigned long zone_index(unsigned long zone, unsigned long cell);

/* Anchors that start in from..to. */
unsigned long zone_anchors(unsigned long from, unsigned long to);

void *zone_value(unsigned long first, unsigned long last, unsigned long number);
unsigned long zone_value_first(const void *value);
unsigned long zone_value_last(const void *value);

/* The writer: a replacement is complete; the toggle is being changed; that is what it is now. */
void zone_fresh_done(unsigned long zone, unsigned long number);
void zone_toggle_begin(unsigned long zone);
void zone_toggle_end(unsigned long zone, bool there);

/* Before a call that looks at index, or goes on from there. */
struct zone_moment zone_note(unsigned long index);

/* The call found value, if any, at index. */
void zone_check_load(const char *call, const struct zone_moment *m, unsigned long index,
		     const void *value);

/* The call went from one entry, at from, to the next one or the one before, at to. */
void zone_check_step(const char *call, const struct zone_moment *m, unsigned long from,
		     unsigned long to, const void *value);

/* Something was wrong: counted, and the first few are printed. Any thread. */
__attribute__((format(printf, 1, 2))) void zone_wrong(const char *fmt, ...);
unsigned long zone_wrongs(void);

/* What call found: value over a range; nothing over a range; value or nothing at an index. */
void zone_check_range(const char *call, unsigned long first, unsigned long last, const void *value);
void zone_check_empty(const char *call, unsigned long first, unsigned long last);
void zone_check_at(const char *call, unsigned long at, const void *value);

#endif
