/* SPDX-License-Identifier: MIT */
/*
 * fork: the pages of one VMA for its copy in the child.
 *
 *   parent's entry                 parent afterwards     child
 *   ------------------------------ --------------------- ------------------------------
 *   anonymous page                 read-only, shared     read-only, old
 *   ..., exclusive and pinned      as before             a page of its own, writable, dirty
 *   file page, private mapping     as before             the same, old
 *   file page, shared mapping      as before             the same, clean and old
 *   zero frame, PFN                read-only if private  the same, old
 *   guard, poison                  as before             the same
 *   swap entry                     not exclusive         the same: one slot, named once more
 *   migration entry                as its page           as its page, a migration entry too
 *   uffd-wp                        as before             only if the child is registered too
 *
 * A VMA without an anon_vma and guards, whose pages can all be faulted in again, is
 * not copied at all.
 *
 *   leaf of src [a|a|g| |f| ...]   both locked, in the order of their addresses
 *                | | |   |
 *   leaf of dst [a|a|g| |f| ...]   a pinned page needs a frame: both locks are dropped, and back
 *
 * PTE_WAS_EXCLUSIVE in the parent's entry says that its folio was exclusive until this fork shared
 * it. Swap entries and migration entries have such a bit too. So a failed fork can be undone
 * without memory. A copy visits every entry and sets or clears the bit. When it fails, it also
 * clears the bits that older forks left in the part of the VMA that it did not reach.
 *
 * Locks: both mmap_locks for writing, src write-locked; up to two leaves. A page is pinned under
 * its leaf's lock. So a pin comes before the copy, which then sees it, or after, and then it gets
 * the shared page.
 * Invariant: a page that two entries point to is not exclusive, and neither entry is writable.
 */
#include <errno.h>

#include "base/bytes.h"
#include "core/vma_lock.h"
#include "range/leaf.h"
#include "range/range.h"
#include "rmap/rmap.h"

struct copy {
	struct vma *dst, *src;
	struct ram *ram;
	uint64_t parent_drops, child_drops; /* bits of an entry that share_entry() clears */
	struct folio *spare;                /* for a pinned page */
	struct tlb_batch *protected;        /* pages of src that have lost the right to write */
	unsigned long first, end;           /* in the leaf at hand; first >= end: none */
	int err; /* why copy_entries() stopped before the end: copy_folio() */
	struct rss_delta rss;
};

static bool vma_needs_copy(const struct vma *dst, const struct vma *src)
{
	return vma_uffd_wp(dst) || src->anon_vma ||
	       src->vm_flags & (VM_PFNMAP | VM_MIXEDMAP | VM_MAYBE_GUARD);
}

/* The pinned page stays the parent's: the child gets the spare. */
static pte_t copy_now(struct copy *c, unsigned long addr, struct folio *folio, pte_t pte)
{
	struct folio *own = c->spare;
	uint64_t bits = PTE_WRITTEN;

	c->spare = NULL;
	c->dst->vm_mm->count.copied++;
	bytes_copy(folio_virt(c->ram, own), folio_virt(c->ram, folio), mm_page_size(c->src->vm_mm));
	folio_add_new_anon(own, c->dst, addr);
	lru_add(c->ram, own);
	if (c->dst->vm_flags & VM_WRITE)
		bits |= PTE_WRITE;
	if (pte_uffd_wp(pte) && vma_uffd_wp(c->dst))
		bits = PTE_WRITTEN | PTE_UFFD_WP;
	c->rss.pages[MM_ANONPAGES]++;
	return pte_with(mk_pte(folio_pfn(c->ram, own), c->dst->vm_flags), bits);
}

static void copy_marker(struct copy *c, struct table *to, pte_t *at, pte_t pte)
{
	unsigned int marker = pte_marker(pte);

	if (!vma_uffd_wp(c->dst) || (marker & MARKER_STOPS))
		marker &= ~(unsigned int)MARKER_UFFD_WP;
	if (marker)
		table_fill(to, at, mk_marker(marker));
}

