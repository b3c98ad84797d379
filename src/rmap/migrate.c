/* SPDX-License-Identifier: MIT */
/*
 * Moving a folio to another frame: rmap.h has the contract.
 *
 *            entries of old        old                      to
 *   begin    present               locked, maps n           locked, the caller's alone
 *   put in   migration             maps 0, moving n
 *   freeze                         refs as expected: no lookup, no pin
 *   copy                                                    bytes, flags, index
 *   replace                        in no cache, unfrozen    in old's cache
 *   restore  present, to           moving n .. 0            maps 0 .. n
 *   end                            unlocked, unused         unlocked
 *
 * Until "replace" each failure goes back: the same walk restores the entries to old.
 *
 * Why nothing maps old once maps is 0. An entry comes from a fault, which needs the folio's lock,
 * or the present entry of another page table (fork, mremap), of which there is none. A gather that
 * has taken an entry out keeps the map count until it has flushed. An mm that is being built or
 * dying is not entered, so an entry there keeps maps above 0: the migration fails. Pins are
 * references; so is each lookup. A pin of an exclusive page is seen before its entry is replaced,
 * because fork copies a migration entry and could not tell any more.
 *
 * Why the second walk meets each migration entry. It visits all VMAs of the tree under the tree's
 * lock, and an entry is always in a VMA of the tree:
 *   mremap    moves it with the tree's lock held for writing: before the walk or behind it
 *   fork      the child's VMA is linked before entries are copied, behind the parent's in
 *             the tree. An entry that is copied before the walk comes to the parent's is met in the
 *             child's; one that is copied later is a page's already
 *   a cut, a merge    change the tree with its lock held for writing
 *   zap, exit, a fork that fails    take it out, and folio_moved() counts it
 * folio_moving() counts the entries, changed under the lock of the leaf, so it is 0 then.
 *
 * What happens to an entry in between stays: mprotect makes it read-only, fork makes it and its
 * copy not exclusive. Its other rights are those that the VMA has when it is restored. mprotect
 * changes the VMA first and comes to the leaf later: what the walk restores before that, it finds.
 *
 * Locks: both folios' (tried); then i_mmap.lock or the root's for reading, a leaf's, cpus_lock;
 * pages.lock. The TLBs are flushed under the leaf's lock, so that an unmapping of a migration entry
 * need not flush.
 */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "frame/vm_event.h"
#include "mmu/tlb.h"
#include "rmap/rmap_walk.h"

/* From old to to. FOLIO_SWAPCACHE goes with the cache's place, FOLIO_EXCLUSIVE with entries. */
#define MOVING_FLAGS \
	(FOLIO_ANON | FOLIO_DIRTY | FOLIO_UPTODATE | FOLIO_ACTIVE | FOLIO_REFERENCED | \
	 FOLIO_SWAPBACKED | FOLIO_MLOCKED | FOLIO_WORKINGSET)

static const struct {
	uint64_t pte, migration;
} kept_bits[] = {
	{ PTE_ACCESSED, MIGRATION_YOUNG },
	{ PTE_DIRTY, MIGRATION_DIRTY },
	{ PTE_UFFD_WP, MIGRATION_UFFD_WP },
	{ PTE_SOFT_DIRTY, MIGRATION_SOFT_DIRTY },
	{ PTE_WAS_EXCLUSIVE, MIGRATION_WAS_EXCLUSIVE },
};

/* put in ------------------------------------------------------------------------ */

static bool is_exclusive(const struct folio *folio)
{
	const unsigned int both = FOLIO_ANON | FOLIO_EXCLUSIVE;

	return (folio_flags(folio) & both) == both;
}

static pte_t migration_entry(const struct folio *folio, pte_t pte)
{
	enum swp_type type = SWP_MIGRATION_READ;
	uint64_t bits = 0;

	if (pte_write(pte))
		type = SWP_MIGRATION_WRITE;
	else if (is_exclusive(folio))
		type = SWP_MIGRATION_EXCL;
	for (size_t i = 0; i < ARRAY_SIZE(kept_bits); i++)
		if (pte.v & kept_bits[i].pte)
			bits |= kept_bits[i].migration;
	return mk_migration(type, pte_pfn(pte), bits);
}

/* The leaf is locked. False: pinned. */
static bool put_in(const struct rmap_walk *walk, const struct vma *vma, unsigned long addr,
		   const struct mapped *m)
{
	struct folio *folio = walk->folio;

	if (is_exclusive(folio) && folio_maybe_pinned(folio))
		return false;
	if (!folio_try_moving(folio))
		return false;
	pte_set(m->at, migration_entry(folio, m->pte));
	tlb_flush_range(vma->vm_mm, addr, addr + mm_page_size(vma->vm_mm), TLB_LOST_ALL);
	folio_test_clear(folio, FOLIO_EXCLUSIVE);
	/* A zap of the entry cannot tell the folio, whose flags may have moved by then. */
	if (pte_dirty(m->pte) && !folio_test(folio, FOLIO_ANON))
		folio_set(folio, FOLIO_DIRTY);
	folio_unmap(walk->ram, folio); /* not the last one: the caller's is left */
	return true;
}

static enum rmap_answer put_in_one(struct rmap_walk *walk, struct vma *vma, unsigned long addr)
{
	struct samara_notifier_range range = page_range(vma, addr, SAMARA_NOTIFY_CLEAR);
	enum rmap_answer answer = RMAP_ON;
	struct mapped m;

