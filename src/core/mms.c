/* SPDX-License-Identifier: MIT */
/*
 * The list of a machine's mms. See mms.h.
 */
#include "core/mms.h"

void mm_join(struct samara_mm *mm)
{
	struct mm_list *mms = &mm->machine->mms;

	refcount_set(&mm->life.refs, 1);
	spin_lock(&mms->lock, RANK_MMS);
	list_add_tail(&mm->life.all, &mms->head);
	spin_unlock(&mms->lock);
}

void mm_put(struct samara_mm *mm)
{
	struct samara_machine *machine = mm->machine;

	if (!refcount_dec_and_test(&mm->life.refs))
		return;
	spin_lock(&machine->mms.lock, RANK_MMS);
	list_del(&mm->life.all);
	spin_unlock(&machine->mms.lock);
	mm_free(mm);
	machine_put(machine, 1);
}

struct samara_mm *mm_next(struct samara_machine *machine, struct samara_mm *prev)
{
	struct mm_list *mms = &machine->mms;
	struct samara_mm *found = NULL;
	struct list_head *at;

	spin_lock(&mms->lock, RANK_MMS);
	at = prev ? &prev->life.all : &mms->head;
	for (at = at->next; !found && at != &mms->head; at = at->next) {
		struct samara_mm *mm = list_entry(at, struct samara_mm, life.all);

		if (refcount_inc_not_zero(&mm->life.refs))
			found = mm;
	}
	spin_unlock(&mms->lock);
	if (prev)
		mm_put(prev);
	return found;
}
