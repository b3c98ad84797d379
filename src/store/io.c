/* SPDX-License-Identifier: MIT */
/*
 * read(2) and write(2) on the pages that mappings see.
 *
 * Writes exclude each other and truncation (inode->lock); a page's bytes come after the file was
 * made long enough for them, under the folio's lock. Reads and mappings see a write half done, but
 * no torn word (base/bytes.h).
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/bytes.h"
#include "store/file.h"
#include "store/io.h"
#include "store/pages.h"

/* As much as one call moves in Linux. */
#define MOST_BYTES 0x7ffff000UL

/* The part of one page that a call is at. */
struct part {
	unsigned long index;
	size_t from, size;
};

static struct part part_at(const struct inode *inode, unsigned long long offset, size_t left)
{
	const unsigned int shift = inode_shift(inode);
	const size_t page = (size_t)1 << shift, from = offset & (page - 1);

	return (struct part){
		.index = (unsigned long)(offset >> shift),
		.from = from,
		.size = min(page - from, left),
	};
}

static bool has_bytes(const struct samara_file *file)
{
	return !inode_is_device(file->inode) && !file_is(file, SAMARA_FILE_NOMAP);
}

/* The page, with a reference; NULL where memory that was never written to is zeros. */
static int page_to_read(struct inode *inode, unsigned long index, struct folio **out)
{
	bool major = false;
	int err;

	if (inode->kind != INODE_HOST) {
		*out = page_cache_find(inode, index);
		return 0;
	}
	err = page_cache_get(inode, index, out, &major);
	if (!err)
		folio_unlock(*out);
	return err;
}

static int read_part(struct inode *inode, struct part part, char *buf)
{
	struct folio *folio;
	int err = page_to_read(inode, part.index, &folio);

	if (err)
		return err;
	if (!folio) {
		memset(buf, 0, part.size);
		return 0;
	}
	bytes_load(buf, (char *)folio_virt(inode->ram, folio) + part.from, part.size);
	folio_put(inode->ram, folio);
	return 0;
}

/* Bytes from offset to the end as it is now. */
static unsigned long long to_end(const struct inode *inode, unsigned long long offset)
{
	const unsigned long long length =
		inode_pages(inode) == ULONG_MAX ? LLONG_MAX : READ_ONCE(inode->length);

	return length > offset ? length - offset : 0;
}

long file_read(struct samara_file *file, void *buf, unsigned long len, unsigned long long offset)
{
	struct inode *inode = file->inode;
	unsigned long done = 0;
	int err = 0;

	if (!file_is(file, SAMARA_FILE_READ))
		return -EBADF;
	if (offset > LLONG_MAX || !has_bytes(file))
		return -EINVAL;
	inode_refresh(inode);
	len = min(len, MOST_BYTES);
	while (done < len) {
		const unsigned long long left = to_end(inode, offset + done);
		const struct part part =
			part_at(inode, offset + done, min((unsigned long long)(len - done), left));

		if (!part.size)
			break;
		err = read_part(inode, part, (char *)buf + done);
		if (err)
			break;
		done += part.size;
	}
	/* -EFAULT: the end has come nearer meanwhile. */
	return done || err == -EFAULT ? (long)done : err;
}

static int write_part(struct inode *inode, struct part part, const char *buf)
{
	const unsigned long long end =
		((unsigned long long)part.index << inode_shift(inode)) + part.from + part.size;
	struct folio *folio;
	int err = page_cache_get_to_write(inode, part.index, &folio);

	if (err)
		return err;
	if (end > to_end(inode, 0))
		err = inode_grow(inode, end);
	if (!err) {
		bytes_store((char *)folio_virt(inode->ram, folio) + part.from, buf, part.size);
		folio_set(folio, FOLIO_DIRTY);
	} else if (part.index >= inode_pages(inode)) {
		page_cache_remove(inode, folio);
	}
	folio_unlock(folio);
	folio_put(inode->ram, folio);
	return err;
}

static long write_locked(struct samara_file *file, const char *buf, unsigned long len,
			 unsigned long long offset)
{
	const unsigned long long most = min(file->max_length, (unsigned long long)LLONG_MAX);
	struct inode *inode = file->inode;
	unsigned long done = 0;
	int err = 0;

	if (file_is(file, SAMARA_FILE_O_APPEND) && inode_pages(inode) != ULONG_MAX)
		offset = inode->length;
	if (offset >= most)
		return -EFBIG;
	len = min((unsigned long long)len, most - offset);
	page_cache_pass_end(inode, offset);
	while (done < len && !err) {
		const struct part part = part_at(inode, offset + done, len - done);

		err = write_part(inode, part, buf + done);
		if (!err)
			done += part.size;
	}
	return done ? (long)done : err;
}

long file_write(struct samara_file *file, const void *buf, unsigned long len,
		unsigned long long offset)
{
	struct inode *inode = file->inode;
	long ret;

	if (!file_is(file, SAMARA_FILE_WRITE))
		return -EBADF;
	if (offset > LLONG_MAX || !has_bytes(file))
		return -EINVAL;
	len = min(len, MOST_BYTES);
	if (!len || file_is(file, SAMARA_FILE_ZERO))
		return (long)len;
	inode_refresh(inode);
	down_write(&inode->lock);
	ret = write_locked(file, buf, len, offset);
	up_write(&inode->lock);
	return ret;
}
