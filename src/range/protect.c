/* SPDX-License-Identifier: MIT */
/*
 * mprotect: the entries of a range get other rights.
 *
 *   from the old entry              frame, special, dirty, accessed, soft-dirty, uffd-wp
 *   from the VMA's new flags        present or PROT_NONE, no-execute
 *   the write bit                   only where a write fault would do no more than set it
 *
 * That is (mapping writable):
 *
 *   private   exclusive anonymous page
 *   shared    shmem (never written back), PFN; a file's page if the entry is dirty already
 *   both      if the first write need not be noticed (soft_dirty.c), or was
 *
 * Markers stay: a guard or a poisoned page stops every access anyhow, and uffd-wp
 * is not a matter of mprotect. A swap entry has no rights: it gets those of the VMA when its page
 * comes back. A migration entry loses its write right with the mapping, and does not get it back.
 *
 * Locks: mmap_lock and the VMA for writing; one leaf's lock at a time. One flush at the end, for
 * entries that allow less than before. An entry that allowed a write stays dirty. So write-back
 * that comes before the flush cleans that entry and flushes it itself.
 */
#include "core/vma_lock.h"
#include "mmu/notifier.h"
#include "mmu/tlb.h"
#include "range/leaf.h"
#include "range/protect.h"
#include "range/range.h"
#include "rmap/rmap.h"

#define PTE_RIGHTS (PTE_PRESENT | PTE_NONE_ACCESS | PTE_USER | PTE_WRITE | PTE_NX)

struct protect {
	struct vma *vma;
	unsigned long vm_flags;
	unsigned long pages;
	unsigned long flush_start, flush_end;
	enum tlb_lost lost;
};

/* Whether a first write to the page has to be noticed. */
static __noinline bool is_watched(const struct vma *vma, pte_t pte)
{
	return pte_stops_write(vma, pte) ||
	       (!(pte.v & PTE_SOFT_DIRTY) && vma_soft_dirty_enabled(vma));
}

/* Inline, since mprotect asks it of each entry. */
static __always_inline bool may_write(const struct vma *vma, unsigned long vm_flags, pte_t pte)
{
	const struct folio *folio;

	if (!(vm_flags & VM_WRITE))
		return false;
	if (unlikely((pte.v & (PTE_UFFD_WP | PTE_SOFT_DIRTY)) != PTE_SOFT_DIRTY) &&
	    is_watched(vma, pte))
		return false;
	/* A driver that asks to be told of writes to its frames has been told of this one. */
	if (pte_special(pte))
		return (vm_flags & VM_SHARED) &&
		       (pte_dirty(pte) || !inode_has_mkwrite(vma->vm_file->inode));
	folio = pfn_folio(vma_ram(vma), pte_pfn(pte));
	if (!(vm_flags & VM_SHARED))
		return folio_test(folio, FOLIO_EXCLUSIVE);
	return pte_dirty(pte) || folio_rss(folio) == MM_SHMEMPAGES;
}

bool entry_may_write(const struct vma *vma, unsigned long vm_flags, pte_t pte)
{
	return may_write(vma, vm_flags, pte);
}

/* A TLB that holds old allows an access that now forbids. */
static bool allows_less(pte_t old, pte_t now)
{
	return pte_accessible(old) &&
	       ((old.v & ~now.v & (PTE_PRESENT | PTE_WRITE)) || (now.v & ~old.v & PTE_NX));
}

/* Of such a pair. */
static enum tlb_lost lost_between(pte_t old, pte_t now)
{
	return ((old.v ^ now.v) & (PTE_PRESENT | PTE_NX)) ? TLB_LOST_ALL : TLB_LOST_WRITE;
}

static void protect_migration(struct protect *p, pte_t *at, pte_t old)
{
	if (swp_type(old) != SWP_MIGRATION_WRITE || (p->vm_flags & VM_WRITE))
		return;
	pte_set(at, migration_read_only(old, p->vm_flags));
	p->pages++;
}

static void protect_entry(struct protect *p, pte_t *at, unsigned long addr)
{
	const pte_t old = pte_read(at);
	pte_t now;

	if (!pte_present(old)) {
		if (unlikely(pte_migration(old)))
			protect_migration(p, at, old);
		return;
	}
	now = pte_with(pte_without(old, PTE_RIGHTS), pte_prot(p->vm_flags));
	if (may_write(p->vma, p->vm_flags, now))
		now = pte_with(now, PTE_WRITE);
	if (pte_same(old, now))
		return;
	pte_set(at, now);
	p->pages++;
	if (!allows_less(old, now))
		return;
	/* What entries allow beside writing is the mapping's, so all of them lose the same. */
	if (p->flush_start == ~0UL) {
		p->flush_start = addr;
		p->lost = lost_between(old, now);
	}
	p->flush_end = addr + mm_page_size(p->vma->vm_mm);
}

unsigned long change_protection(struct vma *vma, unsigned long start, unsigned long end,
				unsigned long vm_flags)
{
	struct samara_mm *mm = vma->vm_mm;
	struct samara_notifier_range range = { mm, start, end, SAMARA_NOTIFY_PROTECT, 0 };
	struct protect p = { .vma = vma, .vm_flags = vm_flags, .flush_start = ~0UL };
	struct leaf_part part = LEAF_PART_FROM(start);

	vma_assert_write_locked(vma);
	notifier_start(mm, &range);
	while (leaf_next(mm, &part, end)) {
		part_refuse_huge(&part);
		table_lock(part.leaf);
		for (unsigned long addr = part.addr; addr < part.end; addr += mm_page_size(mm))
			protect_entry(&p, table_pte(mm, part.leaf, addr), addr);
		table_unlock(part.leaf);
	}
	if (p.flush_start < p.flush_end)
		tlb_flush_range(mm, p.flush_start, p.flush_end, p.lost);
	notifier_end(mm, &range);
	return p.pages;
}
