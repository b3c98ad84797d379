/* SPDX-License-Identifier: MIT */
/*
 * Events: changes of the map of which a handler is told.
 *
 *   prepared    mmap_lock held: allocated, a reference to the userfaultfd, changing is raised.
 *               Whether the call will wait is decided here, and once
 *   dropped     the call failed: as if there never was one
 *   queued      no lock held; the call sleeps, unless samara_uffd_events_wait() is off
 *   read        changing falls, the call goes on to the next of its events
 *
 * A call that waits owns its event and frees it. One that does not leaves it to the reader. What
 * is not read when the userfaultfd closes ends as if it had been read, but for a fork's child: it
 * is closed too.
 *
 * changing is raised where no page is filled: with the mmap_lock held for writing, or with fills
 * held for writing (REMOVE). So the limit of unread events is met exactly.
 */
#include <errno.h>

#include "alloc/mem.h"
#include "base/futex.h"
#include "maple/writer.h"
#include "uffd/queue.h"

static DEFINE_ALLOC_SITE(event_site, "uffd_event");

static bool wants(const struct vma *vma, unsigned int feature)
{
	return vma->rare.uffd && (uffd_features(vma->rare.uffd) & feature);
}

/* An event of uffd that tells nothing yet. NULL when refused. */
static struct uffd_event *event_make(struct samara_uffd *uffd, unsigned char kind)
{
	struct uffd_event *event = mem_zalloc(&event_site, sizeof(*event));

	if (!event)
		return NULL;
	uffd_get(uffd);
	event->uffd = uffd;
	event->waited = !READ_ONCE(uffd->mm->watch.uffds.no_wait);
	event->msg.event = kind;
	return event;
}

/* It is in no list, and changing has fallen. */
static void event_free(struct uffd_event *event)
{
	struct samara_uffd *uffd = event->uffd;

	mem_free(&event_site, event);
	uffd_put(uffd);
}

/* event is the last of events now, and fills of its userfaultfd stop. False: too many unread. */
static bool event_add(struct uffd_events *events, struct uffd_event *event)
{
	struct samara_uffd *uffd = event->uffd;
	bool room;

	spin_lock(&uffd->q.lock, RANK_EVENT);
	room = event->waited || uffd->changing < UFFD_EVENTS_MOST;
	if (room) {
		list_add_tail(&event->in, &uffd->q.prepared);
		atomic_inc(&uffd->changing);
	}
	spin_unlock(&uffd->q.lock);
	if (room)
		uffd_events_move(events, &(struct uffd_events){ event, event });
	return room;
}

/* event is neither prepared nor queued any more. q.lock is held. */
static void event_leaves(struct uffd_event *event)
{
	list_del(&event->in);
	atomic_dec_release(&event->uffd->changing);
}

static int add_or_free(struct uffd_events *events, struct uffd_event *event)
{
	if (event_add(events, event))
		return 0;
	event_free(event);
	return -ENOMEM;
}

void uffd_events_move(struct uffd_events *to, struct uffd_events *from)
{
	if (!from->first)
		return;
	if (to->first)
		to->last->next = from->first;
	else
		to->first = from->first;
	to->last = from->last;
	from->first = NULL;
}

static struct uffd_event *events_pop(struct uffd_events *events)
{
	struct uffd_event *event = events->first;

	events->first = event->next;
	event->next = NULL;
	return event;
}

void uffd_events_drop(struct uffd_events *events)
{
	while (events->first) {
		struct uffd_event *event = events_pop(events);

		if (event->child)
			uffd_put(event->child);
		spin_lock(&event->uffd->q.lock, RANK_EVENT);
		event_leaves(event);
		spin_unlock(&event->uffd->q.lock);
		event_free(event);
	}
}

/* prepared ------------------------------------------------------------------------- */

static bool is_told(const struct uffd_events *events, const struct samara_uffd *uffd)
{
	const struct uffd_event *event = events->first;

	while (event && event->uffd != uffd)
		event = event->next;
	return event;
}

static int unmap_add(struct uffd_events *events, struct samara_uffd *uffd, unsigned long start,
		     unsigned long end)
{
	struct uffd_event *event = event_make(uffd, UFFD_EVENT_UNMAP);

	if (!event)
		return -ENOMEM;
	event->msg.arg.remove.start = start;
	event->msg.arg.remove.end = end;
	return add_or_free(events, event);
}

int uffd_unmap_prepare(struct uffd_events *events, struct samara_mm *mm, unsigned long start,
		       unsigned long end)
{
	struct uffd_events mine = { 0 };
	unsigned long at = start;
	const struct vma *vma;

	mmap_assert_write_locked(mm);
	while (at < end && (vma = maple_writer_find(&mm->writer, at, end - 1))) {
		struct samara_uffd *uffd = vma->rare.uffd;

		at = vma->vm_end;
		if (!wants(vma, UFFD_FEATURE_EVENT_UNMAP) || is_told(&mine, uffd))
			continue;
		if (unmap_add(&mine, uffd, start, end)) {
			uffd_events_drop(&mine);
			return -ENOMEM;
		}
	}
	uffd_events_move(events, &mine);
	return 0;
}

