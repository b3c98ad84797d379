/* SPDX-License-Identifier: MIT */
/*
 * Waiting for an entry to change, or for memory. See wait.h.
 */
#include "access/wait.h"

#include "base/rcu.h"
#include "frame/frame.h"
#include "mmu/entry.h"

/* The folio that the entry at addr says is on its way elsewhere, with a reference; or NULL. */
static struct folio *migrating_folio(struct samara_mm *mm, unsigned long addr)
{
	struct folio *folio = NULL;
	struct table *leaf;
	pte_t pte;

	rcu_read_lock();
	leaf = table_find(mm, addr);
	if (leaf) {
		table_lock(leaf);
		pte = pte_read(table_pte(mm, leaf, addr));
		if (pte_migration(pte))
			folio = pfn_folio(mm->machine->ram, migration_pfn(pte));
		if (folio && !folio_try_get(folio))
			folio = NULL;
		table_unlock(leaf);
	}
	rcu_read_unlock();
	return folio;
}

/*
 * A folio stays locked until each entry of its migration is a page's again. The reference is taken
 * under the leaf's lock, while the entry keeps the folio.
 */
static void wait_for_entry(struct samara_mm *mm, unsigned long addr)
{
	struct folio *folio = migrating_folio(mm, addr);

	if (!folio)
		return;
	folio_lock(folio);
	folio_unlock(folio);
	folio_put(mm->machine->ram, folio);
}

int access_wait(struct samara_mm *mm, unsigned long addr, unsigned int codes,
		unsigned long *refused)
{
	if (codes & VM_FAULT_OOM)
		return store_make_room(mm->machine->store, refused);
	VM_WARN_ON(lock_rank_holds_any());
	wait_for_entry(mm, addr);
	return 0;
}
