/* SPDX-License-Identifier: MIT */
/*
 * A guest that does what it is asked: one thread touches memory, another, the agent, changes the
 * map beside it.
 */
#ifndef RUN_FACTS_SERVED_H
#define RUN_FACTS_SERVED_H

#include "facts.h"

enum asked {
	ASK_END,
	/* the doer; arg[1]: page */
	ASK_LOAD, /* the signal, or 0 */
	ASK_STORE,
	ASK_READ2,  /* read(2) of a byte into the page: 1 or -errno */
	ASK_HAMMER, /* stores for arg[2] ms: the signal, or 0 */
	ASK_JOIN,   /* a thread whose exit word is on the page ends, joined by futex: 0, 1: hangs */
	ASK_ROBUST, /* the owner of a robust futex on the page ends: the word afterwards */
	ASK_FUTEX,  /* waits for the futex on the page, shared: 0 woken, -errno; arg[2]: ms */
	/* the agent; arg[1]: page, arg[2]: pages */
	ASK_UNMAP,
	ASK_MAP,      /* arg[3]: page of the frames */
	ASK_MAP_FULL, /* the same, MAP_POPULATE */
	ASK_NONE,     /* PROT_NONE in the same place of the file */
	ASK_RDONLY,
	ASK_EMPTY,   /* a file without bytes */
	ASK_ZAP,     /* MADV_DONTNEED */
	ASK_WAKE_AT, /* futex wake, shared: how many */
};

struct served {
	struct guest g;
	struct control *doer, *agent;
	unsigned int doers, agents; /* asked so far */
};

struct served served_start(unsigned long pages, uint64_t modes, uint64_t features);
/* Asks the doer, and does not wait. */
void served_begin(struct served *s, enum asked what, long page, long arg);
/* Its answer, or false after ms. */
bool served_done(struct served *s, int ms, long *ret);
/* Asks the agent and waits. */
long served_agent(struct served *s, enum asked what, long page, long pages, long arg);
void served_end(struct served *s);

#endif
