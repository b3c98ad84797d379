/* SPDX-License-Identifier: MIT */
#include "uffd/validate_uffd.h"

#include "base/report.h"
#include "uffd/queue.h"

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
	/* Closing clears all VMAs in one hold of the mmap_lock. */
	if (uffd && (uffd->closing || READ_ONCE(uffd->q.closed)))
		return report_broken(out, "uffd_vma", "%lx..%lx: its userfaultfd %p is closed",
				     vma->vm_start, vma->vm_end, (void *)uffd);
	return 0;
}

/* All below: q.lock is held. */

static int check_events(const struct samara_uffd *uffd, struct samara_report *out)
{
	const struct uffd_event *event;
	unsigned int count = 0;

	list_for_each_entry(event, &uffd->q.prepared, in)
		count++;
	list_for_each_entry(event, &uffd->q.events, in) {
		count++;
		if (event->uffd != uffd || (event->msg.event == UFFD_EVENT_FORK) != !!event->child)
			return report_broken(out, "uffd_event",
					     "userfaultfd %p: event %#x of %p, child %p",
					     (void *)uffd, event->msg.event, (void *)event->uffd,
					     (void *)event->child);
	}
	if (count != uffd->changing)
		return report_broken(
			out, "uffd_changing",
			"userfaultfd %p: %u events are prepared or queued, changing is %u",
			(void *)uffd, count, uffd->changing);
	return 0;
}

static int check_forked(const struct samara_uffd *uffd, struct samara_report *out)
{
	const struct samara_uffd *child;

	list_for_each_entry(child, &uffd->q.forked, fork.in)
		if (child->mm == uffd->mm || !child->fork.number)
			return report_broken(out, "uffd_forked", "userfaultfd %p: child %p, mm %p",
					     (void *)uffd, (void *)child, (void *)child->mm);
	return 0;
}

/* A thread's sleeper that was called has left the lists before its word says so. */
static bool sleeper_is_in_order(const struct samara_uffd *uffd, const struct uffd_sleeper *sleeper)
{
	const struct uffd_posts *posts = uffd->q.posts;
	const unsigned int word = READ_ONCE(sleeper->word);

	if (sleeper->uffd != uffd)
		return false;
	if (word == UFFD_POSTED)
		return posts && sleeper >= posts->post && sleeper < posts->post + POSTS;
	return sleeper->queued && word != UFFD_CALLED && word != UFFD_INTERRUPTED;
}

static int check_sleepers(const struct samara_uffd *uffd, const struct list_head *list,
			  unsigned int *posted, struct samara_report *out)
{
	const struct uffd_sleeper *sleeper;

	list_for_each_entry(sleeper, list, in) {
		if (!sleeper_is_in_order(uffd, sleeper))
			return report_broken(out, "uffd_sleeper",
					     "userfaultfd %p: sleeper %p of %p, word %u",
					     (void *)uffd, (void *)sleeper, (void *)sleeper->uffd,
					     READ_ONCE(sleeper->word));
		*posted += READ_ONCE(sleeper->word) == UFFD_POSTED;
	}
	return 0;
}

/* Each post that is in use is in a list. */
static int check_posts(const struct samara_uffd *uffd, unsigned int listed,
		       struct samara_report *out)
{
	const struct uffd_posts *posts = uffd->q.posts;
	unsigned int used = 0;

	for (int i = 0; posts && i < POSTS; i++)
		used += !!posts->post[i].uffd;
	if (used != listed || used != (posts ? posts->used : 0))
		return report_broken(out, "uffd_sleeper",
				     "userfaultfd %p: %u posts are in use, %u listed, %u counted",
				     (void *)uffd, used, listed, posts ? posts->used : 0);
	return 0;
}

static int check_readable(const struct samara_uffd *uffd, struct samara_report *out)
{
	const struct uffd_queues *q = &uffd->q;

	if (q->readable == (!list_empty(&q->pending) || !list_empty(&q->events)))
		return 0;
	return report_broken(out, "uffd_readable", "userfaultfd %p: readable is %d", (void *)uffd,
			     q->readable);
}

static int check_queues(struct samara_uffd *uffd, struct samara_report *out)
{
	struct uffd_queues *q = &uffd->q;
	unsigned int posted = 0;
	int err;

	spin_lock(&q->lock, RANK_EVENT);
	err = check_events(uffd, out);
	if (!err)
		err = check_forked(uffd, out);
	if (!err)
		err = check_sleepers(uffd, &q->pending, &posted, out);
	if (!err)
		err = check_sleepers(uffd, &q->told, &posted, out);
	if (!err)
		err = check_posts(uffd, posted, out);
	if (!err)
		err = check_readable(uffd, out);
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
