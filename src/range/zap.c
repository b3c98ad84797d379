/* SPDX-License-Identifier: MIT */
/*
 * Zapping: pages leave a range of one VMA.
 *
 *   entry                    ALL     KEEP_GUARDS   FILE_ONLY
 *   ------------------------ ------- ------------- -----------
 *   file page                leaves  leaves        leaves
 *   anonymous page           leaves  leaves        stays
 *   swap entry               leaves  leaves        stays         (of a private page)
 *   zero frame, PFN          leaves  leaves        leaves
 *   guard                    leaves  stays         stays
 *   poison                   leaves  leaves        stays         (it stands for a private page)
 *   uffd-wp, file VMA        leaves  stays         stays
 *   uffd-wp, anonymous VMA   leaves  leaves        leaves
 *
 * PAGEMAP_SCAN may have noted uffd-wp on poison. Where such poison leaves a file's mapping, a
 * uffd-wp marker stays, as where a page leaves.
 * A migration entry is zapped as the page that it stands for. Its dirty bit is the folio's already
 * (rmap/migrate.c).
 *
 * Dirty and accessed bits of a file page's entry go to its folio. A dirty file page is delayed
 * (mmu/gather.h): its TLB entries are flushed before the leaf's lock is dropped, since write-back
 * that finds the entry empty must find every store done. A full batch is flushed with no lock
 * held, and then the leaf is entered again.
 *
 * Locks: mmap_lock in any mode, the VMA's lock, or i_mmap.lock of its file; one leaf's lock at a
 * time. i_mmap.lock does not keep the leaves in the page table, so each is used in an RCU
 * section; a leaf that has left is empty.
 * Invariant: rss counts exactly the entries with a folio, migration entries too, and swap entries.
 * Checked by tests/support/page_world.c.
 */
#include "base/rcu.h"
#include "core/vma_lock.h"
#include "range/zap.h"
#include "rmap/rmap.h"

/* False after MADV_SEQUENTIAL or MADV_RANDOM: an access tells nothing about later ones. */
static bool vma_has_recency(const struct vma *vma)
{
	return !(READ_ONCE(vma->vm_flags) & (VM_SEQ_READ | VM_RAND_READ));
}

static bool marker_stays(const struct zap *z, unsigned int marker)
{
	if (marker & MARKER_GUARD)
		return z->what != ZAP_ALL;
	if (marker & MARKER_POISON)
		return z->what == ZAP_FILE_ONLY;
	return !z->vma->is_anon && z->what != ZAP_ALL;
}

/* Write protection by userfaultfd outlives a file's page: a marker remembers it. */
static void leave_uffd_wp(const struct zap *z, struct table *leaf, pte_t *at, pte_t old)
{
	if (pte_any_uffd_wp(old) && vma_uffd_wp(z->vma) && !z->vma->is_anon && z->what != ZAP_ALL)
		table_fill(leaf, at, mk_marker(MARKER_UFFD_WP));
}

/* The folio gets the entry's dirty and accessed bits. Returns when its map count may drop. */
static enum gather_when tell_folio(const struct zap *z, struct folio *folio, pte_t pte)
{
	if (pte_young(pte) && vma_has_recency(z->vma) && !folio_test(folio, FOLIO_REFERENCED))
		folio_set(folio, FOLIO_REFERENCED);
	if (!pte_dirty(pte))
		return GATHER_LATER;
	folio_set(folio, FOLIO_DIRTY);
	return GATHER_DELAYED;
}

static bool zap_folio(struct zap *z, struct table *leaf, pte_t *at, unsigned long addr)
{
	const pte_t pte = pte_read(at);
	struct folio *folio = pfn_folio(z->tlb->ram, pte_pfn(pte));
	const bool anon = folio_test(folio, FOLIO_ANON);
	enum gather_when when = GATHER_LATER;

	if (anon && z->what == ZAP_FILE_ONLY)
		return false;
	if (!anon)
		when = tell_folio(z, folio, pte);
	table_clear(leaf, at);
	z->rss.pages[folio_rss(folio)]--;
	leave_uffd_wp(z, leaf, at, pte);
	return tlb_remove_folio(z->tlb, folio, addr, when);
}

