/* SPDX-License-Identifier: MIT */
/*
 * Dropping the mappings of a part of a file: what truncation and hole punching do
 * before the pages leave the cache.
 *
 *   i_mmap --> each VMA that maps a page of [start, last] --> its entries there
 *
 *   entry                    KEEP_COWS    EVEN_COWS
 *   ------------------------ ------------ ------------
 *   file page, zero frame    goes         goes
 *   private copy, poison     stays        goes
 *   guard                    stays        stays
 *
 * i_mmap_lock is held for reading meanwhile, so VMAs stay where they are; their tables may be
 * freed when an unmapping goes on next door, hence the RCU sections.
 */
#include "base/assert.h"
#include "base/rcu.h"
#include "mmu/gather.h"
#include "mmu/notifier.h"
#include "rmap/walk.h"

/* One VMA's part on its way. */
struct drop {
	struct mmu_gather tlb;
	struct samara_mm *mm;
	unsigned long at, end;
	enum unmap_cows cows;
};

/* What a shared page's entry knew goes to the folio; see mmu/gather.h for the delay. */
static enum gather_when tell_folio(struct folio *folio, pte_t pte)
{
	if (!pte_dirty(pte) || folio_test(folio, FOLIO_ANON))
		return GATHER_LATER;
	folio_set(folio, FOLIO_DIRTY);
	return GATHER_DELAYED;
}

/* The entry of d->at, which is not empty. True: the batch is full. The leaf is locked. */
static bool drop_entry(struct drop *d, struct table *leaf, pte_t *at)
{
	const pte_t pte = pte_read(at);
	struct folio *folio;

	if (!pte_present(pte)) {
		if (pte_marker(pte) == MARKER_POISON && d->cows == EVEN_COWS)
			table_clear(leaf, at);
		return false;
	}
	if (pte_special(pte)) {
		table_clear(leaf, at);
		tlb_remove_entry(&d->tlb, d->at, mm_page_size(d->mm));
		return false;
	}
	folio = pfn_folio(d->tlb.ram, pte_pfn(pte));
	if (d->cows == KEEP_COWS && folio_test(folio, FOLIO_ANON))
		return false;
	table_clear(leaf, at);
	mm_rss_add(d->mm, folio_rss(folio), -1);
	return tlb_remove_folio(&d->tlb, folio, d->at, tell_folio(folio, pte));
}

/* The rest of one leaf, or as much as the batch takes. Under RCU. */
static void drop_leaf(struct drop *d, struct table *leaf)
{
	const unsigned long page = mm_page_size(d->mm);
	const unsigned long last = min(entry_last(d->mm->geo, 1, d->at), d->end - 1);
	bool full = false;

	table_lock(leaf);
	for (; d->at <= last && !full; d->at += page) {
		pte_t *at = table_pte(d->mm, leaf, d->at);

		if (!pte_none(pte_read(at)))
			full = drop_entry(d, leaf, at);
	}
	tlb_flush_delayed(&d->tlb);
	table_unlock(leaf);
}

static void drop_range(struct drop *d)
{
	struct table *leaf;

	do {
		rcu_read_lock();
		leaf = table_next(d->mm, &d->at, d->end);
		if (leaf)
			drop_leaf(d, leaf);
		rcu_read_unlock();
		tlb_flush_mmu(&d->tlb);
	} while (leaf && d->at < d->end);
}

static void drop_from_vma(struct vma *vma, unsigned long start, unsigned long last,
			  enum unmap_cows cows)
{
	const unsigned long vma_last = vma->vm_pgoff + mm_pages(vma->vm_mm, vma_size(vma)) - 1;
	struct samara_notifier_range range = { .mm = vma->vm_mm, .why = SAMARA_NOTIFY_CLEAR };
	struct drop d = { .mm = vma->vm_mm, .cows = cows };

	if (!mm_gate_open(d.mm, MM_GATE_REMOVE) || !mm_has_tables(d.mm))
		return;
	range.start = d.at = vma_address(vma, max(start, vma->vm_pgoff));
	range.end = d.end = vma_address(vma, min(last, vma_last)) + mm_page_size(d.mm);
	notifier_start(d.mm, &range);
	tlb_gather_mmu(&d.tlb, d.mm, GATHER_RANGE);
	drop_range(&d);
	tlb_finish_mmu(&d.tlb);
	notifier_end(d.mm, &range);
}

void unmap_mapping_pages(struct inode *inode, struct ram *ram, unsigned long start,
			 unsigned long last, enum unmap_cows cows)
{
	struct interval_node *node;

	(void)ram;
	down_read(&inode->i_mmap_lock);
	node = interval_tree_iter_first(&inode->i_mmap, start, last);
	for (; node; node = interval_tree_iter_next(node, start, last))
		drop_from_vma(node_link(node)->vma, start, last, cows);
	up_read(&inode->i_mmap_lock);
}
