/* SPDX-License-Identifier: MIT */
/*
 * The parts of a page fault, and what they share. Each part gets a struct vm_fault that is filled
 * but for what it allocates, with no lock but the VMA's held, and follows one pattern:
 *
 *   allocate, read, copy          may fail, nothing has happened yet
 *   fault_lock(vmf)               the leaf's lock, if the entry is still vmf->orig and no page of
 *                                 the file was unmapped meanwhile; else VM_FAULT_DONE, and the
 *                                 access is tried again. fault_lock_empty() where nothing was: not
 *                                 if that may be because the page was taken away
 *   write the entry               cannot fail
 *   table_unlock(vmf->leaf)
 */
#ifndef FAULT_PARTS_H
#define FAULT_PARTS_H

#include "fault/fault.h"
#include "frame/frame.h"
#include "mmu/entry.h"
#include "rmap/rmap.h"

/* fault.c: the VMA has an anon_vma from here on, or what to answer. */
unsigned int fault_anon_vma(const struct vm_fault *vmf);

/*
 * uffd.c: whether vma's userfaultfd stops an access that finds vmf->orig. 0: it does not; else
 * VM_FAULT_UFFD with its reason, or VM_FAULT_SIGBUS.
 */
unsigned int fault_ask_uffd(const struct vm_fault *vmf);

/* anon.c */
unsigned int fault_anon(struct vm_fault *vmf);
/*
 * folio, new and filled, goes into the place of an entry that is empty or a uffd-wp marker
 * (fault_put()). Leaf's lock.
 */
void fault_set_anon(const struct vm_fault *vmf, struct folio *folio);

/* file_fault.c: nothing is there yet. */
unsigned int fault_file(struct vm_fault *vmf);

/* cow.c: an entry that is read-only, and is to be written or unshared. */
unsigned int fault_wp(struct vm_fault *vmf);

/* swapin.c: a swap area's entry. */
unsigned int fault_swap(struct vm_fault *vmf);

/* device.c: nothing is there yet. */
unsigned int fault_device(struct vm_fault *vmf);
/* The driver is asked whether frame, in a shared mapping, may become writable. No leaf lock. */
unsigned int fault_ask_write(const struct vm_fault *vmf, unsigned long frame);

static inline struct ram *fault_ram(const struct vm_fault *vmf)
{
	return vmf->vma->vm_mm->machine->ram;
}

static inline struct file_store *fault_store(const struct vm_fault *vmf)
{
	return vmf->vma->vm_mm->machine->store;
}

/* The file's page at vmf->addr. */
static inline unsigned long fault_index(const struct vm_fault *vmf)
{
	return vma_pgoff_at(vmf->vma, vmf->addr);
}

static inline bool vma_faults_anon(const struct vma *vma)
{
	return vma->is_anon || !vma->vm_file;
}

/* What a read leaves of a file's page: writable at once where no write has to be noticed. */
static inline pte_t mk_file_pte(const struct vma *vma, unsigned long pfn)
{
	const unsigned long both = VM_SHARED | VM_WRITE;
	const pte_t pte = mk_pte(pfn, vma->vm_flags);

	if ((vma->vm_flags & both) != both || vma_tracks_writes(vma) || vma_soft_dirty_enabled(vma))
		return pte;
	return pte_with(pte, PTE_WRITE);
}

static inline unsigned int fault_uffd(const struct vm_fault *vmf)
{
	return likely(!(vmf->vma->vm_flags & VM_UFFD_FLAGS)) ? 0 : fault_ask_uffd(vmf);
}

/*
 * pte goes to at, where nothing is, or a uffd-wp marker: the page that the marker was put for is
 * write-protected, as long as a userfaultfd wants to know. Leaf's lock.
 */
static inline void fault_put(const struct vm_fault *vmf, pte_t *at, pte_t pte)
{
	if (likely(pte_none(pte_read(at)))) {
		table_fill(vmf->leaf, at, pte);
		return;
	}
	if (vma_uffd_wp(vmf->vma))
		pte = pte_with(pte_without(pte, PTE_WRITE), PTE_UFFD_WP);
	table_put(vmf->leaf, at, pte);
}

/* The folio that a present entry points to; NULL: the zero frame, or a device's page. */
static inline struct folio *pte_folio(const struct ram *ram, pte_t pte)
{
	return pte_special(pte) ? NULL : pfn_folio(ram, pte_pfn(pte));
}

/*
 * What the file's page was when the fault began, it still is. Leaf's lock: an unmapping that this
 * does not see comes to the entry later, and takes out what the fault puts there.
 */
static inline bool fault_holds(const struct vm_fault *vmf)
{
	return vma_faults_anon(vmf->vma) ||
	       vmf->unmaps == READ_ONCE(vma_inode(vmf->vma)->i_mmap.unmaps);
}

static inline bool fault_lock(const struct vm_fault *vmf)
{
	table_lock(vmf->leaf);
	if (likely(pte_same(pte_read(vmf->pte), vmf->orig) && fault_holds(vmf)))
		return true;
	table_unlock(vmf->leaf);
	return false;
}

/*
 * Private pages of mm may be gone (reclaim/reap.c): what is not there may have been written to, and
 * must not read as zeros or as the file. Leaf's lock: the reaper has set this before it took the
 * lock to empty the entry.
 */
static inline bool fault_lost(const struct vm_fault *vmf)
{
	return unlikely(mm_pages_lost(vmf->vma->vm_mm)) && !(vmf->vma->vm_flags & VM_SHARED);
}

/*
 * As fault_lock(), where nothing is mapped and something is to be. False: *ret has what to answer
 * besides.
 */
static inline bool fault_lock_empty(const struct vm_fault *vmf, unsigned int *ret)
{
	if (!fault_lock(vmf))
		return false;
	if (likely(!fault_lost(vmf)))
		return true;
	table_unlock(vmf->leaf);
	*ret |= VM_FAULT_SIGBUS;
	return false;
}

/* A written page's entry; not writable where only a debugger may write (FAULT_FORCE). */
static inline pte_t pte_written(pte_t pte, unsigned long vm_flags)
{
	const uint64_t bits =
		PTE_WRITTEN | PTE_ACCESSED | (vm_flags & VM_WRITE ? PTE_WRITE : 0);

	return pte_with(pte_without(pte, PTE_WAS_EXCLUSIVE), bits);
}

#endif
