/* SPDX-License-Identifier: MIT */
/*
 * Finding and making pages of a file.
 *
 *   find    RCU: load, try to get a reference, load again: still the same, so it was
 *           here while we had it
 *   get     find, lock, look again ---------------------------------.
 *              '-- not here: a fresh folio, locked, goes in; then it |--> locked, valid
 *                  is filled; a thread that finds it meanwhile waits-'
 *
 * A page in the cache that is not locked is valid: one that could not be filled
 * is taken out again before its lock is dropped.
 */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/rcu.h"
#include "maple/writer.h"
#include "store/file.h"
#include "store/host.h"
#include "store/pages.h"

/* Whether a page beyond the end of the file is refused. */
enum get_kind { GET_INSIDE, GET_TO_WRITE };

struct folio *page_cache_look(struct inode *inode, unsigned long index, swp_entry_t *swap)
{
	struct folio *folio;

	rcu_read_lock();
	for (;;) {
		folio = mtree_load(&inode->pages.tree, index);
		*swap = value_to_swp(folio);
		if (!folio || !swp_none(*swap)) {
			folio = NULL;
			break;
		}
		if (!folio_try_get(folio))
			continue;
		if (likely(mtree_load(&inode->pages.tree, index) == folio))
			break;
		folio_put(inode->ram, folio);
	}
	rcu_read_unlock();
	return folio;
}

struct folio *page_cache_find(struct inode *inode, unsigned long index)
{
	swp_entry_t swap;

	return page_cache_look(inode, index, &swap);
}

bool page_cache_incore(struct inode *inode, unsigned long index)
{
	swp_entry_t swap;
	struct folio *folio = page_cache_look(inode, index, &swap);
	bool valid;

	if (!folio && !swp_none(swap))
		folio = swap_cache_find(inode->store, swap);
	if (!folio)
		return false;
	valid = folio_test(folio, FOLIO_UPTODATE);
	folio_put(inode->ram, folio);
	return valid;
}

bool page_cache_has(struct inode *inode, unsigned long index)
{
	return mtree_load(&inode->pages.tree, index);
}

bool page_cache_next_used(struct inode *inode, unsigned long *index, unsigned long last)
{
	unsigned long at = *index;

	if (!mt_find(&inode->pages.tree, &at, last))
		return false;
	*index = at - 1;
	return true;
}

struct folio *page_cache_next(struct inode *inode, unsigned long *index, unsigned long last)
{
	while (page_cache_next_used(inode, index, last)) {
		swp_entry_t swap;
		struct folio *folio = page_cache_look(inode, *index, &swap);

		if (folio)
			return folio;
		if (swp_none(swap))
			continue;
		if (*index == last)
			return NULL;
		++*index;
	}
	return NULL;
}

struct folio *page_cache_find_locked(struct inode *inode, unsigned long index)
{
	struct folio *folio;

	while ((folio = page_cache_find(inode, index))) {
		folio_lock(folio);
		if (page_is_here(inode, folio, index))
			break;
		folio_unlock(folio);
		folio_put(inode->ram, folio);
	}
	return folio;
}

int page_cache_get_existing(struct inode *inode, unsigned long index, struct folio **out)
{
	bool major = false;
	swp_entry_t swap;
	int err = 0;

	while (!err) {
		*out = page_cache_look(inode, index, &swap);
		if (*out) {
			folio_lock(*out);
			if (page_is_here(inode, *out, index))
				return 0;
			folio_unlock(*out);
			folio_put(inode->ram, *out);
		} else if (swp_none(swap)) {
			return 0;
		} else {
			err = shmem_swap_read(inode, index, swap, &major);
		}
	}
	return err;
}

/* in and out ------------------------------------------------------------------- */

static int charge_page(struct inode *inode)
{
	if (!inode->pages.charge_each)
		return 0;
	return commit_charge(&inode->store->commit, 1, (struct commit_who){ .admin = true }) ?
		       -ENOSPC :
		       0;
}

