/* SPDX-License-Identifier: MIT */
/*
 * What a mapping costs: the mm's own counters, its limits (setrlimit(2)) and
 * the machine's commit budget. mmap_lock is held for writing.
 *
 * Sizes are in pages, but for parameters named bytes.
 */
#ifndef VMA_ACCOUNT_H
#define VMA_ACCOUNT_H

#include "core/mm.h"
#include "store/file.h"

/* Whether RLIMIT_AS and RLIMIT_DATA allow that many more pages of a mapping with these flags. */
bool may_expand_vm(const struct samara_mm *mm, unsigned long flags, unsigned long pages);

/* Whether RLIMIT_MEMLOCK allows that many more bytes. Always, without VM_LOCKED in flags. */
bool mlock_future_ok(const struct samara_mm *mm, unsigned long flags, unsigned long bytes);

/* Whether the mm may lock memory at all (mlock(2), EPERM). */
bool can_do_mlock(const struct samara_mm *mm);

/* A mapping with these flags is charged: private and writable, not MAP_NORESERVE. */
static inline bool vm_accountable(unsigned long flags)
{
	return (flags & (VM_NORESERVE | VM_SHARED | VM_WRITE | VM_HUGETLB)) == VM_WRITE;
}

/* 0 or -ENOMEM. */
int mm_charge(struct samara_mm *mm, unsigned long pages) __must_check;
/* The charge of memory that exists already: no limit is checked. */
void mm_charge_unasked(struct samara_mm *mm, unsigned long pages);
void mm_uncharge(struct samara_mm *mm, unsigned long pages);
struct commit_who mm_commit_who(const struct samara_mm *mm);

/* Adds pages to total_vm, and to exec_vm, stack_vm or data_vm, as flags say. */
static inline void counters_add(struct mm_counters *count, unsigned long flags, unsigned long pages)
{
	count->total_vm += pages;
	if (vm_is_exec(flags))
		count->exec_vm += pages;
	else if (vm_is_stack(flags))
		count->stack_vm += pages;
	else if (vm_is_data(flags))
		count->data_vm += pages;
}

/* Counts pages with these flags in, or out if negative. locked_vm stays. */
void vm_stat_account(struct samara_mm *mm, unsigned long flags, long pages);

static inline unsigned long vma_pages(const struct vma *vma)
{
	return mm_pages(vma->vm_mm, vma_size(vma));
}

#endif
