/* SPDX-License-Identifier: MIT */
/*
 * A page comes back from the swap cache into a page table.
 *
 *   swap entry --> swap_cache_find() --> none: VM_FAULT_WAIT; the door reads it into the cache
 *                        | locked, and still the slot's
 *                        v
 *                  leaf's lock, the entry is the same
 *                        |-- the page is mapped: exclusive if the entry says so, or if it is alone
 *                        |-- swap_put(): the entry names the slot no more
 *                        '-- swap_cache_free() where the slot is not worth keeping
 *
 * As in Linux 6.18 an exclusive page is writable at once if the mapping is. Another one is
 * read-only, and a write fault then copies it or finds it alone (cow.c). The slot is kept while the
 * page is clean, so that it need not be written again. It is not kept if the page is to be written
 * to, is locked in memory, or if half of the slots are used; nor where it could not be written, so
 * that the page can leave to another one.
 *
 * Locks: the VMA's or the mmap_lock; the folio's, the leaf's, then those of store/swap.h. Fork,
 * which shares the entry, and zap, which gives it back, come before or after by the leaf's lock.
 */
#include "fault/swapin.h"

#include <errno.h>

#include "fault/parts.h"
#include "mmu/entry.h"
#include "mmu/gather.h"

/* What an entry is to become. */
struct swapin {
	struct vma *vma;
	unsigned long addr;
	struct folio *folio; /* locked, the cache's page of orig; the caller has a reference */
	pte_t orig;
	bool write; /* the access is one */
};

static struct file_store *store_of(const struct swapin *in)
{
	return in->vma->vm_mm->machine->store;
}

/* Is it better to give the slot up? */
static bool slot_is_idle(const struct swapin *in)
{
	const struct swap_areas *areas = &store_of(in)->swap;

	if (READ_ONCE(areas->free) * 2 < READ_ONCE(areas->total))
		return true;
	if (swap_slot_is_bad(store_of(in), in->folio))
		return true;
	if (in->vma->vm_flags & VM_LOCKED || folio_test(in->folio, FOLIO_MLOCKED))
		return true;
	/* Nobody but this entry, to be, and the cache. */
	return in->write && folio_count(in->folio) == 2;
}

/* Rights as a present entry of the page has them, and what the swap entry carried. */
static pte_t present_pte(const struct swapin *in)
{
	const struct vma *vma = in->vma;
	const uint64_t value = swp_value(in->orig);
	pte_t pte = mk_pte(folio_pfn(store_of(in)->ram, in->folio), vma->vm_flags);

	if (value & SWP_SOFT_DIRTY)
		pte = pte_with(pte, PTE_SOFT_DIRTY);
	if (value & SWP_UFFD_WP)
		pte = pte_with(pte, PTE_UFFD_WP);
	return pte;
}

/*
 * The leaf is locked, and has the entry. True: *pte is what it is to be, and the page is mapped and
 * counted so. False: too many entries map the page.
 */
static bool bring_back(const struct swapin *in, enum rmap_exclusive exclusive, pte_t *pte)
{
	struct samara_mm *mm = in->vma->vm_mm;
	const bool idle = slot_is_idle(in);

	folio_get(in->folio); /* the entry's */
	if (!folio_add_anon(in->folio, in->vma, in->addr, exclusive)) {
		folio_put(store_of(in)->ram, in->folio);
		return false;
	}
	swap_put(mm->machine->store, pte_swap_entry(in->orig));
	if (idle)
		(void)swap_cache_free(mm->machine->store, in->folio);
	if (folio_count(in->folio) == 2) /* the entry's, and the caller's */
		folio_set(in->folio, FOLIO_EXCLUSIVE);
	mm_rss_add(mm, MM_SWAPENTS, -1);
	mm_rss_add(mm, MM_ANONPAGES, 1);
	*pte = present_pte(in);
	return true;
}

static enum rmap_exclusive was_exclusive(pte_t pte)
{
	return swp_value(pte) & SWP_EXCLUSIVE ? RMAP_EXCLUSIVE : RMAP_SHARED;
}

/* A write to a page that is not exclusive is tried again, and copies. */
static pte_t accessed_pte(const struct swapin *in, pte_t pte)
{
	const unsigned long vm_flags = in->vma->vm_flags;

	if (!folio_test(in->folio, FOLIO_EXCLUSIVE) || !(vm_flags & VM_WRITE) ||
	    pte_stops_write(in->vma, pte))
		return pte;
	if (!in->write && !(pte.v & PTE_SOFT_DIRTY) && vma_soft_dirty_enabled(in->vma))
		return pte;
	return in->write ? pte_written(pte, vm_flags) : pte_with(pte, PTE_WRITE);
}