static void uncharge_page(struct inode *inode)
{
	if (inode->pages.charge_each)
		commit_uncharge(&inode->store->commit, 1);
}

/*
 * 0, and the cache has a reference; -EEXIST: another thread was faster; -EFAULT: beyond the end;
 * -ENOMEM.
 */
static int insert_locked(struct inode *inode, struct folio *folio, enum get_kind kind)
{
	MA_STATE(mas, &inode->pages.tree, folio->index, folio->index);
	int err;

	mutex_assert_held(&inode->pages.lock);
	if (mtree_load(&inode->pages.tree, folio->index))
		return -EEXIST;
	if (kind == GET_INSIDE && folio->index >= inode_pages(inode))
		return -EFAULT;
	err = mas_store_gfp(&mas, folio, GFP_KERNEL);
	if (err)
		return err;
	folio_get(folio);
	inode->pages.nr++;
	inode->pages.charged += inode->pages.charge_each;
	return 0;
}

static int insert(struct inode *inode, struct folio *folio, unsigned long index, enum get_kind kind)
{
	int err = charge_page(inode);

	if (err)
		return err;
	folio->mapping = inode;
	folio->index = index;
	if (inode_is_shmem(inode))
		folio_set(folio, FOLIO_SWAPBACKED);
	mutex_lock(&inode->pages.lock);
	err = insert_locked(inode, folio, kind);
	mutex_unlock(&inode->pages.lock);
	if (!err)
		return 0;
	folio->mapping = NULL;
	uncharge_page(inode);
	return err;
}

/*
 * The caller may have no reference to inode: without its last page it may be freed once pages.lock
 * is released (inode_destroy()).
 */
void page_cache_remove(struct inode *inode, struct folio *folio)
{
	MA_STATE(mas, &inode->pages.tree, folio->index, folio->index);
	struct ram *ram = inode->ram;
	void *entry;

	mutex_lock(&inode->pages.lock);
	entry = mas_erase(&mas);
	inode->pages.nr--;
	inode->pages.charged -= inode->pages.charge_each;
	uncharge_page(inode);
	mutex_unlock(&inode->pages.lock);
	BUG_ON(entry != folio);
	folio->mapping = NULL;
	folio_test_clear(folio, FOLIO_DIRTY);
	folio_put(ram, folio);
}

/*
 * What the file would not give again: dirty bytes, and on tmpfs those that a mapping stored behind
 * the end, which are part of the file once it grows. Pages that lie wholly behind it are old: the
 * host has made the file shorter.
 */
static bool has_only_copy(const struct inode *inode, const struct folio *folio)
{
	const unsigned long long length = READ_ONCE(inode->length);
	const unsigned int shift = inode_shift(inode);

	if (folio_test(folio, FOLIO_DIRTY))
		return true;
	return inode->in_memory && folio->index == length >> shift && length % (1ULL << shift);
}

bool page_cache_evict(struct inode *inode, struct folio *folio)
{
	VM_WARN_ON(folio->mapping != inode || folio_maps(folio));
	if (inode_is_shmem(inode) || inode_is_device(inode) || has_only_copy(inode, folio) ||
	    !folio_try_freeze(folio, 2))
		return false;
	/* A pin may have made it dirty and have gone since. */
	if (folio_test(folio, FOLIO_DIRTY)) {
		folio_unfreeze(folio);
		return false;
	}
	folio_evicted(inode->ram, folio);
	page_cache_remove(inode, folio);
	return true;
}

void page_cache_replace(struct inode *inode, struct folio *folio, struct folio *by)
{
	MA_STATE(mas, &inode->pages.tree, folio->index, folio->index);
	const void *entry;

	by->mapping = inode;
	by->index = folio->index;
	folio_get(by);
	mutex_lock(&inode->pages.lock);
	entry = mas_walk(&mas);
	BUG_ON(entry != folio);
	maple_replace(&mas, by);
	mutex_unlock(&inode->pages.lock);
	folio->mapping = NULL;
	folio_put(inode->ram, folio);
}

/* contents --------------------------------------------------------------------- */

