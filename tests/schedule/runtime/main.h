/* SPDX-License-Identifier: MIT */
/*
 * The parent's side: what its files share.
 */
#ifndef SCHEDULE_MAIN_H
#define SCHEDULE_MAIN_H

#include <stdio.h>

#include "runtime.h"

enum way { WAY_MIXED, WAY_RANDOM, WAY_PCT, WAY_EXHAUSTIVE };

struct options {
	const char *program;
	const char *scenario; /* NULL: all */
	enum way way;
	enum memory_model memory;
	uint64_t seed;
	unsigned long schedules; /* 0: no limit */
	double seconds;          /* 0: no limit; of each scenario */
	unsigned int depth, preemptions, max_steps;
	bool list, trace, minimize, pairs, all, alone, quiet, help;
};

/* options.c: 0, or the exit status plus 1. */
int options_parse(int argc, char **argv, struct options *o);

/* What one scenario came to. */
struct outcome {
	unsigned long schedules, different, failed;
	unsigned int length; /* pct: expected steps */
	uint64_t hash;       /* of all schedules */
	double seconds;
	enum verdict verdict;
	struct plan plan; /* of the last schedule, which failed if verdict is not PASSED */
	bool complete;    /* exhaustive: there are no others */
};

double now(void);
/* Whether there have been as many schedules, or as many seconds, as the options say. */
bool is_enough(const struct options *o, const struct outcome *out, double end);

/* different.c: how many different hashes there were. */
void different_begin(void);
bool different_add(uint64_t hash);

/* places.c: text of {0x...} and <0x...> as file:line and symbol. */
void places_print(FILE *out, const char *text);
void places_load(const uintptr_t *places, unsigned int n);
const char *place_text(uintptr_t place);

void trace_print(void);
struct plan minimize(const struct scenario *scenario, const struct plan *plan);

/* pairs.c: of the events of the last schedule. */
void pairs_begin(void);
void pairs_add(void);
void pairs_print(void);
/* Whether the word that is used at a place was also used by another thread, and one wrote. */
bool place_conflicts(uintptr_t place);
unsigned int conflict_count(void);

/* explore.c */
struct outcome explore(const struct scenario *s, const struct options *o);

const char *verdict_text(enum verdict verdict);

#endif
