/* SPDX-License-Identifier: MIT */
/*
 * A fork of an mm with userfaultfds: the child's, from the first VMA that needs it until the
 * handler has taken it.
 *
 *   FORK_VMAS   made, for each of the parent's that wants FORK; the child's VMAs point to it
 *   FORK_LIVE   in the child's list
 *   told        in the parent's queue, as a FORK event; no lock is held from here on
 *   read        in the parent's list forked, under a number
 *   taken       the handler's
 *
 * Until the last step it is closed with the parent's. A fork that fails drops it behind the exit of
 * the child: then no VMA points to it, and it is in no list.
 */
#include <errno.h>

#include "core/vma_lock.h"
#include "uffd/uffd.h"

static struct samara_uffd *child_of(const struct uffd_events *forks, const struct samara_uffd *uffd)
{
	const struct uffd_event *event = forks->first;

	while (event && event->uffd != uffd)
		event = event->next;
	return event ? event->child : NULL;
}

static struct samara_uffd *child_make(struct uffd_events *forks, struct samara_uffd *uffd,
				      struct samara_mm *mm)
{
	struct samara_uffd *child = uffd_alloc(mm, uffd->flags);

	if (!child)
		return NULL;
	child->features = smp_load_acquire(&uffd->features);
	if (!uffd_fork_prepare(forks, uffd, child))
		return child;
	uffd_put(child);
	return NULL;
}

int uffd_fork_vma(struct uffd_events *forks, struct vma *copy, const struct vma *vma)
{
	struct samara_uffd *uffd = vma->rare.uffd, *child;

	if (!(uffd_features(uffd) & UFFD_FEATURE_EVENT_FORK)) {
		vma_set_flags(copy, copy->vm_flags & ~VM_UFFD_FLAGS);
		copy->rare.uffd = NULL;
		return 0;
	}
	child = child_of(forks, uffd);
	if (!child)
		child = child_make(forks, uffd, copy->vm_mm);
	if (!child)
		return -ENOMEM;
	copy->rare.uffd = child;
	return 0;
}

void uffd_forks_join(const struct uffd_events *forks)
{
	for (const struct uffd_event *event = forks->first; event; event = event->next)
		uffd_join(event->child);
}

unsigned int uffd_fork_read(struct samara_uffd *uffd, struct samara_uffd *child)
{
	struct uffd_queues *q = &uffd->q;

	spin_assert_held(&q->lock);
	/* A handler may take it for a descriptor, and 0 for none: it is positive as an int. */
	q->forks = q->forks % INT_MAX + 1;
	child->fork.number = q->forks;
	list_add_tail(&child->fork.in, &q->forked);
	return child->fork.number;
}

struct samara_uffd *uffd_fork_take(struct samara_uffd *uffd, unsigned int number)
{
	struct uffd_queues *q = &uffd->q;
	struct samara_uffd *child, *found = NULL;

	spin_lock(&q->lock, RANK_EVENT);
	list_for_each_entry(child, &q->forked, fork.in) {
		if (child->fork.number == number) {
			found = child;
			list_del(&child->fork.in);
			break;
		}
	}
	spin_unlock(&q->lock);
	return found;
}
