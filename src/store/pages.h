/* SPDX-License-Identifier: MIT */
/*
 * What the files of this room need of the page cache besides inode.h.
 */
#ifndef STORE_PAGES_H
#define STORE_PAGES_H

#include "store/inode.h"
#include "store/swap.h"

/* As page_cache_get(), also beyond the end. inode->lock is held for writing, against truncation. */
int page_cache_get_to_write(struct inode *inode, unsigned long index,
			    struct folio **out) __must_check;
/*
 * A new page of shared memory, zeros, locked, with a reference. 0; -EEXIST: the cache or swap has
 * one; -EFAULT: beyond the end; -ENOMEM; -ENOSPC: as page_cache_get().
 */
int page_cache_make(struct inode *inode, unsigned long index, struct folio **out) __must_check;
/*
 * folio, filled and the caller's alone, becomes a page of shared memory. It is locked then, and the
 * reference stays the caller's. As page_cache_make(); after an error it is the caller's alone.
 */
int shmem_fill(struct inode *inode, unsigned long index, struct folio *folio) __must_check;
/* folio, locked, leaves the cache; the caller has a reference. */
void page_cache_remove(struct inode *inode, struct folio *folio);
/*
 * What the tree has at index, by one look: a folio, with a reference; or NULL, and *swap is the
 * entry of the page that is in swap, or none: nothing is there.
 */
struct folio *page_cache_look(struct inode *inode, unsigned long index,
			      swp_entry_t *swap) __must_check;
/*
 * The page, locked, with a reference, from swap too; *out NULL: there is none. 0, -ENOMEM, -EIO. A
 * page that was lost is a page (FOLIO_POISONED).
 */
int page_cache_get_existing(struct inode *inode, unsigned long index,
			    struct folio **out) __must_check;
/* Whether folio, locked, is still page index of inode. */
static inline bool page_is_here(const struct inode *inode, const struct folio *folio,
				unsigned long index)
{
	return folio->mapping == inode && folio->index == index;
}
/* The next index from *index to last at which the tree has a page or a swap entry; false: none. */
bool page_cache_next_used(struct inode *inode, unsigned long *index,
			  unsigned long last) __must_check;
/* The page, locked, with a reference, if it is here. */
struct folio *page_cache_find_locked(struct inode *inode, unsigned long index) __must_check;
/*
 * inode_set_length() alone: what the last page holds beyond the old end is the caller's to clear
 * before.
 */
int inode_change_length(struct inode *inode, unsigned long long length) __must_check;

/* shmem_swap.c: */

/* As shmem_swap_in(), but once; *major becomes true if it was read. */
int shmem_swap_read(struct inode *inode, unsigned long index, swp_entry_t entry,
		    bool *major) __must_check;
/* The page is given up. False: index has something else by now. */
bool shmem_swap_drop(struct inode *inode, unsigned long index, swp_entry_t entry) __must_check;
/* inode ends: it is in no list of the store's. */
void shmem_unlist(struct inode *inode);

static inline unsigned int inode_shift(const struct inode *inode)
{
	return ram_view(inode->ram)->page_shift;
}

/* How many pages that many bytes take. */
static inline unsigned long inode_pages_of(const struct inode *inode, unsigned long long length)
{
	const unsigned int shift = inode_shift(inode);

	return (unsigned long)(length >> shift) + !!(length & ((1ULL << shift) - 1));
}

/* The descriptor to ask the host by. */
static inline int inode_any_fd(const struct inode *inode)
{
	const int fd = smp_load_acquire(&inode->host.fd);

	return fd >= 0 ? fd : smp_load_acquire(&inode->host.write_fd);
}

#endif
