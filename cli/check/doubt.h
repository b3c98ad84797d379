/* SPDX-License-Identifier: MIT */
/*
 * Ranges of addresses, and those whose bytes are not known.
 */
#ifndef CLI_CHECK_DOUBT_H
#define CLI_CHECK_DOUBT_H

#include <stdbool.h>

struct range {
	unsigned long start, end;
};

/*
 * Pages that are old or zeros: those with MADV_FREE, and MAP_DROPPABLE with MADV_PAGEOUT. A page
 * may be said to be one too often, never too seldom.
 */
#define DOUBTS 32
struct doubt {
	unsigned int n;
	bool all; /* more ranges than there is room for */
	struct range at[DOUBTS];
};
bool doubt_of(const struct doubt *d, unsigned long start, unsigned long end);
void doubt_add(struct doubt *d, unsigned long start, unsigned long end);
void doubt_remove(struct doubt *d, unsigned long start, unsigned long end);
/* What is doubted in [from, from + len) is so at to, too. */
void doubt_copy(struct doubt *d, unsigned long from, unsigned long len, unsigned long to);

#endif
