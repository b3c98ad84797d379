/* SPDX-License-Identifier: MIT */
/*
 * Gaps: keeping each child's extent exact, and searching for free indices by extents.
 *
 *   child        [ A  B    C ]      [ D ]           [ E   F ]
 *   indices   ...aa.bb....cc........dd..............ee...ff......
 *                lo      hi        lo,hi             lo    hi
 *                  <gap = 4>  <8>       <---- 14 --->
 *
 * A run of free indices is inside a child (the child's gap is the largest such run), between two
 * neighbouring children (lo - hi), or before or behind all children.
 *
 * A search goes through a node from one side. It keeps the index where the current free run began,
 * and enters a child only if the child's gap is large enough. In the child where the search begins
 * that gap may be on the wrong side of the first index. In every other child the search succeeds.
 * It therefore goes down at most twice.
 *
 * The tree's lock is held throughout.
 */
#include "maple/store.h"

static bool extent_equal(struct extent a, struct extent b)
{
	return a.lo == b.lo && a.hi == b.hi && a.gap == b.gap;
}

/* The largest of the free runs inside a child and on both sides of it. */
static unsigned long runs_at(const maple_inner *inner, struct extent child, int below, int above)
{
	unsigned long gap = child.gap;

	if (below >= 0)
		gap = max(gap, child.lo - extent_of(inner, below)->hi - 1);
	if (above < inner->head.count)
		gap = max(gap, extent_of(inner, above)->lo - child.hi - 1);
	return gap;
}

/*
 * Child i of a node has the extent `is` now. Returns the node's extent, which was `said`. It reads
 * all children only when the largest gap may have become smaller.
 */
static struct extent extent_after(maple_inner *inner, int i, struct extent is, struct extent said)
{
	int below = live_below(inner, i), above = live_above(inner, i);
	unsigned long was = runs_at(inner, *extent_of(inner, i), below, above);
	unsigned long now = runs_at(inner, is, below, above);

	*extent_of(inner, i) = is;
	if (was == said.gap && now < was)
		return inner_extent(inner);
	said.gap = max(said.gap, now);
	if (below < 0)
		said.lo = is.lo;
	if (above >= inner->head.count)
		said.hi = is.hi;
	return said;
}

/* path->node[level] has the extent `is` now: change those above that this changes. */
static void extents_spread(const struct maple_path *path, unsigned int level, struct extent is)
{
	const unsigned int top = path->top;

	for (; level < top; level++) {
		maple_inner *parent = path->node[level + 1];
		int i = path->slot[level + 1];

		if (extent_equal(is, *extent_of(parent, i)))
			return;
		if (level + 1 == top) {
			*extent_of(parent, i) = is;
			return;
		}
		is = extent_after(parent, i, is,
				  *extent_of(path->node[level + 2], path->slot[level + 2]));
	}
}

void extents_update(const struct maple_tree *mt, const struct maple_path *path, unsigned int level)
{
	if (tree_tracks_gaps(mt) && level < path->top)
		extents_spread(path, level, node_extent(path->node[level]));
}

void extents_child_changed(const struct maple_tree *mt, const struct maple_path *path,
			   unsigned int level, struct extent is)
{
	if (tree_tracks_gaps(mt) &&
	    !extent_equal(is, *extent_of(path->node[level + 1], path->slot[level + 1])))
		extents_spread(path, level, is);
}

/*
 * The extent follows from the live entries beside the slot in most cases: the gap that was split
 * was not the largest, or the joined gap is not. It reads the whole leaf only when the largest gap
 * may have become smaller.
 */
struct extent leaf_extent_after(const maple_leaf *leaf, int i, struct extent was)
{
	int below = i, above = i, count = leaf->head.count;
	unsigned long joined, gap = 0; /* gap: the larger of those on both sides of slot i */

	while (--below >= 0 && !leaf->slot[below])
		;
	while (++above < count && !leaf->slot[above])
		;
	if (below >= 0)
		gap = leaf->start[i] - leaf->last[below] - 1;
	if (above < count)
		gap = max(gap, leaf->start[above] - leaf->last[i] - 1);
	if (below >= 0 && above < count) {
		joined = leaf->start[above] - leaf->last[below] - 1;
		if (!leaf->slot[i])
			was.gap = max(was.gap, joined);
		else if (joined >= was.gap)
			return leaf_extent(leaf);
		return was;
	}
	if (leaf->slot[i])
		was.gap = max(was.gap, gap);
	else if (gap >= was.gap)
		return leaf_extent(leaf); /* this run is at the end of the leaf now: not a gap */
	if (below < 0)
		was.lo = leaf->slot[i] ? leaf->start[i] : leaf->start[above];
	if (above >= count)
		was.hi = leaf->slot[i] ? leaf->last[i] : leaf->last[below];
	return was;
}

void extents_slot_changed(const struct maple_tree *mt, const struct maple_path *path, int i)
{
	if (tree_tracks_gaps(mt) && path->top)
		extents_spread(path, 0,
			       leaf_extent_after(path->node[0], i,
						 *extent_of(path->node[1], path->slot[1])));
}

/* A search for size free indices inside min..max. */
struct room {
	unsigned long min, max, size;
	unsigned long free; /* upwards the current free run starts here, downwards it ends here */
	bool full;          /* entries reach up to max, downwards to min: the search has failed */
};

static bool run_fits(unsigned long above, unsigned long below, unsigned long size)
{
	return above > below && above - below >= size;
}

