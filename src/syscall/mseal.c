/* SPDX-License-Identifier: MIT */
/*
 * mseal(2): a mapping that may not be unmapped, moved or changed any more.
 */
#include <errno.h>

#include "syscall/call_door.h"
#include "vma/find.h"
#include "vma/modify.h"

static int step(const struct vma_walk *walk, struct vma_part *part)
{
	if (vma_sealed(part->vma))
		return 0;
	return vma_modify_flags(part, part->vma->vm_flags | VM_SEALED, walk->dead);
}

static bool has_hole(struct samara_mm *mm, unsigned long start, unsigned long end)
{
	while (start < end) {
		const struct vma *vma = vma_lookup(mm, start);

		if (!vma)
			return true;
		start = vma->vm_end;
	}
	return false;
}

int samara_mseal(struct samara_mm *mm, unsigned long addr, unsigned long len, unsigned long flags)
{
	struct door door;
	struct vma_walk walk = {
		.mm = mm,
		.start = addr,
		.step = step,
		.dead = &door.dead,
	};
	const enum span span = mm_span(mm, addr, len, &walk.end);
	int err = mm_call(mm);

	if (err)
		return err;
	if (flags || !mm_page_aligned(mm, addr) || span == SPAN_ROUNDS || span == SPAN_WRAPS)
		return -EINVAL;
	if (span == SPAN_EMPTY)
		return 0;
	door_enter(&door, mm);
	/* All of it is mapped, or nothing is sealed. */
	err = has_hole(mm, walk.start, walk.end) ? -ENOMEM : vma_walk_strict(&walk);
	door_leave(&door);
	return err;
}
