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

/* Where the walk has stopped, and what is told. */
struct told {
	struct uffd_events events;
	struct samara_file *file; /* MADV_REMOVE: counted; else NULL */
	unsigned long offset;     /* in file, bytes */
	unsigned long start, end;
};

/* What the part's VMA is needed for is kept: it may leave meanwhile. */
static void stop_at(struct told *told, const struct vma_part *part, int advice)
{
	const struct vma *vma = part->vma;

	told->start = part->start;
	told->end = part->end;
	told->file = NULL;
	if (advice != MADV_REMOVE)
		return;
	told->file = file_get(vma->vm_file);
	told->offset = vma_pgoff_at(vma, part->start) << vma->vm_mm->geo->page_shift;
}

int advise_told(const struct vma_walk *walk, const struct vma_part *part)
{
	const int advice = (int)walk->arg;
	struct told *told = walk->to;
	int err = advice_may_remove(part->vma, advice);

	if (!err)
		err = uffd_remove_prepare(&told->events, part->vma, part->start, part->end);
	if (err)
		return err;
	if (!told->events.first || READ_ONCE(walk->mm->watch.uffds.no_wait))
		return advise_pages(part->vma, part->start, part->end, advice);
	stop_at(told, part, advice);
	return ADVICE_TELL;
}

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

/* It was told. The pages of what is mapped there by now go; told->end becomes where that ends. */
static int remove_told(struct samara_mm *mm, struct told *told, int advice)
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

int advise_walk(const struct vma_walk *walk)
{
	struct samara_mm *mm = walk->mm;
	struct told told = { 0 };
	struct vma_walk rest = *walk;
	int err, hole = 0;
	bool stopped;

	rest.to = &told;
	do {
		mmap_read_lock(mm);
		err = vma_walk_holes(&rest);
		stopped = err == ADVICE_TELL;
		if (stopped && has_hole(mm, rest.start, told.start))
			hole = -ENOMEM;
		mmap_read_unlock(mm);
		if (unlikely(told.events.first))
			uffd_events_deliver(&told.events, NULL);
		if (!stopped)
			break;
		err = remove_told(mm, &told, (int)walk->arg);
		rest.start = told.end;
	} while (!err && rest.start < rest.end);
	return err ? err : hole;
}
