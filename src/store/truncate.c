/* SPDX-License-Identifier: MIT */
/*
 * Where a file ends, and what is taken out of it.
 *
 * A caller that moves the end or punches a hole holds inode->lock for writing all the time, and
 * unmaps the pages too (filemap/truncate.c). The length alone keeps new pages out of what is
 * truncated: see insert_locked() in pages.c.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/host.h"
#include "store/file.h"
#include "store/host.h"
#include "store/pages.h"

/* Whether folio was the page's, and is out of the cache now. */
static bool drop_folio(struct inode *inode, unsigned long index, struct folio *folio)
{
	bool here;

	folio_lock(folio);
	here = folio->mapping == inode && folio->index == index;
	if (here)
		page_cache_remove(inode, folio);
	folio_unlock(folio);
	folio_put(inode->ram, folio);
	return here;
}

/* The page, in memory, in swap, or on its way between them. */
static void drop_page(struct inode *inode, unsigned long index)
{
	struct folio *folio;
	swp_entry_t swap;
	bool dropped = false;

	while (!dropped) {
		folio = page_cache_look(inode, index, &swap);
		if (folio)
			dropped = drop_folio(inode, index, folio);
		else if (swp_none(swap))
			return;
		else
			dropped = shmem_swap_drop(inode, index, swap);
	}
}

void page_cache_truncate(struct inode *inode, unsigned long start, unsigned long last)
{
	unsigned long index = start;

	/* A thread that has looked at the old length has put its page in by now. */
	mutex_lock(&inode->pages.lock);
	mutex_unlock(&inode->pages.lock);
	for (; page_cache_next_used(inode, &index, last); index++) {
		drop_page(inode, index);
		if (index == last)
			break;
	}
	if (last == ULONG_MAX && start <= inode_pages(inode))
		inode->host.moved_end = false;
}

/* Bytes [from, to) of a page, if there is one that can be read. 0 or -ENOMEM. */
static int zero_part(struct inode *inode, unsigned long index, size_t from, size_t to)
{
	struct folio *folio;
	const int err = page_cache_get_existing(inode, index, &folio);

	if (err || !folio)
		return err == -ENOMEM ? err : 0;
	bytes_zero((char *)folio_virt(inode->ram, folio) + from, to - from);
	folio_unlock(folio);
	folio_put(inode->ram, folio);
	return 0;
}

int page_cache_hold_tail(struct inode *inode, unsigned long long length, struct folio **out)
{
	const unsigned int shift = inode_shift(inode);
	int err;

	*out = NULL;
	if (!inode_is_shmem(inode) || !(length & ((1ULL << shift) - 1)))
		return 0;
	err = page_cache_get_existing(inode, (unsigned long)(length >> shift), out);
	if (err || !*out)
		return err == -ENOMEM ? err : 0;
	folio_unlock(*out);
	return 0;
}

void page_cache_zero_tail(struct inode *inode, unsigned long long length)
{
	const size_t page = (size_t)1 << inode_shift(inode), inside = length & (page - 1);
	int err;

	if (!inside)
		return;
	err = zero_part(inode, (unsigned long)(length >> inode_shift(inode)), inside, page);
	/* Shared memory's is held: page_cache_hold_tail(). */
	VM_WARN_ON(err);
}

void page_cache_pass_end(struct inode *inode, unsigned long long offset)
{
	const unsigned long long end = inode->length;
	const size_t page = (size_t)1 << inode_shift(inode), inside = end & (page - 1);
	const unsigned long last = (unsigned long)(end >> inode_shift(inode));
	struct folio *folio;

	rwsem_assert_held_write(&inode->lock);
	if (!inside || offset <= end)
		return;
	if (!inode->in_memory) {
		const int err =
			zero_part(inode, last, inside,
				  (size_t)min(offset - end + inside, (unsigned long long)page));

		VM_WARN_ON(err);
		return;
	}
	/* If it is clean, it is so as far as the old end only. In swap it is whole. */
	folio = page_cache_find_locked(inode, last);
	if (!folio)
		return;
	folio_set(folio, FOLIO_DIRTY);
	folio_unlock(folio);
	folio_put(inode->ram, folio);
}

/* length ------------------------------------------------------------------------ */

/* Shared memory that is promised as a whole. */
static int reserve(struct inode *inode, unsigned long long length)
{
	struct commit *commit = &inode->store->commit;
	const unsigned long now = inode_pages_of(inode, length), old = inode->pages.reserved;
	int err = 0;

	if (inode->pages.charge_each)
		return 0;
	if (now > old)
		err = commit_charge(commit, now - old, (struct commit_who){ .admin = true });
	else
		commit_uncharge(commit, old - now);
	if (!err)
		inode->pages.reserved = now;
	return err;
}

