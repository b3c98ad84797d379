/* SPDX-License-Identifier: MIT */
/*
 * What each walker of page tables does with an entry that is neither empty nor present.
 *
 *   walker           guard         poison        uffd-wp         migration     swap area
 *   ---------------- ------------- ------------- --------------- ------------- -------------
 *   fault, pin       SIGSEGV       SIGBUS        clears, again   waits         brings it back
 *   zap              keeps or clears: range/zap.c                as its page   slot given back
 *   copy (fork)      copies        copies        if registered   as its page   slot shared
 *   move             moves         moves         moves           moves         moves
 *   protect          leaves        leaves        leaves          as its page   leaves
 *   lazyfree         leaves        clears        leaves          leaves        slot given back
 *   guard install    a page's or a file's entry is zapped first; then only empty entries are left
 *   guard remove     clears        leaves        leaves          leaves        leaves
 *   mincore          as empty      as empty      as empty        there         in swap cache?
 *   smaps            not counted   not counted   not counted     as its page   Swap
 *   pagemap          bit 58        swap marker   bits 57, 62     bit 62        bits 57, 62
 *   rmap walk        not met       not met       not met         not met       not met
 *   unuse (swapoff)  passes        passes        passes          passes        brings it back
 *
 * tests/unit/range/kinds.c goes through the table.
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

static inline bool vma_uffd_wp(const struct vma *vma)
{
	return READ_ONCE(vma->vm_flags) & VM_UFFD_WP;
}

#endif
