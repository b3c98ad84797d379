/* SPDX-License-Identifier: MIT */
/*
 * What every reading call does to a cursor, state by state.
 *
 * Source: the behaviour of Linux 6.12-6.18 (mas_walk(3) and its siblings in
 * docs.kernel.org/core-api/maple_tree.html). "Here" is the slot
 * that contains the cursor's index.
 *
 *           start, none, pause     active           overflow          underflow
 *   next    walk, then step        step             step              walk; its entry, or step
 *   prev    walk, then step        step             walk; its entry   step
 *   find    walk; its entry, or step (pause: from last + 1)
 *                                  step             walk; its entry   walk; its entry
 *   find_rev  as find, downwards (pause: from index - 1)
 *                                  step             step              step
 *
 * The limits are looked at first. A root entry has no neighbours: beyond it is
 * ma_none, 1..ULONG_MAX.
 */
#include "tree_model.h"

struct reader {
	const struct tree_model *m;
	enum model_shape shape;
	struct model_cursor *c;
};

static void place(struct model_cursor *c, unsigned long index, unsigned long last,
		  enum maple_status status)
{
	c->index = index;
	c->last = last;
	c->status = status;
}

static void *go_to(struct model_cursor *c, struct model_range slot)
{
	place(c, slot.first, slot.last, ma_active);
	return slot.entry;
}

static void *stop(struct model_cursor *c, enum maple_status status)
{
	if (c->status != ma_active && c->status != ma_overflow && c->status != ma_underflow)
		c->lost = true;
	c->status = status;
	return NULL;
}

static void *walk(struct reader *rd)
{
	struct model_cursor *c = rd->c;

	c->lost = false;
	switch (rd->shape) {
	case MODEL_EMPTY:
		place(c, 0, ULONG_MAX, ma_none);
		return NULL;
	case MODEL_ROOT:
		if (c->index) {
			place(c, 1, ULONG_MAX, ma_none);
			return NULL;
		}
		place(c, 0, 0, ma_root);
		return rd->m->r[0].entry;
	case MODEL_NODES:
		break;
	}
	return go_to(c, model_slot(rd->m, c->index));
}

enum { ENTRIES, RANGES };

static void *step_up(struct reader *rd, unsigned long max, int what)
{
	struct model_cursor *c = rd->c;
	struct model_range slot = model_slot(rd->m, c->index);

	c->status = ma_active;
	c->lost = false;
	if (slot.last >= max)
		return stop(c, ma_overflow);
	slot = model_slot(rd->m, slot.last + 1);
	if (go_to(c, slot) || what == RANGES)
		return slot.entry;
	if (slot.last >= max)
		return stop(c, ma_overflow);
	return go_to(c, model_slot(rd->m, slot.last + 1));
}

static void *step_down(struct reader *rd, unsigned long min, int what)
{
	struct model_cursor *c = rd->c;
	struct model_range slot = model_slot(rd->m, c->index);

	c->status = ma_active;
	c->lost = false;
	if (slot.first <= min)
		return stop(c, ma_underflow);
	slot = model_slot(rd->m, slot.first - 1);
	if (go_to(c, slot) || what == RANGES)
		return slot.entry;
	if (slot.first <= min)
		return stop(c, ma_underflow);
	return go_to(c, model_slot(rd->m, slot.first - 1));
}

static void *next(struct reader *rd, unsigned long max, int what)
{
	struct model_cursor *c = rd->c;
	enum maple_status was = c->status;

	if (c->last >= max)
		return stop(c, ma_overflow);
	switch (was) {
	case ma_error:
		return NULL;
	case ma_active:
	case ma_overflow:
		return step_up(rd, max, what);
	case ma_start:
	case ma_none:
	case ma_pause:
		(void)walk(rd);
		break;
	case ma_underflow: {
		void *here = walk(rd);

		if (here)
			return here;
		break;
	}
	case ma_root:
		break;
	}
	if (c->status == ma_active)
		return step_up(rd, max, what);
	if (c->status == ma_root && !(was == ma_none && !c->index))
		place(c, 1, ULONG_MAX, ma_none);
	return NULL;
}

static void *prev(struct reader *rd, unsigned long min, int what)
{
	struct model_cursor *c = rd->c;
	void *here = NULL;

	if (c->index <= min)
		return stop(c, ma_underflow);
	switch (c->status) {
	case ma_error:
		return NULL;
	case ma_active:
	case ma_underflow:
		return step_down(rd, min, what);
	case ma_overflow:
		here = walk(rd);
		break;
	default:
		(void)walk(rd);
	}
	if (here)
		return here;
	if (c->status == ma_active)
		return step_down(rd, min, what);
	if (rd->shape == MODEL_ROOT) {
		place(c, 0, 0, ma_root);
		return rd->m->r[0].entry;
	}
	return NULL;
}

/* The end of a find that met nothing at its own index. */
static void *find_on(struct reader *rd, unsigned long max, int what)
{
	struct model_cursor *c = rd->c;
	void *entry;

	if (c->status == ma_root) {
		place(c, 1, ULONG_MAX, ma_none);
		return NULL;
	}
	if (c->status == ma_none || c->index == max)
		return NULL;
	entry = step_up(rd, max, what);
	if (what == ENTRIES)
		c->status = ma_active;
	return entry;
}

