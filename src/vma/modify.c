/* SPDX-License-Identifier: MIT */
/*
 * Flags of a part of a VMA, by merging or cutting (modify.h has the picture).
 */
#include <errno.h>

#include "core/vma_lock.h"
#include "vma/find.h"
#include "vma/merge.h"
#include "vma/modify.h"
#include "vma/unmap.h"

static struct vma *neighbour_below(struct samara_mm *mm, unsigned long start)
{
	return start ? vma_lookup(mm, start - 1) : NULL;
}

/* 1: done by merging; 0: no merge is possible; or -ENOMEM. */
static int try_merge(struct vma_modify_desc *d)
{
	struct vma *vma = d->vma;
	struct vma_merge_desc merge;

	if (d->start > vma->vm_start && d->end < vma->vm_end)
		return 0; /* neither neighbour touches the range */
	merge = (struct vma_merge_desc){
		.mm = d->mm,
		.middle = vma,
		.start = d->start,
		.end = d->end,
		.pgoff = vma->vm_pgoff + mm_pages(d->mm, d->start - vma->vm_start),
		.flags = d->flags,
		.file = vma->vm_file,
		.special = vma->special,
		.anon_vma = vma->anon_vma,
		.dead = d->dead,
	};
	if (d->start == vma->vm_start)
		merge.prev = neighbour_below(d->mm, d->start);
	if (d->end == vma->vm_end)
		merge.next = vma_lookup(d->mm, d->end);
	if (!merge.prev && !merge.next)
		return 0;
	vma_merge_plan(&merge);
	if (merge.kind == MERGE_NONE)
		return 0;
	if (vma_merge_store(&merge))
		return -ENOMEM;
	vma_merge_finish(&merge);
	d->out = merge.target;
	return 1;
}

/*
 *   vma  |----------|==== mid ====|-- top --|     mid: NULL when the range begins with vma,
 *                                                 top: NULL when it ends with it
 *
 * One store: mid cuts vma, and top takes the place of what vma has above it.
 */
static int cut_in_two_or_three(struct vma_modify_desc *d)
{
	struct vma *vma = d->vma, *mid = NULL, *top = NULL;
	struct vma_store store = { .mm = d->mm };

	if (d->start > vma->vm_start) {
		mid = vma_dup_part(vma, d->start, d->end, NULL);
		if (!mid)
			return -ENOMEM;
	}
	if (d->end < vma->vm_end) {
		top = vma_dup_part(vma, d->end, vma->vm_end, NULL);
		if (!top)
			goto drop_mid;
	}
	store.entry = mid ? mid : top;
	store.start = store.entry->vm_start;
	store.end = store.entry->vm_end;
	store.above = mid ? top : NULL;
	if (vma_store(&store))
		goto drop_top;
	/* The point of no return. */
	vma_adjust_range(vma, vma->vm_start, mid ? d->start : d->end, vma->vm_pgoff);
	d->mm->count.map_count += !!mid + !!top;
	d->out = mid ? mid : vma;
	return 0;

drop_top:
	vma_discard(top);
drop_mid:
	vma_discard(mid);
	return -ENOMEM;
}

static int cut(struct vma_modify_desc *d)
{
	struct vma *vma = d->vma;
	const unsigned int wanted = (d->start > vma->vm_start) + (d->end < vma->vm_end);
	int err;

	if (!wanted) {
		d->out = vma;
		return 0;
	}
	if (mm_map_full(d->mm))
		return -ENOMEM;
	if (!vma_may_split(vma))
		return -EINVAL;
	if (wanted == 2 && d->mm->count.map_count + 1 >= d->mm->machine->max_map_count) {
		err = vma_split(vma, d->start);
		return err ? err : -ENOMEM;
	}
	return cut_in_two_or_three(d);
}

int vma_modify_flags(struct vma_modify_desc *d)
{
	int err;

	vma_start_write(d->vma);
	err = try_merge(d);
	if (!err)
		err = cut(d);
	if (err < 0)
		return err;
	vma_set_flags(d->out, d->flags | (d->out->vm_flags & VM_STICKY));
	return 0;
}

/* One VMA of a walk; *at becomes the address to go on from. */
static int visit(struct vma_walk *walk, struct vma *vma, unsigned long *at)
{
	struct vma_modify_desc d = {
		.mm = walk->mm,
		.vma = vma,
		.start = *at,
		.end = min(vma->vm_end, walk->end),
		.flags = vma->vm_flags,
		.dead = walk->dead,
		.out = vma,
	};
	int err = walk->step(walk, &d);

	/* A merge may have taken in what follows: that has these flags already. */
	*at = max(d.end, d.out->vm_end);
	return err;
}

int vma_walk_strict(struct vma_walk *walk)
{
	unsigned long at = walk->start;
	int err = 0;

	while (!err && at < walk->end) {
		struct vma *vma = walk->first ? walk->first : vma_lookup(walk->mm, at);

		walk->first = NULL;
		if (!vma)
			return -ENOMEM;
		err = visit(walk, vma, &at);
	}
	return err;
}

int vma_walk_holes(struct vma_walk *walk)
{
	unsigned long at = walk->start;
	int err = 0, hole = 0;

	while (!err && at < walk->end) {
		struct vma *vma = vma_find_from(walk->mm, at);

		if (!vma)
			return -ENOMEM;
		if (vma->vm_start > at) {
			hole = -ENOMEM;
			at = vma->vm_start;
			continue;
		}
		err = visit(walk, vma, &at);
	}
	return err ? err : hole;
}
