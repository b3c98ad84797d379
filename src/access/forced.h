/* SPDX-License-Identifier: MIT */
/*
 * samara_access() with SAMARA_FORCE: a debugger's access, by pins.
 */
#ifndef ACCESS_FORCED_H
#define ACCESS_FORCED_H

#include <samara/access.h>

struct forced {
	struct samara_mm *mm;
	unsigned long addr;
	void *buf;
	unsigned long len;
	unsigned int write;         /* FAULT_WRITE or 0 */
	unsigned int flags;         /* FAULT_NOWAIT */
	struct samara_fault *fault; /* NULL is allowed */
};
/* As samara_access() answers. */
long access_forced(const struct forced *f);

#endif
