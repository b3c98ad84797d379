/* SPDX-License-Identifier: MIT */
/*
 * Memory for changes to a map, got before the point of no return.
 *
 * One change is one store into the tree: vma_store_prepare() may fail,
 * vma_store_commit() cannot. A call that makes several changes one after the
 * other (mremap) fills a struct vma_reserve for all of them first; then each
 * single step draws on it and finds what it needs.
 */
#ifndef VMA_RESERVE_H
#define VMA_RESERVE_H

#include "core/mm.h"

#define RESERVE_VMAS 4
#define RESERVE_ENTRIES 64

struct vma_reserve {
	struct vma *spare[RESERVE_VMAS];
	unsigned int n;
	bool filled;
	struct ma_state mas; /* holds the tree's nodes */
};

/* 0 or -ENOMEM, and then nothing is held. */
int vma_reserve_fill(struct vma_reserve *reserve, struct samara_mm *mm) __must_check;
/* What was not needed goes back. */
void vma_reserve_drop(struct vma_reserve *reserve);

/* An empty VMA, from reserve unless that is NULL. NULL when refused. */
struct vma *vma_take(struct samara_mm *mm, struct vma_reserve *reserve) __must_check;

/* entry over [start, end) of mm's tree; NULL clears. */
struct vma_store {
	struct samara_mm *mm;
	unsigned long start, end;
	struct vma *entry;
	struct vma_reserve *reserve; /* or NULL */
	bool prepared;
	struct ma_state mas;
};

/* 0 or -ENOMEM. The tree must not change between the two but through the reserve. */
int vma_store_prepare(struct vma_store *s) __must_check;
void vma_store_commit(struct vma_store *s);
void vma_store_cancel(struct vma_store *s);

/* entry takes the place of what has exactly the range [start, end): never needs memory. */
void vma_store_exact(struct samara_mm *mm, struct vma *entry);

#endif
