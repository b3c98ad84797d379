/* SPDX-License-Identifier: MIT */
/*
 * A file's pages and its mappings together: truncation, holes, and writing back.
 *
 *   1  the length changes, the host gets its hole   new faults are refused
 *   2  the pages are unmapped                       many at a time
 *   3  each page leaves the cache under its lock    a fault that held it has mapped it by now
 *   4  the pages are unmapped again                 that fault's entry too
 *
 * Truncation holds the inode's lock for writing from 1 to 4.
 */
#ifndef FILEMAP_FILEMAP_H
#define FILEMAP_FILEMAP_H

#include "store/file.h"
#include "store/inode.h"

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

/*
 * Unmap pages [start, last] of an inode from every VMA that maps some of them. EVEN_COWS
 * (truncation): private copies too. KEEP_COWS (punched holes): these stay. Guards stay. Takes the
 * inode's i_mmap.lock for reading; the mmap_lock of any mm may be held.
 */
enum unmap_cows { KEEP_COWS, EVEN_COWS };
void unmap_mapping_pages(struct inode *inode, unsigned long start, unsigned long last,
			 enum unmap_cows cows);

#endif
