/* SPDX-License-Identifier: MIT */
#include "uffd/validate_uffd.h"

#include "base/report.h"
#include "uffd/uffd.h"

int uffd_validate_vma(const struct vma *vma, struct samara_report *out)
{
	const unsigned long flags = vma->vm_flags & VM_UFFD_FLAGS;
	const struct samara_uffd *uffd = vma->rare.uffd;

	if (!flags != !uffd)
		return report_broken(out, "vma_uffd", "%lx..%lx: flags %lx with userfaultfd %p",
				     vma->vm_start, vma->vm_end, flags, (void *)uffd);
	if (uffd && uffd->mm != vma->vm_mm)
		return report_broken(out, "uffd_vma",
				     "%lx..%lx: its userfaultfd is of mm %p, not %p", vma->vm_start,
				     vma->vm_end, (void *)uffd->mm, (void *)vma->vm_mm);
	return 0;
}

/* Prepared events are known to their calls alone, so changing may be more than what is queued. */
static int check_queues(struct samara_uffd *uffd, struct samara_report *out)
{
	struct uffd_queues *q = &uffd->q;
	const struct uffd_event *event;
	const struct samara_uffd *child;
	unsigned int queued = 0;
	int err = 0;

	spin_lock(&q->lock, RANK_EVENT);
	list_for_each_entry(event, &q->events, in) {
		queued++;
		if (event->uffd != uffd || (event->msg.event == UFFD_EVENT_FORK) != !!event->child)
			err = report_broken(out, "uffd_event",
					    "userfaultfd %p: event %#x of %p, child %p",
					    (void *)uffd, event->msg.event, (void *)event->uffd,
					    (void *)event->child);
	}
	if (!err && queued > READ_ONCE(uffd->changing))
		err = report_broken(out, "uffd_changing",
				    "userfaultfd %p: %u events are queued, changing is %u",
				    (void *)uffd, queued, uffd->changing);
	list_for_each_entry(child, &q->forked, fork.in)
		if (!err && (child->mm == uffd->mm || !child->fork.number))
			err = report_broken(out, "uffd_forked", "userfaultfd %p: child %p, mm %p",
					    (void *)uffd, (void *)child, (void *)child->mm);
	spin_unlock(&q->lock);
	return err;
}

int uffd_validate_queues(struct samara_mm *mm, struct samara_report *out)
{
	struct samara_uffd *uffd;
	int err = 0;

	spin_lock(&mm->watch.uffds.lock, RANK_MMS);
	list_for_each_entry(uffd, &mm->watch.uffds.head, in_mm)
		if (!err)
			err = check_queues(uffd, out);
	spin_unlock(&mm->watch.uffds.lock);
	return err;
}
