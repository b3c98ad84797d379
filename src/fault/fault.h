/* SPDX-License-Identifier: MIT */
/*
 * Page faults. handle_mm_fault() gets a VMA that its caller has found and locked (the VMA's own
 * lock for reading, or the mmap_lock), and never drops or takes either.
 *
 *   handle_mm_fault() --> sanitize the flags
 *        |-- entry empty:        uffd.c   a userfaultfd is asked
 *        |                       anon.c   zero page, or a new page
 *        |                       file_fault.c   read (fault-around), private copy, shared
 *        |-- present, read-only: uffd.c   a userfaultfd is asked
 *        |                       cow.c    shared: make writable; private: reuse or copy; unshare
 *        '-- neither:            SIGSEGV (guard), SIGBUS (poison), wait (migration),
 *                                swapin.c   the page comes back from the swap cache
 *
 * What comes back is a set of vm_fault_codes. A fault that runs out of memory says VM_FAULT_OOM
 * and has changed nothing. A fault that needs the mmap_lock where only the VMA's lock is held says
 * VM_FAULT_RETRY. A fault that has to wait says VM_FAULT_WAIT or VM_FAULT_UFFD and does not wait:
 * its caller drops the lock first, waits in access_wait(), and looks the VMA up again.
 */
#ifndef FAULT_FAULT_H
#define FAULT_FAULT_H

#include "core/mm.h"
#include "mmu/table.h"
#include "store/file.h"

enum fault_flags {
	FAULT_WRITE = 1 << 0,
	FAULT_EXEC = 1 << 1,
	FAULT_UNSHARE = 1 << 2, /* break copy-on-write without writing, for a pin; not with WRITE */
	FAULT_VMA_LOCK = 1 << 3, /* the VMA's lock is held, not the mmap_lock */
	FAULT_FORCE = 1 << 4,    /* a debugger's: writes private memory that the program may not */
	FAULT_NOWAIT = 1 << 5,   /* the access does not sleep: SAMARA_NOWAIT */
	FAULT_KERNEL = 1 << 6,   /* not a CPU's access: a pin, populating */
	FAULT_NOGROW = 1 << 7,   /* a stack stays as it is: SAMARA_NOGROW */
};

enum vm_fault_codes {
	VM_FAULT_DONE = 0,
	VM_FAULT_OOM = 1 << 0,
	VM_FAULT_SIGBUS = 1 << 1,
	VM_FAULT_SIGSEGV = 1 << 2,
	VM_FAULT_HWPOISON = 1 << 3, /* with SIGBUS: BUS_MCEERR_AR */
	VM_FAULT_RETRY = 1 << 4,    /* again, with the mmap_lock */
	VM_FAULT_MAJOR = 1 << 5,    /* had to read from behind */
	VM_FAULT_WAIT = 1 << 6,     /* once the entry is another one: access/wait.h */
	VM_FAULT_UFFD = 1 << 7,    /* once a handler has answered; with none of the next: missing */
	VM_FAULT_UFFD_WP = 1 << 8, /* write-protected */
	VM_FAULT_UFFD_MINOR = 1 << 9, /* not mapped, but the page cache has it */
};
#define VM_FAULT_ERROR (VM_FAULT_OOM | VM_FAULT_SIGBUS | VM_FAULT_SIGSEGV)

struct vm_fault {
	struct vma *vma;
	unsigned long addr; /* on a page */
	unsigned int flags;
	struct table *leaf; /* filled by handle_mm_fault() */
	pte_t *pte;
	pte_t orig;           /* the entry as it was when the fault began */
	unsigned long unmaps; /* of a file: its inode's count then */
};

/* The file that a mapping of one shows. */
static inline struct inode *vma_inode(const struct vma *vma)
{
	return vma->vm_file->inode;
}

/*
 * A write to a page of this shared mapping has to be noticed: because it is written back, or
 * because the driver wants to be asked.
 */
static inline bool vma_tracks_writes(const struct vma *vma)
{
	if (!(vma->vm_flags & VM_SHARED) || !vma->vm_file)
		return false;
	return vma_inode(vma)->kind == INODE_HOST || inode_has_mkwrite(vma_inode(vma));
}

/*
 * Whether vma allows this access at all: 0, or VM_FAULT_SIGSEGV. As on x86 whatever may be
 * written or run can be read, and a fetch is stopped only once the page is there: FAULT_EXEC
 * asks no more than reading does.
 */
unsigned int fault_check_access(const struct vma *vma, unsigned int flags);

/* One page. vma's rights have been checked by fault_check_access(). */
unsigned int handle_mm_fault(struct vma *vma, unsigned long addr, unsigned int flags);

/*
 * uffd.c: handle_mm_fault(vma, addr, flags) has said codes, VM_FAULT_UFFD among them: would it say
 * the same now? Looks under the leaf's lock. vma has been held since.
 */
bool fault_uffd_waits(struct vma *vma, unsigned long addr, unsigned int flags, unsigned int codes);

#endif
