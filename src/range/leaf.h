/* SPDX-License-Identifier: MIT */
/*
 * Shared by the files of this room: going from leaf table to leaf table of a range, and counting
 * pages.
 *
 *        start                                        end
 *          |---------------------------------------------|
 *   [  leaf  ][  leaf  ]   (no table)   [ huge ][  leaf  ]
 *          |--|--------|                |------|---------|    parts, one after the other
 *
 * A part of level 0 is what one leaf table serves. A part of a higher level is what one huge entry
 * serves, and each walker decides what it does with it. No code makes huge entries yet, so most
 * walkers refuse them (part_refuse_huge()).
 */
#ifndef RANGE_LEAF_H
#define RANGE_LEAF_H

#include <errno.h>

#include "frame/frame.h"
#include "mmu/entry.h"
#include "mmu/table.h"

/* What one leaf table, or one huge entry, serves of a range. */
struct leaf_part {
	struct table *leaf; /* the table that holds the entries of addr and end - 1 */
	unsigned int level; /* the table's: 0, or that of the huge entry */
	unsigned long addr, end;
};
#define LEAF_PART_FROM(start) \
	{ \
		.leaf = NULL, .level = 0, .addr = (start), .end = (start) \
	}

/* Where the leaf that serves addr ends, at most end. */
static inline unsigned long leaf_end(const struct samara_geometry *geo, unsigned long addr,
				     unsigned long end)
{
	const unsigned long last = addr | ((1UL << level_shift(geo, 1)) - 1);

	return min(last, end - 1) + 1;
}

/*
 * All leaf tables of [start, end), before entries that may be put into empty places. 0; -ENOMEM:
 * also where a huge entry is in the way; some may have been made.
 */
static inline __must_check int leaves_make(struct samara_mm *mm, unsigned long start,
					   unsigned long end)
{
	struct table *leaf;

	for (unsigned long addr = start; addr < end; addr = leaf_end(mm->geo, addr, end))
		if (table_get(mm, addr, &leaf))
			return -ENOMEM;
	return 0;
}

/* On to the next part of [.., end), from where the last one ended; false: that was all. */
static inline bool leaf_next(struct samara_mm *mm, struct leaf_part *part, unsigned long end)
{
	part->addr = part->end;
	if (part->addr >= end)
		return false;
	part->leaf = table_next(mm, &part->addr, end);
	if (!part->leaf)
		return false;
	part->level = part->leaf->level;
	if (likely(!part->level))
		part->end = leaf_end(mm->geo, part->addr, end);
	else
		part->end = min(entry_last(mm->geo, part->level, part->addr), end - 1) + 1;
	return true;
}

/* In a walker that knows leaf tables only: it never takes a huge entry for one. */
static inline void part_refuse_huge(const struct leaf_part *part)
{
	BUG_ON(part->level);
}

static inline struct ram *vma_ram(const struct vma *vma)
{
	return vma->vm_mm->machine->ram;
}

/* Collected while a leaf is locked, added at its end. */
struct rss_delta {
	long pages[MM_RSS];
};

static inline void rss_apply(struct samara_mm *mm, struct rss_delta *delta)
{
	for (int i = 0; i < MM_RSS; i++) {
		if (delta->pages[i])
			mm_rss_add(mm, (enum mm_rss)i, delta->pages[i]);
		delta->pages[i] = 0;
	}
}

#endif
