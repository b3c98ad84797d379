/* SPDX-License-Identifier: MIT */
#include "syscall/advise_told.h"

#include <errno.h>
#include <sys/mman.h>

#include "store/file.h"
#include "syscall/advise_pages.h"
#include "uffd/uffd.h"
#include "vma/find.h"

/* What a step says when the walk is to stop. No errno is positive. */
#define ADVICE_TELL 1

/* Whether a page of [start, end) is not mapped. */
static bool has_hole(struct samara_mm *mm, unsigned long start, unsigned long end)
{
	const struct vma *vma;

	for (; start < end; start = vma->vm_end) {
		vma = vma_lookup(mm, start);
		if (!vma)
			return true;
	}
	return false;
}

/* What the part's VMA is needed for is kept: it may leave meanwhile. */
static void stop_at(const struct vma_walk *walk, const struct vma_part *part)
{
	struct advice_told *told = walk->to;
	const struct vma *vma = part->vma;

	told->start = part->start;
	told->end = part->end;
	told->file = NULL;
	told->hole = has_hole(walk->mm, walk->start, part->start) ? -ENOMEM : 0;
	if (walk->arg != MADV_REMOVE)
		return;
	told->file = file_get(vma->vm_file);
	told->offset = vma_pgoff_at(vma, part->start) << vma->vm_mm->geo->page_shift;
}

int advise_told(const struct vma_walk *walk, const struct vma_part *part)
{
	const int advice = (int)walk->arg;
	int err = advice_may_remove(part->vma, advice);

	if (!err)
		err = uffd_remove_prepare(&walk->dead->events, part->vma, part->start, part->end);
	if (err < 0)
		return err;
	if (!err)
		return advise_pages(part->vma, part->start, part->end, advice);
	stop_at(walk, part);
	return ADVICE_TELL;
}

/* It was told. The pages of what is mapped there by now go; told->end becomes where that ends. */
static int remove_told(struct samara_mm *mm, struct advice_told *told, int advice)
{
	struct vma *vma;
	int err;

	if (told->file) {
		err = advise_hole(told->file, told->offset, told->end - told->start);
		file_put(told->file);
		return err;
	}
	mmap_read_lock(mm);
	vma = vma_lookup(mm, told->start);
	if (vma) {
		told->end = min(told->end, vma->vm_end);
		err = advise_pages(vma, told->start, told->end, advice);
	} else {
		err = -ENOMEM;
	}
	mmap_read_unlock(mm);
	return err;
}

int advise_tell(struct vma_walk *walk, int err)
{
	const struct advice_told *told = walk->to;
	struct samara_mm *mm = walk->mm;
	int hole = 0;

	for (;;) {
		const bool stopped = err == ADVICE_TELL;

		uffd_events_deliver(&walk->dead->events, NULL);
		if (!stopped)
			return err ? err : hole;
		if (told->hole)
			hole = told->hole;
		err = remove_told(mm, walk->to, (int)walk->arg);
		walk->start = told->end;
		if (err || walk->start >= walk->end)
			return err ? err : hole;
		mmap_read_lock(mm);
		err = vma_walk_holes(walk);
		mmap_read_unlock(mm);
	}
}
