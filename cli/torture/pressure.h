/* SPDX-License-Identifier: MIT */
/*
 * samara torture --swap: pages that leave memory, while the threads use them.
 *
 * Threads besides those with slots:
 *   swapoff   areas go and come again: one compressed, one whose reads and writes fail now and then
 *   migrate   pages of the address space move to other frames, blocks of free frames are made
 *   reclaim   pages leave, as many as can
 *   hog       an address space of its own, which wants more memory than there is, and checks it;
 *             it is the victim when memory has run out, and ends itself then
 *   poison    another one, of which frames go bad; these pages it does not read any more
 *
 * Once a read of swap has failed an access may stop with SIGBUS: the page is as it was if it can be
 * read later, or has to be SIGBUS for ever. Other bytes than its own it must never hold.
 */
#ifndef CLI_TORTURE_PRESSURE_H
#define CLI_TORTURE_PRESSURE_H

#include "torture/torture.h"

#define AREAS 2
#define MINDERS 5

struct pressure;

/* A thread of these. turn: what it does again and again. */
struct minder {
	struct worker w; /* first */
	void (*turn)(struct minder *m);
	struct samara_mm *mm; /* the hog's, the poisoner's */
	uint64_t *ids;        /* the hog's pages */
	unsigned long pages;  /* of them, or frames that went bad */
};

/* One swap area. */
struct torture_area {
	struct samara_swap *swap; /* NULL: off */
	char *bytes;              /* the failing one's pages */
	unsigned long pages;
};

struct pressure {
	struct torture *t;
	struct torture_area area[AREAS];
	struct minder minder[MINDERS];
	int started;           /* threads */
	pthread_mutex_t still; /* no page of the poisoner's moves */
	struct {
		bool reads;           /* fail now and then; atomic */
		unsigned long random; /* atomic */
		unsigned long failed; /* reads; atomic */
	} io;
	struct {
		bool told; /* the hog, that it is the one; atomic */
		unsigned long killed;
	} victim;
};

/* The areas are on, and the threads run. 0 or -errno. */
int pressure_start(struct torture *t);
/* The threads have ended. */
void pressure_stop(struct torture *t);
/* No mm and no file is left: areas hold nothing and go. */
void pressure_end(struct torture *t);

/* pressure.c: turn one area on, or off. 0 or -errno. */
int area_on(struct pressure *p, int nr, unsigned long random);
int area_off(struct pressure *p, int nr);

/* minders.c */
extern void (*const minder_turns[MINDERS])(struct minder *m);

#endif
