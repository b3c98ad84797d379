/* SPDX-License-Identifier: MIT */
/*
 * The doors of <samara/backend.h>: frames and translations for what runs an mm by itself.
 *
 *   samara_fault_in()    VMA's lock, or mmap_lock          access_fault()
 *                          leaf's lock                        no lock is held
 *                            entry allows it? ---- no ---->     the page comes
 *                            yes: bits, translation  <---- again
 *   samara_translate()   the same without bits and faults, VMA by VMA, leaf by leaf
 *
 * The VMA is held so that a translation tells of one moment: the entry and its mapping. Its stale
 * number is read under the leaf's lock (mmu/tlb_unit.h).
 */
#include <errno.h>

#include "access/page_access.h"
#include "base/sized.h"
#include "core/vma_lock.h"
#include "mmu/translation.h"
#include "range/leaf.h"
#include "vma/find.h"

int samara_ram(struct samara_machine *machine, struct samara_ram_info *out)
{
	const int refused = gate_check(machine->gate);
	const struct ram_view *view = ram_view(machine->ram);
	struct samara_ram_info own = {
		.size = sizeof(own),
		.base = view->base,
		.bytes = view->nr_frames << view->page_shift,
		.page_shift = view->page_shift,
	};

	if (refused)
		return refused;
	if (out->size < sizeof(out->size))
		return -EINVAL;
	own.fd = ram_fd(machine->ram);
	return own.fd < 0 ? own.fd : sized_put(out, &own, sizeof(own));
}

/* fault in ------------------------------------------------------------------------ */

#define FAULT_IN_FLAGS \
	((unsigned int)SAMARA_NOWAIT | (unsigned int)SAMARA_NOGROW | \
	 (unsigned int)SAMARA_FAULT_IN_UNSHARE)

/* Whether the page of vma that pte maps stays the process's own, whoever writes to it. */
static bool is_own(const struct vma *vma, pte_t pte)
{
	const unsigned int own = FOLIO_ANON | FOLIO_EXCLUSIVE;

	if (pte_write(pte) || !vm_is_cow(vma->vm_flags))
		return true;
	return !pte_special(pte) &&
	       (folio_flags(pfn_folio(vma->vm_mm->machine->ram, pte_pfn(pte))) & own) == own;
}

/* vma is held. False: the access needs a fault. */
static bool look_in(const struct vma *vma, unsigned long addr, unsigned int how,
		    struct samara_translation *out)
{
	struct samara_mm *mm = vma->vm_mm;
	struct access_at at;
	bool there;

	if (!access_begin(mm, addr, how & ACCESS_KIND, &at))
		return false;
	there = !(how & FAULT_UNSHARE) || is_own(vma, at.pte);
	if (there)
		translate_entry(vma, addr & mm_page_mask(mm), at.pte, out);
	access_end(&at);
	return there;
}

static bool look(struct samara_mm *mm, unsigned long addr, unsigned int how,
		 struct samara_translation *out)
{
	struct vma *vma;
	bool there;

	if (addr >= mm->geo->task_size)
		return false;
	vma = lock_vma_under_rcu(mm, addr);
	if (likely(vma)) {
		there = look_in(vma, addr, how, out);
		vma_end_read(vma);
		mm_lock_count(mm, VMA_LOCK_NO_FAULT);
		return there;
	}
	mmap_read_lock(mm);
	vma = vma_lookup(mm, addr);
	there = vma && look_in(vma, addr, how, out);
	mmap_read_unlock(mm);
	return there;
}

