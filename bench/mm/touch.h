/* SPDX-License-Identifier: MIT */
/*
 * Accesses to one byte, on either side.
 */
#ifndef BENCH_TOUCH_H
#define BENCH_TOUCH_H

#include <stdlib.h>

#include <samara/access.h>

#include "mm.h"

static inline void broken(const char *what)
{
	fprintf(stderr, "%s: %s failed\n", bench_name, what);
	exit(1);
}

static inline void put(const struct side *s, unsigned long addr)
{
	const char byte = 1;

	if (s->kind == HOST)
		*(volatile char *)addr = byte;
	else if (samara_write(s->mm, addr, &byte, 1, NULL) != 1)
		broken("a write");
}

static inline void get(const struct side *s, unsigned long addr)
{
	char byte;

	if (s->kind == HOST)
		(void)*(volatile char *)addr;
	else if (samara_read(s->mm, addr, &byte, 1, NULL) != 1)
		broken("a read");
}

#endif
