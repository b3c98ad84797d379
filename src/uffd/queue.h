/* SPDX-License-Identifier: MIT */
/*
 * The room's own: what becomes readable, and who is told. A message is readable while it is in
 * pending or events. Whoever puts one there or takes one away says so under q->lock; who put one
 * there wakes readers behind the lock.
 */
#ifndef UFFD_QUEUE_H
#define UFFD_QUEUE_H

#include "uffd/uffd.h"

#define POSTS 256

struct uffd_posts {
	unsigned int used;               /* (q), read without it too */
	struct uffd_sleeper post[POSTS]; /* (q) free: uffd is NULL */
};

/* One more message is readable. q->lock is held. */
void queue_message_came(struct uffd_queues *q);
/* A message was taken off pending or events; perhaps none is left. q->lock is held. */
void queue_messages_left(struct uffd_queues *q);
/* q->lock is not held. */
void queue_wake_readers(struct uffd_queues *q);

/* q->closed was set: readers give up, and who polls the descriptor wakes before it goes. */
void queue_close(struct uffd_queues *q);

/*
 * event.c: events that are over, by in. The calls that wait for them go on, and the others are
 * freed. The caller has a reference to their userfaultfd. No lock is held.
 */
void queue_events_over(struct list_head *over);

/*
 * Looks at *word until it is not old any more, but no longer than an answer of a thread on another
 * core takes: two wake-ups by the kernel take ten times as long. Returns whether it changed. Where
 * the other side answers later than that, or has no core of its own, most waits do not look: *late
 * counts these.
 */
bool queue_spin_while(unsigned int *late, const unsigned int *word, unsigned int old);

/* wait.c: with its last reference. */
void uffd_posts_free(struct samara_uffd *uffd);

#endif
