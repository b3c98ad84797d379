/* SPDX-License-Identifier: MIT */
/*
 * What an embedder says about running out of memory. reclaim/oom.c does it.
 */
#include <errno.h>

#include <samara/reclaim.h>

#include "base/sized.h"
#include "core/mm.h"

void samara_set_oom(struct samara_machine *machine, const struct samara_oom_ops *callers,
		    void *priv)
{
	struct samara_oom_ops own = { .kill = NULL };
	struct oom_state *oom = &machine->oom;

	if (gate_is_foreign(machine->gate))
		return;
	if (callers && sized_get(&own, sizeof(own), callers))
		return;
	spin_lock(&oom->lock, RANK_MMS);
	oom->kill = own.kill;
	oom->priv = priv;
	spin_unlock(&oom->lock);
}

int samara_set_oom_score_adj(struct samara_mm *mm, int adj)
{
	const int refused = mm_call(mm);

	if (refused)
		return refused;
	if (adj < -1000 || adj > 1000)
		return -EINVAL;
	mmap_write_lock(mm);
	WRITE_ONCE(mm->limits.oom_score_adj, adj);
	mmap_write_unlock(mm);
	return 0;
}
