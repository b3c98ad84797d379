/* SPDX-License-Identifier: MIT */
/*
 * mmap's inner half, which remap_file_pages uses too.
 */
#ifndef SYSCALL_MMAP_H
#define SYSCALL_MMAP_H

#include "core/mm.h"

/* Newer than the C library's headers. */
#ifndef MAP_ABOVE4G
#define MAP_ABOVE4G 0x80
#endif
#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif
#ifndef MAP_SYNC
#define MAP_SYNC 0x80000
#endif
#ifndef MAP_SHARED_VALIDATE
#define MAP_SHARED_VALIDATE 0x03
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MAP_HUGE_SHIFT
#define MAP_HUGE_SHIFT 26
#endif

struct door;

struct mmap_desc {
	struct samara_mm *mm;
	unsigned long addr, len; /* bytes, as the caller gave them; then as they came to be */
	int prot, flags;
	struct samara_file *file; /* NULL: anonymous */
	unsigned long pgoff;
	unsigned long huge; /* MAP_HUGETLB: bytes of a huge page, else 0 */
	bool untold;        /* as in struct map_request */
	struct door *door;
};

/* An address or -errno. d->door is entered; it may get something to populate. */
unsigned long do_mmap(struct mmap_desc *d);

#endif
