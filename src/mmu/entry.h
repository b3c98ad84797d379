/* SPDX-License-Identifier: MIT */
/*
 * What each walker of page tables does with an entry that is neither empty nor present.
 *
 *   walker           guard         poison        uffd-wp         migration     swap area
 *   ---------------- ------------- ------------- --------------- ------------- -------------
 *   fault, pin       SIGSEGV       SIGBUS        clears, again   waits         (reads it in)
 *   zap              keeps or clears: range/zap.c               (clears)      (gives slot back)
 *   copy (fork)      copies        copies        if registered   (copies)      (shares slot)
 *   move             moves         moves         moves           moves         moves
 *   protect          leaves        leaves        leaves          (read-only)   (leaves)
 *   lazyfree         leaves        clears        leaves          (leaves)      (gives slot back)
 *   guard install    a page or a file's entry is zapped first; then only empty entries are left
 *   guard remove     clears        leaves        leaves          leaves        leaves
 *   mincore          as empty      as empty      as empty        there         as empty
 *   smaps            not counted   not counted   not counted     (counted)     (Swap)
 *   pagemap          bit 58        swap marker   bits 57, 62     (as swap)     (type, offset)
 *   rmap walk        not met       not met       not met         not met       not met
 *   unuse (swapoff)  passes        passes        passes          passes        (reads it in)
 *
 * "(...)": no call makes such an entry yet, so the walker does not do this yet. It asks
 * entry_known(), which warns and says no, and then leaves the entry as it is. What the table says
 * is what the walker has to do before an entry of that kind may be made. The walkers that handle a
 * kind are the bits of walkers_of[].
 */
#ifndef MMU_ENTRY_H
#define MMU_ENTRY_H

#include "base/assert.h"
#include "mmu/pte.h"

enum swp_kind { SWP_KIND_MARKER, SWP_KIND_MIGRATION, SWP_KIND_AREA, SWP_KINDS };

/* Those that look into such an entry. Others move it whole, or pass by all that is not present. */
enum entry_walker {
	WALKER_FAULT = 1 << 0,
	WALKER_ZAP = 1 << 1,
	WALKER_COPY = 1 << 2,
	WALKER_PROTECT = 1 << 3,
	WALKER_LAZYFREE = 1 << 4,
	WALKER_SMAPS = 1 << 5,
	WALKER_PAGEMAP = 1 << 6,
	WALKERS_ALL = (1 << 7) - 1,
};

static inline enum swp_kind swp_kind(pte_t pte)
{
	const unsigned int type = swp_type(pte);

	if (type == SWP_MARKER)
		return SWP_KIND_MARKER;
	return type < SWP_AREA ? SWP_KIND_MIGRATION : SWP_KIND_AREA;
}

/*
 * Whether walker handles this entry, which is neither empty nor present. False: it leaves the entry
 * alone; a debug build counts a warning.
 */
static inline bool entry_known(pte_t pte, enum entry_walker walker)
{
	static const unsigned char walkers_of[SWP_KINDS] = {
		[SWP_KIND_MARKER] = WALKERS_ALL,
		[SWP_KIND_MIGRATION] = WALKER_FAULT,
		[SWP_KIND_AREA] = 0,
	};

	return !VM_WARN_ON(!(walkers_of[swp_kind(pte)] & walker));
}

#endif
