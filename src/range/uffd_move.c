/* SPDX-License-Identifier: MIT */
/*
 * UFFDIO_MOVE: pages go from one anonymous mapping to another, and none is copied.
 *
 *   source's entry            destination's entry        source's afterwards
 *   ------------------------- -------------------------- --------------------
 *   page, exclusive           the page, writable         empty
 *   page, shared or pinned    -EBUSY
 *   zero frame                the zero frame             empty
 *   swap entry, exclusive     the same                   empty
 *   swap entry, shared        -EBUSY
 *   migration entry           waits: -EAGAIN
 *   marker                    -EFAULT
 *   empty                     -ENOENT, or UFFD_MOVE_HOLES: empty
 *
 * A destination's entry that is not empty is -EEXIST, whatever the source has. A source without a
 * page table is -ENOENT even then, as in Linux. Write protection by userfaultfd goes with a swap
 * entry only; that is Linux's too. A page stays as dirty as it was: what MADV_FREE gave to reclaim
 * may still be dropped.
 *
 *   from  [  leaf  |  leaf  ]       Where the two places lie differently in their tables, a part is
 *             |  \    |   \         cut at the end of either leaf.
 *   to    |  leaf  |  leaf  |
 *
 * Page by page, upwards: an error leaves what was moved before. mremap keeps a page's index and
 * moves the VMA's pages; here the VMAs stay, so the page gets a new family and index. A walk of
 * reverse mappings holds the folio's lock. So both change under that lock, together with the
 * entries: a walk finds the page at the old place, or at the new one. A page in the swap cache that
 * no entry maps gets its family when it is mapped again (folio_add_anon()), so its swap entry moves
 * alone.
 *
 * Locks: mmap_lock for reading; both leaves; a folio's, by a trylock. If it fails the caller waits
 * for that folio with no lock held, and calls again. The old place is flushed before the leaves'
 * locks are dropped, so no CPU uses it while another one uses the new place.
 */
#include <errno.h>

#include "mmu/notifier.h"
#include "mmu/tlb.h"
#include "range/leaf.h"
#include "range/range.h"
#include "rmap/rmap.h"

/* A part of the request: what one leaf of each place serves. */
struct move_part {
	struct uffd_move *m;
	struct table *from, *to; /* from NULL: there is none, so it has no page; to NULL: no part */
	unsigned long end;       /* m->done when it is over */
	unsigned long flush_start, flush_end; /* of the source */
};

static struct samara_mm *mm_of(const struct move_part *part)
{
	return part->m->src->vm_mm;
}

/* folio has to be waited for. One that is frozen is so for a moment only: it is looked at again. */
static int busy(struct move_part *part, struct folio *folio)
{
	part->m->busy = folio_try_get(folio) ? folio : NULL;
	return -EAGAIN;
}

/* Both leaves are locked, and the new place is empty. */
static void put_there(const struct move_part *part, pte_t *from, pte_t *to, pte_t pte)
{
	table_clear(part->from, from);
	table_fill(part->to, to, pte);
}

/* A page that a CPU may know by its old place. */
static void note_flush(struct move_part *part, unsigned long addr)
{
	part->flush_start = min(part->flush_start, addr);
	part->flush_end = addr + mm_page_size(mm_of(part));
}

static int move_folio(struct move_part *part, pte_t *from, pte_t *to)
{
	const struct uffd_move *m = part->m;
	const unsigned long vm_flags = m->dst->vm_flags;
	const pte_t old = pte_read(from);
	const unsigned long pfn = pte_pfn(old);
	struct folio *folio = pfn_folio(vma_ram(m->src), pfn);

	/* What is exclusive is pinned through its entry, so under the leaf's lock. */
	if (!folio_test(folio, FOLIO_EXCLUSIVE) || folio_maybe_pinned(folio))
		return -EBUSY;
	if (!folio_trylock(folio))
		return busy(part, folio);
	folio_move_anon(folio, m->dst, m->to + m->done);
	put_there(part, from, to,
		  pte_with(mk_pte(pfn, vm_flags),
			   PTE_WRITE | PTE_SOFT_DIRTY | (old.v & PTE_DIRTY)));
	folio_unlock_cached(mm_of(part)->machine->store, folio);
	note_flush(part, m->from + m->done);
	return 0;
}

static int move_special(struct move_part *part, pte_t *from, pte_t *to)
{
	const struct uffd_move *m = part->m;

	if (pte_pfn(pte_read(from)) != ZERO_FRAME)
		return -EBUSY;
	put_there(part, from, to, pte_with(mk_pte(ZERO_FRAME, m->dst->vm_flags), PTE_SPECIAL));
	note_flush(part, m->from + m->done);
	return 0;
}

