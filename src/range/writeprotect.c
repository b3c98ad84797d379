/* SPDX-License-Identifier: MIT */
/*
 * Write protection by userfaultfd: one bit of each entry, whatever kind it is (mmu/entry.h).
 *
 *   entry               on                             off
 *   ------------------- ------------------------------ ----------------------------------
 *   present             bit, not writable              no bit; writable where a fault would
 *                                                      do no more than make it so
 *   swap entry          bit                            no bit
 *   migration entry     bit, read-only                 no bit
 *   uffd-wp marker      stays                          empty
 *   guard, poison       stays: it stops more           stays, and what a scan has noted on it
 *   empty               marker: in a file's mapping,   stays
 *                       in any with WP_UNPOPULATED
 *
 * Faults run beside this: only the mmap_lock for reading is held. A fault that made a page writable
 * came before, and is undone; one that comes behind meets the bit. A store through a TLB that has
 * the old entry is made before the flush, so before the call returns. It hits the right page,
 * because no fault copies one that was writable: that one is exclusive, or of a shared mapping.
 *
 * Locks: mmap_lock in any mode; one leaf's lock at a time. All tables come first, so that a refusal
 * changes nothing. One flush at the end, for entries that were writable.
 * Invariant (range/validate_bits.c): uffd_bits.
 */
#include <errno.h>

#include "core/vma_lock.h"
#include "mmu/notifier.h"
#include "mmu/tlb.h"
#include "range/protect.h"
#include "range/range.h"
#include "uffd/uffd.h"

struct writeprotect {
	struct vma *vma;
	bool on, markers; /* markers: also where nothing is */
	bool notes;       /* off: also what a scan has noted on guards and poison */
	unsigned long flush_start, flush_end;
};

static bool wants_markers(const struct vma *vma)
{
	return !vma->is_anon || (uffd_features(vma->rare.uffd) & UFFD_FEATURE_WP_UNPOPULATED);
}

static void protect_entry(struct writeprotect *w, struct table *leaf, pte_t *at, unsigned long addr)
{
	const pte_t old = pte_read(at);
	pte_t now;

	if (pte_none(old)) {
		if (w->markers)
			table_fill(leaf, at, mk_marker(MARKER_UFFD_WP));
		return;
	}
	now = pte_protected(w->vma, old);
	if (pte_same(old, now))
		return;
	pte_set(at, now);
	if (!pte_accessible(old) || !pte_write(old))
		return;
	w->flush_start = min(w->flush_start, addr);
	w->flush_end = addr + mm_page_size(w->vma->vm_mm);
}

static void unprotect_entry(struct writeprotect *w, struct table *leaf, pte_t *at)
{
	const pte_t old = pte_read(at);
	pte_t now;

	if (!pte_any_uffd_wp(old))
		return;
	now = pte_unprotected(old);
	if (w->notes && pte_marker(now))
		now = mk_marker(pte_marker(now) & MARKER_STOPS);
	if (pte_present(now) && entry_may_write(w->vma, w->vma->vm_flags, now))
		now = pte_with(now, PTE_WRITE);
	if (pte_none(now))
		table_clear(leaf, at);
	else
		pte_set(at, now);
}

static void walk(struct writeprotect *w, unsigned long start, unsigned long end)
{
	struct samara_mm *mm = w->vma->vm_mm;
	struct samara_notifier_range range = { mm, start, end, SAMARA_NOTIFY_PROTECT, 0 };
	struct leaf_part part = LEAF_PART_FROM(start);

	notifier_start(mm, &range);
	while (leaf_next(mm, &part, end)) {
		pte_t *at;

		part_refuse_huge(&part);
		at = table_pte(mm, part.leaf, part.addr);
		table_lock(part.leaf);
		for (unsigned long addr = part.addr; addr < part.end; addr += mm_page_size(mm)) {
			if (w->on)
				protect_entry(w, part.leaf, at++, addr);
			else
				unprotect_entry(w, part.leaf, at++);
		}
		table_unlock(part.leaf);
	}
	if (w->flush_start < w->flush_end)
		tlb_flush_range(mm, w->flush_start, w->flush_end);
	notifier_end(mm, &range);
}

int range_uffd_protect(struct vma *vma, unsigned long start, unsigned long end)
{
	struct writeprotect w = {
		.vma = vma,
		.on = true,
		.markers = wants_markers(vma),
		.flush_start = ~0UL,
	};

	rwsem_assert_held(&vma->vm_mm->mmap_lock.sem);
	VM_WARN_ON(!vma_uffd_wp(vma));
	if (w.markers && leaves_make(vma->vm_mm, start, end))
		return -ENOMEM;
	if (mm_has_tables(vma->vm_mm))
		walk(&w, start, end);
	return 0;
}

static void unprotect(struct writeprotect *w, unsigned long start, unsigned long end)
{
	rwsem_assert_held(&w->vma->vm_mm->mmap_lock.sem);
	if (mm_has_tables(w->vma->vm_mm))
		walk(w, start, end);
}

void range_uffd_unprotect(struct vma *vma, unsigned long start, unsigned long end)
{
	struct writeprotect w = { .vma = vma, .flush_start = ~0UL };

	unprotect(&w, start, end);
}

void range_uffd_unprotect_moved(struct vma *vma, unsigned long start, unsigned long end)
{
	struct writeprotect w = { .vma = vma, .notes = true, .flush_start = ~0UL };

	unprotect(&w, start, end);
}
