/* SPDX-License-Identifier: MIT */
/*
 * What each walker of page tables does with an entry that is neither empty nor present.
 *
 *   walker           guard         poison        uffd-wp         migration     swap area
 *   ---------------- ------------- ------------- --------------- ------------- -------------
 *   fault, pin       SIGSEGV       SIGBUS        as empty [1]    waits         brings it back
 *   zap              keeps or clears: range/zap.c                as its page   slot given back
 *   copy (fork)      copies        copies        if registered   as its page   slot shared
 *   move             moves         moves         moves           moves         moves
 *   uffd move        -EFAULT       -EFAULT       -EFAULT         waits         moves [2]
 *   fill, a page     replaces      replaces      replaces        -EEXIST       -EEXIST
 *   fill, others     -EEXIST       -EEXIST       -EEXIST         -EEXIST       -EEXIST
 *   protect          leaves        leaves        leaves          as its page   leaves
 *   uffd protect     leaves        leaves        leaves          read-only     marks
 *   pagemap_scan     marks         marks         leaves          read-only     marks
 *   uffd unprotect   leaves        leaves        clears          unmarks       unmarks
 *   clear_refs       leaves        leaves        leaves          not writable  without the mark
 *   lazyfree         leaves        clears        leaves          leaves        slot given back
 *   guard install    a page's or a file's entry is zapped first; then only empty entries are left
 *   guard remove     clears        leaves        leaves          leaves        leaves
 *   mincore          as empty      as empty      as empty        there         in swap cache?
 *   smaps            not counted   not counted   not counted     as its page   Swap
 *   pagemap          bit 58        swap marker   bits 57, 62     bit 62        bits 57, 62
 *   rmap walk        not met       not met       not met         not met       not met
 *   unuse (swapoff)  passes        passes        passes          passes        brings it back
 *
 * [1] The page that comes is write-protected. The marker is cleared if the VMA has no VM_UFFD_WP.
 * [2] With its uffd-wp bit. -EBUSY if it is not exclusive.
 *
 * tests/unit/range/kinds.c and kinds_uffd.c go through the table.
 */
#ifndef MMU_ENTRY_H
#define MMU_ENTRY_H

#include "base/assert.h"
#include "mmu/pte.h"

enum swp_kind { SWP_KIND_MARKER, SWP_KIND_MIGRATION, SWP_KIND_AREA };

/* Of an entry that is neither empty nor present. */
static inline enum swp_kind swp_kind(pte_t pte)
{
	const unsigned int type = swp_type(pte);

	if (type == SWP_MARKER)
		return SWP_KIND_MARKER;
	return type < SWP_AREA ? SWP_KIND_MIGRATION : SWP_KIND_AREA;
}

static inline pte_t mk_marker(unsigned int bits)
{
	return mk_swp(SWP_MARKER, bits);
}

/* Whether the page of an entry of any kind, a marker's too, is write-protected by userfaultfd. */
static inline bool pte_any_uffd_wp(pte_t pte)
{
	if (!pte_swp(pte))
		return pte_uffd_wp(pte);
	switch (swp_kind(pte)) {
	case SWP_KIND_MARKER:
		return pte_marker(pte) & MARKER_UFFD_WP;
	case SWP_KIND_MIGRATION:
		return swp_value(pte) & MIGRATION_UFFD_WP;
	default:
		return swp_value(pte) & SWP_UFFD_WP;
	}
}

/* The bit that says of an entry of this kind that it is soft-dirty. 0: a marker, or empty. */
static inline uint64_t pte_soft_dirty_bit(pte_t pte)
{
	if (likely(pte_present(pte)))
		return PTE_SOFT_DIRTY;
	if (pte_migration(pte))
		return MIGRATION_SOFT_DIRTY << PTE_SWP_VALUE_SHIFT;
	return swp_none(pte_swap_entry(pte)) ? 0 : SWP_SOFT_DIRTY << PTE_SWP_VALUE_SHIFT;
}

/*
 * A writable migration entry of a mapping with these flags, without its right to write. What is
 * writable in a private mapping is exclusive.
 */
static inline pte_t migration_read_only(pte_t pte, unsigned long vm_flags)
{
	return migration_as(pte, vm_flags & VM_SHARED ? SWP_MIGRATION_READ : SWP_MIGRATION_EXCL);
}

static inline bool vma_uffd_wp(const struct vma *vma)
{
	return READ_ONCE(vma->vm_flags) & VM_UFFD_WP;
}

/*
 * Whether userfaultfd stops a write to the page of a present entry. A bit that was left behind when
 * the VMA lost VM_UFFD_WP stops nothing.
 */
static inline bool pte_stops_write(const struct vma *vma, pte_t pte)
{
	return unlikely(pte_uffd_wp(pte)) && vma_uffd_wp(vma);
}

/*
 * An entry of any kind but an empty one, write-protected by userfaultfd: it has the bit, and allows
 * no write. Markers stay as they are: guards and poison outrank it.
 */
static inline pte_t pte_protected(const struct vma *vma, pte_t pte)
{
	if (pte_present(pte))
		return pte_with(pte_without(pte, PTE_WRITE), PTE_UFFD_WP);
	switch (swp_kind(pte)) {
	case SWP_KIND_MARKER:
		return pte;
	case SWP_KIND_MIGRATION:
		if (swp_type(pte) == SWP_MIGRATION_WRITE)
			pte = migration_read_only(pte, vma->vm_flags);
		return swp_with(pte, MIGRATION_UFFD_WP);
	default:
		return swp_with(pte, SWP_UFFD_WP);
	}
}

/*
 * The same without the bit; it gets no right. Empty: it was a marker of nothing else. What a scan
 * has noted on a guard or poison stays.
 */
static inline pte_t pte_unprotected(pte_t pte)
{
	if (!pte_swp(pte))
		return pte_without(pte, PTE_UFFD_WP);
	switch (swp_kind(pte)) {
	case SWP_KIND_MARKER:
		return pte_marker(pte) & MARKER_STOPS ? pte : pte_empty();
	case SWP_KIND_MIGRATION:
		return swp_without(pte, MIGRATION_UFFD_WP);
	default:
		return swp_without(pte, SWP_UFFD_WP);
	}
}

#endif