static void set_changed(pte_t *at, pte_t old, pte_t now)
{
	if (!pte_same(old, now))
		pte_set(at, now);
}

/* 0; -ENOMEM: too many entries name the slot. */
static int copy_swap(struct copy *c, pte_t *from_at, struct table *to, pte_t *to_at)
{
	const pte_t was = pte_read(from_at);
	pte_t now = swp_without(was, SWP_EXCLUSIVE | SWP_WAS_EXCLUSIVE), child = now;

	if (!swap_dup(c->src->vm_mm->machine->store, pte_swap_entry(was)))
		return -ENOMEM;
	if (swp_value(was) & SWP_EXCLUSIVE)
		now = swp_with(now, SWP_WAS_EXCLUSIVE);
	if (!vma_uffd_wp(c->dst))
		child = swp_without(child, SWP_UFFD_WP);
	set_changed(from_at, was, now);
	table_fill(to, to_at, child);
	c->rss.pages[MM_SWAPENTS]++;
	return 0;
}

/* 0; -ENOMEM: too many entries point to the folio. */
static int copy_migration(struct copy *c, pte_t *from_at, struct table *to, pte_t *to_at)
{
	const pte_t was = pte_read(from_at);
	struct folio *folio = pfn_folio(c->ram, migration_pfn(was));
	pte_t now = swp_without(was, MIGRATION_WAS_EXCLUSIVE), child;

	if (!folio_try_moving(folio))
		return -ENOMEM;
	if (vm_is_cow(c->src->vm_flags) && swp_type(was) != SWP_MIGRATION_READ)
		now = swp_with(migration_as(now, SWP_MIGRATION_READ), MIGRATION_WAS_EXCLUSIVE);
	child = swp_without(now, MIGRATION_WAS_EXCLUSIVE | MIGRATION_YOUNG);
	if (c->src->vm_flags & VM_SHARED)
		child = swp_without(child, MIGRATION_DIRTY);
	if (!vma_uffd_wp(c->dst))
		child = swp_without(child, MIGRATION_UFFD_WP);
	set_changed(from_at, was, now);
	table_fill(to, to_at, child);
	c->rss.pages[folio_rss(folio)]++;
	return 0;
}

static int copy_nonpresent(struct copy *c, pte_t *from_at, struct table *to, pte_t *to_at)
{
	const pte_t pte = pte_read(from_at);

	switch (swp_kind(pte)) {
	case SWP_KIND_MARKER:
		copy_marker(c, to, to_at, pte);
		return 0;
	case SWP_KIND_MIGRATION:
		return copy_migration(c, from_at, to, to_at);
	default:
		return copy_swap(c, from_at, to, to_at);
	}
}

static void share_drops(struct copy *c)
{
	c->parent_drops = vm_is_cow(c->src->vm_flags) ? PTE_WRITE : 0;
	c->child_drops = PTE_ACCESSED | PTE_WAS_EXCLUSIVE;
	if (c->src->vm_flags & VM_SHARED)
		c->child_drops |= PTE_DIRTY;
	if (!vma_uffd_wp(c->dst))
		c->child_drops |= PTE_UFFD_WP;
}

/* *pte becomes the parent's entry after the fork; returns the child's. */
static inline pte_t share_entry(const struct copy *c, pte_t *pte)
{
	*pte = pte_without(*pte, c->parent_drops);
	return pte_without(*pte, c->child_drops);
}

/* One more entry, and not exclusive any more. That flag changes only under the leaf's lock. */
static void share_exclusive(struct folio *folio)
{
	atomic_fetch_add_acq_rel(&folio->state,
				 FOLIO_MAP_ONE - ((uint64_t)FOLIO_EXCLUSIVE << FOLIO_FLAGS_SHIFT));
}

/*
 * The folio gets one more mapping, or a copy. 0; -EAGAIN: a copy is needed, and there is no spare;
 * -ENOMEM: too many entries point to it.
 */