int inode_change_length(struct inode *inode, unsigned long long length)
{
	int err = 0;

	rwsem_assert_held_write(&inode->lock);
	if (inode_is_shmem(inode))
		err = reserve(inode, length);
	else if (inode->kind == INODE_HOST && host_ftruncate(inode->host.write_fd, (off_t)length))
		err = errno == EBADF ? -EINVAL : -errno;
	if (!err)
		WRITE_ONCE(inode->length, length);
	return err;
}

int inode_set_length(struct inode *inode, unsigned long long length)
{
	if (inode_is_device(inode))
		return -EINVAL;
	if (length > inode->length)
		page_cache_pass_end(inode, ULLONG_MAX);
	return inode_change_length(inode, length);
}

/* Bytes that mappings stored here and bytes that the host has; where it has none, ours. */
static void merge_bytes(unsigned char *ours, const unsigned char *theirs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (theirs[i])
			bytes_store(&ours[i], &theirs[i], 1);
}

/* The host made the file longer: what it has behind the old end, in our last page. */
static void read_tail(struct inode *inode, unsigned long long old)
{
	const size_t page = (size_t)1 << inode_shift(inode), inside = old & (page - 1);
	unsigned char theirs[256], *ours;
	struct folio *folio;
	ssize_t n = 1;

	if (!inside)
		return;
	folio = page_cache_find_locked(inode, (unsigned long)(old >> inode_shift(inode)));
	if (!folio)
		return;
	ours = folio_virt(inode->ram, folio);
	for (size_t at = inside; at < page && n > 0; at += (size_t)max(n, (ssize_t)0)) {
		n = host_read(inode_any_fd(inode), theirs, min(sizeof(theirs), page - at),
			      (off_t)(old - inside + at));
		if (n > 0 && inode->in_memory)
			merge_bytes(ours + at, theirs, (size_t)n);
		else if (n > 0)
			bytes_store(ours + at, theirs, (size_t)n);
	}
	/* Only a file that is open for writing has bytes that the host lacks. */
	if (inode->in_memory && smp_load_acquire(&inode->host.write_fd) >= 0)
		folio_set(folio, FOLIO_DIRTY);
	folio_unlock(folio);
	folio_put(inode->ram, folio);
}

static bool ask_host(const struct inode *inode, unsigned long long *length)
{
	const int fd = inode_any_fd(inode);
	struct stat st;

	if (inode->kind != INODE_HOST || fstat(fd, &st))
		return false;
	*length = host_length(fd, &st);
	return *length != READ_ONCE(inode->length);
}

bool inode_end_moved(const struct inode *inode)
{
	unsigned long long length;

	return ask_host(inode, &length);
}

void inode_refresh(struct inode *inode)
{
	unsigned long long length;

	if (!ask_host(inode, &length))
		return;
	down_write(&inode->lock);
	if (ask_host(inode, &length)) {
		const unsigned long long old = inode->length;

		if (length > old)
			read_tail(inode, old);
		else
			inode->host.moved_end = true;
		WRITE_ONCE(inode->length, length);
	}
	up_write(&inode->lock);
}

/* holes ------------------------------------------------------------------------- */

/* Zeros in the pages that the hole has only a part of; the others are first..last. */
static int zero_edges(struct inode *inode, struct inode_hole *hole)
{
	const unsigned int shift = inode_shift(inode);
	const unsigned long long page = 1ULL << shift, end = hole->offset + hole->length;
	const unsigned long first = (unsigned long)(hole->offset >> shift);
	const unsigned long last = (unsigned long)(end >> shift);
	const size_t from = hole->offset & (page - 1), to = end & (page - 1);
	int err = 0;

	hole->first = first + !!from;
	hole->last = last - 1;
	if (first == last) {
		hole->first = last + 1;
		hole->last = last;
		return zero_part(inode, first, from, to);
	}
	if (from)
		err = zero_part(inode, first, from, page);
	if (to && !err)
		err = zero_part(inode, last, 0, to);
	return err;
}

int inode_punch(struct inode *inode, struct inode_hole *hole)
{
	const unsigned long long page = 1ULL << inode_shift(inode), length = inode->length;

	rwsem_assert_held_write(&inode->lock);
	if (inode_is_device(inode))
		return -EOPNOTSUPP;
	if (inode->kind == INODE_HOST &&
	    host_punch_hole(inode->host.write_fd, (off_t)hole->offset, (off_t)hole->length))
		return -errno;
	/* As ext4 does it: a hole over the end reaches to the end of that page, and no further. */
	if (inode->kind == INODE_HOST && !inode->in_memory && hole->offset + hole->length > length)
		hole->length = hole->offset >= length ? 0 : ALIGN_UP(length, page) - hole->offset;
	return zero_edges(inode, hole);
}
