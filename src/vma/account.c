/* SPDX-License-Identifier: MIT */
/*
 * Limits, counters and the commit budget of one mm.
 */
#include "vma/account.h"

static unsigned long limit_pages(const struct samara_mm *mm, enum mm_rlimit which)
{
	return mm_pages(mm, mm->limits.rlim[which]);
}

bool may_expand_vm(const struct samara_mm *mm, unsigned long flags, unsigned long pages)
{
	unsigned long data;

	if (mm->count.total_vm + pages > limit_pages(mm, MM_RLIMIT_AS))
		return false;
	data = mm->count.data_vm + pages;
	if (!vm_is_data(flags) || data <= limit_pages(mm, MM_RLIMIT_DATA))
		return true;
	/* A soft limit of 0 means the hard limit, as in Linux: Valgrind sets it to 0. */
	return !mm->limits.rlim[MM_RLIMIT_DATA] &&
	       data <= mm_pages(mm, mm->limits.rlim_max[MM_RLIMIT_DATA]);
}

bool mlock_future_ok(const struct samara_mm *mm, unsigned long flags, unsigned long bytes)
{
	if (!(flags & VM_LOCKED) || mm_capable(mm, SAMARA_CAP_IPC_LOCK))
		return true;
	return mm_pages(mm, bytes) + mm->count.locked_vm <= limit_pages(mm, MM_RLIMIT_MEMLOCK);
}

bool can_do_mlock(const struct samara_mm *mm)
{
	return mm->limits.rlim[MM_RLIMIT_MEMLOCK] || mm_capable(mm, SAMARA_CAP_IPC_LOCK);
}

struct commit_who mm_commit_who(const struct samara_mm *mm)
{
	return (struct commit_who){
		.admin = mm_capable(mm, SAMARA_CAP_SYS_ADMIN),
		.total_vm = mm->count.total_vm,
	};
}

int mm_charge(struct samara_mm *mm, unsigned long pages)
{
	int err = commit_charge(&mm->machine->store->commit, pages, mm_commit_who(mm));

	if (!err)
		mm->count.accounted += pages;
	return err;
}

void mm_charge_unasked(struct samara_mm *mm, unsigned long pages)
{
	mm->count.accounted += pages;
	commit_add(&mm->machine->store->commit, pages);
}

void mm_uncharge(struct samara_mm *mm, unsigned long pages)
{
	mm->count.accounted -= pages;
	commit_uncharge(&mm->machine->store->commit, pages);
}

void vm_stat_account(struct samara_mm *mm, unsigned long flags, long pages)
{
	counters_add(&mm->count, flags, (unsigned long)pages);
}
