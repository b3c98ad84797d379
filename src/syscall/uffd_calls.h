/* SPDX-License-Identifier: MIT */
/*
 * The requests of samara_uffd_ioctl(), one function each. arg is the caller's structure, not NULL.
 * They give 0 or -errno, and write its output field where Linux writes it. The structure may lie in
 * memory that a guest writes to meanwhile, so each reads it once.
 */
#ifndef SYSCALL_UFFD_CALLS_H
#define SYSCALL_UFFD_CALLS_H

#include <errno.h>

#include "core/mm.h"
#include "store/file.h"
#include "uffd/uffd.h"

int uffd_register(struct samara_uffd *uffd, void *arg);
int uffd_unregister(struct samara_uffd *uffd, void *arg);
int uffd_writeprotect(struct samara_uffd *uffd, void *arg);
int uffd_move(struct samara_uffd *uffd, void *arg);
int uffd_copy(struct samara_uffd *uffd, void *arg);
int uffd_zeropage(struct samara_uffd *uffd, void *arg);
int uffd_continue(struct samara_uffd *uffd, void *arg);
int uffd_poison(struct samara_uffd *uffd, void *arg);
/* uffd is closed: none of its mm's VMAs points to it any more. Cannot fail. No lock is held. */
void uffd_unregister_all(struct samara_uffd *uffd);

/*
 * Closes userfaultfds, listed by fork.in, and children of theirs that were not taken. The list is
 * empty then. Cannot fail. No lock is held.
 */
void uffd_close_all(struct list_head *closing);

/* Whole pages that an mm may map: 0, or -EINVAL. */
static inline int uffd_check_range(const struct samara_mm *mm, const struct uffdio_range *range)
{
	const unsigned long top = mm->geo->task_size;

	if (!range->len || !mm_page_aligned(mm, range->start | range->len) || range->start >= top ||
	    range->len > top - range->start)
		return -EINVAL;
	return 0;
}

/* uffd_changing(), and then the output field of a request that fills says so. */
static inline bool uffd_say_changing(const struct samara_uffd *uffd, __s64 *field)
{
	if (likely(!uffd_changing(uffd)))
		return false;
	*field = -EAGAIN;
	return true;
}

static inline bool vma_is_shmem(const struct vma *vma)
{
	return vma->vm_file && inode_is_shmem(vma->vm_file->inode);
}

/* samara_uffd_source(): with a reference of the caller's, or NULL. */
struct samara_mm *uffd_get_source(struct samara_uffd *uffd);

/* The address space has ended. Under the mmap_lock: else it has not, and will not meanwhile. */
static inline bool uffd_mm_ended(const struct samara_mm *mm)
{
	return smp_load_acquire(&mm->life.state) == MM_DYING;
}

#endif
