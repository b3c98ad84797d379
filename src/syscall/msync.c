/* SPDX-License-Identifier: MIT */
/*
 * msync and mincore as far as mappings go, and remap_file_pages, which Linux
 * carries out by mapping anew.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "store/file.h"
#include "syscall/door.h"
#include "syscall/mmap.h"
#include "vma/find.h"

static int sync_range(struct samara_mm *mm, unsigned long start, unsigned long end, int flags)
{
	int hole = 0;

	for (;;) {
		const struct vma *vma = vma_find_from(mm, start);

		if (!vma)
			return -ENOMEM;
		if (vma->vm_start > start) {
			if (flags == MS_ASYNC || vma->vm_start >= end)
				return -ENOMEM;
			hole = -ENOMEM;
		}
		if ((flags & MS_INVALIDATE) && (vma->vm_flags & VM_LOCKED))
			return -EBUSY;
		start = vma->vm_end;
		if (start >= end)
			return hole;
	}
}

int samara_msync(struct samara_mm *mm, unsigned long addr, unsigned long len, int flags)
{
	const unsigned long end = addr + mm_page_align(mm, len);
	int err;

	if ((flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) || !mm_page_aligned(mm, addr) ||
	    ((flags & MS_ASYNC) && (flags & MS_SYNC)))
		return -EINVAL;
	if (end < addr)
		return -ENOMEM;
	if (end == addr)
		return 0;
	mmap_read_lock(mm);
	err = sync_range(mm, addr, end, flags);
	mmap_read_unlock(mm);
	return err;
}

int samara_mincore(struct samara_mm *mm, unsigned long addr, unsigned long len, unsigned char *vec)
{
	const unsigned long pages = mm_pages(mm, len) + !mm_page_aligned(mm, len);
	unsigned long at = addr, left = pages;
	int err = 0;

	if (!mm_page_aligned(mm, addr))
		return -EINVAL;
	if (addr > mm->layout.task_size || len > mm->layout.task_size - addr)
		return -ENOMEM;
	if (!vec)
		return -EFAULT;
	mmap_read_lock(mm);
	while (left && !err) {
		const struct vma *vma = vma_lookup(mm, at);
		unsigned long here;

		if (!vma) {
			err = -ENOMEM;
			break;
		}
		here = min(mm_pages(mm, vma->vm_end - at), left);
		left -= here;
		at = vma->vm_end;
	}
	mmap_read_unlock(mm);
	if (!err)
		memset(vec, 0, pages);
	return err;
}

/* start..start+size lies in VMAs that go on where vma ends, alike in all but offset. */
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
	/* The mapping that holds the file may go while the new one comes. */
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
		.dead = &door.dead,
	};
	int err;

	if (prot || d.addr + d.len <= d.addr || pgoff + mm_pages(mm, d.len) < pgoff)
		return -EINVAL;
	door_enter(&door, mm);
	err = remap_pages(&d);
	door_leave(&door);
	file_put(d.file);
	return err;
}
