/* SPDX-License-Identifier: MIT */
/*
 * madvise's advice about pages.
 */
#ifndef SYSCALL_ADVISE_PAGES_H
#define SYSCALL_ADVISE_PAGES_H

#include <errno.h>
#include <sys/mman.h>

#include "core/mm.h"

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

/* Whether advice is about pages. The map does not change, so mmap_lock for reading is enough. */
bool advice_is_of_pages(int advice);

/* Whether advice takes pages away, and a userfaultfd that wants REMOVE is told before. */
bool advice_removes(int advice);
/* Of advice that removes: what Linux refuses before it tells that. 0, -EINVAL, -EACCES. */
static inline __must_check int advice_may_remove(const struct vma *vma, int advice)
{
	const unsigned long flags = vma->vm_flags;

	if (advice != MADV_REMOVE)
		return flags & VM_PFNMAP || (flags & VM_LOCKED && advice != ADV_DONTNEED_LOCKED) ?
			       -EINVAL :
			       0;
	if ((flags & VM_LOCKED) || !vma->vm_file)
		return -EINVAL;
	return (flags & (VM_SHARED | VM_MAYWRITE)) == (VM_SHARED | VM_MAYWRITE) ? 0 : -EACCES;
}

/*
 * MADV_REMOVE of pages of file at offset, in bytes: 0, -EINVAL, -EFBIG, -EOPNOTSUPP, -ENOMEM. No
 * lock is needed.
 */
int advise_hole(struct samara_file *file, unsigned long offset, unsigned long len) __must_check;

/*
 * Carry advice out on [start, end) of vma. 0; -EINVAL, -EACCES: not on such a mapping; -EFBIG,
 * -EOPNOTSUPP: a hole that the file cannot have; -ENOMEM. mmap_lock is held, for reading at least.
 */
int advise_pages(struct vma *vma, unsigned long start, unsigned long end, int advice) __must_check;

/*
 * MADV_HWPOISON and MADV_SOFT_OFFLINE, page by page: each is read first. 0, -EPERM; -EFAULT: it
 * cannot be read; -EHWPOISON: it was bad already; -EBUSY: it stays; -ENOMEM. No lock is held.
 */
int advise_bad(struct samara_mm *mm, unsigned long start, unsigned long end,
	       int advice) __must_check;

#endif
