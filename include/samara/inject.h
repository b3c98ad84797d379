/* SPDX-License-Identifier: MIT */
/*
 * Making allocations fail on purpose, and counting what is allocated.
 *
 * Every allocation of the library is a site with a name ("maple_leaf", "vma",
 * ...). Counters and switches of samara_inject_nth(), _from() and _count() are
 * the calling thread's own; those of samara_inject_site() and _each_site() are
 * the process's.
 */
#ifndef SAMARA_INJECT_H
#define SAMARA_INJECT_H

#include <samara/types.h>

SAMARA_BEGIN_DECLS

/* Fail the nth allocation of this thread from now (1: the next), once; 0 switches off. */
SAMARA_API void samara_inject_nth(unsigned long nth);

/* Fail the nth allocation of this thread from now and every one after it; 0 switches off. */
SAMARA_API void samara_inject_from(unsigned long nth);

/*
 * Fail the nth allocation from now at the site of that name, in any thread,
 * once; 0 switches off. -ENOENT: there is no such site (yet).
 */
SAMARA_API int samara_inject_site(const char *site, unsigned long nth);

/* Allocations this thread has asked for since the last call, refused ones included. */
SAMARA_API unsigned long samara_inject_count(void);

/*
 * Objects allocated and not freed, in the whole process. Waits until every
 * object whose freeing was deferred is free, so not to be called inside an RCU
 * read-side critical section.
 */
SAMARA_API unsigned long samara_live_objects(void);

/* What has happened at each site so far; fn is called once a site, in no particular order. */
struct samara_site_info {
	const char *name;
	unsigned long asked, refused, live;
};
SAMARA_API void samara_inject_each_site(void (*fn)(const struct samara_site_info *site, void *arg), void *arg);

SAMARA_END_DECLS

#endif
