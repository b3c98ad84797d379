/* SPDX-License-Identifier: MIT */
/*
 * What mincore, smaps and pagemap see in the page tables.
 *
 *   pagemap   63       62    61     58     57       56         55          54 .. 0
 *             present  swap  file   guard  uffd-wp  exclusive  soft-dirty  frame
 *
 * As Linux 6.18 writes it (measured, but for bit 55): the zero frame is present with its frame
 * number and nothing else; PROT_NONE does not matter; "exclusive" is any page, a file's too, that
 * one entry points to. What is swapped out has 5 bits of type and the rest above them as its frame:
 * an area's number and the slot; 24 to 26 (migration) and the frame; 31 (a marker) and its bits.
 * Soft-dirty (soft_dirty.c) is what its entry says or its VMA, also where nothing is mapped.
 *
 * Locks: mmap_lock for reading; one leaf's lock at a time.
 */
#include <samara/access.h>

#include "range/leaf.h"
#include "range/range.h"
#include "rmap/rmap.h"

#define PM_SWP_TYPE_BITS 5
#define PM_SWP_MIGRATION_READ 24U
#define PM_SWP_MIGRATION_EXCL 25U
#define PM_SWP_MIGRATION_WRITE 26U
#define PM_SWP_MARKER 31U

/* Of a present entry, or a migration entry. */
static bool any_dirty(pte_t pte)
{
	return pte_migration(pte) ? migration_bits(pte) & MIGRATION_DIRTY : pte_dirty(pte);
}

static bool any_young(pte_t pte)
{
	return pte_migration(pte) ? migration_bits(pte) & MIGRATION_YOUNG : pte_young(pte);
}

static void look_folio(const struct folio *folio, pte_t pte, unsigned long page_size,
		       struct range_look *out)
{
	const unsigned int flags = folio_flags(folio);
	const unsigned long maps =
		max(pte_migration(pte) ? folio_moving(folio) : folio_maps(folio), 1UL);
	const unsigned long pss = (page_size << 12) / maps;
	const bool dirty = any_dirty(pte) || flags & FOLIO_DIRTY;

	out->rss++;
	out->anon += !!(flags & FOLIO_ANON);
	out->lazyfree += flags & FOLIO_ANON && !(flags & FOLIO_SWAPBACKED) && !dirty;
	out->referenced += any_young(pte) || flags & FOLIO_REFERENCED;
	out->dirty += dirty;
	out->shared += maps > 1;
	out->shared_dirty += dirty && maps > 1;
	out->pss += pss;
	out->pss_dirty += dirty ? pss : 0;
}

static void look_nonpresent(const struct vma *vma, pte_t pte, struct range_look *out)
{
	const unsigned long page_size = mm_page_size(vma->vm_mm);
	const swp_entry_t swap = pte_swap_entry(pte);

	if (!swp_none(swap)) {
		out->swapped++;
		out->swap_pss +=
			(page_size << 12) / max(swap_count(vma->vm_mm->machine->store, swap), 1UL);
	} else if (pte_migration(pte)) {
		out->present++;
		look_folio(pfn_folio(vma_ram(vma), migration_pfn(pte)), pte, page_size, out);
	}
}

static void look_entry(const struct vma *vma, pte_t pte, struct range_look *out)
{
	if (pte_none(pte))
		return;
	if (!pte_present(pte)) {
		look_nonpresent(vma, pte, out);
		return;
	}
	out->present++;
	if (!pte_special(pte))
		look_folio(pfn_folio(vma_ram(vma), pte_pfn(pte)), pte, mm_page_size(vma->vm_mm),
			   out);
}

/*
 * Shared memory's swap entries lie in its page cache. As in Linux they count in each mapping of the
 * page, and in none's proportional part. A private mapping that may be written to has them only
 * where it has nothing of its own.
 */
static void look_shmem(struct vma *vma, unsigned long start, unsigned long end,
		       struct range_look *out)
{
	const bool own = (vma->vm_flags & (VM_SHARED | VM_WRITE)) == VM_WRITE;
	const unsigned long pages = vma_pgoff_at(vma, end) - vma_pgoff_at(vma, start);
	const unsigned long first = vma_pgoff_at(vma, start);
	unsigned long index = first;
	swp_entry_t swap;

