/* SPDX-License-Identifier: MIT */
/*
 * The normal API. These calls take the tree's lock, or enter an RCU read-side critical section.
 */
#include "base/lock.h"
#include "maple/store.h"
#include "maple/walk.h"

void samara_mtree_lock(struct maple_tree *mt)
{
	spin_lock(&mt->ma_lock, RANK_MAPLE);
}

/* Takes a second tree's lock. The caller has an order for the two. */
void samara_mtree_lock_nested(struct maple_tree *mt)
{
	spin_lock_nested(&mt->ma_lock, RANK_MAPLE);
}

void samara_mtree_unlock(struct maple_tree *mt)
{
	spin_unlock(&mt->ma_lock);
}

bool samara_mt_lock_is_held(const struct maple_tree *mt)
{
	return samara_mt_external_lock(mt) || spin_is_locked(&mt->ma_lock);
}

void samara_mt_set_in_rcu(struct maple_tree *mt)
{
	mt->ma_flags |= MT_FLAGS_USE_RCU;
}

void samara_mt_clear_in_rcu(struct maple_tree *mt)
{
	mt->ma_flags &= ~(unsigned int)MT_FLAGS_USE_RCU;
}

/* The most frequent read. It keeps no path. */
static void *load(const struct maple_tree *mt, unsigned long index)
{
	void *root = rcu_dereference(mt->ma_root);
	maple_head *node;
	const maple_leaf *leaf;
	int i;

	if (unlikely(!root_is_node(root)))
		return index ? NULL : root;
	node = root_node(root);
	for (unsigned int level = node->level; level; level--) {
		const maple_inner *inner = (const maple_inner *)node;

		inner_prefetch(inner);
		node = slot_load(&inner->slot[inner_search(inner, index)]);
		if (unlikely(!node))
			return NULL;
	}
	leaf = (const maple_leaf *)node;
	leaf_prefetch(leaf);
	i = leaf_search(leaf, index);
	if (i < 0 || leaf_start(leaf, i) > index || leaf->last[i] < index)
		return NULL;
	return slot_load(&leaf->slot[i]);
}

void *samara_mtree_load(struct maple_tree *mt, unsigned long index)
{
	void *entry;

	rcu_read_lock();
	entry = load(mt, index);
	rcu_read_unlock();
	return unlikely(samara_xa_is_zero(entry)) ? NULL : entry;
}

static int check_range(unsigned long first, unsigned long last, const void *entry)
{
	return first > last || entry_is_reserved(entry) ? -EINVAL : 0;
}

int samara_mtree_store_range(struct maple_tree *mt, unsigned long first, unsigned long last,
			     void *entry, gfp_t gfp)
{
	const struct maple_request request = { .first = first, .last = last, .entry = entry };
	struct maple_writer writer;
	int err = check_range(first, last, entry);

	(void)gfp;
	if (err)
		return err;
	maple_writer_init(&writer, mt);
	samara_mtree_lock(mt);
	err = maple_writer_store(&writer, &request);
	samara_mtree_unlock(mt);
	return err;
}

int samara_mtree_store(struct maple_tree *mt, unsigned long index, void *entry, gfp_t gfp)
{
	return samara_mtree_store_range(mt, index, index, entry, gfp);
}

/* The tree is locked. */
static int insert_locked(struct maple_tree *mt, const struct maple_request *request)
{
	struct maple_writer writer;

	maple_writer_init(&writer, mt);
	if (edge_first_entry(&writer, request->first, request->last))
		return -EEXIST;
	return maple_writer_store(&writer, request);
}

int samara_mtree_insert_range(struct maple_tree *mt, unsigned long first, unsigned long last,
			      void *entry, gfp_t gfp)
{
	const struct maple_request request = { .first = first, .last = last, .entry = entry };
	int err = check_range(first, last, entry);

	(void)gfp;
	if (err)
		return err;
	samara_mtree_lock(mt);
	err = insert_locked(mt, &request);
	samara_mtree_unlock(mt);
	return err;
}

int samara_mtree_insert(struct maple_tree *mt, unsigned long index, void *entry, gfp_t gfp)
{
	return samara_mtree_insert_range(mt, index, index, entry, gfp);
}

void *samara_mtree_erase(struct maple_tree *mt, unsigned long index)
{
	struct maple_writer writer;
	void *entry;

	maple_writer_init(&writer, mt);
	samara_mtree_lock(mt);
	entry = maple_writer_erase(&writer, index);
	samara_mtree_unlock(mt);
	return entry;
}

/* XA_ZERO_ENTRY marks a range that is only reserved: finding passes over it. */
void *samara_mt_find(struct maple_tree *mt, unsigned long *index, unsigned long max)
{
	MA_STATE(mas, mt, *index, *index);
	void *entry;

	if (*index > max)
		return NULL;
	rcu_read_lock();
	do {
		entry = samara_mas_find(&mas, max);
	} while (samara_xa_is_zero(entry));
	rcu_read_unlock();
	if (entry)
		*index = mas.last + 1;
	return entry;
}

void *samara_mt_find_after(struct maple_tree *mt, unsigned long *index, unsigned long max)
{
	return *index ? samara_mt_find(mt, index, max) :
			NULL; /* 0: the last entry ended at ULONG_MAX */
}

void *samara_mt_next(struct maple_tree *mt, unsigned long index, unsigned long max)
{
	MA_STATE(mas, mt, index, index);
	void *entry;

	rcu_read_lock();
	entry = samara_mas_next(&mas, max);
	rcu_read_unlock();
	return entry;
}

void *samara_mt_prev(struct maple_tree *mt, unsigned long index, unsigned long min)
{
	MA_STATE(mas, mt, index, index);
	void *entry;

	rcu_read_lock();
	entry = samara_mas_prev(&mas, min);
	rcu_read_unlock();
	return entry;
}
