/* SPDX-License-Identifier: MIT */
/*
 * madvise. Advice about the mapping itself changes flags, by merging or
 * cutting; advice about pages is checked and answered as Linux does, and has
 * nothing to do as long as there are none.
 */
#include <errno.h>
#include <limits.h>
#include <linux/mman.h>
#include <sys/mman.h>

#include "store/file.h"
#include "syscall/door.h"
#include "vma/find.h"
#include "vma/modify.h"
#include "vma/touch.h"

/* Newer than the C library's headers; the numbers are Linux's. */
#define ADV_DONTNEED_LOCKED 24
#define ADV_COLLAPSE 25
#define ADV_GUARD_INSTALL 102
#define ADV_GUARD_REMOVE 103
#define ADV_POPULATE_READ 22
#define ADV_POPULATE_WRITE 23
#define ADV_COLD 20
#define ADV_PAGEOUT 21
#define ADV_HWPOISON 100
#define ADV_SOFT_OFFLINE 101

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

/* Advice that throws contents away: a sealed mapping which the caller cannot write refuses it. */
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

/* advice about flags: what they become. 0 or -EINVAL. */
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

/* A hole in the file: fallocate(2)'s answers, too. */
static int advise_remove(const struct vma_modify_desc *d)
{
	const struct vma *vma = d->vma;
	const unsigned int shift = d->mm->geo->page_shift;
	unsigned long offset;

	if ((vma->vm_flags & VM_LOCKED) || !vma->vm_file)
		return -EINVAL;
	if ((vma->vm_flags & (VM_SHARED | VM_MAYWRITE)) != (VM_SHARED | VM_MAYWRITE))
		return -EACCES;
	offset = (vma->vm_pgoff << shift) + (d->start - vma->vm_start);
	if ((long)offset < 0)
		return -EINVAL;
	if (d->end - d->start > (unsigned long)LONG_MAX - offset)
		return -EFBIG;
	return file_is(vma->vm_file, SAMARA_FILE_NO_FALLOCATE) ? -EOPNOTSUPP : 0;
}

static int advise_guard(struct vma *vma, int advice)
{
	if (vma->vm_flags & (VM_SPECIAL | VM_HUGETLB))
		return -EINVAL;
	if (advice == ADV_GUARD_REMOVE)
		return 0;
	if (vma->vm_flags & VM_LOCKED)
		return -EINVAL;
	/* A guard is something that fork has to copy. */
	return anon_vma_prepare(vma);
}

/* Advice about pages; 1: it is about flags. */
static int advise_pages(const struct vma_modify_desc *d, int advice)
{
	struct vma *vma = d->vma;
	const unsigned long flags = vma->vm_flags;

	switch (advice) {
	case MADV_WILLNEED:
		return 0;
	case MADV_DONTNEED:
		return flags & (VM_PFNMAP | VM_LOCKED) ? -EINVAL : 0;
	case ADV_DONTNEED_LOCKED:
		return flags & VM_PFNMAP ? -EINVAL : 0;
	case MADV_FREE:
		return (flags & (VM_PFNMAP | VM_LOCKED)) || !vma->is_anon ? -EINVAL : 0;
	case ADV_COLD:
	case ADV_PAGEOUT:
		return flags & (VM_LOCKED | VM_PFNMAP | VM_HUGETLB) ? -EINVAL : 0;
	case MADV_REMOVE:
		return advise_remove(d);
	case ADV_COLLAPSE:
		return -EINVAL; /* no page to collapse */
	case ADV_GUARD_INSTALL:
	case ADV_GUARD_REMOVE:
		return advise_guard(vma, advice);
	default:
		return 1;
	}
}

static int step(struct vma_walk *walk, struct vma_modify_desc *d)
{
	const int advice = (int)walk->arg;
	int err;

	if (sealed_against(d->vma, advice))
		return -EPERM;
	err = advise_pages(d, advice);
	if (err <= 0)
		return err;
	err = advised_flags(d->vma, advice, &d->flags);
	if (!err && d->flags != d->vma->vm_flags)
		err = vma_modify_flags(d);
	/* Running out of something for a hint: try again. */
	return err == -ENOMEM ? -EAGAIN : err;
}

/* MADV_POPULATE_*: each page as if it had been accessed. */
static int populate(struct samara_mm *mm, unsigned long start, unsigned long end, int advice)
{
	const unsigned long need = advice == ADV_POPULATE_WRITE ? VM_WRITE : VM_READ;
	int err = 0;

	while (!err && start < end) {
		struct vma *vma = vma_lookup(mm, start);

		if (!vma)
			return -ENOMEM;
		if ((vma->vm_flags & (VM_IO | VM_PFNMAP)) || !(vma->vm_flags & need))
			return -EINVAL;
		err = populate_for(vma, end, need == VM_WRITE);
		start = vma->vm_end;
	}
	return err;
}

int samara_madvise(struct samara_mm *mm, unsigned long addr, unsigned long len, int advice)
{
	const unsigned long size = mm_page_align(mm, len);
	struct door door;
	struct vma_walk walk = {
		.mm = mm,
		.start = addr,
		.end = addr + size,
		.step = step,
		.dead = &door.dead,
		.arg = (unsigned long)advice,
	};
	int err;

	if (!known(advice) || !mm_page_aligned(mm, addr) || (len && !size) || walk.end < addr)
		return -EINVAL;
	if (!size)
		return 0;
	if (advice == ADV_HWPOISON || advice == ADV_SOFT_OFFLINE)
		return -EPERM; /* there is no memory to break */
	door_enter(&door, mm);
	if (advice == ADV_POPULATE_READ || advice == ADV_POPULATE_WRITE)
		err = populate(mm, walk.start, walk.end, advice);
	else
		err = vma_walk_holes(&walk);
	door_leave(&door);
	return err;
}
