/* SPDX-License-Identifier: MIT */
/*
 * What was written to, and what was used, since /proc/PID/clear_refs was last written to.
 *
 *   a page is soft-dirty   if its entry says so, or its VMA (VM_SOFTDIRTY)
 *   the entry's bit        is set by a write fault (pte_written()) and when the entry moves. Swap
 *                          entries, migration entries and fork's copies have it as the page had
 *   the VMA's              is set on new memory, and merging never loses it
 *
 * Clearing takes both away, and the right to write. The next write is a fault, which sets the
 * entry's bit again. So where a VMA is not soft-dirty, and the machine has
 * SAMARA_MACHINE_SOFT_DIRTY, this invariant holds (validate_bits.c; by its name soft_dirty):
 *
 *   an entry that allows a write is soft-dirty
 *
 * All that makes an entry writable without a write asks vma_soft_dirty_enabled(): mprotect,
 * swap-in, a read of shared memory.
 *
 * A pinned page of a private mapping stays writable, and so soft-dirty: its holder may write to it
 * at any time, and a page that is read-only looks as if it could be shared. Linux does the same. A
 * page of a file leaves no swap entry when it is reclaimed, so its mark is lost, as in Linux.
 *
 * On other machines the entries' bits are kept too, because it costs nothing, and are not shown.
 *
 * Locks: mmap_lock; one leaf's lock at a time. A store that comes before the caller's flush may go
 * unnoticed: it is made beside the call.
 */
#include "mmu/entry.h"
#include "range/leaf.h"
#include "range/range.h"

/* Its holder may write to it through the pin. */
static bool pinned_for_writing(const struct vma *vma, pte_t pte)
{
	const struct folio *folio;

	if (!pte_write(pte) || pte_special(pte) || !vm_is_cow(vma->vm_flags))
		return false;
	folio = pfn_folio(vma_ram(vma), pte_pfn(pte));
	return folio_test(folio, FOLIO_ANON) && folio_maybe_pinned(folio);
}

static void clear_soft_dirty(const struct vma *vma, pte_t *at)
{
	const pte_t pte = pte_read(at);
	pte_t now;

	if (pte_none(pte))
		return;
	now = pte_without(pte, pte_soft_dirty_bit(pte));
	if (pte_migration(pte) && swp_type(pte) == SWP_MIGRATION_WRITE)
		now = migration_read_only(now, vma->vm_flags);
	else if (pte_present(pte) && pinned_for_writing(vma, pte))
		now = pte_with(pte, PTE_SOFT_DIRTY);
	else if (pte_present(pte))
		now = pte_without(now, PTE_WRITE);
	if (!pte_same(pte, now))
		pte_set(at, now);
}

static void clear_young(const struct vma *vma, pte_t *at)
{
	const pte_t pte = pte_read(at);

	if (!pte_present(pte) || pte_special(pte))
		return;
	if (pte_young(pte))
		pte_set(at, pte_without(pte, PTE_ACCESSED));
	folio_test_clear(pfn_folio(vma_ram(vma), pte_pfn(pte)), FOLIO_REFERENCED);
}

static void clear_each(struct vma *vma, void (*clear)(const struct vma *vma, pte_t *at))
{
	struct samara_mm *mm = vma->vm_mm;
	struct leaf_part part = LEAF_PART_FROM(vma->vm_start);

	rwsem_assert_held(&mm->mmap_lock.sem);
	while (leaf_next(mm, &part, vma->vm_end)) {
		part_refuse_huge(&part);
		table_lock(part.leaf);
		for (unsigned long addr = part.addr; addr < part.end; addr += mm_page_size(mm))
			clear(vma, table_pte(mm, part.leaf, addr));
		table_unlock(part.leaf);
	}
}

void range_clear_soft_dirty(struct vma *vma)
{
	mmap_assert_write_locked(vma->vm_mm);
	VM_WARN_ON(vma->vm_flags & VM_SOFTDIRTY);
	clear_each(vma, clear_soft_dirty);
}

void range_clear_young(struct vma *vma)
{
	clear_each(vma, clear_young);
}
