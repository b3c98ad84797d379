/* SPDX-License-Identifier: MIT */
/*
 * What a page-table entry says to a backend (<samara/backend.h>).
 */
#ifndef MMU_TRANSLATION_H
#define MMU_TRANSLATION_H

#include <samara/backend.h>

#include "frame/frame.h"
#include "mmu/entry.h"
#include "mmu/tlb_unit.h"

/* What an access may do without a fault. A first write has to be one: it sets the dirty bit. */
static inline unsigned int pte_rights(pte_t pte)
{
	if (!pte_accessible(pte))
		return 0;
	return SAMARA_RIGHT_READ | (pte_write(pte) && pte_dirty(pte) ? SAMARA_RIGHT_WRITE : 0) |
	       (pte_exec(pte) ? SAMARA_RIGHT_EXEC : 0);
}

static inline unsigned int pte_frame_flags(const struct ram *ram, pte_t pte)
{
	if (pte_pfn(pte) == ZERO_FRAME)
		return SAMARA_TRANSLATION_ZEROS;
	if (pte_special(pte))
		return SAMARA_TRANSLATION_FILE; /* a driver's */
	return folio_test(pfn_folio(ram, pte_pfn(pte)), FOLIO_ANON) ? 0 : SAMARA_TRANSLATION_FILE;
}

/*
 * *out tells of the page at addr, of whatever mapping, as if it had no entry. addr is on a page.
 */
static inline void translate_none(const struct samara_mm *mm, unsigned long addr,
				  struct samara_translation *out)
{
	*out = (struct samara_translation){
		.addr = addr,
		.pfn = SAMARA_NO_FRAME,
		.seq = tlb_stale_now(mm, addr),
	};
}

/* *out tells of pte, the entry of addr in vma, which is held; so is the leaf's lock. */
static inline void translate_entry(const struct vma *vma, unsigned long addr, pte_t pte,
				   struct samara_translation *out)
{
	translate_none(vma->vm_mm, addr, out);
	out->vma_start = vma->vm_start;
	out->vma_end = vma->vm_end;
	out->vm_flags = vma->vm_flags;
	if (!pte_present(pte))
		return;
	out->pfn = pte_pfn(pte);
	out->rights = pte_rights(pte);
	out->flags = pte_frame_flags(vma->vm_mm->machine->ram, pte);
}

#endif
