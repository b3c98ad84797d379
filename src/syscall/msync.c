/* SPDX-License-Identifier: MIT */
/*
 * msync, mincore, and remap_file_pages, which Linux carries out by mapping anew.
 */
#include <errno.h>
#include <sys/mman.h>

#include "filemap/filemap.h"
#include "range/range.h"
#include "store/file.h"
#include "syscall/call_door.h"
#include "syscall/mmap.h"
#include "vma/find.h"

/* The state of one msync. */
struct sync {
	struct samara_mm *mm;
	unsigned long start, end; /* what is left */
	int flags;
	int hole;                 /* -ENOMEM once part of the range was unmapped */
	struct samara_file *file; /* with a reference: its pages first..last are to be written */
	unsigned long first, last;
};

/* The next mapping; start moves behind it. 0 or -errno. mmap_lock is held for reading. */
static int sync_vma(struct sync *s)
{
	const struct vma *vma = vma_find_from(s->mm, s->start);

	if (!vma)
		return -ENOMEM;
	if (vma->vm_start > s->start) {
		if (s->flags == MS_ASYNC || vma->vm_start >= s->end)
			return -ENOMEM;
		s->start = vma->vm_start;
		s->hole = -ENOMEM;
	}
	if ((s->flags & MS_INVALIDATE) && (vma->vm_flags & VM_LOCKED))
		return -EBUSY;
	if ((s->flags & MS_SYNC) && vma->vm_file && (vma->vm_flags & VM_SHARED)) {
		const unsigned long end = min(s->end, vma->vm_end);

		s->file = file_get(vma->vm_file);
		s->first = vma_pgoff_at(vma, s->start);
		s->last = s->first + mm_pages(s->mm, end - s->start) - 1;
	}
	s->start = vma->vm_end;
	return 0;
}

/* No lock is held while a file is written, which may take long. */
static int sync_range(struct sync *s)
{
	int err = 0;

	while (!err && s->start < s->end) {
		s->file = NULL;
		mmap_read_lock(s->mm);
		err = sync_vma(s);
		mmap_read_unlock(s->mm);
		if (err || !s->file)
			continue;
		err = file_sync_range(s->file, s->first, s->last);
		file_put(s->file);
	}
	return err ? err : s->hole;
}

int samara_msync(struct samara_mm *mm, unsigned long addr, unsigned long len, int flags)
{
	const int refused = mm_call(mm);
	struct sync sync = {
		.mm = mm,
		.start = addr,
		.flags = flags,
	};
	const enum span span = mm_span(mm, addr, len, &sync.end);

	if (refused)
		return refused;
	if ((flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) || !mm_page_aligned(mm, addr) ||
	    ((flags & MS_ASYNC) && (flags & MS_SYNC)))
		return -EINVAL;
	if (span == SPAN_WRAPS)
		return -ENOMEM;
	return sync_range(&sync);
}

int samara_mincore(struct samara_mm *mm, unsigned long addr, unsigned long len, unsigned char *vec)
{
	const int refused = mm_call(mm);
	unsigned long at = addr, end;
	const enum span span = mm_span(mm, addr, len, &end);
	int err = 0;

	if (refused)
		return refused;
	if (!mm_page_aligned(mm, addr))
		return -EINVAL;
	if (span == SPAN_ROUNDS || span == SPAN_WRAPS || end > mm->layout.task_size)
		return -ENOMEM;
	mmap_read_lock(mm);
	while (at < end && !err) {
		struct vma *vma = vma_lookup(mm, at);
		unsigned long to;

		if (!vma) {
			err = -ENOMEM;
		} else if (!vec) {
			err = -EFAULT; /* the answers are written last */
		} else {
			to = min(vma->vm_end, end);
			range_mincore(vma, at, to, vec);
			vec += mm_pages(mm, to - at);
			at = to;
		}
	}
	mmap_read_unlock(mm);
	return err;
}

/* Whether VMAs with vma's file and flags cover the rest up to end, without a hole. */
static bool alike_up_to(struct samara_mm *mm, const struct vma *vma, unsigned long end)
{
	while (vma->vm_end < end) {
		const struct vma *next = vma_lookup(mm, vma->vm_end);

		if (!next || next->vm_file != vma->vm_file || next->vm_flags != vma->vm_flags)
			return false;
		vma = next;
	}
	return true;
}

static int remap_pages(struct mmap_desc *d)
{
	const struct vma *vma = vma_lookup(d->mm, d->addr);
	unsigned long ret;

	if (!vma || !(vma->vm_flags & VM_SHARED) || !vma->vm_file ||
	    !alike_up_to(d->mm, vma, d->addr + d->len))
		return -EINVAL;
	d->prot = (int)(vma->vm_flags & VM_ACCESS_FLAGS);
	d->flags = (d->flags & MAP_NONBLOCK) | MAP_SHARED | MAP_FIXED | MAP_POPULATE |
		   (vma->vm_flags & VM_LOCKED ? MAP_LOCKED : 0);
	/* The new mapping may replace the one that holds the reference. */
	d->file = file_get(vma->vm_file);
	ret = do_mmap(d);
	return SAMARA_IS_ERR_VALUE(ret) ? (int)ret : 0;
}

int samara_remap_file_pages(struct samara_mm *mm, unsigned long addr, unsigned long size, int prot,
			    unsigned long pgoff, int flags)
{
	struct door door;
	struct mmap_desc d = {
		.mm = mm,
		.addr = addr & mm_page_mask(mm),
		.len = size & mm_page_mask(mm),
		.flags = flags,
		.pgoff = pgoff,
		.untold = true,
		.door = &door,
	};
	unsigned long end;
	int err = mm_call(mm);

	if (err)
		return err;
	if (prot || mm_span(mm, d.addr, d.len, &end) != SPAN_PAGES ||
	    pgoff + mm_pages(mm, d.len) < pgoff)
		return -EINVAL;
	door_enter(&door, mm);
	err = remap_pages(&d);
	door_leave(&door);
	file_put(d.file);
	return err;
}
