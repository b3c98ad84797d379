/* SPDX-License-Identifier: MIT */
/*
 * An address space, and the machine it belongs to.
 *
 *   machine --- store (files, commit budget)
 *      ^
 *      |
 *     mm --- mt (tree) ---> vma [..) vma [..) vma [..)
 *             index..last   each under vm_start..vm_end-1
 *
 * Who protects a field:
 *   (i) set when the mm is made
 *   (m) mmap_lock: held for writing to change, for either to read
 *
 * Invariants (vma/validate.c checks them by these names)
 *   tree        the range tree's own
 *   place       each VMA is stored under exactly its range
 *   map_count, total_vm, locked_vm, data_vm, exec_vm, stack_vm, accounted
 *               equal what the VMAs add up to (locked_vm: with locked_astray)
 */
#ifndef CORE_MM_H
#define CORE_MM_H

#include <samara/maple_tree.h>
#include <samara/mm.h>

#include "base/lock.h"
#include "core/geometry.h"
#include "core/vma.h"

struct file_store;

struct samara_machine {
	struct samara_geometry geo;  /* (i) */
	unsigned int flags;          /* (i) enum samara_machine_flags */
	unsigned long max_map_count; /* (i) */
	struct file_store *store;    /* (i) counted */
	unsigned int refs;           /* the creator and each mm; atomic */
};

enum mm_rlimit { MM_RLIMIT_AS, MM_RLIMIT_DATA, MM_RLIMIT_STACK, MM_RLIMIT_MEMLOCK, MM_RLIMITS };

/* Places that execve(2) decides; all (m). */
struct mm_layout {
	unsigned int flags; /* enum samara_layout_flags */
	unsigned long mmap_base, legacy_base;
	unsigned long task_size;
	unsigned long start_code, end_code;
	unsigned long start_data, end_data;
	unsigned long start_brk, brk;
	unsigned long start_stack;
};

/* In pages; all (m). */
struct mm_counters {
	unsigned long total_vm;
	unsigned long locked_vm;
	unsigned long data_vm;
	unsigned long exec_vm;
	unsigned long stack_vm;
	unsigned long accounted; /* of the machine's commit budget */
	unsigned long map_count; /* VMAs */
	/* Pages in locked_vm that no VMA stands for: MREMAP_DONTUNMAP leaves them, as in Linux. */
	unsigned long locked_astray;
};

struct samara_mm {
	struct maple_tree mt; /* writers (m); readers (m) or RCU */
	struct rwsem mmap_lock;
	struct samara_machine *machine;    /* (i) counted */
	const struct samara_geometry *geo; /* (i) the machine's */
	struct mm_counters count;
	struct mm_layout layout;
	unsigned long def_flags;        /* (m) VM_LOCKED_MASK of mlockall(MCL_FUTURE) */
	unsigned long rlim[MM_RLIMITS]; /* (m) bytes */
	unsigned long rlim_max[MM_RLIMITS];
	unsigned int caps;              /* (m) enum samara_caps */
	enum samara_touch_policy touch; /* (m) */
};

#define MM_TREE_FLAGS (MT_FLAGS_ALLOC_RANGE | MT_FLAGS_LOCK_EXTERN | MT_FLAGS_USE_RCU)

static inline void mmap_write_lock(struct samara_mm *mm)
{
	down_write(&mm->mmap_lock);
}
static inline void mmap_write_unlock(struct samara_mm *mm)
{
	up_write(&mm->mmap_lock);
}
static inline void mmap_read_lock(struct samara_mm *mm)
{
	down_read(&mm->mmap_lock);
}
static inline void mmap_read_unlock(struct samara_mm *mm)
{
	up_read(&mm->mmap_lock);
}

static inline void mmap_assert_write_locked(struct samara_mm *mm)
{
	rwsem_assert_held_write(&mm->mmap_lock);
}

static inline unsigned long mm_page_size(const struct samara_mm *mm)
{
	return geo_page_size(mm->geo);
}

static inline unsigned long mm_page_mask(const struct samara_mm *mm)
{
	return geo_page_mask(mm->geo);
}

static inline unsigned long mm_page_align(const struct samara_mm *mm, unsigned long x)
{
	return geo_page_align(mm->geo, x);
}

/* Bytes to pages, rounded down. */
static inline unsigned long mm_pages(const struct samara_mm *mm, unsigned long bytes)
{
	return bytes >> mm->geo->page_shift;
}

static inline bool mm_page_aligned(const struct samara_mm *mm, unsigned long x)
{
	return !(x & ~mm_page_mask(mm));
}

static inline bool mm_capable(const struct samara_mm *mm, unsigned int cap)
{
	return mm->caps & cap;
}

static inline bool mm_has_thp(const struct samara_mm *mm)
{
	return !(mm->machine->flags & SAMARA_MACHINE_NO_THP);
}

/* At the limit that vm.max_map_count sets on splitting. */
static inline bool mm_map_full(const struct samara_mm *mm)
{
	return mm->count.map_count >= mm->machine->max_map_count;
}

/* An empty mm with Linux's default limits. The reference to machine is the caller's to take. */
struct samara_mm *mm_alloc(struct samara_machine *machine) __must_check;
/* Limits, capabilities, layout as in from. */
void mm_inherit(struct samara_mm *mm, const struct samara_mm *from);
/* No VMA may be left; the machine's reference is the caller's to drop. */
void mm_free(struct samara_mm *mm);

#endif
