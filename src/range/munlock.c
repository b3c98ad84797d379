/* SPDX-License-Identifier: MIT */
/*
 * Pages that reclaim has put aside because a locked mapping has them (FOLIO_MLOCKED, which only
 * reclaim sets: reclaim/evict.c): they go back to the other lists. If another locked mapping has
 * them too, reclaim finds that out when it meets them.
 *
 * Locks: as for zap_range(); one leaf's lock at a time.
 */
#include "base/rcu.h"
#include "range/leaf.h"
#include "range/range.h"

static void put_back(struct ram *ram, pte_t pte)
{
	struct folio *folio;

	if (!pte_present(pte) || pte_special(pte))
		return;
	folio = pfn_folio(ram, pte_pfn(pte));
	if (!folio_test(folio, FOLIO_MLOCKED))
		return;
	folio_test_clear(folio, FOLIO_MLOCKED);
	lru_move(ram, folio);
}

void range_munlock(struct vma *vma, unsigned long start, unsigned long end)
{
	struct samara_mm *mm = vma->vm_mm;
	struct leaf_part part = LEAF_PART_FROM(start);

	if (!mm_has_tables(mm))
		return;
	rcu_read_lock();
	while (leaf_next(mm, &part, end)) {
		part_refuse_huge(&part);
		table_lock(part.leaf);
		for (unsigned long addr = part.addr; addr < part.end; addr += mm_page_size(mm))
			put_back(vma_ram(vma), pte_read(table_pte(mm, part.leaf, addr)));
		table_unlock(part.leaf);
	}
	rcu_read_unlock();
}