static int move_nonpresent(struct move_part *part, pte_t *from, pte_t *to)
{
	const pte_t pte = pte_read(from);

	switch (swp_kind(pte)) {
	case SWP_KIND_MARKER:
		return -EFAULT;
	case SWP_KIND_MIGRATION:
		return busy(part, pfn_folio(vma_ram(part->m->src), migration_pfn(pte)));
	default:
		if (!(swp_value(pte) & SWP_EXCLUSIVE))
			return -EBUSY;
		if (pte_any_uffd_wp(pte) && !vma_uffd_wp(part->m->dst))
			mm_uffd_bits_stale(mm_of(part));
		put_there(part, from, to, swp_with(pte, SWP_SOFT_DIRTY));
		return 0;
	}
}

/* The page at m->done. */
static int move_page(struct move_part *part)
{
	const struct uffd_move *m = part->m;
	pte_t *to = table_pte(mm_of(part), part->to, m->to + m->done), *from;
	pte_t pte = pte_empty();

	if (!pte_none(pte_read(to)))
		return -EEXIST;
	if (part->from) {
		from = table_pte(mm_of(part), part->from, m->from + m->done);
		pte = pte_read(from);
	}
	if (pte_none(pte))
		return m->holes == UFFD_MOVE_HOLES ? 0 : -ENOENT;
	if (!pte_present(pte))
		return move_nonpresent(part, from, to);
	return pte_special(pte) ? move_special(part, from, to) : move_folio(part, from, to);
}

/* Bytes from at to the first leaf of [at, at + len), or len. *leaf: the one at at, or NULL. */
static unsigned long to_leaf(struct samara_mm *mm, unsigned long at, unsigned long len,
			     struct table **leaf)
{
	unsigned long next = at;

	*leaf = table_next(mm, &next, at + len);
	if (!*leaf)
		return len;
	BUG_ON((*leaf)->level); /* no code makes huge entries */
	if (next != at)
		*leaf = NULL;
	return next - at;
}

/*
 * The part that begins at m->done. Where neither place has a table, m->done is behind that, and
 * part->to is NULL. 0, -ENOENT, -ENOMEM.
 */
static int find_part(struct move_part *part)
{
	struct uffd_move *m = part->m;
	struct samara_mm *mm = mm_of(part);
	const unsigned long from = m->from + m->done, to = m->to + m->done;
	const unsigned long left = m->len - m->done;
	const unsigned long hole = to_leaf(mm, from, left, &part->from);
	const unsigned long empty = to_leaf(mm, to, left, &part->to);

	if (hole && m->holes != UFFD_MOVE_HOLES)
		return -ENOENT;
	if (hole && empty) {
		m->done += min(hole, empty);
		return 0;
	}
	part->end = m->done + min(leaf_end(mm->geo, to, to + left) - to,
				  hole ? hole : leaf_end(mm->geo, from, from + left) - from);
	return empty ? table_get(mm, to, &part->to) : 0;
}

static int move_entries(struct move_part *part)
{
	struct uffd_move *m = part->m;
	int err = 0;

	while (m->done < part->end) {
		err = move_page(part);
		if (err)
			break;
		m->done += mm_page_size(mm_of(part));
	}
	if (part->flush_start < part->flush_end)
		tlb_flush_range(mm_of(part), part->flush_start, part->flush_end, TLB_LOST_ALL);
	return err;
}

static int move_part(struct move_part *part)
{
	const struct uffd_move *m = part->m;
	struct samara_notifier_range range = {
		.mm = mm_of(part),
		.start = m->from + m->done,
		.end = m->from + part->end,
		.why = SAMARA_NOTIFY_CLEAR,
	};
	int err;

	notifier_start(range.mm, &range);
	if (part->from) {
		table_lock_pair(part->from, part->to);
		err = move_entries(part);
		table_unlock_pair(part->from, part->to);
	} else {
		table_lock(part->to);
		err = move_entries(part);
		table_unlock(part->to);
	}
	notifier_end(range.mm, &range);
	return err;
}

int uffd_move_pages(struct uffd_move *m)
{
	int err = 0;

	rwsem_assert_held(&m->src->vm_mm->mmap_lock.sem);
	m->busy = NULL;
	while (!err && m->done < m->len) {
		struct move_part part = { .m = m, .flush_start = ~0UL };

		err = find_part(&part);
		if (!err && part.to)
			err = move_part(&part);
		if (err == -EAGAIN && !m->busy) {
			cpu_relax();
			err = 0;
		}
	}
	return err;
}
