/* SPDX-License-Identifier: MIT */
/*
 * From a folio to the places that may map it.
 *
 *   folio --mapping--> anon_vma | inode --tree--> link --> vma --> address --> entry
 *                      ^ read-locked: no VMA's bounds change, none goes
 *
 * The folio is locked, so that mapping and index stay; of a folio in the swap cache mapping is its
 * slot, and the slot has the family (docs/decisions/0008). Its family does too as long as
 * an entry maps the folio, since a VMA is unlinked only after its pages have
 * gone and the TLBs been flushed: a folio that is mapped has a family that is alive, and
 * under RCU it can be had by a reference.
 */
#include "base/assert.h"
#include "base/rcu.h"
#include "rmap/rmap_walk.h"

/* The entry of addr, whatever it is; its leaf is locked. False: there is no table. */
static bool entry_lock(const struct vma *vma, unsigned long addr, struct mapped *m)
{
	rcu_read_lock();
	m->leaf = table_find(vma->vm_mm, addr);
	if (!m->leaf) {
		table_refuse_huge(vma->vm_mm, addr);
		rcu_read_unlock();
		return false;
	}
	table_lock(m->leaf);
	m->at = table_pte(vma->vm_mm, m->leaf, addr);
	m->pte = pte_read(m->at);
	return true;
}

static bool is_of_folio(const struct rmap_walk *walk, unsigned long pfn)
{
	const unsigned long first = folio_pfn(walk->ram, walk->folio);

	return pfn >= first && pfn < first + (1UL << folio_order(walk->ram, walk->folio));
}

bool mapped_lock(const struct rmap_walk *walk, const struct vma *vma, unsigned long addr,
		 struct mapped *m)
{
	if (!entry_lock(vma, addr, m))
		return false;
	if (pte_present(m->pte) && !pte_special(m->pte) && is_of_folio(walk, pte_pfn(m->pte)))
		return true;
	mapped_unlock(m);
	return false;
}

bool migrating_lock(const struct rmap_walk *walk, const struct vma *vma, unsigned long addr,
		    struct mapped *m)
{
	if (!entry_lock(vma, addr, m))
		return false;
	if (pte_migration(m->pte) && is_of_folio(walk, migration_pfn(m->pte)))
		return true;
	mapped_unlock(m);
	return false;
}

void mapped_unlock(const struct mapped *m)
{
	table_unlock(m->leaf);
	rcu_read_unlock();
}

/* Each page of the folio that vma has. */
static enum rmap_answer walk_vma(struct rmap_walk *walk, struct vma *vma, unsigned long first,
				 unsigned long last)
{
	enum rmap_answer answer = RMAP_ON;

	if (!mm_gate_open(vma->vm_mm, walk->gate))
		return RMAP_ON;
	first = max(first, vma->vm_pgoff);
	last = min(last, vma_pgoff_at(vma, vma->vm_end) - 1);
	for (unsigned long index = first; answer == RMAP_ON && index <= last; index++)
		answer = walk->one(walk, vma, vma_address(vma, index));
	return answer;
}

/* lock is the tree's. */
static void walk_tree(struct rmap_walk *walk, const struct interval_tree *tree, struct rwsem *lock)
{
	const unsigned long first = walk->folio->index;
	const unsigned long last = first + (1UL << folio_order(walk->ram, walk->folio)) - 1;
	struct interval_node *node;

	down_read(lock);
	for (node = interval_tree_iter_first(tree, first, last); node;
	     node = interval_tree_iter_next(node, first, last))
		if (walk_vma(walk, node_link(node)->vma, first, last) == RMAP_STOP)
			break;
	up_read(lock);
}

struct vma *i_mmap_next(struct inode *inode, struct i_mmap_iter *it)
{
	it->at = it->at ? interval_tree_iter_next(it->at, it->start, it->last) :
			  interval_tree_iter_first(&inode->i_mmap.tree, it->start, it->last);
	return it->at ? node_link(it->at)->vma : NULL;
}

/* The family of the folio, referenced, or NULL: nothing maps it. */
static struct anon_vma *family_get(const struct rmap_walk *walk)
{
	const struct folio *folio = walk->folio;
	struct anon_vma *anon = NULL;

