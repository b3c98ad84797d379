/* SPDX-License-Identifier: MIT */
/*
 * Where a mapping goes (get_unmapped_area). mmap_lock is held for writing.
 */
#ifndef VMA_LAYOUT_H
#define VMA_LAYOUT_H

#include "core/mm.h"

/*
 *      low                                             high
 *       |--[vma]-----[vma]----------[stack]--[vma]------|
 *                         |len|....gap|
 *                          ^ highest place, kept clear of the stack's guard gap
 */
struct area_around {
	bool known;       /* else prev and next are not set */
	struct vma *prev; /* ends where the place begins; or NULL */
	struct vma *next; /* begins where it ends; or NULL */
};

struct area_desc {
	struct samara_mm *mm;
	struct samara_file *file;   /* NULL: anonymous */
	unsigned long addr;         /* hint, or the place with MAP_FIXED */
	unsigned long len;          /* whole pages */
	unsigned long pgoff;        /* of the file, for placing by offset */
	int flags;                  /* MAP_FIXED, MAP_32BIT, MAP_ABOVE4G, MAP_SHARED count */
	struct area_around *around; /* filled when the search meets the neighbours; may be NULL */
};

/*
 * An address on a page. -ENOMEM: no room; -EINVAL: MAP_FIXED and not on a page;
 * -EPERM: below map_min_addr.
 */
unsigned long get_unmapped_area(const struct area_desc *desc);

/* The hint's page; map_min_addr for a hint below that other than 0. */
unsigned long round_hint_to_min(const struct samara_mm *mm, unsigned long hint);

#endif