/* Pass an entry or child lo..hi: the run ends there and is large enough, or starts behind it. */
static bool room_pass_up(struct room *room, unsigned long lo, unsigned long hi)
{
	if (run_fits(lo, room->free, room->size))
		return true;
	if (hi >= room->max)
		room->full = true;
	else if (hi >= room->free)
		room->free = hi + 1;
	return room->full;
}

/* The free run starts behind slot i, and all slots are live. Most of a search is this loop. */
static bool room_behind(const maple_leaf *leaf, int i, struct room *room)
{
	int count = leaf->head.count;

	for (i++; i < count; i++)
		if (leaf->start[i] - leaf->last[i - 1] > room->size)
			break;
	room->free = leaf->last[i - 1] + 1;
	room->full = i == count && leaf->last[i - 1] >= room->max;
	return i < count || room->full;
}

static bool room_in_leaf_up(const maple_leaf *leaf, struct room *room)
{
	for (int i = max(leaf_search(leaf, room->free), 0); i < leaf->head.count; i++) {
		if (!leaf->slot[i])
			continue;
		if (room_pass_up(room, leaf->start[i], leaf->last[i]))
			return true;
		if (leaf->head.live == leaf->head.count && room->free == leaf->last[i] + 1)
			return room_behind(leaf, i, room);
	}
	return false;
}

/* True: the search is over, and room->free is the result unless room->full. */
static bool room_up(const maple_head *head, struct room *room)
{
	const maple_inner *inner = (const maple_inner *)head;

	if (!head->level)
		return room_in_leaf_up((const maple_leaf *)head, room);
	for (int i = inner_search(inner, room->free); i < head->count; i++) {
		const struct extent *extent = extent_of(inner, i);

		if (!inner->slot[i])
			continue;
		if (extent->gap >= room->size && extent->hi > room->free &&
		    !run_fits(extent->lo, room->free, room->size) && room_up(inner->slot[i], room))
			return true;
		if (room_pass_up(room, extent->lo, extent->hi))
			return true;
	}
	return false;
}

static bool room_pass_down(struct room *room, unsigned long lo, unsigned long hi)
{
	if (run_fits(room->free, hi, room->size))
		return true;
	if (lo <= room->min)
		room->full = true;
	else if (lo <= room->free)
		room->free = lo - 1;
	return room->full;
}

static bool room_before(const maple_leaf *leaf, int i, struct room *room)
{
	for (i--; i >= 0; i--)
		if (leaf->start[i + 1] - leaf->last[i] > room->size)
			break;
	room->free = leaf->start[i + 1] - 1;
	room->full = i < 0 && leaf->start[0] <= room->min;
	return i >= 0 || room->full;
}

static bool room_in_leaf_down(const maple_leaf *leaf, struct room *room)
{
	for (int i = leaf_search(leaf, room->free); i >= 0; i--) {
		if (!leaf->slot[i])
			continue;
		if (room_pass_down(room, leaf->start[i], leaf->last[i]))
			return true;
		if (leaf->head.live == leaf->head.count && room->free == leaf->start[i] - 1)
			return room_before(leaf, i, room);
	}
	return false;
}

static bool room_down(const maple_head *head, struct room *room)
{
	const maple_inner *inner = (const maple_inner *)head;

	if (!head->level)
		return room_in_leaf_down((const maple_leaf *)head, room);
	for (int i = inner_search(inner, room->free); i >= 0; i--) {
		const struct extent *extent = extent_of(inner, i);

		if (!inner->slot[i])
			continue;
		if (extent->gap >= room->size && extent->lo < room->free &&
		    !run_fits(room->free, extent->hi, room->size) &&
		    room_down(inner->slot[i], room))
			return true;
		if (room_pass_down(room, extent->lo, extent->hi))
			return true;
	}
	return false;
}

static int room_arguments(const struct ma_state *mas, struct room *room)
{
	if (!tree_tracks_gaps(mas->tree) || room->min > room->max || !room->size ||
	    room->max - room->min < room->size - 1)
		return -EINVAL;
	return 0;
}

/* Search the whole tree, which may have no nodes. */
static void room_search(const struct ma_state *mas, struct room *room,
			bool (*search)(const maple_head *, struct room *),
			bool (*pass)(struct room *, unsigned long, unsigned long))
{
	void *root = mas->tree->ma_root;

	if (root_is_node(root))
		search(root_node(root), room);
	else if (root)
		pass(room, 0, 0);
}

static int room_answer(struct ma_state *mas, const struct room *room, unsigned long first)
{
	bool fits = !room->full && first >= room->min && first <= room->max &&
		    room->max - first >= room->size - 1;

	samara_mas_reset(mas);
	if (!fits) {
		if (root_is_node(mas->tree->ma_root)) {
			mas->status = ma_error;
			mas->node = (void *)(long)-EBUSY;
		}
		return -EBUSY;
	}
	mas->index = first;
	mas->last = first + room->size - 1;
	mas->status = root_is_node(mas->tree->ma_root) ? ma_active :
		      mas->tree->ma_root               ? ma_root :
							 ma_none;
	return 0;
}

int samara_mas_empty_area(struct ma_state *mas, unsigned long min, unsigned long max,
			  unsigned long size)
{
	struct room room = { min, max, size, .free = min };
	int err = room_arguments(mas, &room);

	if (err)
		return err;
	room_search(mas, &room, room_up, room_pass_up);
	return room_answer(mas, &room, room.free);
}

int samara_mas_empty_area_rev(struct ma_state *mas, unsigned long min, unsigned long max,
			      unsigned long size)
{
	struct room room = { min, max, size, .free = max };
	int err = room_arguments(mas, &room);

	if (err)
		return err;
	room_search(mas, &room, room_down, room_pass_down);
	return room_answer(mas, &room, room.free - (size - 1));
}
