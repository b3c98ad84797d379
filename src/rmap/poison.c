/* SPDX-License-Identifier: MIT */
/*
 * A folio whose frame is bad leaves all page tables (rmap.h). Nobody asks whether it is locked, or
 * what it holds.
 *
 * The walk removes for good, so it enters an mm that is being built too: what fork copies before
 * the walk comes to the parent's entry is met in the child's VMA, which stands behind; what it
 * copies later is a marker already. An mm that is dying is passed by; its zap gives the page back
 * soon.
 */
#include <errno.h>

#include "mmu/entry.h"
#include "mmu/tlb.h"
#include "rmap/rmap_walk.h"

/* The leaf is locked. */
static void take_out(const struct rmap_walk *walk, const struct vma *vma, const struct mapped *m)
{
	const enum bad_leaves leaves = *(const enum bad_leaves *)walk->arg;
	const bool anon = folio_test(walk->folio, FOLIO_ANON);

	if (pte_dirty(m->pte) && !anon)
		folio_set(walk->folio, FOLIO_DIRTY);
	if (leaves == BAD_LEAVES_POISON)
		pte_set(m->at, mk_marker(MARKER_POISON));
	else if (pte_uffd_wp(m->pte) && !anon && vma_uffd_wp(vma))
		pte_set(m->at, mk_marker(MARKER_UFFD_WP));
	else
		table_clear(m->leaf, m->at);
	mm_rss_add(vma->vm_mm, folio_rss(walk->folio), -1);
}

static enum rmap_answer bad_one(struct rmap_walk *walk, struct vma *vma, unsigned long addr)
{
	struct samara_notifier_range range = page_range(vma, addr, SAMARA_NOTIFY_CLEAR);
	struct mapped m;

	notifier_start(vma->vm_mm, &range);
	if (mapped_lock(walk, vma, addr, &m)) {
		take_out(walk, vma, &m);
		tlb_flush_range(vma->vm_mm, range.start, range.end, TLB_LOST_ALL);
		mapped_unlock(&m);
		folio_unmap(walk->ram, walk->folio); /* not the last one: the caller's is left */
	}
	notifier_end(vma->vm_mm, &range);
	return RMAP_ON;
}

int folio_unmap_bad(struct file_store *store, struct folio *folio, enum bad_leaves leaves)
{
	struct rmap_walk walk = {
		.ram = store->ram,
		.store = store,
		.folio = folio,
		.gate = MM_GATE_REMOVE,
		.one = bad_one,
		.arg = &leaves,
	};

	rmap_walk(&walk);
	return folio_maps(folio) ? -EBUSY : 0;
}
