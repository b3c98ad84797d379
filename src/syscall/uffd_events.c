/* SPDX-License-Identifier: MIT */
/*
 * Of <samara/uffd.h>: children of forks, closing, whether calls wait for their events.
 */
#include "syscall/uffd_calls.h"

int samara_uffd_forked(struct samara_uffd *uffd, const struct uffd_msg *msg,
		       struct samara_uffd **out)
{
	const int refused = mm_call(uffd->mm);
	struct samara_uffd *child;

	if (refused)
		return refused;
	if (msg->event != UFFD_EVENT_FORK)
		return -EINVAL;
	child = uffd_fork_take(uffd, msg->arg.fork.ufd);
	if (!child)
		return -ENOENT;
	*out = child;
	return 0;
}

void uffd_close_all(struct list_head *closing)
{
	while (!list_empty(closing)) {
		struct samara_uffd *uffd = list_first_entry(closing, struct samara_uffd, fork.in);

		list_del(&uffd->fork.in);
		uffd_unregister_all(uffd);
		uffd_close(uffd, closing);
		uffd_put(uffd);
	}
}

void samara_uffd_events_wait(struct samara_mm *mm, int on)
{
	if (!mm_is_foreign(mm))
		WRITE_ONCE(mm->watch.uffds.no_wait, !on);
}