/* folio is locked, the slot's, and has a reference of ours. */
static unsigned int fault_cached(struct vm_fault *vmf, struct folio *folio)
{
	const struct swapin in = {
		.vma = vmf->vma,
		.addr = vmf->addr,
		.folio = folio,
		.orig = vmf->orig,
		.write = vmf->flags & FAULT_WRITE,
	};
	unsigned int ret = VM_FAULT_DONE;
	pte_t pte;

	if (fault_lock(vmf)) {
		if (bring_back(&in, was_exclusive(vmf->orig), &pte))
			pte_set(vmf->pte, accessed_pte(&in, pte));
		else
			ret = VM_FAULT_OOM;
		table_unlock(vmf->leaf);
	}
	return ret;
}

unsigned int fault_swap(struct vm_fault *vmf)
{
	const swp_entry_t swap = pte_swap_entry(vmf->orig);
	struct folio *folio = swap_cache_find(fault_store(vmf), swap);
	unsigned int ret = VM_FAULT_DONE;

	if (!folio)
		return VM_FAULT_WAIT;
	folio_lock(folio);
	/* Where it has left the cache, or could not be read, the access looks again. */
	if (swap_cache_is(folio, swap) && folio_test(folio, FOLIO_UPTODATE)) {
		if (likely(!folio_test(folio, FOLIO_POISONED)))
			ret = fault_cached(vmf, folio);
		else
			ret = VM_FAULT_SIGBUS | VM_FAULT_HWPOISON;
	}
	folio_unlock_cached(fault_store(vmf), folio);
	folio_put(fault_ram(vmf), folio);
	return ret;
}

/* swapoff ---------------------------------------------------------------------- */

/* Where swapoff is: entry pte, of a slot of area, at addr in leaf. */
struct unuse {
	struct vma *vma;
	unsigned int area;
	unsigned long addr;
	struct table *leaf;
	pte_t pte;
};

/* From u->addr on. False: the VMA has no such entry any more, and u->addr is its end. */
static bool next_entry(struct unuse *u)
{
	struct samara_mm *mm = u->vma->vm_mm;
	const unsigned long end = u->vma->vm_end;

	while (u->addr < end && (u->leaf = table_next(mm, &u->addr, end))) {
		const unsigned long last = min(entry_last(mm->geo, 1, u->addr), end - 1);

		BUG_ON(u->leaf->level); /* no huge entry is swapped */
		for (; u->addr <= last; u->addr += mm_page_size(mm)) {
			u->pte = pte_read(table_pte(mm, u->leaf, u->addr));
			if (!swp_none(pte_swap_entry(u->pte)) &&
			    swp_area(pte_swap_entry(u->pte)) == u->area)
				return true;
		}
	}
	u->addr = end;
	return false;
}

/* Whether the entry is still what it was; then its leaf is locked. */
static bool unuse_lock(const struct unuse *u, pte_t **at)
{
	*at = table_pte(u->vma->vm_mm, u->leaf, u->addr);
	table_lock(u->leaf);
	if (pte_same(pte_read(*at), u->pte))
		return true;
	table_unlock(u->leaf);
	return false;
}

/* The page is lost. */
static void poison(const struct unuse *u)
{
	struct samara_mm *mm = u->vma->vm_mm;
	pte_t *at;

	if (!unuse_lock(u, &at))
		return;
	pte_set(at, mk_marker(MARKER_POISON));
	mm_rss_add(mm, MM_SWAPENTS, -1);
	swap_put(mm->machine->store, pte_swap_entry(u->pte));
	table_unlock(u->leaf);
}

/* folio is the slot's, with a reference that is dropped. 0 or -ENOMEM. */
static int unuse_folio(const struct unuse *u, struct folio *folio)
{
	struct file_store *store = u->vma->vm_mm->machine->store;
	const struct swapin in = { .vma = u->vma, .addr = u->addr, .folio = folio, .orig = u->pte };
	pte_t *at, pte;
	int err = 0;

	folio_lock(folio);
	if (swap_cache_is(folio, pte_swap_entry(u->pte)) && unuse_lock(u, &at)) {
		if (bring_back(&in, was_exclusive(u->pte), &pte))
			pte_set(at, pte_without(pte, PTE_ACCESSED));
		else
			err = -ENOMEM;
		table_unlock(u->leaf);
		(void)swap_cache_free(store, folio);
	}
	folio_unlock_cached(store, folio);
	folio_put(store->ram, folio);
	return err;
}

int vma_swap_in(struct vma *vma, unsigned int area, unsigned long *addr)
{
	struct file_store *store = vma->vm_mm->machine->store;
	struct unuse u = { .vma = vma, .area = area, .addr = *addr };
	struct folio *folio;
	bool major = false;
	int err = 0;

	rwsem_assert_held(&vma->vm_mm->mmap_lock.sem);
	while (!err && next_entry(&u)) {
		err = swap_read(store, pte_swap_entry(u.pte), NULL, &folio, &major);
		if (!err && unlikely(folio_test(folio, FOLIO_POISONED))) {
			folio_put(store->ram, folio);
			err = -EIO;
		}
		if (!err)
			err = unuse_folio(&u, folio);
		else if (err == -EIO)
			poison(&u);
		/* The entry is another one now, or has to be looked at again. */
		if (err != -ENOMEM)
			err = 0;
	}
	*addr = u.addr;
	return err;
}