	while (shmem_swap_next(vma->vm_file->inode, SWAP_AREAS, &index, &swap) &&
	       index - first < pages) {
		const unsigned long addr = start + (index - first) * mm_page_size(vma->vm_mm);

		if (!own || pte_none(table_look(vma->vm_mm, addr)))
			out->swapped++;
		index++;
	}
}

void range_look(struct vma *vma, unsigned long start, unsigned long end, struct range_look *out)
{
	struct samara_mm *mm = vma->vm_mm;
	struct leaf_part part = LEAF_PART_FROM(start);

	*out = (struct range_look){ 0 };
	while (leaf_next(mm, &part, end)) {
		part_refuse_huge(&part);
		table_lock(part.leaf);
		for (unsigned long addr = part.addr; addr < part.end; addr += mm_page_size(mm))
			look_entry(vma, pte_read(table_pte(mm, part.leaf, addr)), out);
		table_unlock(part.leaf);
	}
	if (vma->vm_file && !vma->is_anon && inode_is_shmem(vma->vm_file->inode))
		look_shmem(vma, start, end, out);
}

static unsigned long long pagemap_present(const struct vma *vma, pte_t pte)
{
	unsigned long long entry = SAMARA_PM_PRESENT | pte_pfn(pte);
	const struct folio *folio;

	if (pte_uffd_wp(pte))
		entry |= SAMARA_PM_UFFD_WP;
	if (pte_special(pte))
		return entry;
	folio = pfn_folio(vma_ram(vma), pte_pfn(pte));
	if (!folio_test(folio, FOLIO_ANON))
		entry |= SAMARA_PM_FILE;
	if (folio_maps(folio) == 1)
		entry |= SAMARA_PM_MMAP_EXCLUSIVE;
	return entry;
}

static unsigned int pm_migration_type(pte_t pte)
{
	switch (swp_type(pte)) {
	case SWP_MIGRATION_READ:
		return PM_SWP_MIGRATION_READ;
	case SWP_MIGRATION_WRITE:
		return PM_SWP_MIGRATION_WRITE;
	default:
		return PM_SWP_MIGRATION_EXCL;
	}
}

static unsigned long long pagemap_nonpresent(const struct vma *vma, pte_t pte)
{
	const swp_entry_t swap = pte_swap_entry(pte);
	unsigned long long entry = SAMARA_PM_SWAP, value;
	unsigned int type;

	if (!swp_none(swap)) {
		type = swp_area(swap);
		value = swp_slot(swap);
	} else if (pte_migration(pte)) {
		type = pm_migration_type(pte);
		value = migration_pfn(pte);
		if (!folio_test(pfn_folio(vma_ram(vma), migration_pfn(pte)), FOLIO_ANON))
			entry |= SAMARA_PM_FILE;
	} else {
		type = PM_SWP_MARKER;
		value = pte_marker(pte);
		if (value & MARKER_STOPS)
			value &= MARKER_STOPS;
		if (value & MARKER_GUARD)
			entry |= SAMARA_PM_GUARD;
	}
	if (pte_any_uffd_wp(pte))
		entry |= SAMARA_PM_UFFD_WP;
	return entry | ((value << PM_SWP_TYPE_BITS | type) & SAMARA_PM_PFN);
}

static unsigned long long pagemap_of(const struct vma *vma, pte_t pte)
{
	if (pte_none(pte))
		return 0;
	if (pte_present(pte))
		return pagemap_present(vma, pte);
	return pagemap_nonpresent(vma, pte);
}

unsigned long long pagemap_entry(struct vma *vma, unsigned long addr)
{
	/* As in Linux nothing is shown of a PFN map. */
	const bool shows = vma && !(vma->vm_flags & VM_PFNMAP);
	struct table *leaf = shows ? table_find(vma->vm_mm, addr) : NULL;
	bool soft_dirty = vma && vma->vm_flags & VM_SOFTDIRTY;
	unsigned long long entry = 0;
	pte_t pte;

	if (leaf) {
		table_lock(leaf);
		pte = pte_read(table_pte(vma->vm_mm, leaf, addr));
		entry = pagemap_of(vma, pte);
		table_unlock(leaf);
		soft_dirty |= pte.v & pte_soft_dirty_bit(pte) && mm_soft_dirty(vma->vm_mm);
	} else if (shows) {
		table_refuse_huge(vma->vm_mm, addr);
	}
	return entry | (soft_dirty ? SAMARA_PM_SOFT_DIRTY : 0);
}
