/* SPDX-License-Identifier: MIT */
/*
 * UFFDIO_WRITEPROTECT: VMA by VMA, as mprotect. Holes are passed by; a VMA that is not registered
 * for write protection ends it, and those before stay done. Which userfaultfd has registered a VMA
 * does not matter.
 */
#include "mmu/entry.h"
#include "range/range.h"
#include "syscall/uffd_calls.h"
#include "vma/find.h"

#define MODES (UFFDIO_WRITEPROTECT_MODE_WP | UFFDIO_WRITEPROTECT_MODE_DONTWAKE)

static int protect_vma(struct vma *vma, const struct uffdio_writeprotect *asked)
{
	const unsigned long start = max((unsigned long)asked->range.start, vma->vm_start);
	const unsigned long end =
		min((unsigned long)(asked->range.start + asked->range.len), vma->vm_end);

	if (!vma_uffd_wp(vma))
		return -ENOENT;
	if (asked->mode & UFFDIO_WRITEPROTECT_MODE_WP)
		return range_uffd_protect(vma, start, end);
	range_uffd_unprotect(vma, start, end);
	/* Also where no sleeper is woken, and where the VMA is another userfaultfd's. */
	uffd_posts_drop(vma->rare.uffd, start, end);
	return 0;
}

/* mmap_lock for reading. 0; -ENOENT: also where nothing is mapped; -ENOMEM. */
static int protect_all(struct samara_mm *mm, const struct uffdio_writeprotect *asked)
{
	const unsigned long end = asked->range.start + asked->range.len;
	struct vma *vma = vma_find(mm, asked->range.start, end);
	int err = vma ? 0 : -ENOENT;

	for (; vma && !err; vma = vma_find(mm, vma->vm_end, end))
		err = protect_vma(vma, asked);
	return err;
}

/* As protect_all(); -EAGAIN, -ESRCH. */
static int locked(struct samara_uffd *uffd, const struct uffdio_writeprotect *asked)
{
	struct samara_mm *mm = uffd->mm;
	int err;

	mmap_read_lock(mm);
	down_read(&uffd->fills);
	if (uffd_mm_ended(mm))
		err = -ESRCH;
	else
		err = uffd_changing(uffd) ? -EAGAIN : protect_all(mm, asked);
	up_read(&uffd->fills);
	mmap_read_unlock(mm);
	return err;
}

int uffd_writeprotect(struct samara_uffd *uffd, void *arg)
{
	const struct uffdio_writeprotect asked = *(struct uffdio_writeprotect *)arg;
	int err;

	/* Before the arguments are looked at, unlike other requests. */
	if (uffd_changing(uffd))
		return -EAGAIN;
	err = uffd_check_range(uffd->mm, &asked.range);
	if (err)
		return err;
	if ((asked.mode & ~MODES) || asked.mode == MODES)
		return -EINVAL;
	err = locked(uffd, &asked);
	if (!err && !asked.mode)
		uffd_wake(uffd, asked.range.start, asked.range.start + asked.range.len);
	return err;
}