int uffd_remap_prepare(struct uffd_events *events, const struct vma *vma,
		       const struct uffd_remap *remap)
{
	struct uffd_event *event;

	if (!wants(vma, UFFD_FEATURE_EVENT_REMAP))
		return 0;
	event = event_make(vma->rare.uffd, UFFD_EVENT_REMAP);
	if (!event)
		return -ENOMEM;
	event->msg.arg.remap.from = remap->from;
	event->msg.arg.remap.to = remap->to;
	event->msg.arg.remap.len = remap->len;
	return add_or_free(events, event);
}

bool uffd_remap_told(const struct vma *vma)
{
	return wants(vma, UFFD_FEATURE_EVENT_REMAP);
}

int uffd_remove_prepare(struct uffd_events *events, const struct vma *vma, unsigned long start,
			unsigned long end)
{
	struct samara_uffd *uffd = vma->rare.uffd;
	struct uffd_event *event;
	bool waited;
	int err;

	if (!wants(vma, UFFD_FEATURE_EVENT_REMOVE))
		return 0;
	event = event_make(uffd, UFFD_EVENT_REMOVE);
	if (!event)
		return -ENOMEM;
	event->msg.arg.remove.start = start;
	event->msg.arg.remove.end = end;
	waited = event->waited;
	down_write(&uffd->fills);
	err = add_or_free(events, event);
	up_write(&uffd->fills);
	return err ? err : waited;
}

int uffd_fork_prepare(struct uffd_events *events, struct samara_uffd *uffd,
		      struct samara_uffd *child)
{
	struct uffd_event *event = event_make(uffd, UFFD_EVENT_FORK);

	if (!event)
		return -ENOMEM;
	if (add_or_free(events, event))
		return -ENOMEM;
	event->child = child;
	return 0;
}

/* delivered ------------------------------------------------------------------------ */

/* A queued event is over: read, or its userfaultfd closes. q.lock is held. */
static void event_over(struct uffd_event *event, struct list_head *over)
{
	event_leaves(event);
	list_add_tail(&event->in, over);
}

/* The call frees its event once it sees the word. The address is still woken then. */
void queue_events_over(struct list_head *over)
{
	while (!list_empty(over)) {
		struct uffd_event *event = list_first_entry(over, struct uffd_event, in);
		unsigned int *word = &event->word;

		list_del(&event->in);
		if (!event->waited) {
			event_free(event);
			continue;
		}
		smp_store_release(word, 1);
		futex_wake(word, FUTEX_ALL, FUTEX_ANYONE);
	}
}

bool uffd_event_take(struct samara_uffd *uffd, struct uffd_msg *msg, struct list_head *over)
{
	struct uffd_queues *q = &uffd->q;
	struct uffd_event *event;

	spin_assert_held(&q->lock);
	if (list_empty(&q->events))
		return false;
	event = list_first_entry(&q->events, struct uffd_event, in);
	if (event->child) {
		event->msg.arg.fork.ufd = uffd_fork_read(uffd, event->child);
		event->child = NULL;
	}
	*msg = event->msg;
	event_over(event, over);
	return true;
}

void uffd_events_close(struct samara_uffd *uffd, struct list_head *closing, struct list_head *over)
{
	struct uffd_queues *q = &uffd->q;

	spin_assert_held(&q->lock);
	while (!list_empty(&q->events)) {
		struct uffd_event *event = list_first_entry(&q->events, struct uffd_event, in);

		if (event->child)
			list_add_tail(&event->child->fork.in, closing);
		event->child = NULL;
		event_over(event, over);
	}
	while (!list_empty(&q->forked)) {
		struct uffd_forked *fork = list_first_entry(&q->forked, struct uffd_forked, in);

		list_del(&fork->in);
		list_add_tail(&fork->in, closing);
	}
	queue_messages_left(q);
}

/* False: the userfaultfd is closed. What is not waited for is the reader's from here on. */
static bool event_queue(struct uffd_event *event)
{
	struct samara_uffd *uffd = event->uffd;
	bool closed;

	uffd_get(uffd); /* a reader may free the event */
	spin_lock(&uffd->q.lock, RANK_EVENT);
	closed = uffd->q.closed;
	if (closed) {
		event_leaves(event);
	} else {
		list_del(&event->in);
		list_add_tail(&event->in, &uffd->q.events);
		queue_message_came(&uffd->q);
	}
	spin_unlock(&uffd->q.lock);
	if (!closed)
		queue_wake_readers(&uffd->q);
	uffd_put(uffd);
	return !closed;
}

static void event_await(struct uffd_event *event)
{
	(void)queue_spin_while(&event->uffd->late.handler, &event->word, 0);
	while (!smp_load_acquire(&event->word))
		futex_wait(&event->word, 0, FUTEX_ANYONE, NULL);
	event_free(event);
}

void uffd_events_deliver(struct uffd_events *events, struct list_head *closing)
{
	VM_WARN_ON(lock_rank_holds_any());
	while (events->first) {
		struct uffd_event *event = events_pop(events);
		const bool waited = event->waited;

		if (event_queue(event)) {
			if (waited)
				event_await(event);
			continue;
		}
		if (event->child)
			list_add_tail(&event->child->fork.in, closing);
		event_free(event);
	}
}
