/* SPDX-License-Identifier: MIT */
/*
 * Moving pages and bad memory: the doors of <samara/reclaim.h>, and madvise's MADV_HWPOISON and
 * MADV_SOFT_OFFLINE.
 */
#include <errno.h>

#include <samara/reclaim.h>

#include "access/page_access.h"
#include "reclaim/reclaim.h"
#include "syscall/advise_pages.h"

int samara_compact(struct samara_machine *machine, unsigned int order)
{
	const int refused = gate_check(machine->gate);

	return refused ? refused : compact(machine, order);
}

int samara_memory_failure(struct samara_machine *machine, unsigned long pfn, unsigned int flags)
{
	const int refused = gate_check(machine->gate);

	if (refused)
		return refused;
	return flags ? -EINVAL : memory_failure(machine, pfn);
}

/* migrating ----------------------------------------------------------------------- */

/* The folio of an entry, with a reference; NULL: none, or none of ours. The leaf is locked. */
static struct folio *get_folio(const struct samara_mm *mm, pte_t pte)
{
	struct folio *folio;

	if (!pte_present(pte) || pte_special(pte))
		return NULL;
	folio = pfn_folio(mm->machine->ram, pte_pfn(pte));
	return folio_try_get(folio) ? folio : NULL;
}

/* The first page of [*addr, end) that is in memory; *addr moves up behind it. NULL: none. */
static struct folio *next_folio(struct samara_mm *mm, unsigned long *addr, unsigned long end)
{
	struct folio *folio = NULL;
	struct table *leaf;

	rcu_read_lock();
	while (!folio && *addr < end && (leaf = table_next(mm, addr, end))) {
		const unsigned long behind = min(entry_last(mm->geo, 1, *addr), end - 1) + 1;

		if (leaf->level) {
			*addr = behind; /* a huge entry */
			continue;
		}
		table_lock(leaf);
		for (; !folio && *addr < behind; *addr += mm_page_size(mm))
			folio = get_folio(mm, pte_read(table_pte(mm, leaf, *addr)));
		table_unlock(leaf);
	}
	rcu_read_unlock();
	return folio;
}

/* 1: it has moved; 0: it stays; -ENOMEM: there is no frame. */
static long migrate_one(struct file_store *store, struct folio *folio)
{
	unsigned long refused = frames_refused;
	struct folio *to;
	int err;

	/* A device's, for one. */
	if (!folio_test(folio, FOLIO_LRU))
		return 0;
	while (!(to = folio_alloc(store->ram, 0, FOLIO_RAW)))
		if (reclaim_make_room(store, &refused))
			return -ENOMEM;
	err = move_folio(store, folio, to);
	folio_put(store->ram, to);
	return !err;
}

long samara_migrate_pages(struct samara_mm *mm, unsigned long addr, unsigned long nr)
{
	const int refused = mm_call(mm);
	struct file_store *store;
	struct folio *folio;
	unsigned long end;
	long moved = 0, one = 0;

	if (refused)
		return refused;
	store = mm->machine->store;
	if (!mm_page_aligned(mm, addr) || addr > mm->geo->task_size ||
	    nr > mm_pages(mm, mm->geo->task_size - addr))
		return -EINVAL;
	end = addr + (nr << mm->geo->page_shift);
	while (one >= 0 && (folio = next_folio(mm, &addr, end))) {
		one = migrate_one(store, folio);
		folio_put(store->ram, folio);
		moved += max(one, 0L);
	}
	return moved ? moved : min(one, 0L);
}

/* madvise ------------------------------------------------------------------------- */

/* The page at addr, read if need be, with a reference. 0, -EFAULT, -ENOMEM, -EBUSY: zeros. */
static int touch_folio(struct samara_mm *mm, unsigned long addr, struct folio **out)
{
	struct samara_fault fault;
	struct access_at at;
	int err = 0;

	while (!err && !access_begin(mm, addr, SAMARA_ACCESS_READ, &at))
		err = access_fault(mm, addr, SAMARA_ACCESS_READ, &fault);
	if (err)
		return err;
	*out = get_folio(mm, at.pte);
	if (!*out)
		err = pte_special(at.pte) && pte_pfn(at.pte) != ZERO_FRAME ? -EFAULT : -EBUSY;
	access_end(&at);
	return err;
}

int advise_bad(struct samara_mm *mm, unsigned long start, unsigned long end, int advice)
{
	struct file_store *store = mm->machine->store;
	struct folio *folio;
	int err = 0;

	if (!mm_capable(mm, SAMARA_CAP_SYS_ADMIN))
		return -EPERM;
	for (; !err && start < end; start += mm_page_size(mm)) {
		err = touch_folio(mm, start, &folio);
		if (err)
			return err;
		if (advice == ADV_HWPOISON)
			err = folio_failure(store, folio);
		else
			err = folio_soft_offline(store, folio);
		folio_put(store->ram, folio);
	}
	return err;
}
