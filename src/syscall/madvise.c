/* SPDX-License-Identifier: MIT */
/*
 * madvise. Advice about the mapping changes its flags, by merging or cutting. Advice about pages is
 * in advise_pages.c.
 */
#include <errno.h>
#include <linux/mman.h>
#include <sys/mman.h>

#include "access/populate.h"
#include "core/vma_lock.h"
#include "fault/fault.h"
#include "syscall/advise_pages.h"
#include "syscall/advise_told.h"
#include "syscall/call_door.h"
#include "vma/modify.h"

static bool known(int advice)
{
	switch (advice) {
	case MADV_NORMAL ... MADV_DONTNEED:
	case MADV_FREE ... MADV_KEEPONFORK:
	case ADV_COLD ... ADV_COLLAPSE:
	case ADV_HWPOISON ... ADV_GUARD_REMOVE:
		return true;
	default:
		return false;
	}
}

/* Advice that discards contents. Sealed anonymous memory that is read-only refuses it. */
static bool discards(int advice)
{
	return advice == MADV_FREE || advice == MADV_DONTNEED || advice == ADV_DONTNEED_LOCKED ||
	       advice == MADV_REMOVE || advice == MADV_DONTFORK || advice == MADV_WIPEONFORK ||
	       advice == ADV_GUARD_INSTALL;
}

static bool sealed_against(const struct vma *vma, int advice)
{
	return vma_sealed(vma) && discards(advice) && vma->is_anon && !(vma->vm_flags & VM_WRITE);
}

/* Advice about flags: *flags become what it asks. 0 or -EINVAL. */
static int advised_flags(const struct vma *vma, int advice, unsigned long *flags)
{
	const unsigned long old = *flags;

	switch (advice) {
	case MADV_NORMAL:
		*flags &= ~(VM_RAND_READ | VM_SEQ_READ);
		return 0;
	case MADV_SEQUENTIAL:
		*flags = (old & ~VM_RAND_READ) | VM_SEQ_READ;
		return 0;
	case MADV_RANDOM:
		*flags = (old & ~VM_SEQ_READ) | VM_RAND_READ;
		return 0;
	case MADV_DONTFORK:
		*flags |= VM_DONTCOPY;
		return 0;
	case MADV_DOFORK:
		*flags &= ~VM_DONTCOPY;
		return old & VM_IO ? -EINVAL : 0;
	case MADV_WIPEONFORK:
		*flags |= VM_WIPEONFORK;
		return vma->vm_file || (old & VM_SHARED) ? -EINVAL : 0;
	case MADV_KEEPONFORK:
		*flags &= ~VM_WIPEONFORK;
		return old & VM_DROPPABLE ? -EINVAL : 0;
	case MADV_DONTDUMP:
		*flags |= VM_DONTDUMP;
		return 0;
	case MADV_DODUMP:
		*flags &= ~VM_DONTDUMP;
		return old & (VM_SPECIAL | VM_DROPPABLE) ? -EINVAL : 0;
	case MADV_MERGEABLE:
		if (!(old & (VM_SHARED | VM_MAYSHARE | VM_SPECIAL | VM_HUGETLB | VM_DROPPABLE)))
			*flags |= VM_MERGEABLE;
		return 0;
	case MADV_UNMERGEABLE:
		*flags &= ~VM_MERGEABLE;
		return 0;
	case MADV_HUGEPAGE:
		*flags = (old & ~VM_NOHUGEPAGE) | VM_HUGEPAGE;
		return 0;
	case MADV_NOHUGEPAGE:
		*flags = (old & ~VM_HUGEPAGE) | VM_NOHUGEPAGE;
		return 0;
	default:
		return -EINVAL;
	}
}

static int step(const struct vma_walk *walk, struct vma_part *part)
{
	const int advice = (int)walk->arg;
	unsigned long flags = part->vma->vm_flags;
	int err;

	if (sealed_against(part->vma, advice))
		return -EPERM;
	if (unlikely(part->vma->vm_flags & VM_UFFD_FLAGS) && advice_removes(advice))
		return advise_told(walk, part);
	if (advice_is_of_pages(advice))
		return advise_pages(part->vma, part->start, part->end, advice);
	err = advised_flags(part->vma, advice, &flags);
	if (!err && flags != part->vma->vm_flags)
		err = vma_modify_flags(part, flags, walk->dead);
	/* Linux answers -EAGAIN when memory or VMAs run out. */
	return err == -ENOMEM ? -EAGAIN : err;
}

/* Pages of one mapping are thrown away, which needs nothing but that it stays. */
static bool wants_vma_only(int advice)
{
	return advice == MADV_DONTNEED || advice == ADV_DONTNEED_LOCKED || advice == MADV_FREE ||
	       advice == ADV_GUARD_REMOVE;
}

/*
 * Advises under the VMA's lock, as Linux's MADV_DONTNEED. False: the mmap_lock is needed; so it is
 * where a userfaultfd may be told.
 */
static bool advise_vma(const struct vma_walk *walk, int *err)
{
	struct vma *vma = lock_vma_under_rcu(walk->mm, walk->start);
	struct vma_part part = { vma, walk->start, walk->end };
	bool whole;

	if (!vma)
		return false;
	whole = walk->end <= vma->vm_end && !(vma->vm_flags & VM_UFFD_FLAGS);
	if (whole)
		*err = walk->step(walk, &part);
	vma_end_read(vma);
	return whole;
}

/* Advice that changes no mapping: mmap_lock for reading, or the VMA's lock. */
static int advise_reading(struct vma_walk *walk)
{
	struct advice_told told;
	const int advice = (int)walk->arg;
	int err;

	if (!advice_is_of_pages(advice))
		return populate_access(walk->mm, walk->start, walk->end,
				       advice == ADV_POPULATE_WRITE ? VM_WRITE : VM_READ);
	if (wants_vma_only(advice) && advise_vma(walk, &err))
		return err;
	walk->dead->events.first = NULL;
	walk->to = &told;
	mmap_read_lock(walk->mm);
	err = vma_walk_holes(walk);
	mmap_read_unlock(walk->mm);
	return likely(!walk->dead->events.first) ? err : advise_tell(walk, err);
}

int samara_madvise(struct samara_mm *mm, unsigned long addr, unsigned long len, int advice)
{
	struct door door;
	struct vma_walk walk = {
		.mm = mm,
		.start = addr,
		.step = step,
		.dead = &door.dead,
		.arg = (unsigned long)advice,
	};
	const enum span span = mm_span(mm, addr, len, &walk.end);
	int err = mm_call(mm);

	if (err)
		return err;
	if (!known(advice) || !mm_page_aligned(mm, addr) || span == SPAN_ROUNDS ||
	    span == SPAN_WRAPS)
		return -EINVAL;
	if (span == SPAN_EMPTY)
		return 0;
	if (advice == ADV_HWPOISON || advice == ADV_SOFT_OFFLINE)
		return advise_bad(mm, walk.start, walk.end, advice);
	/* ADV_GUARD_INSTALL sets a flag of the mapping. Other advice about pages sets none. */
	if (advice == ADV_POPULATE_READ || advice == ADV_POPULATE_WRITE ||
	    (advice_is_of_pages(advice) && advice != ADV_GUARD_INSTALL))
		return advise_reading(&walk);
	door_enter(&door, mm);
	err = vma_walk_holes(&walk);
	door_leave(&door);
	return err;
}
