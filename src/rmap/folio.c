/* SPDX-License-Identifier: MIT */
/*
 * What is done to a folio through all of its mappings. The folio is locked and referenced.
 *
 * Each change of an entry is made under its leaf's lock, and what it takes away is
 * flushed from the TLBs before the next step: only then are the bytes what they will
 * stay (folio_mkclean(): write-back may read them), only then may the frame be used
 * otherwise (folio_unmap_all()). The leaf's lock is held until then. So a call that finds an entry
 * without the right to write (mprotect, UFFDIO_WRITEPROTECT) need not flush it.
 */
#include <errno.h>

#include "base/assert.h"
#include "mmu/entry.h"
#include "mmu/tlb.h"
#include "rmap/rmap_walk.h"

static unsigned long flags_of(const struct vma *vma)
{
	return READ_ONCE(vma->vm_flags);
}

/* clean ------------------------------------------------------------------------ */

static enum rmap_answer clean_one(struct rmap_walk *walk, struct vma *vma, unsigned long addr)
{
	struct samara_notifier_range range = page_range(vma, addr, SAMARA_NOTIFY_PROTECT);
	bool *dirty = walk->arg, changed;
	struct mapped m;

	/* Through a private mapping no file's page is written to. */
	if (!(flags_of(vma) & VM_SHARED))
		return RMAP_ON;
	notifier_start(vma->vm_mm, &range);
	if (mapped_lock(walk, vma, addr, &m)) {
		changed = pte_write(m.pte) || pte_dirty(m.pte);
		*dirty |= pte_dirty(m.pte);
		if (changed) {
			pte_set(m.at, pte_without(m.pte, PTE_WRITE | PTE_DIRTY));
			tlb_flush_range(vma->vm_mm, range.start, range.end, TLB_LOST_WRITE);
		}
		mapped_unlock(&m);
	}
	notifier_end(vma->vm_mm, &range);
	return RMAP_ON;
}

bool folio_mkclean(struct ram *ram, struct folio *folio)
{
	bool dirty = false;
	struct rmap_walk walk = {
		.ram = ram,
		.folio = folio,
		.gate = MM_GATE_REMOVE,
		.one = clean_one,
		.arg = &dirty,
	};

	VM_WARN_ON(folio_test(folio, FOLIO_ANON));
	rmap_walk(&walk);
	return dirty;
}

/* referenced ------------------------------------------------------------------- */

/*
 * The built-in TLBs keep what they have: an access through them alone is not seen, as on x86. Other
 * units may tell (mmu/tlb_unit.h).
 */
static enum rmap_answer referenced_one(struct rmap_walk *walk, struct vma *vma, unsigned long addr)
{
	unsigned int *times = walk->arg;
	struct mapped m;
	bool young;

	/* After MADV_SEQUENTIAL or MADV_RANDOM an access tells nothing about later ones. */
	if (flags_of(vma) & (VM_SEQ_READ | VM_RAND_READ))
		return RMAP_ON;
	if (!mapped_lock(walk, vma, addr, &m))
		return RMAP_ON;
	if (pte_young(m.pte))
		pte_set(m.at, pte_without(m.pte, PTE_ACCESSED));
	/* Both are asked, so that each begins anew. */
	young = tlb_young(vma->vm_mm, addr);
	if (young || pte_young(m.pte))
		++*times;
	mapped_unlock(&m);
	return RMAP_ON;
}

unsigned int folio_referenced(struct file_store *store, struct folio *folio)
{
	unsigned int times = 0;
	struct rmap_walk walk = {
		.ram = store->ram,
		.store = store,
		.folio = folio,
		.gate = MM_GATE_LOOK,
		.one = referenced_one,
		.arg = &times,
	};

	rmap_walk(&walk);
	return times;
}

/* locked ----------------------------------------------------------------------- */

static enum rmap_answer locked_one(struct rmap_walk *walk, struct vma *vma, unsigned long addr)
{
	bool *locked = walk->arg;
	struct mapped m;

	if (!(flags_of(vma) & VM_LOCKED) || !mapped_lock(walk, vma, addr, &m))
		return RMAP_ON;
	mapped_unlock(&m);
	*locked = true;
	return RMAP_STOP;
}

bool folio_mlocked(struct file_store *store, struct folio *folio)
{
	bool locked = false;
	struct rmap_walk walk = {
		.ram = store->ram,
		.store = store,
		.folio = folio,
		.gate = MM_GATE_LOOK,
		.one = locked_one,
		.arg = &locked,
	};

	rmap_walk(&walk);
	return locked;
}