static int read_host(struct inode *inode, struct folio *folio, bool *major)
{
	const size_t size = (size_t)1 << inode_shift(inode);
	char *bytes = folio_virt(inode->ram, folio);
	const ssize_t n = host_read(inode_any_fd(inode), bytes, size,
				    (off_t)(folio->index << inode_shift(inode)));

	*major = true;
	if (n < 0)
		return n == -ENOMEM ? -ENOMEM : -EIO;
	memset(bytes + n, 0, size - (size_t)n);
	return 0;
}

/* A new page: locked, filled, in the cache. As page_cache_get(), or -EEXIST. */
static __always_inline int add(struct inode *inode, unsigned long index, enum get_kind kind,
			       struct folio **out, bool *major)
{
	const bool host = inode->kind == INODE_HOST;
	struct folio *folio = folio_alloc(inode->ram, 0, host ? FOLIO_RAW : FOLIO_ZEROED);
	int err;

	if (!folio)
		return -ENOMEM;
	folio_lock(folio);
	err = insert(inode, folio, index, kind);
	if (!err && host) {
		err = read_host(inode, folio, major);
		if (err)
			page_cache_remove(inode, folio);
	}
	if (err) {
		folio_unlock(folio);
		folio_put(inode->ram, folio);
		return err;
	}
	folio_set(folio, FOLIO_UPTODATE);
	if (host)
		folio_refaulted(inode->ram, folio);
	lru_add(inode->ram, folio);
	*out = folio;
	return 0;
}

int shmem_fill(struct inode *inode, unsigned long index, struct folio *folio)
{
	int err;

	folio_lock(folio);
	err = insert(inode, folio, index, GET_INSIDE);
	if (err) {
		folio_unlock(folio);
		return err;
	}
	folio_set(folio, FOLIO_UPTODATE);
	lru_add(inode->ram, folio);
	return 0;
}

/* From swap, if it is there: then -EEXIST. Else as add(). */
static int add_or_swap_in(struct inode *inode, unsigned long index, enum get_kind kind,
			  struct folio **out, bool *major)
{
	const swp_entry_t swap = value_to_swp(mtree_load(&inode->pages.tree, index));
	int err;

	if (swp_none(swap))
		return add(inode, index, kind, out, major);
	err = shmem_swap_read(inode, index, swap, major);
	return err ? err : -EEXIST;
}

static int get(struct inode *inode, unsigned long index, enum get_kind kind, struct folio **out,
	       bool *major)
{
	struct folio *folio;
	int err;

	do {
		folio = page_cache_find_locked(inode, index);
		err = folio ? 0 : add_or_swap_in(inode, index, kind, &folio, major);
	} while (err == -EEXIST);
	if (err)
		return err;
	if (kind == GET_INSIDE && index >= inode_pages(inode))
		err = -EFAULT;
	else if (unlikely(folio_test(folio, FOLIO_POISONED)))
		err = -EHWPOISON;
	if (err) {
		folio_unlock(folio);
		folio_put(inode->ram, folio);
		return err;
	}
	*out = folio;
	return 0;
}

int page_cache_get(struct inode *inode, unsigned long index, struct folio **out, bool *major)
{
	if (VM_WARN_ON(inode_is_device(inode)))
		return -EFAULT;
	if (inode->kind == INODE_HOST &&
	    (index >= inode_pages(inode) || !mtree_load(&inode->pages.tree, index)))
		inode_refresh(inode);
	if (index >= inode_pages(inode))
		return -EFAULT;
	return get(inode, index, GET_INSIDE, out, major);
}

int page_cache_make(struct inode *inode, unsigned long index, struct folio **out)
{
	bool major = false;

	VM_WARN_ON(!inode_is_shmem(inode));
	return add(inode, index, GET_INSIDE, out, &major);
}

int page_cache_get_to_write(struct inode *inode, unsigned long index, struct folio **out)
{
	bool major = false;

	rwsem_assert_held_write(&inode->lock);
	return get(inode, index, GET_TO_WRITE, out, &major);
}