static int copy_folio(struct copy *c, unsigned long addr, pte_t *from, pte_t *child)
{
	struct folio *folio = pfn_folio(c->ram, pte_pfn(*from));

	*from = pte_without(*from, PTE_WAS_EXCLUSIVE);
	if (folio_test(folio, FOLIO_EXCLUSIVE)) {
		if (unlikely(folio_maybe_pinned(folio))) {
			if (!c->spare)
				return -EAGAIN;
			*child = copy_now(c, addr, folio, *from);
			return 0;
		}
		share_exclusive(folio);
		*from = pte_with(*from, PTE_WAS_EXCLUSIVE);
	} else if (!folio_try_map(folio)) {
		return -ENOMEM;
	}
	c->rss.pages[folio_rss(folio)]++;
	*child = share_entry(c, from);
	return 0;
}

/* What copy_folio() says; after an error nothing has changed. */
static int copy_entry(struct copy *c, unsigned long addr, pte_t *from_at, struct table *to,
		      pte_t *to_at)
{
	const pte_t was = pte_read(from_at);
	pte_t from = was, child;
	int err;

	if (pte_none(was))
		return 0;
	if (unlikely(!pte_present(was)))
		return copy_nonpresent(c, from_at, to, to_at);
	if (pte_special(was)) {
		child = share_entry(c, &from);
	} else {
		err = copy_folio(c, addr, &from, &child);
		if (err)
			return err;
	}
	set_changed(from_at, was, from);
	table_fill(to, to_at, child);
	return 0;
}

/* Whether the copy of an entry takes the right to write from a TLB. */
static bool loses_write(const struct copy *c, pte_t pte)
{
	return pte_accessible(pte) && (pte.v & c->parent_drops);
}

/* From the first page of part that copying will protect to the last. The leaf is locked. */
static void find_protected(struct copy *c, const struct leaf_part *part)
{
	const unsigned long page = mm_page_size(c->src->vm_mm);
	const pte_t *first = table_pte(c->src->vm_mm, part->leaf, part->addr);
	const pte_t *end = first + (part->end - part->addr) / page, *from = first;

	while (first < end && !loses_write(c, pte_read(first)))
		first++;
	while (first < end && !loses_write(c, pte_read(end - 1)))
		end--;
	c->first = part->addr + (unsigned long)(first - from) * page;
	c->end = part->addr + (unsigned long)(end - from) * page;
}

/* Returns part->end, or the address of a page that could not be copied, for the reason c->err. */
static unsigned long copy_entries(struct copy *c, const struct leaf_part *part, struct table *to)
{
	const unsigned long page_size = mm_page_size(c->src->vm_mm);
	pte_t *from_at = table_pte(c->src->vm_mm, part->leaf, part->addr);
	pte_t *to_at = table_pte(c->dst->vm_mm, to, part->addr);
	unsigned long addr = part->addr;

	table_lock_pair(part->leaf, to);
	/* A unit that is filled later finds the entries as they are by then. */
	if (c->protected && unlikely(tlb_mm_runs(c->src->vm_mm)))
		find_protected(c, part);
	for (c->err = 0; addr < part->end; addr += page_size) {
		c->err = copy_entry(c, addr, from_at++, to, to_at++);
		if (c->err)
			break;
	}
	rss_apply(c->dst->vm_mm, &c->rss);
	table_unlock_pair(part->leaf, to);
	if (unlikely(c->first < c->end)) {
		tlb_batch_add(c->protected, c->first, c->end);
		c->first = c->end = 0;
	}
	return addr;
}

/*
 * 0 or -ENOMEM; part->addr becomes the first address that was not copied. A huge entry is not
 * copied: the fork fails.
 */
static int copy_leaf(struct copy *c, struct leaf_part *part)
{
	struct table *to;

	if (part->level || table_get(c->dst->vm_mm, part->addr, &to))
		return -ENOMEM;
	for (;;) {
		part->addr = copy_entries(c, part, to);
		if (c->err != -EAGAIN)
			return c->err;
		c->spare = folio_alloc(c->ram, 0, FOLIO_RAW);
		if (!c->spare)
			return -ENOMEM;
	}
}

