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
 * changes nothing. One flush at the end, for entries that were writable (range/wp_flush.h).
 * Invariant (range/validate_bits.c): uffd_bits.
 */
#include <errno.h>

#include "core/vma_lock.h"
#include "mmu/notifier.h"
#include "range/protect.h"
#include "range/range.h"
#include "range/wp_flush.h"
#include "uffd/uffd.h"

struct writeprotect {
	struct vma *vma;
	struct wp_flush *on; /* NULL: off */
	bool markers;        /* on: also where nothing is */
	bool notes;          /* off: also what a scan has noted on guards and poison */
};

static bool wants_markers(const struct vma *vma)
{
	return !vma->is_anon || (uffd_features(vma->rare.uffd) & UFFD_FEATURE_WP_UNPOPULATED);
}

static void protect_entry(const struct writeprotect *w, struct table *leaf, pte_t *at,
			  unsigned long addr)
{
	const pte_t old = pte_read(at);

	if (!pte_none(old))
		wp_set(w->on, leaf, at, addr, pte_protected(w->vma, old));
	else if (w->markers)
		table_fill(leaf, at, mk_marker(MARKER_UFFD_WP));
}

static void unprotect_entry(const struct writeprotect *w, struct table *leaf, pte_t *at)
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

static void walk(const struct writeprotect *w, unsigned long start, unsigned long end)
{
	struct samara_mm *mm = w->vma->vm_mm;
	struct leaf_part part = LEAF_PART_FROM(start);

	while (mm_has_tables(mm) && leaf_next(mm, &part, end)) {
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
}

int range_uffd_protect_part(struct wp_flush *wp, unsigned long start, unsigned long end)
{
	const struct writeprotect w = {
		.vma = wp->vma,
		.on = wp,
		.markers = wants_markers(wp->vma),
	};

	rwsem_assert_held(&wp->vma->vm_mm->mmap_lock.sem);
	VM_WARN_ON(!vma_uffd_wp(wp->vma));
	if (w.markers && leaves_make(wp->vma->vm_mm, start, end))
		return -ENOMEM;
	walk(&w, start, end);
	return 0;
}

static struct samara_notifier_range range_of(const struct vma *vma, unsigned long start,
					     unsigned long end)
{
	return (struct samara_notifier_range){ vma->vm_mm, start, end, SAMARA_NOTIFY_PROTECT, 0 };
}

int range_uffd_protect(struct vma *vma, unsigned long start, unsigned long end)
{
	struct samara_notifier_range range = range_of(vma, start, end);
	struct wp_flush wp;
	int err;

	notifier_start(vma->vm_mm, &range);
	wp_begin(&wp, vma);
	err = range_uffd_protect_part(&wp, start, end);
	wp_end(&wp, start, end);
	notifier_end(vma->vm_mm, &range);
	return err;
}

static void unprotect(const struct writeprotect *w, unsigned long start, unsigned long end)
{
	struct samara_notifier_range range = range_of(w->vma, start, end);

	rwsem_assert_held(&w->vma->vm_mm->mmap_lock.sem);
	notifier_start(w->vma->vm_mm, &range);
	walk(w, start, end);
	notifier_end(w->vma->vm_mm, &range);
}

void range_uffd_unprotect(struct vma *vma, unsigned long start, unsigned long end)
{
	const struct writeprotect w = { .vma = vma };

	unprotect(&w, start, end);
}

void range_uffd_unprotect_moved(struct vma *vma, unsigned long start, unsigned long end)
{
	const struct writeprotect w = { .vma = vma, .notes = true };

	unprotect(&w, start, end);
}
