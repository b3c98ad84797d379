/* SPDX-License-Identifier: MIT */
/*
 * Waiting for an entry to change, for a page to be read, or for memory. See wait.h.
 */
#include "access/wait.h"

#include <errno.h>

#include "access/read_later.h"
#include "base/rcu.h"
#include "frame/frame.h"
#include "frame/vm_event.h"
#include "mmu/entry.h"
#include "reclaim/reclaim.h"

/* What the entry of an address waits for. */
struct awaited {
	struct folio *folio; /* on its way elsewhere; with a reference */
	swp_entry_t swap;    /* or in a swap area */
	struct swap_around around;
};

/* The pages around one may be read with it. */
static void note_around(const struct table *leaf, unsigned int place, unsigned int entries,
			struct awaited *what)
{
	const unsigned int first = ALIGN_DOWN(place, SWAP_WINDOW);

	what->around.wanted = place - first;
	for (unsigned int i = 0; i < SWAP_WINDOW && first + i < entries; i++)
		if (i != what->around.wanted)
			what->around.entry[i] = pte_swap_entry(pte_read(&leaf->entry[first + i]));
}

/* The leaf is locked. */
static void note_entry(struct samara_mm *mm, struct table *leaf, unsigned long addr,
		       struct awaited *what)
{
	const pte_t pte = pte_read(table_pte(mm, leaf, addr));

	what->swap = pte_swap_entry(pte);
	if (!swp_none(what->swap)) {
		note_around(leaf, table_index(mm->geo, 0, addr), 1U << mm->geo->level_bits, what);
	} else if (pte_migration(pte)) {
		what->folio = pfn_folio(mm->machine->ram, migration_pfn(pte));
		if (!folio_try_get(what->folio))
			what->folio = NULL; /* frozen: it is locked only for a moment more */
	}
}

static struct awaited look(struct samara_mm *mm, unsigned long addr)
{
	struct awaited what = { 0 };
	struct table *leaf;

	rcu_read_lock();
	leaf = table_find(mm, addr);
	if (leaf) {
		table_lock(leaf);
		note_entry(mm, leaf, addr, &what);
		table_unlock(leaf);
	}
	rcu_read_unlock();
	return what;
}

/* A page that was read, with a reference. */
static void keep(struct samara_mm *mm, struct waited *waited, struct folio *folio)
{
	if (!waited->lacked) {
		folio_put(mm->machine->ram, folio);
		return;
	}
	waited_end(mm, waited);
	waited->page = folio;
}

void waited_end(struct samara_mm *mm, struct waited *waited)
{
	if (waited->page)
		folio_put(mm->machine->ram, waited->page);
	waited->page = NULL;
}

static int make_room(struct samara_mm *mm, struct waited *waited)
{
	waited->lacked = true;
	return store_make_room(mm->machine->store, &waited->refused);
}

static int read_slot(struct samara_mm *mm, const struct awaited *what, struct waited *waited)
{
	struct file_store *store = mm->machine->store;
	struct folio *folio;
	bool major = false;
	int err;

	reclaim_before_reading(store);
	err = swap_read(store, what->swap, &what->around, &folio, &major);
	if (!err)
		keep(mm, waited, folio);
	if (major)
		vm_event_add(store->ram, PGMAJFAULT, 1);
	if (err == -ENOENT)
		return 0; /* the entry is another one by now */
	return err == -ENOMEM ? make_room(mm, waited) : err;
}

/*
 * A folio stays locked until each entry of its migration is a page's again. The reference is taken
 * under the leaf's lock, while the entry keeps the folio.
 */
static void wait_for_folio(struct file_store *store, struct folio *folio)
{
	folio_lock(folio);
	folio_unlock_cached(store, folio);
	folio_put(store->ram, folio);
}

/* NOWAIT. A page that moves needs no help. */
static int come_back(struct samara_mm *mm, const struct awaited *what, struct waited *waited)
{
	if (what->folio)
		folio_put(mm->machine->ram, what->folio);
	if (swp_none(what->swap) || read_later(mm->machine, what->swap))
		return -EAGAIN;
	return read_slot(mm, what, waited);
}

/* handlers ------------------------------------------------------------------- */

static unsigned int why(unsigned int codes, unsigned int flags)
{
	return (flags & FAULT_WRITE ? UFFD_PAGEFAULT_FLAG_WRITE : 0) |
	       (codes & VM_FAULT_UFFD_WP ? UFFD_PAGEFAULT_FLAG_WP : 0) |
	       (codes & VM_FAULT_UFFD_MINOR ? UFFD_PAGEFAULT_FLAG_MINOR : 0);
}

void access_queue(struct vma *vma, unsigned long addr, unsigned int flags, unsigned int codes,
		  struct waited *waited)
{
	if (waited->nowait)
		waited->answer = uffd_post(vma, addr, why(codes, flags));
	else
		uffd_queue(vma, addr, why(codes, flags), &waited->sleeper);
	if (fault_uffd_waits(vma, addr, flags, codes))
		return;
	/* It was answered meanwhile: unless it was interrupted, it is made again at once. */
	if (!waited->nowait) {
		waited->answer = uffd_leave(&waited->sleeper);
		return;
	}
	waited->answer = 0;
	addr &= mm_page_mask(vma->vm_mm);
	uffd_posts_drop(vma->rare.uffd, addr, addr + mm_page_size(vma->vm_mm));
}

static int wait_for_handler(struct samara_mm *mm, struct waited *waited)
{
	const int answer = waited->answer;

	waited_end(mm, waited);
	waited->answer = 0;
	if (answer)
		return answer;
	return waited->sleeper.uffd ? uffd_sleep(&waited->sleeper) : 0;
}

int access_wait(struct samara_mm *mm, unsigned long addr, unsigned int codes, struct waited *waited)
{
	struct awaited what;

	if (codes & VM_FAULT_OOM)
		return make_room(mm, waited);
	if (codes & VM_FAULT_UFFD)
		return wait_for_handler(mm, waited);
	VM_WARN_ON(lock_rank_holds_any());
	what = look(mm, addr);
	if (waited->nowait)
		return come_back(mm, &what, waited);
	if (what.folio)
		wait_for_folio(mm->machine->store, what.folio);
	return swp_none(what.swap) ? 0 : read_slot(mm, &what, waited);
}
