/* SPDX-License-Identifier: MIT */
/*
 * A swap area is switched off: each of its pages comes back into memory.
 *
 *   stop the area: no page goes there any more
 *   round:   each mm, by its page tables     entries become pages, or poison if they cannot be read
 *            shared memory                   entries become pages of the page cache
 *            what the swap cache has alone   leaves it
 *   again until no slot is used
 *
 * One round is not enough: a page that was in the swap cache before the area stopped may be
 * unmapped behind the walk, which makes entries; UFFDIO_MOVE may take an entry to where the walk
 * has been; a fork that fails, or an exit, gives entries back when it comes to them. Each round
 * takes the folios that no entry names out of the cache, and nothing adds one, so there are fewer
 * and fewer that could be unmapped. New mms join the list last (core/mms.h), so that a round meets
 * the children of forks that it has run beside.
 *
 * A page of shared memory that cannot be read is lost (shmem_swap_lose()).
 *
 * No process is ended to make room: swapoff fails instead. Linux, too, has only the one that calls
 * swapoff(2) end then.
 *
 * Locks: one mm's mmap_lock for reading at a time, a folio's in the cache; none between rounds,
 * where it waits for memory and for other threads.
 */
#include <errno.h>

#include "base/nap.h"
#include "core/mms.h"
#include "fault/swapin.h"
#include "reclaim/reclaim.h"
#include "store/file.h"

#define ROUNDS_MAX 20000UL /* most of them nap: a second */

#ifdef SAMARA_DEBUG
unsigned long swapoff_rounds = ROUNDS_MAX;
#else
#define swapoff_rounds ROUNDS_MAX
#endif

/* address spaces ---------------------------------------------------------------- */

/* From *addr on; the mmap_lock is held for reading. 0 or -ENOMEM: stopped at *addr. */
static int read_in_vmas(struct samara_mm *mm, unsigned int area, unsigned long *addr)
{
	MA_STATE(mas, &mm->mt, *addr, *addr);
	struct vma *vma;
	int err = 0;

	if (!mm_gate_open(mm, MM_GATE_LOOK) || !mm_has_tables(mm))
		return 0;
	mas_for_each(&mas, vma, ULONG_MAX) {
		*addr = max(*addr, vma->vm_start);
		err = vma_swap_in(vma, area, addr);
		if (err)
			break;
	}
	return err;
}

static int read_in_mm(struct file_store *store, struct samara_mm *mm, unsigned int area)
{
	unsigned long addr = 0, refused = frames_refused;
	int err;

	do {
		mmap_read_lock(mm);
		err = read_in_vmas(mm, area, &addr);
		mmap_read_unlock(mm);
	} while (err == -ENOMEM && !reclaim_make_room(store, &refused));
	return err;
}

static int read_in_mms(struct file_store *store, unsigned int area)
{
	struct samara_machine *machine = reclaim_machine(store);
	struct samara_mm *mm;
	int err = 0;

	/* Files alone may still need the store. */
	if (!machine)
		return 0;
	for_each_mm(machine, mm)
	{
		err = read_in_mm(store, mm, area);
		if (err) {
			mm_put(mm);
			break;
		}
	}
	machine_put(machine, 1);
	return err;
}

/* shared memory ----------------------------------------------------------------- */

static int read_in_page(struct inode *inode, unsigned long index, swp_entry_t entry)
{
	unsigned long refused = frames_refused;
	int err;

	do
		err = shmem_swap_in(inode, index, entry);
	while (err == -ENOMEM && !reclaim_make_room(inode->store, &refused));
	if (err != -EIO)
		return err;
	shmem_swap_lose(inode, index, entry);
	return 0;
}

static int read_in_inode(struct inode *inode, unsigned int area)
{
	swp_entry_t entry;
	int err = 0;

	for (unsigned long index = 0; !err && shmem_swap_next(inode, area, &index, &entry); index++)
		err = read_in_page(inode, index, entry);
	return err;
}

static int read_in_shmem(struct file_store *store, unsigned int area)
{
	struct inode *inode = NULL;
	int err;

	while ((inode = shmem_swapped_next(store, inode))) {
		err = read_in_inode(inode, area);
		if (err) {
			inode_put(inode);
			return err;
		}
	}
	return 0;
}

/* the swap cache ---------------------------------------------------------------- */

static void drop_alone(struct file_store *store, struct samara_swap *area)
{
	const unsigned int number = swap_area_number(area);

	for (unsigned long slot = 0; swap_area_next(area, &slot); slot++) {
		struct folio *folio = swap_cache_find(store, mk_swp_entry(number, slot));

		if (!folio)
			continue;
		folio_lock(folio);
		if (swap_cache_is(folio, mk_swp_entry(number, slot)))
			(void)swap_cache_free(store, folio);
		folio_unlock_cached(store, folio);
		folio_put(store->ram, folio);
	}
}

/* swapoff ----------------------------------------------------------------------- */

static int one_round(struct file_store *store, struct samara_swap *area)
{
	const unsigned int number = swap_area_number(area);
	int err = read_in_mms(store, number);

	if (!err)
		err = read_in_shmem(store, number);
	if (!err)
		drop_alone(store, area);
	return err;
}

static int empty(struct file_store *store, struct samara_swap *area)
{
	unsigned long left = swap_area_used(area), idle = 0, before;
	int err = 0;

	while (left && !err) {
		before = left;
		err = one_round(store, area);
		left = swap_area_used(area);
		/* Other threads have what is left. */
		idle = left < before ? 0 : idle + 1;
		if (idle > swapoff_rounds)
			return -EINTR;
		if (idle)
			nap_between_looks(idle);
	}
	return err;
}

/* Whether what was promised can do without the area's pages: what Linux asks first. */
static int promised_without(struct file_store *store, unsigned long pages)
{
	const int err = commit_charge(&store->commit, pages, (struct commit_who){ .admin = true });

	if (!err)
		commit_uncharge(&store->commit, pages);
	return err;
}

static int switch_off(struct file_store *store, struct samara_swap *area)
{
	int err = promised_without(store, swap_area_pages(area));

	if (!err)
		err = swap_area_stop(area);
	if (err)
		return err;
	err = empty(store, area);
	if (err) {
		swap_area_resume(area);
		return err;
	}
	swap_area_end(area);
	return 0;
}

int swapoff(struct samara_swap *area)
{
	/* The machine may end meanwhile, with its last mm. */
	struct file_store *store = file_store_get(swap_area_store(area));
	const int err = switch_off(store, area);

	file_store_put(store);
	return err;
}
