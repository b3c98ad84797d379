/* SPDX-License-Identifier: MIT */
/*
 * The first access to anonymous memory. Reading maps the zero frame, which has no owner and is
 * counted nowhere. Writing maps a new page of the mapping's own. On a machine without a zero page
 * (SAMARA_MACHINE_NO_ZERO_PAGE) reading maps a new page too, writable at once if the mapping is.
 */
#include "fault/parts.h"

static unsigned int map_zero_frame(struct vm_fault *vmf)
{
	const pte_t pte = mk_pte(ZERO_FRAME, vmf->vma->vm_flags);
	unsigned int ret = VM_FAULT_DONE;

	if (fault_lock_empty(vmf, &ret)) {
		fault_put(vmf, vmf->pte, pte_with(pte, PTE_SPECIAL));
		table_unlock(vmf->leaf);
	}
	return ret;
}

void fault_set_anon(const struct vm_fault *vmf, struct folio *folio)
{
	struct vma *vma = vmf->vma;
	pte_t pte = mk_pte(folio_pfn(fault_ram(vmf), folio), vma->vm_flags);

	folio_add_new_anon(folio, vma, vmf->addr);
	lru_add(fault_ram(vmf), folio);
	if (vmf->flags & FAULT_WRITE)
		pte = pte_written(pte, vma->vm_flags);
	fault_put(vmf, vmf->pte, pte);
	mm_rss_add(vma->vm_mm, MM_ANONPAGES, 1);
}

unsigned int fault_anon(struct vm_fault *vmf)
{
	/*
	 * Unsharing nothing: the zero frame first, which is unshared when the access is tried
	 * again.
	 */
	const bool zero = !(vmf->flags & FAULT_WRITE) && mm_has_zero_page(vmf->vma->vm_mm);
	struct folio *folio;
	unsigned int ret;

	/* Before a userfaultfd is asked, as in Linux: the VMA counts as written to. */
	ret = zero ? 0 : fault_anon_vma(vmf);
	if (!ret && unlikely(vmf->vma->vm_flags & (VM_UFFD_MISSING | VM_UFFD_WP)))
		ret = fault_ask_uffd(vmf);
	if (ret)
		return ret;
	if (zero)
		return map_zero_frame(vmf);
	/* As a write leaves it, for the write that is likely to follow. */
	if (vmf->vma->vm_flags & VM_WRITE)
		vmf->flags |= FAULT_WRITE;
	folio = folio_alloc(fault_ram(vmf), 0, FOLIO_ZEROED);
	if (!folio)
		return VM_FAULT_OOM;
	if (!fault_lock_empty(vmf, &ret)) {
		folio_put(fault_ram(vmf), folio);
		return ret;
	}
	fault_set_anon(vmf, folio);
	table_unlock(vmf->leaf);
	return VM_FAULT_DONE;
}