/* unmap ------------------------------------------------------------------------ */

/*
 * An anonymous page is dropped, and no copy is kept, if it was not written to since it was marked,
 * and if only the caller has it: a pin may be written through. A page of MAP_DROPPABLE may have
 * been written to.
 */
static bool may_drop(struct folio *folio, const struct vma *vma, pte_t pte)
{
	if (folio_test(folio, FOLIO_SWAPBACKED))
		return false;
	if ((pte_dirty(pte) || folio_test(folio, FOLIO_DIRTY)) && !(flags_of(vma) & VM_DROPPABLE)) {
		folio_set(folio, FOLIO_SWAPBACKED);
		return false;
	}
	return folio_refs(folio) == 1;
}

/*
 * What takes the place of the entry, in *by. False: it has to stay. The leaf is locked, so no pin
 * comes or goes unnoticed: a page that is one process's alone is pinned through this entry only.
 */
static bool replacement(const struct rmap_walk *walk, const struct vma *vma, pte_t pte, pte_t *by)
{
	const swp_entry_t swap = *(const swp_entry_t *)walk->arg;
	struct folio *folio = walk->folio;
	const bool exclusive = folio_test(folio, FOLIO_EXCLUSIVE);

	*by = pte_empty();
	if (!folio_test(folio, FOLIO_ANON)) {
		if (pte_uffd_wp(pte) && vma_uffd_wp(vma))
			*by = mk_marker(MARKER_UFFD_WP);
		return true;
	}
	if (swp_none(swap))
		return may_drop(folio, vma, pte);
	if ((exclusive && folio_maybe_pinned(folio)) || !swap_dup(walk->store, swap))
		return false;
	*by = mk_swap_pte(swap, (exclusive ? SWP_EXCLUSIVE : 0) |
					(pte_uffd_wp(pte) ? SWP_UFFD_WP : 0) |
					(pte.v & PTE_SOFT_DIRTY ? SWP_SOFT_DIRTY : 0) |
					(pte.v & PTE_WAS_EXCLUSIVE ? SWP_WAS_EXCLUSIVE : 0));
	return true;
}

/*
 * The leaf is locked. It stays so until the TLBs are flushed: a page that is dropped must not be
 * seen by one CPU while another one has a new page already.
 */
static void take_out(const struct rmap_walk *walk, const struct vma *vma, unsigned long addr,
		     const struct mapped *m, pte_t by)
{
	struct samara_mm *mm = vma->vm_mm;

	if (pte_dirty(m->pte))
		folio_set(walk->folio, FOLIO_DIRTY);
	if (!swp_none(pte_swap_entry(by))) {
		folio_test_clear(walk->folio, FOLIO_EXCLUSIVE);
		mm_rss_add(mm, MM_SWAPENTS, 1);
	}
	if (pte_none(by))
		table_clear(m->leaf, m->at);
	else
		pte_set(m->at, by);
	mm_rss_add(mm, folio_rss(walk->folio), -1);
	tlb_flush_range(mm, addr, addr + mm_page_size(mm), TLB_LOST_ALL);
}

static enum rmap_answer unmap_one(struct rmap_walk *walk, struct vma *vma, unsigned long addr)
{
	struct samara_notifier_range range = page_range(vma, addr, SAMARA_NOTIFY_CLEAR);
	enum rmap_answer answer = RMAP_ON;
	bool gone = false;
	struct mapped m;
	pte_t by;

	notifier_start(vma->vm_mm, &range);
	if (mapped_lock(walk, vma, addr, &m)) {
		/* A locked mapping that does not map the page keeps nothing. */
		gone = !(flags_of(vma) & VM_LOCKED) && replacement(walk, vma, m.pte, &by);
		if (gone)
			take_out(walk, vma, addr, &m, by);
		else
			answer = RMAP_STOP;
		mapped_unlock(&m);
	}
	if (gone)
		folio_unmap(walk->ram, walk->folio); /* not the last one: the caller's is left */
	notifier_end(vma->vm_mm, &range);
	return answer;
}

int folio_unmap_all(struct file_store *store, struct folio *folio, swp_entry_t swap)
{
	struct rmap_walk walk = {
		.ram = store->ram,
		.store = store,
		.folio = folio,
		.gate = MM_GATE_LOOK,
		.one = unmap_one,
		.arg = &swap,
	};

	rmap_walk(&walk);
	return folio_maps(folio) ? -EBUSY : 0;
}
