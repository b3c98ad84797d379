/* SPDX-License-Identifier: MIT */
/*
 * read(2) and write(2) on the pages that mappings see.
 *
 * Writes exclude each other and truncation (inode->lock); a page's bytes come after the file was
 * made long enough for them, under the folio's lock. Reads and mappings see a write half done, but
 * no torn word (base/bytes.h).
 *
 * A call that finds no frame free drops its locks, waits in store_make_room(), and goes on behind
 * the bytes it has moved. Another write or a truncation may come in between. What is appended after
 * the wait goes to the end that the file has then.
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

/* As page_to_read(), of shared memory and files without known bytes. */
static int page_in_memory(struct inode *inode, unsigned long index, struct folio **out)
{
	bool major = false;
	swp_entry_t swap;
	int err = 0;

	while (!(*out = page_cache_look(inode, index, &swap)) && !swp_none(swap) && !err)
		err = shmem_swap_read(inode, index, swap, &major);
	if (!*out || likely(!folio_test(*out, FOLIO_POISONED)))
		return err;
	folio_put(inode->ram, *out);
	return -EIO;
}

/* The page, with a reference; NULL where memory that was never written to is zeros. */
static int page_to_read(struct inode *inode, unsigned long index, struct folio **out)
{
	bool major = false;
	int err;

	if (inode->kind != INODE_HOST)
		return page_in_memory(inode, index, out);
	err = page_cache_get(inode, index, out, &major);
	if (!err)
		folio_unlock(*out);
	return err == -EHWPOISON ? -EIO : err;
}

/* A page is accessed once by calls that go through it piece by piece. */
static void mark_accessed(struct inode *inode, struct folio *folio, unsigned long index)
{
	if (READ_ONCE(inode->pages.last) == index + 1)
		return;
	WRITE_ONCE(inode->pages.last, index + 1);
	folio_mark_accessed(inode->ram, folio);
}

/* Bytes from offset to the end as it is now. */
static unsigned long long to_end(const struct inode *inode, unsigned long long offset)
{
	const unsigned long long length =
		inode_pages(inode) == ULONG_MAX ? LLONG_MAX : READ_ONCE(inode->length);

	return length > offset ? length - offset : 0;
}

/*
 * *part, which begins at offset, becomes what was read of it: nothing at the end. The length is
 * looked at again behind the page: a truncation that has taken the page away has made it shorter
 * before.
 */
static int read_part(struct inode *inode, unsigned long long offset, struct part *part, char *buf)
{
	struct folio *folio;
	int err = page_to_read(inode, part->index, &folio);

	if (err)
		return err;
	part->size = min((unsigned long long)part->size, to_end(inode, offset));
	if (!folio) {
		memset(buf, 0, part->size);
		return 0;
	}
	bytes_load(buf, (char *)folio_virt(inode->ram, folio) + part->from, part->size);
	mark_accessed(inode, folio, part->index);
	folio_put(inode->ram, folio);
	return 0;
}

/* One call, as far as it has come. */
struct transfer {
	struct samara_file *file;
	char *to;         /* read */
	const char *from; /* write */
	unsigned long len, done;
	unsigned long long offset;
};

/* 0: all of it, or the end. Else an error before the next byte; nothing is held. */
static int read_on(struct transfer *t)
{
	struct inode *inode = t->file->inode;
	int err;

	inode_refresh(inode);
	while (t->done < t->len) {
		const unsigned long long at = t->offset + t->done, left = to_end(inode, at);
		struct part part =
			part_at(inode, at, min((unsigned long long)(t->len - t->done), left));

		if (!part.size)
			return 0;
		err = read_part(inode, at, &part, t->to + t->done);
		if (err || !part.size)
			return err;
		t->done += part.size;
	}
	return 0;
}

long file_read(struct samara_file *file, void *buf, unsigned long len, unsigned long long offset)
{
	struct transfer t = {
		.file = file,
		.to = buf,
		.len = min(len, MOST_BYTES),
		.offset = offset,
	};
	unsigned long refused = frames_refused;
	int err;

	if (!file_is(file, SAMARA_FILE_READ))
		return -EBADF;
	if (offset > LLONG_MAX || !has_bytes(file))
		return -EINVAL;
	do
		err = read_on(&t);
	while (err == -ENOMEM && !store_make_room(file->inode->store, &refused));
	/* -EFAULT: the end has come nearer meanwhile. */
	return t.done || err == -EFAULT ? (long)t.done : err;
}

static int write_part(struct inode *inode, struct part part, const char *buf)
{
	const unsigned long long end =
		((unsigned long long)part.index << inode_shift(inode)) + part.from + part.size;
	struct folio *folio;
	int err = page_cache_get_to_write(inode, part.index, &folio);

	if (err)
		return err == -EHWPOISON ? -EIO : err;
	if (end > to_end(inode, 0))
		err = inode_change_length(inode, end);
	if (!err) {
		bytes_store((char *)folio_virt(inode->ram, folio) + part.from, buf, part.size);
		folio_set(folio, FOLIO_DIRTY);
		mark_accessed(inode, folio, part.index);
	} else if (part.index >= inode_pages(inode)) {
		page_cache_remove(inode, folio);
	}
	folio_unlock(folio);
	folio_put(inode->ram, folio);
	return err;
}

/* As read_on(). inode->lock is held for writing. */
static int write_locked(struct transfer *t)
{
	const unsigned long long most = min(t->file->max_length, (unsigned long long)LLONG_MAX);
	struct inode *inode = t->file->inode;
	unsigned long long at = t->offset + t->done, end;
	int err;

	if (file_is(t->file, SAMARA_FILE_O_APPEND) && inode_pages(inode) != ULONG_MAX)
		at = inode->length;
	if (at >= most)
		return -EFBIG;
	end = at + min((unsigned long long)(t->len - t->done), most - at);
	page_cache_pass_end(inode, at);
	while (at < end) {
		const struct part part = part_at(inode, at, end - at);

		err = write_part(inode, part, t->from + t->done);
		if (err)
			return err;
		t->done += part.size;
		at += part.size;
	}
	return 0;
}

static int write_on(struct transfer *t)
{
	struct inode *inode = t->file->inode;
	int err;

	inode_refresh(inode);
	down_write(&inode->lock);
	err = write_locked(t);
	up_write(&inode->lock);
	return err;
}

long file_write(struct samara_file *file, const void *buf, unsigned long len,
		unsigned long long offset)
{
	struct transfer t = {
		.file = file,
		.from = buf,
		.len = min(len, MOST_BYTES),
		.offset = offset,
	};
	unsigned long refused = frames_refused;
	int err;

	if (!file_is(file, SAMARA_FILE_WRITE))
		return -EBADF;
	if (offset > LLONG_MAX || !has_bytes(file))
		return -EINVAL;
	if (!t.len || file_is(file, SAMARA_FILE_ZERO))
		return (long)t.len;
	do
		err = write_on(&t);
	while (err == -ENOMEM && !store_make_room(file->inode->store, &refused));
	return t.done ? (long)t.done : err;
}
