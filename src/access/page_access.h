/* SPDX-License-Identifier: MIT */
/*
 * One access to one page, as a CPU makes it: through the page table, or not at all.
 *
 *   if (access_begin(mm, addr, kind, &at)) {
 *           ... the bytes at at.host, up to the page's end ...
 *           access_end(&at);
 *   } else {
 *           access_fault(mm, addr, kind, &fault)
 *   }
 *
 * In between the leaf's lock is held. A thread that takes the page away, shares it or copies it
 * does so before or after. No VMA and no mmap_lock is needed. A leaf may leave the page table
 * meanwhile: its entries are empty then, and an RCU section keeps its memory.
 */
#ifndef ACCESS_PAGE_ACCESS_H
#define ACCESS_PAGE_ACCESS_H

#include "access/fault_door.h"
#include "base/rcu.h"
#include "frame/frame.h"
#include "mmu/table.h"

struct access_at {
	struct table *leaf;
	pte_t pte; /* with the accessed bit, and after a write the dirty bit */
	char *host;
};

static inline bool pte_allows(pte_t pte, enum samara_access kind)
{
	if (!pte_accessible(pte))
		return false;
	if (kind == SAMARA_ACCESS_WRITE)
		return pte_write(pte);
	return kind == SAMARA_ACCESS_READ || pte_exec(pte);
}

/* True: go on, and call access_end(). False: that needs a fault; nothing is held. */
static inline bool access_begin(struct samara_mm *mm, unsigned long addr, enum samara_access kind,
				struct access_at *at)
{
	const uint64_t marks = PTE_ACCESSED | (kind == SAMARA_ACCESS_WRITE ? PTE_DIRTY : 0);
	pte_t *pte;

	if (unlikely(addr >= mm->geo->task_size))
		return false;
	rcu_read_lock();
	at->leaf = table_find(mm, addr);
	if (unlikely(!at->leaf))
		goto none; /* or a huge entry, which the fault refuses */
	pte = table_pte(mm, at->leaf, addr);
	table_lock(at->leaf);
	at->pte = pte_read(pte);
	if (unlikely(!pte_allows(at->pte, kind)))
		goto unlock;
	if ((at->pte.v & marks) != marks) {
		at->pte = pte_with(at->pte, marks);
		pte_set(pte, at->pte);
	}
	at->host = (char *)pfn_to_virt(mm->machine->ram, pte_pfn(at->pte)) +
		   (addr & ~mm_page_mask(mm));
	return true;

unlock:
	table_unlock(at->leaf);
none:
	rcu_read_unlock();
	return false;
}

static inline void access_end(struct access_at *at)
{
	table_unlock(at->leaf);
	rcu_read_unlock();
}

#endif
