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
static int try_merge(struct vma_part *part, unsigned long flags, struct samara_uffd *uffd,
		     struct vma_dead *dead)
{
	struct vma *vma = part->vma;
	struct vma_merge_request req;
	struct vma_merge_plan plan;

	if (part->start > vma->vm_start && part->end < vma->vm_end)
		return 0; /* neither neighbour touches the range */
	req = (struct vma_merge_request){
		.mm = vma->vm_mm,
		.middle = vma,
		.start = part->start,
		.end = part->end,
		.pgoff = vma_pgoff_at(vma, part->start),
		.traits = vma_traits(vma),
	};
	req.traits.flags = flags;
	req.traits.uffd = uffd;
	if (req.start == vma->vm_start)
		req.prev = neighbour_below(req.mm, req.start);
	if (req.end == vma->vm_end)
		req.next = vma_lookup(req.mm, req.end);
	if (!req.prev && !req.next)
		return 0;
	vma_merge_plan(&req, &plan);
	if (plan.kind == MERGE_NONE)
		return 0;
	if (vma_merge_store(&plan, NULL, NULL))
		return -ENOMEM;
	part->vma = vma_merge_commit(&plan, dead);
	return 1;
}

/*
 *   vma  |----------|==== mid ====|-- top --|     mid: NULL when the range begins with vma,
 *                                                 top: NULL when it ends with it
 *
 * One store: mid cuts vma in two, and top takes the place of the upper part.
 */
static int cut_in_two_or_three(struct vma_part *part)
{
	struct vma *vma = part->vma, *mid = NULL, *top = NULL;
	struct samara_mm *mm = vma->vm_mm;
	struct vma_store store = { .mm = mm };

	if (part->start > vma->vm_start) {
		mid = vma_dup_part(vma, part->start, part->end, NULL);
		if (!mid)
			return -ENOMEM;
	}
	if (part->end < vma->vm_end) {
		top = vma_dup_part(vma, part->end, vma->vm_end, NULL);
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
	vma_adjust_range(vma, vma->vm_start, mid ? part->start : part->end, vma->vm_pgoff);
	mm->count.map_count += !!mid + !!top;
	if (mid)
		part->vma = mid;
	return 0;

drop_top:
	vma_discard(top);
drop_mid:
	vma_discard(mid);
	return -ENOMEM;
}

static int cut(struct vma_part *part)
{
	struct vma *vma = part->vma;
	const struct samara_mm *mm = vma->vm_mm;
	const unsigned int wanted = (part->start > vma->vm_start) + (part->end < vma->vm_end);
	int err;

	if (!wanted)
		return 0;
	if (mm_map_full(mm))
		return -ENOMEM;
	if (!vma_may_split(vma))
		return -EINVAL;
	if (wanted == 2 && mm->count.map_count + 1 >= mm->machine->max_map_count) {
		err = vma_split(vma, part->start);
		return err ? err : -ENOMEM;
	}
	return cut_in_two_or_three(part);
}

int vma_modify_flags_uffd(struct vma_part *part, unsigned long flags, struct samara_uffd *uffd,
			  struct vma_dead *dead)
{
	int err;

	vma_start_write(part->vma);
	err = try_merge(part, flags, uffd, dead);
	if (!err)
		err = cut(part);
	if (err < 0)
		return err;
	vma_set_flags(part->vma, flags | (part->vma->vm_flags & VM_STICKY));
	part->vma->rare.uffd = uffd;
	return 0;
}

/* One VMA of a walk; *at becomes the address to go on from. */
static int visit(const struct vma_walk *walk, struct vma *vma, unsigned long *at)
{
	struct vma_part part = { vma, *at, min(vma->vm_end, walk->end) };
	int err = walk->step(walk, &part);

	/* A merge may have reached beyond the range: what it took in has these flags already. */
	*at = max(part.end, part.vma->vm_end);
	return err;
}

int vma_walk_strict(const struct vma_walk *walk)
{
	struct vma *vma = walk->first;
	unsigned long at = walk->start;
	int err = 0;

	for (; !err && at < walk->end; vma = NULL) {
		if (!vma)
			vma = vma_lookup(walk->mm, at);
		if (!vma)
			return -ENOMEM;
		err = visit(walk, vma, &at);
	}
	return err;
}

int vma_walk_holes(const struct vma_walk *walk)
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
