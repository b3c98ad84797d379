/* SPDX-License-Identifier: MIT */
/*
 * The reading half of the cursor API: where each call goes from each state.
 *
 * An active cursor stands on a range: an entry, or the whole empty range between two entries. walk,
 * next and prev move it. find and find_rev are next and prev that also return the entry that the
 * first walk meets. The _range variants stop at empty ranges too. In any other state a call does
 * what Linux does (6.12-6.18), corner cases included.
 *
 * While the cursor stands on an empty range, mas->end is 0. The inlined samara_mas_find() then
 * calls samara_mas_find_slow().
 */
#include "maple/walk.h"

enum stop { AT_ENTRIES, AT_EMPTY_TOO };

static void *stand_on_entry(struct ma_state *mas, struct found found)
{
	mas->index = found.first;
	mas->last = found.last;
	mas->status = ma_active;
	return found.entry;
}

static void *stand_on_empty(struct ma_state *mas, unsigned long first, unsigned long last)
{
	mas->index = first;
	mas->last = last;
	mas->end = 0;
	return NULL;
}

/* The tree has no nodes: it is empty, or its only entry is 0..0. */
static void *walk_without_nodes(struct ma_state *mas, void *root)
{
	walk_forget(mas);
	if (root && !mas->index) {
		mas->last = 0;
		mas->status = ma_root;
		return root;
	}
	mas->status = ma_none;
	return stand_on_empty(mas, root ? 1 : 0, ULONG_MAX);
}

void *samara_mas_walk(struct ma_state *mas)
{
	unsigned long index = mas->index;

	for (;;) {
		void *root = rcu_dereference(mas->tree->ma_root);
		struct found below, above;
		unsigned long from = index;

		if (!root_is_node(root))
			return walk_without_nodes(mas, root);
		walk_forget(mas);
		mas->status = ma_active;
		below = walk_down(mas, index);
		if (below.entry && below.last >= index)
			return stand_on_entry(mas, below);
		above = walk_up(mas, &from);
		if (from != index || (above.entry && above.first == index))
			continue; /* a writer has just stored an entry here */
		return stand_on_empty(mas, below.entry ? below.last + 1 : 0,
				      above.entry ? above.first - 1 : ULONG_MAX);
	}
}

static void *next_slot(struct ma_state *mas, unsigned long max, enum stop stop)
{
	unsigned long first = mas->last + 1, last;
	struct found found;

	if (mas->last >= max) {
		mas->status = ma_overflow;
		return NULL;
	}
	found = walk_up(mas, &first);
	if (first - 1 >= max) {
		mas->status = ma_overflow; /* an entry that was just stored reaches this far */
		return NULL;
	}
	last = found.entry ? found.first - 1 : ULONG_MAX;
	if (found.entry && (found.first == first || (stop == AT_ENTRIES && last < max)))
		return stand_on_entry(mas, found);
	mas->status = stop == AT_ENTRIES ? ma_overflow : ma_active;
	return stand_on_empty(mas, first, last);
}

/*
 * The highest entry that ends at or below *last. A writer may just have stored an entry over *last
 * and over what this reader has returned before. The search then goes on below that entry, and
 * *last becomes the index before it. False: that entry starts at 0.
 */
static bool walk_below(struct ma_state *mas, unsigned long *last, struct found *found)
{
	for (;;) {
		*found = walk_down(mas, *last);
		if (!found->entry || found->last <= *last)
			return true;
		if (!found->first)
			return false;
		*last = found->first - 1;
	}
}

static void *prev_slot(struct ma_state *mas, unsigned long min, enum stop stop)
{
	unsigned long last = mas->index - 1, first;
	struct found found;

	if (mas->index <= min || !walk_below(mas, &last, &found) || last < min) {
		mas->status = ma_underflow;
		return NULL;
	}
	first = found.entry ? found.last + 1 : 0;
	if (found.entry && (found.last == last || (stop == AT_ENTRIES && first > min)))
		return stand_on_entry(mas, found);
	mas->status = stop == AT_ENTRIES ? ma_underflow : ma_active;
	return stand_on_empty(mas, first, last);
}

/* The cursor had run into a limit that has moved: go on from its place. */
static void resume(struct ma_state *mas)
{
	if (!mas->node)
		samara_mas_walk(mas);
	else
		mas->status = ma_active;
}

static void *next(struct ma_state *mas, unsigned long max, enum stop stop)
{
	bool from_none = mas->status == ma_none;
	void *entry;

	if (mas->last >= max) {
		mas->status = ma_overflow;
		return NULL;
	}
	switch (mas->status) {
	case ma_start:
	case ma_pause:
	case ma_none:
		samara_mas_walk(mas);
		break;
	case ma_overflow:
		resume(mas);
		break;
	case ma_underflow:
		entry = samara_mas_walk(mas);
		if (entry)
			return entry;
		break;
	case ma_error:
		return NULL;
	case ma_active:
	case ma_root:
		break;
	}
	if (mas->status == ma_root) {
		if (from_none)
			return stand_on_empty(mas, 0, 0);
		mas->status = ma_none;
		return stand_on_empty(mas, 1, ULONG_MAX);
	}
	if (mas->status == ma_none)
		return NULL;
	return next_slot(mas, max, stop);
}

