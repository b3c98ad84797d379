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
	bool known;              /* else the rest says nothing */
	struct vma *prev, *next; /* the VMAs that end and begin where the place does; or NULL */
};

struct area_desc {
	struct samara_mm *mm;
	struct samara_file *file;   /* NULL: anonymous */
	unsigned long addr;         /* hint, or the place with MAP_FIXED */
	unsigned long len;          /* whole pages */
	unsigned long pgoff;        /* of the file, for placing by offset */
	int flags;                  /* MAP_FIXED, MAP_32BIT, MAP_ABOVE4G, MAP_SHARED count */
	struct area_around *around; /* filled where the search comes by it; may be NULL */
};

/*
 * An address on a page. -ENOMEM: no room; -EINVAL: MAP_FIXED and not on a page;
 * -EPERM: below map_min_addr.
 */
unsigned long get_unmapped_area(const struct area_desc *desc);

/* A hint that is not 0 but too low becomes the lowest address there is. */
unsigned long round_hint_to_min(const struct samara_mm *mm, unsigned long hint);

#endif
