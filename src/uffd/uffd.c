/* SPDX-License-Identifier: MIT */
/*
 * A userfaultfd as an object.
 */
#include "uffd/uffd.h"

#include "alloc/mem.h"
#include "core/mms.h"
#include "uffd/queue.h"

static DEFINE_ALLOC_SITE(uffd_site, "uffd");

struct samara_uffd *uffd_alloc(struct samara_mm *mm, unsigned int flags)
{
	struct samara_uffd *uffd = mem_zalloc(&uffd_site, sizeof(*uffd));

	if (!uffd)
		return NULL;
	mm_get(mm);
	uffd->mm = mm;
	uffd->flags = flags;
	uffd->q.eventfd = -1;
	refcount_set(&uffd->refs, 1);
	list_init(&uffd->q.pending);
	list_init(&uffd->q.told);
	list_init(&uffd->q.prepared);
	list_init(&uffd->q.events);
	list_init(&uffd->q.forked);
	rwsem_init(&uffd->fills, RANK_UFFD);
	return uffd;
}

void uffd_join(struct samara_uffd *uffd)
{
	struct mm_uffds *uffds = &uffd->mm->watch.uffds;

	spin_lock(&uffds->lock, RANK_MMS);
	list_add_tail(&uffd->in_mm, &uffds->head);
	if (READ_ONCE(uffds->bits) == UFFD_BITS_NONE)
		WRITE_ONCE(uffds->bits, UFFD_BITS_SOME);
	spin_unlock(&uffds->lock);
}

void uffd_put(struct samara_uffd *uffd)
{
	struct samara_mm *mm = uffd->mm, *source;

	if (!refcount_dec_and_test(&uffd->refs))
		return;
	source = uffd->source;
	uffd_posts_free(uffd);
	mem_free(&uffd_site, uffd);
	if (source)
		mm_put(source);
	mm_put(mm);
}

void uffd_close(struct samara_uffd *uffd, struct list_head *closing)
{
	struct samara_mm *mm = uffd->mm;
	LIST_HEAD(over);

	spin_lock(&uffd->q.lock, RANK_EVENT);
	uffd->q.closed = true;
	uffd_events_close(uffd, closing, &over);
	spin_unlock(&uffd->q.lock);
	queue_events_over(&over);
	spin_lock(&mm->watch.uffds.lock, RANK_MMS);
	list_del(&uffd->in_mm);
	spin_unlock(&mm->watch.uffds.lock);
	uffd_wake(uffd, 0, 0); /* all */
	queue_close(&uffd->q);
}
