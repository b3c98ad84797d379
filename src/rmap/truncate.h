/* SPDX-License-Identifier: MIT */
/*
 * A file's pages and its mappings together: truncation, holes, and writing back.
 *
 *   1  the length changes, the host gets its hole   nobody new gets in
 *   2  mappings of the pages go                     many at a time
 *   3  each page leaves the cache under its lock    whoever was on his way has mapped it
 *   4  mappings once more                           his too
 *
 * The inode's lock is held for writing all the time.
 */
#ifndef RMAP_TRUNCATE_H
#define RMAP_TRUNCATE_H

#include "rmap/rmap.h"

/* samara_file_set_length(). */
int file_set_length(struct samara_file *file, unsigned long long length) __must_check;
/*
 * [offset, offset + length), neither empty nor beyond 2^63: 0, -EOPNOTSUPP, what fallocate(2)
 * gave.
 */
int file_punch_hole(struct samara_file *file, unsigned long long offset,
		    unsigned long long length) __must_check;
/* The same for pages [start, last]: MADV_REMOVE. The mmap_lock may be held for reading. */
int file_punch(struct samara_file *file, unsigned long start, unsigned long last) __must_check;

/*
 * What was stored to pages [start, last], through mappings too, goes to the host file, and the
 * host is asked to keep it. 0, or the first error. MS_SYNC. The mmap_lock may be held for
 * reading.
 */
int file_sync_range(struct samara_file *file, unsigned long start, unsigned long last) __must_check;

#endif
