/* SPDX-License-Identifier: MIT */
/*
 * What is done to a folio through all of its mappings. The folio is locked and referenced.
 *
 * Each change of an entry is made under its leaf's lock, and what it takes away is
 * flushed from the TLBs before the next step: only then are the bytes what they will
 * stay (folio_mkclean(): write-back may read them), only then may the frame be used
 * otherwise (folio_unmap_all()). Write-back and unmapping both hold the folio's lock, so neither
 * passes between the other's clearing and flushing.
 */
#include <errno.h>

#include "base/assert.h"
#include "mmu/notifier.h"
#include "mmu/tlb.h"
#include "rmap/rmap_walk.h"

/* One page of vma's mm, as a notifier hears of it. */
static struct samara_notifier_range page_range(const struct vma *vma, unsigned long addr,
					       enum samara_notifier_why why)
{
	return (struct samara_notifier_range){
		.mm = vma->vm_mm,
		.start = addr,
		.end = addr + mm_page_size(vma->vm_mm),
		.why = why,
	};
}

static unsigned long flags_of(const struct vma *vma)
{
	return READ_ONCE(vma->vm_flags);
}

/* clean ------------------------------------------------------------------------ */

static enum rmap_answer clean_one(struct rmap_walk *walk, struct vma *vma, unsigned long addr)
{
	struct samara_notifier_range range = page_range(vma, addr, SAMARA_NOTIFY_PROTECT);
	bool *dirty = walk->arg, changed = false;
	struct mapped m;

	/* Through a private mapping no file's page is written to. */
	if (!(flags_of(vma) & VM_SHARED))
		return RMAP_ON;
	notifier_start(vma->vm_mm, &range);
	if (mapped_lock(walk, vma, addr, &m)) {
		changed = pte_write(m.pte) || pte_dirty(m.pte);
		*dirty |= pte_dirty(m.pte);
		if (changed)
			pte_set(m.at, pte_without(m.pte, PTE_WRITE | PTE_DIRTY));
		mapped_unlock(&m);
	}
	if (changed)
		tlb_flush_range(vma->vm_mm, range.start, range.end);
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

/* What takes the place of an entry. */
static pte_t replacement(const struct folio *folio, swp_entry_t swap)
{
	if (swp_none(swap))
		return pte_empty();
	return mk_swap_pte(swap, folio_test(folio, FOLIO_EXCLUSIVE) ? SWP_EXCLUSIVE : 0);
}

/*
 * May this entry go? A pinned page that is one process's alone would lose its writer's data;
 * a page that is to be dropped without a copy must not have been written to.
 */
static bool may_unmap(const struct folio *folio, pte_t pte, swp_entry_t swap)
{
	if (!folio_test(folio, FOLIO_ANON))
		return true;
	if (folio_maybe_pinned(folio) && folio_test(folio, FOLIO_EXCLUSIVE))
		return false;
	return !swp_none(swap) || !(pte_dirty(pte) || folio_test(folio, FOLIO_DIRTY));
}

/* The leaf is locked. */
static void take_out(const struct rmap_walk *walk, struct samara_mm *mm, const struct mapped *m)
{
	const swp_entry_t swap = *(const swp_entry_t *)walk->arg;

	if (pte_dirty(m->pte))
		folio_set(walk->folio, FOLIO_DIRTY);
	if (swp_none(swap)) {
		table_clear(m->leaf, m->at);
	} else {
		pte_set(m->at, replacement(walk->folio, swap));
		mm_rss_add(mm, MM_SWAPENTS, 1);
	}
	mm_rss_add(mm, folio_rss(walk->folio), -1);
}

static enum rmap_answer unmap_one(struct rmap_walk *walk, struct vma *vma, unsigned long addr)
{
	struct samara_notifier_range range = page_range(vma, addr, SAMARA_NOTIFY_CLEAR);
	const swp_entry_t swap = *(const swp_entry_t *)walk->arg;
	enum rmap_answer answer = RMAP_ON;
	bool gone = false;
	struct mapped m;

	if (flags_of(vma) & VM_LOCKED)
		return RMAP_STOP;
	notifier_start(vma->vm_mm, &range);
	if (mapped_lock(walk, vma, addr, &m)) {
		gone = may_unmap(walk->folio, m.pte, swap);
		if (gone)
			take_out(walk, vma->vm_mm, &m);
		else
			answer = RMAP_STOP;
		mapped_unlock(&m);
	}
	if (gone) {
		tlb_flush_range(vma->vm_mm, range.start, range.end);
		folio_unmap(walk->ram, walk->folio); /* not the last one: the caller's is left */
	}
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
