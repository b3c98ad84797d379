/* SPDX-License-Identifier: MIT */
/*
 * Putting a mapping into the map. mmap_lock is held for writing.
 *
 *        start                                   end
 *   |--A--|#####|        |####|    |##############|--Z--|      before
 *   |--A--|=================== new ===============|--Z--|      after, or
 *   |----------------- A, grown -----------------------|       merged
 *
 * What stood in the range (#) is gathered, limits and file are asked, memory is allocated. Then one
 * store, the point of no return, puts the new VMA, or a neighbour grown over it, in place of all of
 * it.
 */
#ifndef VMA_MAP_H
#define VMA_MAP_H

#include "core/mm.h"
#include "vma/layout.h"

struct map_request {
	struct samara_mm *mm;
	unsigned long start, end; /* whole pages below the task size */
	unsigned long pgoff;      /* of the file; private anonymous: start's page number */
	unsigned long flags;      /* VM_* */
	struct samara_file *file; /* NULL: anonymous; shared then means fresh shared memory */
	enum {
		MAP_ORDINARY,
		MAP_HEAP
	} kind;                    /* MAP_HEAP: only a VMA that ends above start_brk grows */
	bool untold;               /* what was there leaves without UNMAP: remap_file_pages */
	bool vacant;               /* the caller knows that the range is empty */
	struct area_around around; /* of a vacant range, if the search found it */
	unsigned long huge_pages;  /* VM_HUGETLB: ordinary pages in a huge one */
	struct vma_dead *dead;     /* where VMAs that leave go */
};

/*
 * *out becomes the VMA that holds the range. 0; -ENOMEM: limits, budget, vm.max_map_count or
 * memory; -EPERM: over a sealed VMA; -EINVAL; what the file's driver answers. When a limit refuses,
 * VMAs that reach into the range are left cut at its edges. When the file or shared memory is
 * refused the range is left empty. Linux does both. When memory is refused nothing has changed.
 */
int map_region(const struct map_request *req, struct vma **out) __must_check;

#endif
