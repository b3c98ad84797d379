/* SPDX-License-Identifier: MIT */
/*
 * Entries of the tree of areas: areas.c and area_change.c.
 *
 *   | file 16 | kind 4 | prot 3 | parked 1 | file page - address page, 37 bits |
 */
#ifndef CLI_RUN_AREA_ENTRY_H
#define CLI_RUN_AREA_ENTRY_H

#include "run/areas.h"

#define ENTRY_PARKED 37
#define ENTRY_PROT 38
#define ENTRY_KIND 41
#define ENTRY_FILE 45
#define ENTRY_DELTA ((1UL << ENTRY_PARKED) - 1)

void *area_entry(const struct area *as); /* NULL: kind is 0 */
void area_of_entry(struct area *out, unsigned long start, unsigned long last, const void *entry);

/*
 * A change of [start, end) to one entry, or to none: all that can fail before the host is asked.
 * Called with the lock held, which is kept until area_commit() or area_abandon().
 */
struct area_change {
	struct areas *areas;
	void *entry;
	unsigned long start, end; /* with the equal entries that touch the range */
	struct ma_state mas;
};
int area_prepare(struct area_change *change, struct areas *areas, const struct area *as);
void area_commit(struct area_change *change);
void area_abandon(struct area_change *change);

/* No entry reaches over addr. Called with the lock held. 0 or -ENOMEM. */
int area_cut(struct areas *areas, unsigned long addr);
/* The entry whose range is exactly that of *as becomes *as. */
void area_set(struct areas *areas, const struct area *as);
/* Equal entries that touch at addr become one, if there is memory for it. */
void area_join(struct areas *areas, unsigned long addr);

#endif