	rcu_read_lock();
	if (folio_maps(folio)) {
		anon = folio_test(folio, FOLIO_SWAPCACHE) ? swap_family(walk->store, folio) :
							    folio->mapping;
		if (!anon_vma_try_get(anon))
			anon = NULL;
	}
	rcu_read_unlock();
	return anon;
}

struct rmap_trees rmap_trees_get(const struct rmap_walk *walk)
{
	VM_WARN_ON(!folio_test(walk->folio, FOLIO_LOCKED) || !folio_refs(walk->folio));
	if (folio_test(walk->folio, FOLIO_ANON))
		return (struct rmap_trees){ .anon = family_get(walk) };
	/* Of shared memory that is on its way out mapping is the slot; nothing maps it. */
	if (folio_test(walk->folio, FOLIO_SWAPCACHE))
		return (struct rmap_trees){ .anon = NULL };
	return (struct rmap_trees){ .inode = walk->folio->mapping };
}

void rmap_trees_put(const struct rmap_trees *trees)
{
	if (trees->anon)
		anon_vma_put(trees->anon);
}

void rmap_walk_trees(struct rmap_walk *walk, const struct rmap_trees *trees)
{
	if (trees->anon)
		walk_tree(walk, &trees->anon->tree, &trees->anon->root->lock);
	else if (trees->inode)
		walk_tree(walk, &trees->inode->i_mmap.tree, &trees->inode->i_mmap.lock);
}

void rmap_walk(struct rmap_walk *walk)
{
	const struct rmap_trees trees = rmap_trees_get(walk);

	rmap_walk_trees(walk, &trees);
	rmap_trees_put(&trees);
}

void folio_add_new_anon(struct folio *folio, struct vma *vma, unsigned long addr)
{
	const unsigned int swapbacked = vma->vm_flags & VM_DROPPABLE ? 0 : FOLIO_SWAPBACKED;

	BUG_ON(!vma->anon_vma);
	/* A mistaken lookup, of what the frame was before, may hold a reference for a moment. */
	VM_WARN_ON(folio_maps(folio) || !folio_refs(folio) || folio->mapping);
	folio->mapping = vma->anon_vma;
	folio->index = vma_pgoff_at(vma, addr);
	folio_new_mapped(folio, FOLIO_ANON | FOLIO_EXCLUSIVE | FOLIO_UPTODATE | swapbacked);
}

/*
 * A page that is not exclusive may come to be mapped by all that were forked from one process, so
 * it belongs to the family that all of them are linked to.
 */
static void set_family(struct folio *folio, const struct vma *vma, unsigned long addr,
		       enum rmap_exclusive exclusive)
{
	struct anon_vma *family = exclusive == RMAP_EXCLUSIVE ? vma->anon_vma : vma->anon_vma->root;

	folio->index = vma_pgoff_at(vma, addr);
	if (folio_test(folio, FOLIO_SWAPCACHE))
		swap_set_family(vma->vm_mm->machine->store, folio, family);
	else
		folio->mapping = family;
	folio_set(folio, FOLIO_ANON);
}

bool folio_add_anon(struct folio *folio, struct vma *vma, unsigned long addr,
		    enum rmap_exclusive exclusive)
{
	BUG_ON(!vma->anon_vma);
	VM_WARN_ON(!folio_test(folio, FOLIO_LOCKED) || folio_test(folio, FOLIO_EXCLUSIVE));
	if (!folio_maps(folio))
		set_family(folio, vma, addr, exclusive);
	if (!folio_try_ref_to_map(folio))
		return false;
	if (exclusive == RMAP_EXCLUSIVE)
		folio_set(folio, FOLIO_EXCLUSIVE);
	return true;
}

void folio_move_anon(struct folio *folio, const struct vma *vma, unsigned long addr)
{
	BUG_ON(!vma->anon_vma);
	VM_WARN_ON(!folio_test(folio, FOLIO_LOCKED) || !folio_test(folio, FOLIO_EXCLUSIVE));
	set_family(folio, vma, addr, RMAP_EXCLUSIVE);
}
