/* SPDX-License-Identifier: MIT */
/*
 * Writing to a page that is mapped read-only, and unsharing one.
 *
 *   shared mapping:   the page stays, its entry becomes writable; the file may have to be asked
 *   private mapping:  anonymous, of this mapping alone  reuse: the entry becomes writable
 *                     anything else (shared since fork, a file's page, the zero
 *                     frame, a device's page)           copy: a new page takes its place
 *
 * Unsharing is for a pin that only reads. It does what a write would do, but does not make the
 * entry writable. Afterwards the page is anonymous and exclusive, and no later write moves the
 * process away from it.
 *
 * Write protection by userfaultfd: a write that it stops does not come here (fault.c). One that it
 * only writes down takes the bit away. Unsharing keeps it.
 *
 * A copy is made without the leaf's lock, from a page that is held meanwhile. A CPU must not use
 * the old page once another CPU can use the new one. So the leaf's lock is held until the TLBs are
 * flushed, or what runs the mm has exchanged the two (tlb_replace()).
 */
#include "base/bytes.h"
#include "fault/parts.h"
#include "mmu/entry.h"
#include "mmu/gather.h"
#include "mmu/notifier.h"
#include "mmu/tlb.h"

/*
 * The entry once it was written to. A write that comes here although userfaultfd protects the page
 * is one that is only written down (UFFD_FEATURE_WP_ASYNC): the bit goes.
 */
static pte_t written(const struct vm_fault *vmf)
{
	pte_t pte = vmf->orig;

	if (pte_stops_write(vmf->vma, pte))
		pte = pte_without(pte, PTE_UFFD_WP);
	return pte_written(pte, vmf->vma->vm_flags);
}

static unsigned int wp_shared(struct vm_fault *vmf)
{
	struct folio *folio = pte_folio(fault_ram(vmf), vmf->orig);
	const unsigned int ret = fault_ask_write(vmf, pte_pfn(vmf->orig));

	if (ret)
		return ret;
	if (!fault_lock(vmf))
		return VM_FAULT_DONE;
	/*
	 * Together under the leaf's lock: write-back that has cleaned the folio before comes to
	 * this entry after it, and cleans it as well, or finds the folio dirty the next time.
	 */
	if (folio)
		folio_set(folio, FOLIO_DIRTY);
	pte_set(vmf->pte, written(vmf));
	table_unlock(vmf->leaf);
	return VM_FAULT_DONE;
}

/*
 * folio's only other reference is the swap cache's: it leaves, unless another entry names its slot,
 * or another thread has it locked. True: our entry is the only reference now.
 */
static bool leave_swap_cache(struct file_store *store, struct folio *folio)
{
	bool alone;

	if (!folio_trylock(folio))
		return false;
	alone = swap_cache_free(store, folio) && folio_count(folio) == 1;
	folio_unlock_cached(store, folio);
	return alone;
}

/*
 * Whether the page is this mapping's alone. When our entry is its only reference, no thread can get
 * another: it would need our entry (leaf's lock) or a fork (which waits for the VMA).
 */
static bool may_reuse(struct file_store *store, struct folio *folio)
{
	if (!folio || !folio_test(folio, FOLIO_ANON))
		return false;
	if (folio_test(folio, FOLIO_EXCLUSIVE))
		return true;
	if (folio_count(folio) != 1 &&
	    (folio_count(folio) != 2 || !folio_test(folio, FOLIO_SWAPCACHE) ||
	     !leave_swap_cache(store, folio)))
		return false;
	folio_set(folio, FOLIO_EXCLUSIVE);
	return true;
}

/* Fill a new page with what the entry shows; old is held, NULL for a frame without a folio. */
static struct folio *copy_page(const struct vm_fault *vmf, const struct folio *old)
{
	struct ram *ram = fault_ram(vmf);
	const bool zero = !old && pte_pfn(vmf->orig) == ZERO_FRAME;
	struct folio *folio = folio_alloc(ram, 0, zero ? FOLIO_ZEROED : FOLIO_RAW);

	if (folio && old)
		bytes_copy(folio_virt(ram, folio), folio_virt(ram, old),
			   mm_page_size(vmf->vma->vm_mm));
	return folio;
}

/* What an entry is told apart by, whichever page it has. */
#define KEPT_BITS (PTE_UFFD_WP | PTE_SOFT_DIRTY)

/* The leaf's lock is held, the entry is vmf->orig. */
static void replace(const struct vm_fault *vmf, struct folio *folio, const struct folio *old)
{
	struct samara_mm *mm = vmf->vma->vm_mm;
	struct ram *ram = fault_ram(vmf);

	/* A device's frame is its own as long as the entry is there. */
	if (!old && pte_pfn(vmf->orig) != ZERO_FRAME)
		bytes_copy(folio_virt(ram, folio), pfn_to_virt(ram, pte_pfn(vmf->orig)),
			   mm_page_size(mm));
	table_clear(vmf->leaf, vmf->pte);
	fault_set_anon(vmf, folio);
	/* A page that is only unshared stays protected, and written to. */
	if (!(vmf->flags & FAULT_WRITE) && unlikely(vmf->orig.v & KEPT_BITS))
		pte_set(vmf->pte, pte_with(pte_read(vmf->pte), vmf->orig.v & KEPT_BITS));
	tlb_replace(vmf->vma, vmf->addr, pte_read(vmf->pte));
	if (old)
		mm_rss_add(mm, folio_rss(old), -1);
}

/* old is held by a reference of ours, or NULL. */
static unsigned int wp_copy(struct vm_fault *vmf, struct folio *old)
{
	struct samara_mm *mm = vmf->vma->vm_mm;
	struct samara_notifier_range range = {
		.mm = mm,
		.start = vmf->addr,
		.end = vmf->addr + mm_page_size(mm),
		.why = SAMARA_NOTIFY_CLEAR,
	};
	const unsigned int ret = fault_anon_vma(vmf);
	struct folio *folio;

	if (ret)
		return ret;
	folio = copy_page(vmf, old);
	if (!folio)
		return VM_FAULT_OOM;
	notifier_start(mm, &range);
	if (fault_lock(vmf)) {
		replace(vmf, folio, old);
		table_unlock(vmf->leaf);
		if (old)
			folio_unmap_cached(fault_store(vmf), old);
	} else {
		folio_put(fault_ram(vmf), folio);
	}
	notifier_end(mm, &range);
	return VM_FAULT_DONE;
}

unsigned int fault_wp(struct vm_fault *vmf)
{
	struct folio *folio = pte_folio(fault_ram(vmf), vmf->orig);
	unsigned int ret;
	bool held;

	if (vmf->vma->vm_flags & (VM_SHARED | VM_MAYSHARE))
		return wp_shared(vmf);
	if (!fault_lock(vmf))
		return VM_FAULT_DONE;
	if (may_reuse(fault_store(vmf), folio)) {
		if (vmf->flags & FAULT_WRITE)
			pte_set(vmf->pte, written(vmf));
		table_unlock(vmf->leaf);
		return VM_FAULT_DONE;
	}
	held = !folio || folio_try_get(folio);
	table_unlock(vmf->leaf);
	if (!held)
		return VM_FAULT_OOM;
	ret = wp_copy(vmf, folio);
	if (folio)
		folio_put(fault_ram(vmf), folio);
	return ret;
}