enum was_exclusive { WAS_FORGET, WAS_UNDO };

/* The same for an entry whose page is in swap, or on its way elsewhere. */
static void swp_was_exclusive(const struct vma *vma, pte_t *at, pte_t pte, enum was_exclusive what)
{
	const swp_entry_t swap = pte_swap_entry(pte);
	const struct folio *folio;

	if (!swp_none(swap) && (swp_value(pte) & SWP_WAS_EXCLUSIVE)) {
		pte = swp_without(pte, SWP_WAS_EXCLUSIVE);
		if (what == WAS_UNDO && swap_count(vma->vm_mm->machine->store, swap) == 1)
			pte = swp_with(pte, SWP_EXCLUSIVE);
		pte_set(at, pte);
	} else if (pte_migration(pte) && (swp_value(pte) & MIGRATION_WAS_EXCLUSIVE)) {
		pte = swp_without(pte, MIGRATION_WAS_EXCLUSIVE);
		folio = pfn_folio(vma_ram(vma), migration_pfn(pte));
		if (what == WAS_UNDO && folio_test(folio, FOLIO_ANON) && folio_moving(folio) == 1)
			pte = migration_as(pte, SWP_MIGRATION_EXCL);
		pte_set(at, pte);
	}
}

static void was_exclusive(struct vma *vma, struct table *leaf, unsigned long addr,
			  enum was_exclusive what)
{
	pte_t *at = table_pte(vma->vm_mm, leaf, addr);
	const pte_t pte = pte_read(at);
	struct folio *folio;

	if (unlikely(pte_swp(pte)))
		swp_was_exclusive(vma, at, pte, what);
	if (!pte_present(pte) || !(pte.v & PTE_WAS_EXCLUSIVE))
		return;
	pte_set(at, pte_without(pte, PTE_WAS_EXCLUSIVE));
	folio = pfn_folio(vma_ram(vma), pte_pfn(pte));
	if (what == WAS_UNDO && folio_test(folio, FOLIO_ANON) && folio_maps(folio) == 1)
		folio_set(folio, FOLIO_EXCLUSIVE);
}

static void was_exclusive_range(struct vma *vma, unsigned long from, enum was_exclusive what)
{
	struct leaf_part part = LEAF_PART_FROM(from);
	struct samara_mm *mm = vma->vm_mm;

	while (leaf_next(mm, &part, vma->vm_end)) {
		if (part.level)
			continue; /* copy_leaf() has not shared it */
		table_lock(part.leaf);
		for (unsigned long addr = part.addr; addr < part.end; addr += mm_page_size(mm))
			was_exclusive(vma, part.leaf, addr, what);
		table_unlock(part.leaf);
	}
}

int copy_page_range(struct vma *dst, struct vma *src, struct tlb_batch *protected)
{
	struct copy c = {
		.dst = dst,
		.src = src,
		.ram = vma_ram(src),
		.protected = protected,
	};
	struct leaf_part part = LEAF_PART_FROM(src->vm_start);
	int err = 0;

	vma_assert_write_locked(src);
	VM_WARN_ON(dst->vm_start != src->vm_start || dst->vm_end != src->vm_end);
	if (!vma_needs_copy(dst, src))
		return 0;
	WRITE_ONCE(dst->vm_mm->watch.uffds.bits, READ_ONCE(src->vm_mm->watch.uffds.bits));
	share_drops(&c);
	while (!err && leaf_next(src->vm_mm, &part, src->vm_end))
		err = copy_leaf(&c, &part);
	if (c.spare)
		folio_put(c.ram, c.spare);
	if (err)
		was_exclusive_range(src, part.addr, WAS_FORGET);
	return err;
}

void copy_undo(struct vma *src)
{
	vma_assert_write_locked(src);
	was_exclusive_range(src, src->vm_start, WAS_UNDO);
}
