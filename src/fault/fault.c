/* SPDX-License-Identifier: MIT */
/*
 * A page fault's way in: flags, tables, and which part it is for.
 *
 * The VMA is held (its own lock for reading, or the mmap_lock) and stays held. Tables that were
 * made stay even if the fault then fails, as in Linux: they are empty, and go with their VMAs.
 */
#include "fault/parts.h"
#include "mmu/entry.h"

unsigned int fault_check_access(const struct vma *vma, unsigned int flags)
{
	const unsigned long vm_flags = vma->vm_flags;

	if (flags & FAULT_WRITE) {
		if ((vm_flags & VM_WRITE) || ((flags & FAULT_FORCE) && vm_is_cow(vm_flags)))
			return VM_FAULT_DONE;
		return VM_FAULT_SIGSEGV;
	}
	if (vma_accessible(vma) || ((flags & FAULT_FORCE) && (vm_flags & VM_MAYREAD)))
		return VM_FAULT_DONE;
	return VM_FAULT_SIGSEGV;
}

/* Flags that contradict each other or the mapping are refused. */
static unsigned int sanitize_flags(const struct vma *vma, unsigned int *flags)
{
	const unsigned long vm_flags = vma->vm_flags;

	if (*flags & FAULT_UNSHARE) {
		if (*flags & FAULT_WRITE)
			return VM_FAULT_SIGSEGV;
		if (!vm_is_cow(vm_flags))
			*flags &= ~(unsigned int)FAULT_UNSHARE;
	} else if (*flags & FAULT_WRITE) {
		if (!(vm_flags & VM_MAYWRITE))
			return VM_FAULT_SIGSEGV;
		if (!(vm_flags & VM_WRITE) && !vm_is_cow(vm_flags))
			return VM_FAULT_SIGSEGV;
	}
	return VM_FAULT_DONE;
}

unsigned int fault_anon_vma(const struct vm_fault *vmf)
{
	if (likely(smp_load_acquire(&vmf->vma->anon_vma)))
		return VM_FAULT_DONE;
	if (vmf->flags & FAULT_VMA_LOCK)
		return VM_FAULT_RETRY;
	return anon_vma_prepare(vmf->vma) ? VM_FAULT_OOM : VM_FAULT_DONE;
}

static __always_inline unsigned int fault_empty(struct vm_fault *vmf)
{
	/* Here too, so that no other process ends for a frame that would not be mapped. */
	if (fault_lost(vmf))
		return VM_FAULT_SIGBUS;
	if (vma_faults_anon(vmf->vma))
		return fault_anon(vmf);
	return inode_is_device(vma_inode(vmf->vma)) ? fault_device(vmf) : fault_file(vmf);
}

/* The page is there. A write to a page that is writable only has to be remembered. */
static unsigned int fault_present(struct vm_fault *vmf)
{
	if (!(vmf->flags & (FAULT_WRITE | FAULT_UNSHARE)))
		return VM_FAULT_DONE;
	if (!pte_write(vmf->orig)) {
		const unsigned int stopped = fault_uffd(vmf);

		return stopped ? stopped : fault_wp(vmf);
	}
	if ((vmf->flags & FAULT_WRITE) && fault_lock(vmf)) {
		pte_set(vmf->pte, pte_written(vmf->orig, vmf->vma->vm_flags));
		table_unlock(vmf->leaf);
	}
	return VM_FAULT_DONE;
}

/* Neither empty nor present: mmu/entry.h. Poison outranks the other bits of a marker. */
static __noinline unsigned int fault_swp(struct vm_fault *vmf)
{
	const unsigned int marker = pte_marker(vmf->orig);

	if (marker & MARKER_POISON)
		return VM_FAULT_SIGBUS | VM_FAULT_HWPOISON;
	if (marker & MARKER_GUARD)
		return VM_FAULT_SIGSEGV;
	if (marker) {
		/* Write protection of a page to come, which has it if it is still wanted. */
		if (vma_uffd_wp(vmf->vma))
			return fault_empty(vmf);
		if (fault_lock(vmf)) {
			table_clear(vmf->leaf, vmf->pte);
			table_unlock(vmf->leaf);
		}
		return VM_FAULT_DONE;
	}
	return pte_migration(vmf->orig) ? VM_FAULT_WAIT : fault_swap(vmf);
}

unsigned int handle_mm_fault(struct vma *vma, unsigned long addr, unsigned int flags)
{
	struct samara_mm *mm = vma->vm_mm;
	struct vm_fault vmf = { .vma = vma, .addr = addr & mm_page_mask(mm), .flags = flags };
	unsigned int ret = sanitize_flags(vma, &vmf.flags);

	if (ret)
		return ret;
	/* A huge entry in the way would have to be split: as no memory for that. */
	if (table_get(mm, vmf.addr, &vmf.leaf))
		return VM_FAULT_OOM;
	if (!vma_faults_anon(vma)) {
		/* Behind the new table: filemap/unmap.c. */
		smp_mb();
		vmf.unmaps = smp_load_acquire(&vma_inode(vma)->i_mmap.unmaps);
	}
	vmf.pte = table_pte(mm, vmf.leaf, vmf.addr);
	vmf.orig = pte_read(vmf.pte);
	if (pte_none(vmf.orig))
		return fault_empty(&vmf);
	return pte_present(vmf.orig) ? fault_present(&vmf) : fault_swp(&vmf);
}
