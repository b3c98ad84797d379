/* SPDX-License-Identifier: MIT */
/*
 * What writing to /proc/PID/clear_refs does.
 */
#include <errno.h>

#include <samara/uffd.h>

#include "core/vma_lock.h"
#include "mmu/notifier.h"
#include "mmu/tlb.h"
#include "range/range.h"
#include "vma/find.h"

enum clear_refs { CLEAR_ALL = 1, CLEAR_ANON, CLEAR_MAPPED, CLEAR_SOFT_DIRTY, CLEAR_HIWATER_RSS };

#define for_each_vma(mm, vma) \
	for (struct vma *vma = vma_find_from(mm, 0); vma; vma = vma_find_from(mm, vma->vm_end))

/* As in Linux what has a file is the file's, private pages too; a PFN map has no pages. */
static bool concerns(const struct vma *vma, enum clear_refs what)
{
	if (vma->vm_flags & VM_PFNMAP)
		return false;
	return what == CLEAR_ANON ? !vma->vm_file : what == CLEAR_MAPPED ? !!vma->vm_file : true;
}

/*
 * No flush follows in Linux, whose TLBs forget soon. Those here may keep a page for long, so that
 * its use would not be seen.
 */
static void clear_young(struct samara_mm *mm, enum clear_refs what)
{
	mmap_read_lock(mm);
	for_each_vma(mm, vma) if (concerns(vma, what)) range_clear_young(vma);
	tlb_flush_mm(mm, TLB_LOST_USE);
	mmap_read_unlock(mm);
}

/* VMAs first: a fault behind that sees that it has to be noticed. */
static void forget_vmas(struct samara_mm *mm)
{
	for_each_vma(mm, vma)
	{
		if (!(vma->vm_flags & VM_SOFTDIRTY))
			continue;
		vma_start_write(vma);
		vma_set_flags(vma, vma->vm_flags & ~VM_SOFTDIRTY);
	}
}

static void clear_soft_dirty(struct samara_mm *mm)
{
	struct samara_notifier_range range = {
		.mm = mm,
		.end = mm->geo->task_size,
		.why = SAMARA_NOTIFY_PROTECT,
	};

	mmap_write_lock(mm);
	forget_vmas(mm);
	notifier_start(mm, &range);
	for_each_vma(mm, vma) if (concerns(vma, CLEAR_SOFT_DIRTY)) range_clear_soft_dirty(vma);
	tlb_flush_mm(mm, TLB_LOST_WRITE);
	notifier_end(mm, &range);
	mmap_write_unlock(mm);
}

int samara_clear_refs(struct samara_mm *mm, int what)
{
	const int refused = mm_call(mm);

	if (refused)
		return refused;
	if (what < CLEAR_ALL || what > CLEAR_HIWATER_RSS)
		return -EINVAL;
	if (what < CLEAR_SOFT_DIRTY)
		clear_young(mm, (enum clear_refs)what);
	else if (what == CLEAR_SOFT_DIRTY && mm_soft_dirty(mm))
		clear_soft_dirty(mm);
	return 0;
}