/* No TLB has it, and it is no mapping: nothing has to be gathered. */
static void zap_migration(struct zap *z, struct table *leaf, pte_t *at, pte_t pte)
{
	struct folio *folio = pfn_folio(z->tlb->ram, migration_pfn(pte));

	if (z->what == ZAP_FILE_ONLY && folio_test(folio, FOLIO_ANON))
		return;
	table_clear(leaf, at);
	z->rss.pages[folio_rss(folio)]--;
	leave_uffd_wp(z, leaf, at, pte);
	folio_moved(folio);
}

static void zap_swap(struct zap *z, struct table *leaf, pte_t *at, pte_t pte)
{
	if (z->what == ZAP_FILE_ONLY)
		return;
	table_clear(leaf, at);
	z->rss.pages[MM_SWAPENTS]--;
	leave_uffd_wp(z, leaf, at, pte);
	swap_put(z->tlb->mm->machine->store, pte_swap_entry(pte));
}

static void zap_nonpresent(struct zap *z, struct table *leaf, pte_t *at, pte_t pte)
{
	switch (swp_kind(pte)) {
	case SWP_KIND_MARKER:
		if (marker_stays(z, pte_marker(pte)))
			break;
		table_clear(leaf, at);
		leave_uffd_wp(z, leaf, at, pte);
		break;
	case SWP_KIND_MIGRATION:
		zap_migration(z, leaf, at, pte);
		break;
	default:
		zap_swap(z, leaf, at, pte);
	}
}

bool zap_entry(struct zap *z, struct table *leaf, unsigned long addr)
{
	pte_t *at = table_pte(z->tlb->mm, leaf, addr);
	const pte_t pte = pte_read(at);

	if (!pte_present(pte)) {
		zap_nonpresent(z, leaf, at, pte);
		return false;
	}
	if (!pte_special(pte))
		return zap_folio(z, leaf, at, addr);
	table_clear(leaf, at);
	leave_uffd_wp(z, leaf, at, pte);
	tlb_remove_entry(z->tlb, addr, mm_page_size(z->tlb->mm));
	return false;
}

/*
 * Zap until the batch is full (true) or the part ends; part->end becomes the address to go on
 * from.
 */
static bool zap_leaf(struct zap *z, struct leaf_part *part)
{
	const unsigned long page = mm_page_size(z->tlb->mm);
	bool full = false;

	part_refuse_huge(part);
	table_lock(part->leaf);
	for (unsigned long addr = part->addr; addr < part->end && part->leaf->used; addr += page) {
		if (pte_none(pte_read(table_pte(z->tlb->mm, part->leaf, addr))))
			continue;
		full = zap_entry(z, part->leaf, addr);
		if (full)
			part->end = addr + page;
	}
	rss_apply(z->tlb->mm, &z->rss);
	tlb_flush_delayed(z->tlb);
	table_unlock(part->leaf);
	return full;
}

/* Debug builds: a lock that keeps vma's bounds is held. */
static void assert_stays(const struct vma *vma)
{
	const struct rwsem *i_mmap_lock =
		vma->vm_file && vma->vm_file->inode ? &vma->vm_file->inode->i_mmap.lock : NULL;

	if (!i_mmap_lock || !rwsem_is_locked(i_mmap_lock) || !lock_rank_holds(i_mmap_lock))
		vma_assert_stays(vma);
}

void zap_range(struct mmu_gather *tlb, struct vma *vma, unsigned long start, unsigned long end,
	       enum zap_what what)
{
	struct zap z = { .tlb = tlb, .vma = vma, .what = what };
	struct leaf_part part = LEAF_PART_FROM(start);
	bool more, full;

	VM_WARN_ON(start < vma->vm_start || end > vma->vm_end || tlb->mm != vma->vm_mm);
	assert_stays(vma);
	if (unlikely(READ_ONCE(vma->vm_flags) & VM_LOCKED))
		range_munlock(vma, start, end);
	do {
		rcu_read_lock();
		more = leaf_next(tlb->mm, &part, end);
		full = more && zap_leaf(&z, &part);
		rcu_read_unlock();
		if (full)
			tlb_flush_mmu(tlb);
	} while (more);
}
