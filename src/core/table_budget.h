/* SPDX-License-Identifier: MIT */
/* How many page tables there may be. */
#ifndef CORE_TABLE_BUDGET_H
#define CORE_TABLE_BUDGET_H

#include "base/compiler.h"

/*
 * Page tables of all mms of a machine. In Linux they lie in RAM with everything else, so RAM bounds
 * them. Here they are the host's memory, of which no guest may take without bound: one request may
 * ask for the tables of a whole address space.
 */
struct table_budget {
	char before[CACHE_LINE];
	unsigned long nr;  /* (a) */
	unsigned long max; /* (i) 0: no limit */
	char apart[CACHE_LINE];
};

#endif
