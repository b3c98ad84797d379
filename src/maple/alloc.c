/* SPDX-License-Identifier: MIT */
/*
 * Allocation trees: find free indices and store there, in one call.
 */
#include "maple/store.h"

typedef int (*room_fn)(struct ma_state *mas, unsigned long min, unsigned long max,
		       unsigned long size);

/* These calls also refuse XA_ZERO_ENTRY and other reserved values that a store accepts. */
static bool may_allocate(const struct maple_tree *mt, const void *entry)
{
	return tree_tracks_gaps(mt) && !(root_is_node(entry) && (unsigned long)entry < 4096);
}

static int take_room(struct maple_tree *mt, unsigned long *startp, void *entry, unsigned long size,
		     unsigned long min, unsigned long max, room_fn find)
{
	MA_STATE(mas, mt, 0, 0);
	int err;

	if (!may_allocate(mt, entry))
		return -EINVAL;
	samara_mtree_lock(mt);
	err = find(&mas, min, max, size);
	if (!err)
		err = samara_mas_store_gfp(&mas, entry, GFP_KERNEL);
	if (!err)
		*startp = mas.index;
	samara_mtree_unlock(mt);
	return err;
}

int samara_mtree_alloc_range(struct maple_tree *mt, unsigned long *startp, void *entry,
			     unsigned long size, unsigned long min, unsigned long max, gfp_t gfp)
{
	(void)gfp;
	return take_room(mt, startp, entry, size, min, max, samara_mas_empty_area);
}

int samara_mtree_alloc_rrange(struct maple_tree *mt, unsigned long *startp, void *entry,
			      unsigned long size, unsigned long min, unsigned long max, gfp_t gfp)
{
	(void)gfp;
	return take_room(mt, startp, entry, size, min, max, samara_mas_empty_area_rev);
}

/* MT_FLAGS_ALLOC_WRAPPED: *next went past ULONG_MAX. The next call returns 1 and clears it. */
int samara_mas_alloc_cyclic(struct ma_state *mas, unsigned long *startp, void *entry,
			    unsigned long range_lo, unsigned long range_hi, unsigned long *next,
			    gfp_t gfp)
{
	struct maple_tree *mt = mas->tree;
	unsigned long min = max(range_lo, *next);
	int err, wrapped = 0;

	err = samara_mas_empty_area(mas, min, range_hi, 1);
	if (!err && (mt->ma_flags & MT_FLAGS_ALLOC_WRAPPED)) {
		mt->ma_flags &= ~(unsigned int)MT_FLAGS_ALLOC_WRAPPED;
		wrapped = 1;
	}
	if (err && min > range_lo) {
		samara_mas_reset(mas);
		err = samara_mas_empty_area(mas, range_lo, range_hi, 1);
		wrapped = 1;
	}
	if (!err)
		err = samara_mas_store_gfp(mas, entry, gfp);
	if (err)
		return err;
	*startp = mas->index;
	*next = *startp + 1;
	if (!*next)
		mt->ma_flags |= MT_FLAGS_ALLOC_WRAPPED;
	return wrapped;
}

int samara_mtree_alloc_cyclic(struct maple_tree *mt, unsigned long *startp, void *entry,
			      unsigned long range_lo, unsigned long range_hi, unsigned long *next,
			      gfp_t gfp)
{
	MA_STATE(mas, mt, 0, 0);
	int err;

	if (!may_allocate(mt, entry))
		return -EINVAL;
	samara_mtree_lock(mt);
	err = samara_mas_alloc_cyclic(&mas, startp, entry, range_lo, range_hi, next, gfp);
	samara_mtree_unlock(mt);
	return err;
}
