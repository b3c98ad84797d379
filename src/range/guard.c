/* SPDX-License-Identifier: MIT */
/*
 * Guard markers: pages whose touch is SIGSEGV, without a VMA of their own
 * (MADV_GUARD_INSTALL, MADV_GUARD_REMOVE).
 *
 *   before   [ page | guard | none | zero ]
 *   install  [ guard| guard | guard| guard]     pages are zapped, under the same lock
 *   remove   [ none | none  | none | none ]
 *
 * Linux zaps first and tries again when a fault got in between; here an entry is
 * zapped and filled in one go, so that there is nothing to try again.
 *
 * Any kind of mapping that is not special or locked may have them, files' too (6.15 and
 * later); the caller checks that. An anonymous VMA gets an anon_vma; VM_MAYBE_GUARD, which the
 * caller sets, makes fork copy the entries of any.
 *
 * Locks: mmap_lock in any mode; one leaf's lock at a time. Tables come first: a refusal
 * changes no entry.
 */
#include <errno.h>

#include "core/vma_lock.h"
#include "mmu/notifier.h"
#include "range/zap.h"
#include "rmap/rmap.h"

/* As zap_leaf(), with a guard in each place. */
static bool install_leaf(struct zap *z, struct leaf_part *part)
{
	const unsigned long page = mm_page_size(z->tlb->mm);
	bool full = false;

	part_refuse_huge(part); /* leaves_make() has found none */
	table_lock(part->leaf);
	for (unsigned long addr = part->addr; addr < part->end; addr += page) {
		pte_t *at = table_pte(z->tlb->mm, part->leaf, addr);

		if (!pte_none(pte_read(at)))
			full = zap_entry(z, part->leaf, addr);
		table_fill(part->leaf, at, mk_marker(MARKER_GUARD));
		if (full)
			part->end = addr + page;
	}
	rss_apply(z->tlb->mm, &z->rss);
	tlb_flush_delayed(z->tlb);
	table_unlock(part->leaf);
	return full;
}

int guard_install(struct vma *vma, unsigned long start, unsigned long end)
{
	struct samara_mm *mm = vma->vm_mm;
	struct samara_notifier_range range = { mm, start, end, SAMARA_NOTIFY_CLEAR, 0 };
	struct leaf_part part = LEAF_PART_FROM(start);
	struct zap z = { .vma = vma, .what = ZAP_ALL };
	struct mmu_gather tlb;

	rwsem_assert_held(&mm->mmap_lock.sem);
	if ((vma->is_anon && anon_vma_prepare(vma)) || leaves_make(mm, start, end))
		return -ENOMEM;
	notifier_start(mm, &range);
	tlb_gather_mmu(&tlb, mm, GATHER_RANGE);
	z.tlb = &tlb;
	while (leaf_next(mm, &part, end))
		if (install_leaf(&z, &part))
			tlb_flush_mmu(&tlb);
	tlb_finish_mmu(&tlb);
	notifier_end(mm, &range);
	return 0;
}

void guard_remove(struct vma *vma, unsigned long start, unsigned long end)
{
	struct samara_mm *mm = vma->vm_mm;
	struct leaf_part part = LEAF_PART_FROM(start);

	vma_assert_stays(vma);
	while (leaf_next(mm, &part, end)) {
		if (part.level)
			continue; /* no guard is huge */
		table_lock(part.leaf);
		for (unsigned long addr = part.addr; addr < part.end; addr += mm_page_size(mm)) {
			pte_t *at = table_pte(mm, part.leaf, addr);

			if (pte_marker(pte_read(at)) & MARKER_GUARD)
				table_clear(part.leaf, at);
		}
		table_unlock(part.leaf);
	}
}
