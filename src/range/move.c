/* SPDX-License-Identifier: MIT */
/*
 * mremap: entries move from one place to another, leaf by leaf.
 *
 *   old   [  leaf  |  leaf  ]          where the two places lie differently in their tables,
 *              |  \    |   \           a leaf's part is cut at the new leaf's end
 *   new   |  leaf  |  leaf  |  leaf  ]
 *
 * Reverse mappings stay true although no folio is touched. A folio's index is a page number in its
 * family (anonymous) or file, not an address. The VMA at the new place has the vm_pgoff of the old
 * one for the same page, so index - vm_pgoff gives the new address. An anonymous VMA without an
 * anon_vma gets another vm_pgoff when it moves; it has no page that an rmap walk could look for.
 *
 * A walk that looked at the new place before a page came, and at the old one after it had gone,
 * would miss it. The order in which a walk visits the two links is not defined. So the families'
 * locks are held for writing meanwhile.
 *
 * Locks: mmap_lock and both VMAs for writing. Here: i_mmap.lock, the root's lock, two
 * leaves in the order of their addresses. The old place is flushed before the leaves' locks are
 * dropped. Until then the new entries keep the pages alive, and folio_mkclean() misses no store.
 */
#include <errno.h>

#include "base/assert.h"
#include "core/vma_lock.h"
#include "mmu/notifier.h"
#include "mmu/tlb.h"
#include "range/leaf.h"
#include "range/range.h"
#include "rmap/rmap.h"

int move_prepare(const struct move_desc *d)
{
	struct samara_mm *mm = d->from->vm_mm;
	struct leaf_part part = LEAF_PART_FROM(d->old_addr);
	const unsigned long delta = d->new_addr - d->old_addr;
	struct table *leaf;

	while (leaf_next(mm, &part, d->old_addr + d->len)) {
		/* A huge entry does not move. */
		if (part.level || table_get(mm, part.addr + delta, &leaf) ||
		    table_get(mm, part.end - 1 + delta, &leaf))
			return -ENOMEM;
	}
	return 0;
}

static void lock_families(const struct move_desc *d)
{
	if (d->from->vm_file)
		down_write(&d->from->vm_file->inode->i_mmap.lock);
	if (d->from->anon_vma)
		down_write(&d->from->anon_vma->root->lock);
}

static void unlock_families(const struct move_desc *d)
{
	if (d->from->anon_vma)
		up_write(&d->from->anon_vma->root->lock);
	if (d->from->vm_file)
		up_write(&d->from->vm_file->inode->i_mmap.lock);
}

/* Entries of part to the leaf "to". Returns whether a CPU may remember one. */
static bool move_entries(struct samara_mm *mm, const struct leaf_part *part, struct table *to,
			 unsigned long delta)
{
	bool flush = false;

	for (unsigned long addr = part->addr; addr < part->end && part->leaf->used;
	     addr += mm_page_size(mm)) {
		pte_t *at = table_pte(mm, part->leaf, addr);
		pte_t pte = pte_read(at);

		if (pte_none(pte))
			continue;
		table_clear(part->leaf, at);
		/* A page that has moved counts as written to, wherever it is just now. */
		pte = pte_with(pte, pte_soft_dirty_bit(pte));
		flush |= pte_accessible(pte);
		table_fill(to, table_pte(mm, to, addr + delta), pte);
	}
	return flush;
}

/*
 * Where move_prepare() made no table at the new place, the old place had none. Since then the old
 * place may have got one that move_prepare() made for another part of the new place.
 */
static bool part_is_empty(struct samara_mm *mm, const struct leaf_part *part)
{
	for (unsigned long addr = part->addr; addr < part->end; addr += mm_page_size(mm))
		if (!pte_none(pte_read(table_pte(mm, part->leaf, addr))))
			return false;
	return true;
}

void move_page_tables(const struct move_desc *d)
{
	struct samara_mm *mm = d->from->vm_mm;
	struct samara_notifier_range range = { mm, d->old_addr, d->old_addr + d->len,
					       SAMARA_NOTIFY_UNMAP, 0 };
	struct leaf_part part = LEAF_PART_FROM(d->old_addr);
	const unsigned long delta = d->new_addr - d->old_addr;

	vma_assert_write_locked(d->from);
	vma_assert_write_locked(d->to);
	notifier_start(mm, &range);
	lock_families(d);
	while (leaf_next(mm, &part, d->old_addr + d->len)) {
		struct table *to = table_find(mm, part.addr + delta);

		part_refuse_huge(&part); /* move_prepare() has found none */
		if (!to) {
			BUG_ON(!part_is_empty(mm, &part));
			continue;
		}
		part.end = leaf_end(mm->geo, part.addr + delta, part.end + delta) - delta;
		table_lock_pair(part.leaf, to);
		if (move_entries(mm, &part, to, delta))
			tlb_flush_range(mm, part.addr, part.end, TLB_LOST_ALL);
		table_unlock_pair(part.leaf, to);
	}
	unlock_families(d);
	notifier_end(mm, &range);
}