static void *find(struct reader *rd, unsigned long max, int what)
{
	struct model_cursor *c = rd->c;
	void *here;

	switch (c->status) {
	case ma_error:
		return NULL;
	case ma_active:
		if (c->last >= max)
			return NULL;
		here = step_up(rd, max, what);
		if (what == ENTRIES)
			c->status = ma_active;
		return here;
	case ma_root:
		return find_on(rd, max, what);
	case ma_start:
		if (c->index > max)
			return NULL;
		break;
	case ma_pause:
		if (c->last >= max)
			return NULL;
		c->index = ++c->last;
		break;
	case ma_none:
		if (c->last >= max)
			return NULL;
		c->index = c->last;
		if (c->index > max) {
			c->status = ma_start;
			return NULL;
		}
		break;
	case ma_underflow:
		if (c->index >= max)
			return stop(c, ma_overflow);
		break;
	case ma_overflow:
		if (c->last >= max)
			return NULL;
		break;
	}
	here = walk(rd);
	return here ? here : find_on(rd, max, what);
}

static void *find_rev(struct reader *rd, unsigned long min, int what)
{
	struct model_cursor *c = rd->c;
	void *here;

	switch (c->status) {
	case ma_error:
		return NULL;
	case ma_active:
		return c->index < min ? NULL : step_down(rd, min, what);
	case ma_root:
		c->status = ma_none;
		return NULL;
	case ma_overflow:
	case ma_underflow:
		return c->index <= min ? stop(c, ma_underflow) : step_down(rd, min, what);
	case ma_start:
		if (c->index < min)
			return NULL;
		break;
	case ma_pause:
		if (c->index <= min)
			return stop(c, ma_underflow);
		c->last = --c->index;
		break;
	case ma_none:
		if (c->index <= min)
			return NULL;
		c->last = c->index;
		break;
	}
	here = walk(rd);
	if (here)
		return here;
	if (c->status == ma_none) {
		place(c, 0, 0, ma_root);
		return rd->shape == MODEL_ROOT ? rd->m->r[0].entry : NULL;
	}
	return c->index < min ? NULL : step_down(rd, min, what);
}

void model_cursor_set(struct model_cursor *c, unsigned long first, unsigned long last)
{
	place(c, first, last, ma_start);
	c->lost = false;
}

void *model_read(const struct tree_model *m, enum model_shape shape, struct model_cursor *c,
		 enum tree_read call, unsigned long limit)
{
	struct reader rd = { m, shape, c };

	switch (call) {
	case READ_WALK:
		return walk(&rd);
	case READ_NEXT:
		return next(&rd, limit, ENTRIES);
	case READ_NEXT_RANGE:
		return next(&rd, limit, RANGES);
	case READ_PREV:
		return prev(&rd, limit, ENTRIES);
	case READ_PREV_RANGE:
		return prev(&rd, limit, RANGES);
	case READ_FIND:
		return find(&rd, limit, ENTRIES);
	case READ_FIND_RANGE:
		return find(&rd, limit, RANGES);
	case READ_FIND_REV:
		return find_rev(&rd, limit, ENTRIES);
	case READ_FIND_RANGE_REV:
		return find_rev(&rd, limit, RANGES);
	case READ_CALLS:
		break;
	}
	return NULL;
}

void *model_mt_find(const struct tree_model *m, unsigned long *index, unsigned long max)
{
	size_t i;

	if (*index > max)
		return NULL;
	for (i = model_at(m, *index); i < m->n && m->r[i].first <= max; i++) {
		if (xa_is_zero(m->r[i].entry))
			continue;
		*index = m->r[i].last + 1;
		return m->r[i].entry;
	}
	return NULL;
}

void *model_mt_next(const struct tree_model *m, unsigned long index, unsigned long max)
{
	struct model_cursor c;

	model_cursor_set(&c, index, index);
	return model_read(m, model_shape(m), &c, READ_NEXT, max);
}

void *model_mt_prev(const struct tree_model *m, unsigned long index, unsigned long min)
{
	struct model_cursor c;

	model_cursor_set(&c, index, index);
	return model_read(m, model_shape(m), &c, READ_PREV, min);
}

void *tree_read(struct ma_state *mas, enum tree_read call, unsigned long limit)
{
	switch (call) {
	case READ_WALK:
		return mas_walk(mas);
	case READ_NEXT:
		return mas_next(mas, limit);
	case READ_NEXT_RANGE:
		return mas_next_range(mas, limit);
	case READ_PREV:
		return mas_prev(mas, limit);
	case READ_PREV_RANGE:
		return mas_prev_range(mas, limit);
	case READ_FIND:
		return mas_find(mas, limit);
	case READ_FIND_RANGE:
		return mas_find_range(mas, limit);
	case READ_FIND_REV:
		return mas_find_rev(mas, limit);
	case READ_FIND_RANGE_REV:
		return mas_find_range_rev(mas, limit);
	case READ_CALLS:
		break;
	}
	return NULL;
}

const char *tree_read_name(enum tree_read call)
{
	static const char *const name[] = {
		"mas_walk",       "mas_next",       "mas_next_range",
		"mas_prev",       "mas_prev_range", "mas_find",
		"mas_find_range", "mas_find_rev",   "mas_find_range_rev",
	};

	return call < READ_CALLS ? name[call] : "?";
}

const char *maple_status_name(enum maple_status status)
{
	static const char *const name[] = {
		"ma_active", "ma_start",    "ma_root",      "ma_none",
		"ma_pause",  "ma_overflow", "ma_underflow", "ma_error",
	};

	return (unsigned int)status <= ma_error ? name[status] : "?";
}
