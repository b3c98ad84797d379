/* SPDX-License-Identifier: MIT */
/*
 * The writer that readers are tested against; see tree_zone_writer.h.
 */
#include "tree_zone_writer.h"

static void put(struct zone_writer *w, unsigned long first, unsigned long last, bool null)
{
	void *value = null ? NULL : zone_value(first, last, w->writes);
	struct maple_tree *mt = w->mt;
	MA_STATE(mas, mt, first, last);
	int err = 0;

	switch (rng_below(&w->rng, 3)) {
	case 0:
		err = mtree_store_range(mt, first, last, value, GFP_KERNEL);
		break;
	case 1:
		mtree_lock(mt);
		err = mas_store_gfp(&mas, value, GFP_KERNEL);
		mtree_unlock(mt);
		break;
	default:
		mtree_lock(mt);
		err = mas_preallocate(&mas, value, GFP_KERNEL);
		if (!err)
			mas_store_prealloc(&mas, value);
		mtree_unlock(mt);
	}
	if (err)
		zone_wrong("the writer's store failed: %d", err);
	model_store(&w->m, first, last, value);
	w->writes++;
}

static void write_covered(struct zone_writer *w)
{
	unsigned long zone = rng_below(&w->rng, ZONES),
		      from = rng_between(&w->rng, COVERED_FROM, COVERED_TO);
	unsigned long to = rng_between(&w->rng, from, COVERED_TO);

	if (rng_one_in(&w->rng, 2))
		to = from;
	put(w, zone_index(zone, from), zone_index(zone, to + 1) - 1, false);
}

/* Make first..last end where entries end. */
static void widen(const struct zone_writer *w, unsigned long *first, unsigned long *last)
{
	struct model_range left = model_slot(&w->m, *first), right = model_slot(&w->m, *last);

	if (left.entry)
		*first = left.first;
	if (right.entry)
		*last = right.last;
}

static void write_churn(struct zone_writer *w)
{
	unsigned long zone = rng_below(&w->rng, ZONES),
		      from = rng_between(&w->rng, CHURN_FROM, CELLS - 1);
	unsigned long to = rng_between(
		&w->rng, from, rng_one_in(&w->rng, 4) || from > CELLS - 4 ? CELLS - 1 : from + 3);
	unsigned long first = zone_index(zone, from), last = zone_index(zone, to + 1) - 1;

	if (rng_one_in(&w->rng, 3)) {
		void *want = model_erase(&w->m, first), *got = mtree_erase(w->mt, first);

		if (got != want)
			zone_wrong("the writer erased %p, should be %p", got, want);
		w->writes++;
		return;
	}
	widen(w, &first, &last);
	put(w, first, last, rng_one_in(&w->rng, 4));
}

static void write_wide(struct zone_writer *w)
{
	/* all of a zone's churn, over many leaves */
	unsigned long zone = rng_below(&w->rng, ZONES);

	put(w, zone_index(zone, CHURN_FROM), zone_index(zone + 1, 0) - 1, rng_one_in(&w->rng, 2));
}

/* Many small entries, so that leaves fill and split. */
static void write_fine(struct zone_writer *w)
{
	unsigned long zone = rng_below(&w->rng, ZONES), cell;

	for (cell = CHURN_FROM; cell < CELLS; cell++) {
		unsigned long first = zone_index(zone, cell), last = zone_index(zone, cell + 1) - 1;

		if (model_is_empty(&w->m, first, last))
			put(w, first, last, false);
	}
}

static void write_fresh(struct zone_writer *w, unsigned long zone)
{
	unsigned long number = w->writes;

	put(w, zone_index(zone, FRESH_CELL), zone_index(zone, FRESH_CELL + 1) - 1, false);
	zone_fresh_done(zone, number);
}

static void write_toggle(struct zone_writer *w, unsigned long zone)
{
	unsigned long first = zone_index(zone, TOGGLE_CELL);
	bool there = !model_is_empty(&w->m, first, first);

	zone_toggle_begin(zone);
	if (there && rng_one_in(&w->rng, 2)) {
		model_store(&w->m, first, first + CELL - 1, NULL);
		if (!mtree_erase(w->mt, first))
			zone_wrong("the writer found no toggle in zone %lu", zone);
	} else {
		put(w, first, first + CELL - 1, there);
	}
	zone_toggle_end(zone, !there);
}

void zone_build(struct zone_writer *w)
{
	unsigned long zone;

	for (zone = 0; zone < ZONES; zone++) {
		put(w, zone_index(zone, 0), zone_index(zone, 1) - 1, false);
		zone_toggle_begin(zone);
		zone_toggle_end(zone, false);
		write_fresh(w, zone);
		put(w, zone_index(zone, COVERED_FROM), zone_index(zone, COVERED_TO + 1) - 1, false);
	}
}

void zone_write(struct zone_writer *w)
{
	write_fresh(w, rng_below(&w->rng, ZONES));
	write_toggle(w, rng_below(&w->rng, ZONES));
	switch (rng_below(&w->rng, 16)) {
	case 0:
		write_wide(w);
		break;
	case 1:
		write_fine(w);
		break;
	case 2:
	case 3:
	case 4:
	case 5:
		write_covered(w);
		break;
	default:
		write_churn(w);
	}
}
