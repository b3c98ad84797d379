/* SPDX-License-Identifier: MIT */
/*
 * Promising memory under the three overcommit modes.
 */
#include <errno.h>

#include "base/atomic.h"
#include "store/commit.h"

/* What a process of that size may have promised in all, mode NEVER. */
static long allowed(const struct commit *commit, struct commit_who who)
{
	long pages = (long)READ_ONCE(commit->limit);

	if (!who.admin)
		pages -= (long)commit->admin_reserve;
	/* So that a user can still start what kills a process that grew too big. */
	return pages - (long)min(who.total_vm / 32, commit->user_reserve);
}

int commit_charge(struct commit *commit, unsigned long pages, struct commit_who who)
{
	const int mode = READ_ONCE(commit->mode);
	const long sum = atomic_add_return_relaxed(&commit->pages, (long)pages);

	if (mode == SAMARA_OVERCOMMIT_ALWAYS)
		return 0;
	if (mode == SAMARA_OVERCOMMIT_GUESS ? pages <= READ_ONCE(commit->total_pages) :
					      max(sum, 0L) < allowed(commit, who))
		return 0;
	commit_uncharge(commit, pages);
	return -ENOMEM;
}

void commit_uncharge(struct commit *commit, unsigned long pages)
{
	atomic_sub(&commit->pages, (long)pages);
}

void commit_add(struct commit *commit, unsigned long pages)
{
	atomic_add(&commit->pages, (long)pages);
}

void commit_add_swap(struct commit *commit, long pages)
{
	atomic_add(&commit->total_pages, (unsigned long)pages);
	atomic_add(&commit->limit, (unsigned long)pages);
}
