/* SPDX-License-Identifier: MIT */
/*
 * Changes to the tree of VMAs, and memory for several of them.
 *
 * One change is one store, which does everything or nothing. A call that makes one change puts it
 * at its point of no return: behind all that may fail, and before the fields of existing VMAs
 * change. A call that makes several changes (mremap) fills a struct vma_reserve before the first,
 * which may fail. The later ones take their memory from it and cannot fail.
 */
#ifndef VMA_RESERVE_H
#define VMA_RESERVE_H

#include "core/mm.h"
#include "rmap/rmap.h"

#define RESERVE_STORES 3

/* One that is all zero holds nothing. */
struct vma_reserve {
	struct vma *spare[RESERVE_STORES];
	unsigned int n;
	struct samara_mm *mm;
	struct link_stock links;
	void *nodes[2]; /* of the tree: leaves, inner nodes */
};

/*
 * Memory for that many stores, each of a new VMA with that many links. 0 or -ENOMEM, and then
 * nothing is held.
 */
int vma_reserve_fill(struct vma_reserve *reserve, struct samara_mm *mm, unsigned int stores,
		     unsigned int links) __must_check;
/* Frees what is left. */
void vma_reserve_drop(struct vma_reserve *reserve);

/* An empty VMA, from reserve unless that is NULL. NULL when refused. */
struct vma *vma_take(struct samara_mm *mm, struct vma_reserve *reserve) __must_check;

/* What is stored: entry over [start, end) of mm's tree; NULL clears. */
struct vma_store {
	struct samara_mm *mm;
	unsigned long start, end;
	struct vma *entry;
	struct vma *above; /* takes the upper part of a VMA cut in two; NULL: that VMA keeps it */
	struct vma_reserve *reserve; /* or NULL */
};

/*
 * 0 or -ENOMEM, and then nothing has changed. With a reserve, and for clearing whole VMAs, it
 * cannot fail.
 */
int vma_store(const struct vma_store *s) __must_check;

/* Takes the VMA that begins at start out of the tree. Needs no memory. */
void vma_erase(struct samara_mm *mm, unsigned long start);

/*
 * The VMA at addr, or NULL. The writer remembers the path, for a change or lookups near addr that
 * follow. mmap_lock is held for writing.
 */
struct vma *vma_seek(struct samara_mm *mm, unsigned long addr);

#endif
