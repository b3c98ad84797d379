/* SPDX-License-Identifier: MIT */
/*
 * MADV_FREE: reclaim may drop these pages instead of swapping them out, until they are written to.
 *
 *   entry    clean and old: a write sets its dirty bit, and then the page must be kept
 *   folio    neither dirty nor swap-backed; on the inactive file list
 *
 * As in Linux 6.18, a page with more than one mapping is marked only when its folio is not dirty
 * (its entry may be) and not in the swap cache. One that is leaves it, unless swap entries still
 * name its slot. Swap entries are given back. Poison leaves; other markers and migration entries
 * stay.
 *
 * Locks: mmap_lock in any mode, or the VMA's lock; one leaf's lock at a time. One flush at the end
 * is early enough: a store through a stale TLB entry until then is made beside the call, and may be
 * lost with the page.
 */
#include "core/vma_lock.h"
#include "mmu/notifier.h"
#include "mmu/tlb.h"
#include "range/leaf.h"
#include "range/range.h"

static void mark_lazyfree(struct ram *ram, struct folio *folio)
{
	VM_WARN_ON(!folio_test(folio, FOLIO_ANON));
	if (folio_test(folio, FOLIO_SWAPCACHE))
		return; /* reclaim has it: it will be written */
	folio_test_clear(folio, FOLIO_SWAPBACKED | FOLIO_ACTIVE | FOLIO_REFERENCED);
	lru_move(ram, folio);
}

/* True: the folio is clean now, and not in the swap cache. */
static bool clean_folio(struct file_store *store, struct folio *folio)
{
	bool alone;

	if (!folio_test(folio, FOLIO_DIRTY | FOLIO_SWAPCACHE))
		return true;
	if (!folio_trylock(folio))
		return false;
	alone = folio_maps(folio) == 1 && swap_cache_free(store, folio);
	if (alone)
		folio_test_clear(folio, FOLIO_DIRTY);
	folio_unlock_cached(store, folio);
	return alone;
}

static void free_nonpresent(struct samara_mm *mm, struct table *leaf, pte_t *at, pte_t pte)
{
	const swp_entry_t swap = pte_swap_entry(pte);

	if (!swp_none(swap)) {
		table_clear(leaf, at);
		mm_rss_add(mm, MM_SWAPENTS, -1);
		swap_put(mm->machine->store, swap);
	} else if (pte_marker(pte) & MARKER_POISON) {
		table_clear(leaf, at);
	}
}

/* True: a TLB may still allow more than the entry does now. */
static bool free_entry(struct samara_mm *mm, struct table *leaf, pte_t *at)
{
	const pte_t pte = pte_read(at);
	const pte_t now = pte_without(pte, PTE_ACCESSED | PTE_DIRTY);
	struct ram *ram = mm->machine->ram;
	struct folio *folio;

	if (pte_none(pte))
		return false;
	if (!pte_present(pte)) {
		free_nonpresent(mm, leaf, at, pte);
		return false;
	}
	if (pte_special(pte))
		return false;
	folio = pfn_folio(ram, pte_pfn(pte));
	if (!clean_folio(mm->machine->store, folio))
		return false;
	if (!pte_same(pte, now))
		pte_set(at, now);
	mark_lazyfree(ram, folio);
	return !pte_same(pte, now);
}

void range_lazyfree(struct vma *vma, unsigned long start, unsigned long end)
{
	struct samara_mm *mm = vma->vm_mm;
	struct samara_notifier_range range = { mm, start, end, SAMARA_NOTIFY_CLEAR, 0 };
	struct leaf_part part = LEAF_PART_FROM(start);
	bool flush = false;

	vma_assert_stays(vma);
	notifier_start(mm, &range);
	while (leaf_next(mm, &part, end)) {
		part_refuse_huge(&part);
		table_lock(part.leaf);
		for (unsigned long addr = part.addr; addr < part.end; addr += mm_page_size(mm))
			flush |= free_entry(mm, part.leaf, table_pte(mm, part.leaf, addr));
		table_unlock(part.leaf);
	}
	if (flush)
		tlb_flush_range(mm, start, end, TLB_LOST_WRITE);
	notifier_end(mm, &range);
}
