/* SPDX-License-Identifier: MIT */
/*
 * How often each of a few names has come: for what a replay leaves out.
 */
#ifndef CLI_REPLAY_TALLY_H
#define CLI_REPLAY_TALLY_H

#include <jansson.h>
#include <stdio.h>

#define TALLY_NAMES 24 /* further names are counted together */

struct tally {
	struct {
		char name[48];
		unsigned long count;
	} row[TALLY_NAMES];
	size_t nr;
	unsigned long others, all;
};

/* One more of that name, whose text may be foreign. */
void tally_add(struct tally *t, const char *name, size_t len);

/* `mbind 2, msync 1`; nothing when all is 0. */
void tally_print(const struct tally *t, FILE *to);

/* {"mbind": 2, "msync": 1}; NULL: no memory. */
json_t *tally_json(const struct tally *t);

#endif
