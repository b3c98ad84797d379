/* SPDX-License-Identifier: MIT */
/*
 * Messages are read: faults before events, each oldest first, as in Linux. And the descriptor that
 * says whether there is one, an eventfd. It is written when the first message comes, and read when
 * the last is taken, both under the queue's lock; so it is level-triggered.
 */
#include <errno.h>
#include <fcntl.h>

#include "base/futex.h"
#include "base/host.h"
#include "uffd/queue.h"

static void settle(struct uffd_queues *q)
{
	const bool readable = !list_empty(&q->pending) || !list_empty(&q->events);

	spin_assert_held(&q->lock);
	if (readable == q->readable)
		return;
	q->readable = readable;
	if (q->eventfd < 0)
		return;
	if (readable)
		host_eventfd_set(q->eventfd);
	else
		host_eventfd_clear(q->eventfd);
}

void queue_message_came(struct uffd_queues *q)
{
	settle(q);
	WRITE_ONCE(q->readers, q->readers + 1);
}

void queue_messages_left(struct uffd_queues *q)
{
	settle(q);
}

void queue_wake_readers(struct uffd_queues *q)
{
	/* A reader that found nothing has counted itself under the lock before the message came. */
	if (READ_ONCE(q->asleep))
		futex_wake(&q->readers, 1, FUTEX_ANYONE);
}

/* About ten microseconds: an answer of a thread on another core takes less. */
#ifndef UFFD_SPINS
#define UFFD_SPINS 400
#endif
#define PASSED_BY 16 /* waits after one that was in vain, in which it does not look */

bool queue_spin_while(unsigned int *late, const unsigned int *word, unsigned int old)
{
	const unsigned int was = READ_ONCE(*late);

	for (unsigned int i = 0; was % PASSED_BY == 0 && i < UFFD_SPINS; i++) {
		if (READ_ONCE(*word) != old) {
			if (was)
				WRITE_ONCE(*late, 0);
			return smp_load_acquire((unsigned int *)word) != old;
		}
		cpu_relax();
	}
	WRITE_ONCE(*late, was + 1);
	return false;
}

void queue_close(struct uffd_queues *q)
{
	int fd;

	spin_lock(&q->lock, RANK_EVENT);
	WRITE_ONCE(q->readers, q->readers + 1);
	fd = q->eventfd;
	WRITE_ONCE(q->eventfd, -1); /* its number may be another descriptor's soon */
	spin_unlock(&q->lock);
	futex_wake(&q->readers, FUTEX_ALL, FUTEX_ANYONE);
	if (fd < 0)
		return;
	host_eventfd_set(fd);
	host_close(fd);
}

int uffd_descriptor(struct samara_uffd *uffd)
{
	struct uffd_queues *q = &uffd->q;
	int fd = READ_ONCE(q->eventfd), made;

	if (fd >= 0)
		return fd;
	made = host_eventfd();
	if (made < 0)
		return made;
	spin_lock(&q->lock, RANK_EVENT);
	fd = q->closed ? -EBADF : q->eventfd;
	if (fd == -1) {
		if (q->readable)
			host_eventfd_set(made);
		WRITE_ONCE(q->eventfd, made);
	}
	spin_unlock(&q->lock);
	if (fd == -1)
		return made;
	host_close(made);
	return fd;
}

/* A message, taken; false: there is none. An event goes onto over. The queue's lock is held. */
static bool take_message(struct samara_uffd *uffd, struct uffd_msg *msg, struct list_head *over)
{
	struct uffd_queues *q = &uffd->q;
	struct uffd_sleeper *sleeper;

	if (!list_empty(&q->pending)) {
		sleeper = list_first_entry(&q->pending, struct uffd_sleeper, in);
		list_del(&sleeper->in);
		list_add_tail(&sleeper->in, &q->told);
		*msg = sleeper->msg;
	} else if (!uffd_event_take(uffd, msg, over)) {
		return false;
	}
	queue_messages_left(q);
	return true;
}

/* What a reader that finds nothing does: it comes back, looks on for a while, and then sleeps. */
enum reader { READER_LEAVES, READER_SPINS, READER_SLEEPS };

/*
 * 1: *msg is one; 0: there is none; -EBADF. *word is what readers is then. A reader that is about
 * to sleep is counted.
 */
static int try_read(struct samara_uffd *uffd, struct uffd_msg *msg, enum reader reader,
		    unsigned int *word)
{
	struct uffd_queues *q = &uffd->q;
	LIST_HEAD(over);
	int ret;

	spin_lock(&q->lock, RANK_EVENT);
	ret = q->closed ? -EBADF : take_message(uffd, msg, &over);
	if (!ret && reader == READER_SLEEPS)
		atomic_inc(&q->asleep);
	*word = q->readers;
	spin_unlock(&q->lock);
	queue_events_over(&over);
	return ret;
}

static void sleep_for_message(struct uffd_queues *q, unsigned int word)
{
	futex_wait(&q->readers, word, FUTEX_ANYONE, NULL);
	atomic_dec(&q->asleep);
}

long uffd_read(struct samara_uffd *uffd, struct uffd_msg *msg, unsigned long nr)
{
	enum reader reader = uffd->flags & O_NONBLOCK ? READER_LEAVES : READER_SPINS;
	unsigned long done = 0;
	unsigned int word;
	int ret;

	uffd_get(uffd);
	for (;;) {
		ret = try_read(uffd, &msg[done], reader, &word);
		if (ret == 1) {
			reader = READER_LEAVES; /* only the first is waited for */
			if (++done < nr)
				continue;
		}
		if (ret || reader == READER_LEAVES)
			break;
		if (reader == READER_SLEEPS)
			sleep_for_message(&uffd->q, word);
		else if (!queue_spin_while(&uffd->late.program, &uffd->q.readers, word))
			reader = READER_SLEEPS;
	}
	uffd_put(uffd);
	if (done)
		return (long)(done * sizeof(*msg));
	return ret ? ret : -EAGAIN;
}
