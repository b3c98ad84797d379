/* SPDX-License-Identifier: MIT */
/*
 * Truncation and holes: filemap.h has the order.
 */
#include <errno.h>
#include <limits.h>

#include "filemap/filemap.h"

static void drop_pages(struct inode *inode, unsigned long first, unsigned long last,
		       enum unmap_cows cows)
{
	if (first > last)
		return;
	unmap_mapping_pages(inode, first, last, cows);
	page_cache_truncate(inode, first, last);
	unmap_mapping_pages(inode, first, last, cows);
}

static int cut_or_grow(struct inode *inode, unsigned long long length)
{
	const unsigned long before = inode_pages(inode);
	const bool shorter =
		length <= inode->length || before == ULONG_MAX || inode->host.moved_end;
	/* Where the host has moved the end, what we still have behind it is old. */
	const unsigned long long end = inode->host.moved_end ? min(length, inode->length) : length;
	int err = inode_set_length(inode, length);
	unsigned long first;

	if (err || !shorter)
		return err;
	first = inode_pages(inode);
	if (first == ULONG_MAX)
		return 0;
	if (end < length)
		first = before;
	drop_pages(inode, first, ULONG_MAX, EVEN_COWS);
	page_cache_zero_tail(inode, end);
	return 0;
}

static int set_length_locked(struct inode *inode, unsigned long long length)
{
	struct folio *tail;
	int err = page_cache_hold_tail(inode, length, &tail);

	if (err)
		return err;
	err = cut_or_grow(inode, length);
	if (tail)
		folio_put(inode->ram, tail);
	return err;
}

static int set_length(struct inode *inode, unsigned long long length)
{
	int err;

	down_write(&inode->lock);
	err = set_length_locked(inode, length);
	up_write(&inode->lock);
	return err;
}

int file_set_length(struct samara_file *file, unsigned long long length)
{
	struct inode *inode = file->inode;
	unsigned long refused = frames_refused;
	int err;

	/* A file that is only known by name is told its length, which needs no right to write. */
	if (length > LLONG_MAX || (inode->kind != INODE_NAMED && !file_is(file, SAMARA_FILE_WRITE)))
		return -EINVAL;
	do
		err = set_length(inode, length);
	while (err == -ENOMEM && !store_make_room(inode->store, &refused));
	return err;
}

static int punch(struct inode *inode, unsigned long long offset, unsigned long long length)
{
	struct inode_hole hole = { .offset = offset, .length = length };
	int err;

	down_write(&inode->lock);
	err = inode_punch(inode, &hole);
	if (!err)
		drop_pages(inode, hole.first, hole.last, KEEP_COWS);
	up_write(&inode->lock);
	return err;
}

int file_punch_hole(struct samara_file *file, unsigned long long offset, unsigned long long length)
{
	unsigned long refused = frames_refused;
	int err;

	do
		err = punch(file->inode, offset, length);
	while (err == -ENOMEM && !store_make_room(file->inode->store, &refused));
	return err;
}

/* Whole pages, so that none has to be read in; the mmap_lock is held. */
int file_punch(struct samara_file *file, unsigned long start, unsigned long last)
{
	const unsigned int shift = ram_view(file->inode->ram)->page_shift;

	return punch(file->inode, (unsigned long long)start << shift,
		     (unsigned long long)(last - start + 1) << shift);
}
