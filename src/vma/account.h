/* SPDX-License-Identifier: MIT */
/*
 * What a mapping costs: the mm's own counters, its limits (setrlimit(2)) and
 * the machine's commit budget. mmap_lock is held for writing.
 *
 * Pages in, unless a name says bytes.
 */
#ifndef VMA_ACCOUNT_H
#define VMA_ACCOUNT_H

#include "core/mm.h"
#include "store/file.h"

/* RLIMIT_AS and RLIMIT_DATA allow pages more of a mapping with these flags. */
bool may_expand_vm(const struct samara_mm *mm, unsigned long flags, unsigned long pages);

/* RLIMIT_MEMLOCK allows bytes more, if flags has VM_LOCKED at all. */
bool mlock_future_ok(const struct samara_mm *mm, unsigned long flags, unsigned long bytes);

/* Locking is allowed at all (mlock(2), EPERM). */
bool can_do_mlock(const struct samara_mm *mm);

/* A mapping with these flags is charged: private and writable, not MAP_NORESERVE. */
static inline bool vm_accountable(unsigned long flags)
{
	return (flags & (VM_NORESERVE | VM_SHARED | VM_WRITE | VM_HUGETLB)) == VM_WRITE;
}

/* 0 or -ENOMEM. */
int mm_charge(struct samara_mm *mm, unsigned long pages) __must_check;
/* For what is there already: no limit is asked. */
void mm_charge_unasked(struct samara_mm *mm, unsigned long pages);
void mm_uncharge(struct samara_mm *mm, unsigned long pages);
struct commit_who mm_commit_who(const struct samara_mm *mm);

/* total_vm, and the one of exec_vm, stack_vm, data_vm that a mapping with these flags counts as. */
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

/* A mapping of pages with these flags has come or (negative) gone; locked_vm is not touched. */
void vm_stat_account(struct samara_mm *mm, unsigned long flags, long pages);

static inline unsigned long vma_pages(const struct vma *vma)
{
	return mm_pages(vma->vm_mm, vma_size(vma));
}

#endif