int samara_fault_in(struct samara_mm *mm, unsigned long addr, enum samara_access access,
		    unsigned int flags, struct samara_translation *out, struct samara_fault *fault)
{
	const int refused = mm_call(mm);
	struct samara_fault ignored;
	unsigned int how = access;
	int err = 0;

	if (refused)
		return refused;
	if ((unsigned int)access >= SAMARA_ACCESS_KINDS || (flags & ~FAULT_IN_FLAGS))
		return -EINVAL;
	if (flags & SAMARA_NOWAIT)
		how |= FAULT_NOWAIT;
	if (flags & SAMARA_NOGROW)
		how |= FAULT_NOGROW;
	/* A write makes the page the process's own by itself. */
	if ((flags & SAMARA_FAULT_IN_UNSHARE) && access != SAMARA_ACCESS_WRITE)
		how |= FAULT_UNSHARE;
	if (!fault)
		fault = &ignored;
	*fault = (struct samara_fault){ 0 };
	tlb_stale_keep(mm);
	while (!err && !look(mm, addr, how, out))
		err = access_fault(mm, addr, how, fault);
	return err;
}

/* translate ----------------------------------------------------------------------- */

/* Pages of [addr, end), in one leaf of vma, which is held. Returns what follows the last one. */
static struct samara_translation *leaf_translate(const struct vma *vma, unsigned long addr,
						 unsigned long end, struct samara_translation *out)
{
	struct samara_mm *mm = vma->vm_mm;
	const unsigned long page = mm_page_size(mm);
	struct table *leaf = table_find(mm, addr);
	const pte_t *at;

	if (!leaf) {
		for (; addr < end; addr += page)
			translate_entry(vma, addr, pte_empty(), out++);
		return out;
	}
	at = table_pte(mm, leaf, addr);
	table_lock(leaf);
	for (; addr < end; addr += page)
		translate_entry(vma, addr, pte_read(at++), out++);
	table_unlock(leaf);
	return out;
}

static struct samara_translation *vma_translate(const struct vma *vma, unsigned long addr,
						unsigned long end, struct samara_translation *out)
{
	const struct samara_geometry *geo = vma->vm_mm->geo;

	for (unsigned long stop; addr < end; addr = stop) {
		stop = leaf_end(geo, addr, end);
		out = leaf_translate(vma, addr, stop, out);
	}
	return out;
}

/* Pages of [addr, end) up to where a mapping or a hole ends. Returns that address. */
static unsigned long translate_some(struct samara_mm *mm, unsigned long addr, unsigned long end,
				    struct samara_translation *out)
{
	struct vma *vma = lock_vma_under_rcu(mm, addr);

	if (vma) {
		end = min(end, vma->vm_end);
		(void)vma_translate(vma, addr, end, out);
		vma_end_read(vma);
		mm_lock_count(mm, VMA_LOCK_NO_FAULT);
		return end;
	}
	mmap_read_lock(mm);
	vma = vma_find_from(mm, addr);
	if (vma && vma->vm_start <= addr) {
		end = min(end, vma->vm_end);
		(void)vma_translate(vma, addr, end, out);
	} else {
		end = vma ? min(end, vma->vm_start) : end;
		for (; addr < end; addr += mm_page_size(mm))
			translate_none(mm, addr, out++);
	}
	mmap_read_unlock(mm);
	return end;
}

long samara_translate(struct samara_mm *mm, unsigned long addr, unsigned long nr,
		      struct samara_translation *out)
{
	const int refused = mm_call(mm);
	const unsigned long top = mm->geo->task_size;
	unsigned long done = 0, end;

	if (refused)
		return refused;
	if (!mm_page_aligned(mm, addr) || !nr || addr >= top || nr > mm_pages(mm, top - addr))
		return -EINVAL;
	tlb_stale_keep(mm);
	end = addr + nr * mm_page_size(mm);
	while (addr < end) {
		const unsigned long next = translate_some(mm, addr, end, &out[done]);

		done += mm_pages(mm, next - addr);
		addr = next;
	}
	return (long)nr;
}

int samara_translation_stale(struct samara_mm *mm, const struct samara_translation *t)
{
	return mm_is_foreign(mm) || tlb_stale_now(mm, t->addr) != t->seq;
}
