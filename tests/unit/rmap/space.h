/* SPDX-License-Identifier: MIT */
/*
 * Pages put into a map by hand: one fixture, entries without page faults.
 */
#ifndef SAMARA_TEST_RMAP_SPACE_H
#define SAMARA_TEST_RMAP_SPACE_H

#include "support/cmocka_all.h"

#include "mmu/gather.h"
#include "rmap/rmap.h"
#include "support/mm_shape.h"
#include "vma/find.h"

static inline struct vma *vma_of(struct samara_mm *mm, unsigned long page)
{
	struct vma *vma = vma_lookup(mm, AT(page));

	assert_non_null(vma);
	return vma;
}

static inline struct ram *ram_of(const struct samara_mm *mm)
{
	return mm->machine->ram;
}

static inline struct file_store *store_of(const struct samara_mm *mm)
{
	return mm->machine->store;
}

/* The entry of a page; empty where there is no table. */
static inline pte_t pte_of(struct samara_mm *mm, unsigned long page)
{
	struct table *leaf = table_find(mm, AT(page));

	return leaf ? pte_read(table_pte(mm, leaf, AT(page))) : pte_empty();
}

static inline void set_pte(struct samara_mm *mm, unsigned long page, pte_t pte)
{
	struct table *leaf;

	assert_int_equal(table_get(mm, AT(page), &leaf), 0);
	table_lock(leaf);
	if (pte_none(pte_read(table_pte(mm, leaf, AT(page)))))
		table_fill(leaf, table_pte(mm, leaf, AT(page)), pte);
	else
		pte_set(table_pte(mm, leaf, AT(page)), pte);
	table_unlock(leaf);
}

/* As a write to private memory leaves it: a folio of the VMA's family, young and dirty. */
static inline struct folio *put_anon(struct samara_mm *mm, unsigned long page)
{
	struct vma *vma = vma_of(mm, page);
	struct folio *folio = folio_alloc(ram_of(mm), 0, FOLIO_ZEROED);

	assert_non_null(folio);
	mmap_read_lock(mm);
	assert_int_equal(anon_vma_prepare(vma), 0);
	mmap_read_unlock(mm);
	folio_add_new_anon(folio, vma, AT(page));
	mm_rss_add(mm, MM_ANONPAGES, 1);
	set_pte(mm, page,
		pte_with(mk_pte(folio_pfn(ram_of(mm), folio), vma->vm_flags),
			 PTE_WRITE | PTE_DIRTY));
	return folio;
}

/* As an access to the page of a file leaves it; bits besides. */
static inline struct folio *put_file(struct samara_mm *mm, unsigned long page, uint64_t bits)
{
	struct vma *vma = vma_of(mm, page);
	const unsigned long index = vma->vm_pgoff + mm_pages(mm, AT(page) - vma->vm_start);
	struct folio *folio;
	bool major = false;

	assert_int_equal(page_cache_get(vma->vm_file->inode, index, &folio, &major), 0);
	assert_true(folio_try_ref_to_map(folio));
	mm_rss_add(mm, folio_rss(folio), 1);
	set_pte(mm, page, pte_with(mk_pte(folio_pfn(ram_of(mm), folio), vma->vm_flags), bits));
	folio_unlock(folio);
	return folio;
}

/* One more mapping of a folio, as fork leaves it. */
static inline void share(struct samara_mm *mm, unsigned long page, struct folio *folio)
{
	assert_true(folio_try_map(folio));
	mm_rss_add(mm, folio_rss(folio), 1);
	set_pte(mm, page, mk_pte(folio_pfn(ram_of(mm), folio), vma_of(mm, page)->vm_flags));
}

/* Whatever is there goes, as munmap would have it. */
static inline void clear_pages(struct samara_mm *mm, unsigned long from, unsigned long to)
{
	for (; from < to; from++) {
		struct table *leaf = table_find(mm, AT(from));
		pte_t pte = pte_of(mm, from);

		if (pte_none(pte))
			continue;
		table_lock(leaf);
		table_clear(leaf, table_pte(mm, leaf, AT(from)));
		table_unlock(leaf);
		if (!swp_none(pte_swap_entry(pte))) {
			mm_rss_add(mm, MM_SWAPENTS, -1);
			swap_put(store_of(mm), pte_swap_entry(pte));
		}
		if (!pte_present(pte) || pte_special(pte))
			continue;
		mm_rss_add(mm, folio_rss(pfn_folio(ram_of(mm), pte_pfn(pte))), -1);
		folio_unmap(ram_of(mm), pfn_folio(ram_of(mm), pte_pfn(pte)));
	}
}

/* A reference and the lock, as whoever walks has them. */
static inline void hold(struct folio *folio)
{
	folio_get(folio);
	folio_lock(folio);
}

static inline void let_go(struct ram *ram, struct folio *folio)
{
	folio_unlock_unseen(folio);
	folio_put(ram, folio);
}

#endif