	notifier_start(vma->vm_mm, &range);
	if (mapped_lock(walk, vma, addr, &m)) {
		if (!put_in(walk, vma, addr, &m))
			answer = RMAP_STOP;
		mapped_unlock(&m);
	}
	notifier_end(vma->vm_mm, &range);
	return answer;
}

/* restore ------------------------------------------------------------------------ */

/* The page's entry that a migration entry stands for. The leaf is locked. */
static pte_t present_entry(const struct vma *vma, pte_t entry, unsigned long pfn)
{
	const unsigned long vm_flags = READ_ONCE(vma->vm_flags);
	const uint64_t bits = migration_bits(entry);
	pte_t pte = pte_without(mk_pte(pfn, vm_flags), PTE_ACCESSED);

	for (size_t i = 0; i < ARRAY_SIZE(kept_bits); i++)
		if (bits & kept_bits[i].migration)
			pte = pte_with(pte, kept_bits[i].pte);
	if (swp_type(entry) == SWP_MIGRATION_WRITE && (vm_flags & VM_WRITE))
		pte = pte_with(pte, PTE_WRITE);
	return pte;
}

/* arg: the folio that the entries are to map, perhaps the old one. */
static enum rmap_answer restore_one(struct rmap_walk *walk, struct vma *vma, unsigned long addr)
{
	struct folio *old = walk->folio, *to = walk->arg;
	unsigned long pfn;
	struct mapped m;

	if (!migrating_lock(walk, vma, addr, &m))
		return RMAP_ON;
	pfn = folio_pfn(walk->ram, to) + migration_pfn(m.pte) - folio_pfn(walk->ram, old);
	atomic_fetch_add_acq_rel(&to->state, FOLIO_MAP_ONE); /* there is room: may_move() */
	if (swp_type(m.pte) != SWP_MIGRATION_READ && folio_test(old, FOLIO_ANON))
		folio_set(to, FOLIO_EXCLUSIVE);
	pte_set(m.at, present_entry(vma, m.pte, pfn));
	folio_moved(old);
	mapped_unlock(&m);
	return RMAP_ON;
}

/* the steps ----------------------------------------------------------------------- */

static void walk_all(struct rmap_walk *walk, const struct rmap_trees *trees, enum mm_gate gate,
		     enum rmap_answer (*one)(struct rmap_walk *walk, struct vma *vma,
					     unsigned long addr))
{
	walk->gate = gate;
	walk->one = one;
	rmap_walk_trees(walk, trees);
}

static bool in_a_cache(const struct folio *folio)
{
	return folio_test(folio, FOLIO_SWAPCACHE) || !folio_test(folio, FOLIO_ANON);
}

/* old is frozen and mapped nowhere. */
static void copy_folio(struct file_store *store, const struct folio *old, struct folio *to)
{
	struct ram *ram = store->ram;
	const size_t size = (size_t)1 << (ram_view(ram)->page_shift + folio_order(ram, old));

	bytes_copy(folio_virt(ram, to), folio_virt(ram, old), size);
	to->index = old->index;
	folio_set(to, folio_flags(old) & MOVING_FLAGS);
}

static void take_place(struct file_store *store, struct folio *old, struct folio *to)
{
	if (folio_test(old, FOLIO_SWAPCACHE))
		swap_cache_replace(store, old, to);
	else if (folio_test(old, FOLIO_ANON))
		to->mapping = old->mapping;
	else
		page_cache_replace(old->mapping, old, to);
}

/* Both are locked. */
static int migrate_locked(struct file_store *store, struct folio *old, struct folio *to)
{
	struct rmap_walk walk = { .ram = store->ram, .store = store, .folio = old };
	const struct rmap_trees trees = rmap_trees_get(&walk);
	const unsigned long refs = 1 + in_a_cache(old);
	int err = -EBUSY;

	old->lru_next = 0; /* folio_moving() */
	walk_all(&walk, &trees, MM_GATE_LOOK, put_in_one);
	if (!folio_maps(old) && folio_try_freeze(old, refs)) {
		copy_folio(store, old, to);
		take_place(store, old, to);
		folio_unfreeze(old);
		err = 0;
	}
	walk.arg = err ? old : to;
	walk_all(&walk, &trees, MM_GATE_RESTORE, restore_one);
	BUG_ON(folio_moving(old));
	rmap_trees_put(&trees);
	if (!err) {
		old->mapping = NULL;
		folio_test_clear(old, MOVING_FLAGS);
	}
	return err;
}

/* Locked: it has a mapping that can be walked. A device's page has none. */
static bool may_move(const struct ram *ram, const struct folio *old, const struct folio *to)
{
	return old->mapping && !folio_test(old, FOLIO_POISONED) && !folio_maybe_pinned(old) &&
	       folio_order(ram, old) == folio_order(ram, to) &&
	       /* Restoring does not ask: forks in between may have made as many again. */
	       folio_maps(old) <= FOLIO_MAPS_LIMIT / 2;
}

int folio_migrate(struct file_store *store, struct folio *folio, struct folio *to)
{
	int err = -EBUSY;

	VM_WARN_ON(folio_test(folio, FOLIO_LRU) || folio_test(to, FOLIO_LRU));
	if (!folio_trylock(folio))
		goto out;
	if (folio_trylock(to)) {
		if (may_move(store->ram, folio, to))
			err = migrate_locked(store, folio, to);
		folio_unlock_cached(store, to);
	}
	folio_unlock_cached(store, folio);
out:
	vm_event_add(store->ram, err ? MIGRATE_FAIL : MIGRATE_SUCCESS, 1);
	return err;
}
