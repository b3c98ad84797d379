/* SPDX-License-Identifier: MIT */
/*
 * MADV_COLD and MADV_PAGEOUT: which pages of a range they are about, as Linux 6.18 has it.
 *
 *   present, not special, mapped by this entry only, on an LRU list
 *
 *   COLD      the entry's accessed bit and FOLIO_REFERENCED go; an active page becomes inactive
 *   PAGEOUT   FOLIO_REFERENCED goes; the page is isolated, for reclaim_folios()
 *
 * Locks: mmap_lock for reading; one leaf's lock at a time.
 */
#include "mmu/notifier.h"
#include "mmu/tlb.h"
#include "range/leaf.h"
#include "range/range.h"

/* The page of pte, if the advice is about it; its use is forgotten. */
static struct folio *advised(struct ram *ram, pte_t pte)
{
	struct folio *folio;

	if (!pte_present(pte) || pte_special(pte))
		return NULL;
	folio = pfn_folio(ram, pte_pfn(pte));
	if (folio_maps(folio) != 1 || !folio_test(folio, FOLIO_LRU))
		return NULL;
	folio_test_clear(folio, FOLIO_REFERENCED);
	if (folio_test(folio, FOLIO_ACTIVE))
		folio_set(folio, FOLIO_WORKINGSET);
	return folio;
}

/* True: a TLB entry says that the page was accessed. */
static bool cool(struct ram *ram, pte_t *at)
{
	const pte_t pte = pte_read(at);
	struct folio *folio = advised(ram, pte);

	if (!folio)
		return false;
	if (pte_young(pte))
		pte_set(at, pte_without(pte, PTE_ACCESSED));
	if (folio_test_clear(folio, FOLIO_ACTIVE))
		lru_move(ram, folio);
	return pte_young(pte);
}

void range_cold(struct vma *vma, unsigned long start, unsigned long end)
{
	struct samara_mm *mm = vma->vm_mm;
	struct leaf_part part = LEAF_PART_FROM(start);
	bool flush = false;

	if (!mm_has_tables(mm))
		return;
	while (leaf_next(mm, &part, end)) {
		part_refuse_huge(&part);
		table_lock(part.leaf);
		for (unsigned long addr = part.addr; addr < part.end; addr += mm_page_size(mm))
			flush |= cool(vma_ram(vma), table_pte(mm, part.leaf, addr));
		table_unlock(part.leaf);
	}
	/* So that the next access is seen. */
	if (flush)
		tlb_flush_range(mm, start, end, TLB_LOST_USE);
}

static bool isolate(struct ram *ram, pte_t pte, struct folio **out)
{
	struct folio *folio = advised(ram, pte);

	if (!folio || folio_test(folio, FOLIO_MLOCKED) || !folio_try_get(folio))
		return false;
	if (lru_isolate_folio(ram, folio)) {
		*out = folio;
		return true;
	}
	folio_put(ram, folio); /* not the last one: the entry has one */
	return false;
}

unsigned int range_isolate(struct vma *vma, unsigned long *start, unsigned long end,
			   struct folio **out, unsigned int most)
{
	struct samara_mm *mm = vma->vm_mm;
	struct leaf_part part = LEAF_PART_FROM(*start);
	unsigned int n = 0;

	*start = end;
	while (n < most && mm_has_tables(mm) && leaf_next(mm, &part, end)) {
		unsigned long addr = part.addr;

		part_refuse_huge(&part);
		table_lock(part.leaf);
		for (; addr < part.end && n < most; addr += mm_page_size(mm))
			n += isolate(vma_ram(vma), pte_read(table_pte(mm, part.leaf, addr)),
				     &out[n]);
		table_unlock(part.leaf);
		if (n == most)
			*start = addr;
	}
	return n;
}
