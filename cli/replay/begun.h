/* SPDX-License-Identifier: MIT */
/*
 * The calls that have begun and not ended: for each thread the text up to where
 * strace tore it. A table by thread number that grows with the number of threads,
 * so that each operation looks at a few entries, however many there are.
 */
#ifndef CLI_REPLAY_BEGUN_H
#define CLI_REPLAY_BEGUN_H

#include <stddef.h>

struct begun {
	struct begun *next; /* in its bucket */
	struct begun *older, *newer;
	int tid;
	size_t len;
	char text[]; /* terminated */
};

struct begun_table {
	struct begun **bucket;
	size_t size; /* a power of two, or 0 */
	size_t nr;
	struct begun *oldest, *newest;
	unsigned long looked_at; /* entries passed in all searches, for the tests */
};

/* What tid has begun goes, and this is it now. 0 or -ENOMEM. */
int begun_keep(struct begun_table *b, int tid, const char *text, size_t len);

/* Take out what tid has begun; NULL: nothing. The caller frees it. */
struct begun *begun_take(struct begun_table *b, int tid);

void begun_free(struct begun_table *b);

#endif
