/* SPDX-License-Identifier: MIT */
/*
 * samara torture --uffd: parts of slots are registered with userfaultfds, so that accesses and
 * calls wait, while threads unmap, move and fork.
 *
 * Threads besides those with slots:
 *   handler   reads messages and answers each, with what the slot's owner expects to find: a
 *             missing page is zeros, one that is in the file goes on, a protected one may be
 *             written to. Children's userfaultfds are its own: it closes them sooner or later
 *   closer    closes a userfaultfd, with whatever waits for it, and makes another; tells accesses
 *             that wait not to do so any more, which are then made again
 *
 * An answer may come late: a page may be there, its mapping may be gone. It must change nothing
 * then.
 */
#ifndef CLI_TORTURE_HANDLERS_H
#define CLI_TORTURE_HANDLERS_H

#include "torture/torture.h"

#define UFFDS 4
#define HANDLERS 2
#define CHILDREN 8 /* of one handler */

struct handler {
	struct worker w; /* first */
	struct samara_uffd *child[CHILDREN];
	unsigned int next; /* of them to be closed */
	unsigned long answers, events, late;
};

struct handlers {
	struct torture *t;
	pthread_rwlock_t lock; /* for reading: none is closed */
	struct samara_uffd *uffd[UFFDS];
	struct handler handler[HANDLERS], closer;
	int started; /* threads */
	bool over;   /* atomic */
};

/* 0 or -errno. */
int handlers_start(struct torture *t);
/* The threads with slots have ended: these end, all is closed. What they did is added. */
void handlers_stop(struct torture *t, unsigned long *answers, unsigned long *events);

/* Operations on a slot that is locked: it is registered, not so any more, protected. */
void op_register(struct worker *w, struct slot *s);
void op_unregister(struct worker *w, struct slot *s);
void op_shield(struct worker *w, struct slot *s);

#endif