/* The tree has no nodes: the previous entry is that of 0..0, or there is none. */
static void *step_to_root(struct ma_state *mas)
{
	void *root = rcu_dereference(mas->tree->ma_root);

	mas->index = mas->last = 0;
	mas->status = ma_root;
	return root_is_node(root) ? NULL : root;
}

static void *prev(struct ma_state *mas, unsigned long min, enum stop stop)
{
	void *entry;

	if (mas->index <= min) {
		mas->status = ma_underflow;
		return NULL;
	}
	switch (mas->status) {
	case ma_start:
	case ma_pause:
	case ma_none:
		samara_mas_walk(mas);
		break;
	case ma_underflow:
		resume(mas);
		break;
	case ma_overflow:
		entry = samara_mas_walk(mas);
		if (entry)
			return entry;
		break;
	case ma_error:
		return NULL;
	case ma_active:
	case ma_root:
		break;
	}
	if (mas->status == ma_none || mas->status == ma_root)
		return mas->index ? step_to_root(mas) : NULL;
	return prev_slot(mas, min, stop);
}

/* A search that reaches max leaves the cursor active. */
static void *find_next(struct ma_state *mas, unsigned long max, enum stop stop)
{
	void *entry = next_slot(mas, max, stop);

	if (stop == AT_ENTRIES)
		mas->status = ma_active;
	return entry;
}

/* After a walk that met no entry: the next entry. */
static void *find_beyond(struct ma_state *mas, unsigned long max, enum stop stop)
{
	if (mas->status == ma_root) {
		mas->status = ma_none;
		return stand_on_empty(mas, 1, ULONG_MAX);
	}
	if (mas->status == ma_none || mas->index == max)
		return NULL;
	return find_next(mas, max, stop);
}

static void *find(struct ma_state *mas, unsigned long max, enum stop stop)
{
	void *entry;

	switch (mas->status) {
	case ma_active:
		return mas->last >= max ? NULL : find_next(mas, max, stop);
	case ma_start:
		if (mas->index > max)
			return NULL;
		break;
	case ma_pause:
		if (mas->last >= max)
			return NULL;
		mas->index = ++mas->last;
		break;
	case ma_none:
		if (mas->last >= max)
			return NULL;
		mas->index = mas->last;
		break;
	case ma_underflow:
		if (mas->index >= max) {
			mas->status = ma_overflow;
			return NULL;
		}
		break;
	case ma_overflow:
		if (mas->last >= max)
			return NULL;
		break;
	case ma_root:
		return find_beyond(mas, max, stop);
	case ma_error:
		return NULL;
	}
	entry = samara_mas_walk(mas);
	return entry ? entry : find_beyond(mas, max, stop);
}

static void *find_rev(struct ma_state *mas, unsigned long min, enum stop stop)
{
	void *entry;

	switch (mas->status) {
	case ma_active:
		return mas->index < min ? NULL : prev_slot(mas, min, stop);
	case ma_start:
		if (mas->index < min)
			return NULL;
		break;
	case ma_pause:
		if (mas->index <= min) {
			mas->status = ma_underflow;
			return NULL;
		}
		mas->last = --mas->index;
		break;
	case ma_none:
		if (mas->index <= min)
			return NULL;
		mas->last = mas->index;
		break;
	case ma_overflow:
		if (mas->index <= min) {
			mas->status = ma_underflow;
			return NULL;
		}
		resume(mas);
		return prev_slot(mas, min, stop);
	case ma_underflow:
		if (mas->index <= min)
			return NULL;
		resume(mas);
		return prev_slot(mas, min, stop);
	case ma_root:
		mas->status = ma_none;
		return NULL;
	case ma_error:
		return NULL;
	}
	entry = samara_mas_walk(mas);
	if (entry)
		return entry;
	if (mas->status == ma_none)
		return step_to_root(mas);
	return mas->index < min ? NULL : prev_slot(mas, min, stop);
}

void *samara_mas_find_slow(struct ma_state *mas, unsigned long max)
{
	return find(mas, max, AT_ENTRIES);
}

void *samara_mas_find_range(struct ma_state *mas, unsigned long max)
{
	return find(mas, max, AT_EMPTY_TOO);
}

void *samara_mas_find_rev(struct ma_state *mas, unsigned long min)
{
	return find_rev(mas, min, AT_ENTRIES);
}

void *samara_mas_find_range_rev(struct ma_state *mas, unsigned long min)
{
	return find_rev(mas, min, AT_EMPTY_TOO);
}

void *samara_mas_next(struct ma_state *mas, unsigned long max)
{
	return next(mas, max, AT_ENTRIES);
}

void *samara_mas_next_range(struct ma_state *mas, unsigned long max)
{
	return next(mas, max, AT_EMPTY_TOO);
}

void *samara_mas_prev(struct ma_state *mas, unsigned long min)
{
	return prev(mas, min, AT_ENTRIES);
}

void *samara_mas_prev_range(struct ma_state *mas, unsigned long min)
{
	return prev(mas, min, AT_EMPTY_TOO);
}

void samara_mas_pause(struct ma_state *mas)
{
	walk_forget(mas);
	mas->status = ma_pause;
}
