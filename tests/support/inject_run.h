/* SPDX-License-Identifier: MIT */
/*
 * One operation on a rich mm with every allocation that it makes failing in turn, once and
 * from then on, each time on a fresh one:
 *
 *   rich_up, snapshot -> op with its nth allocation refused
 *        it failed:  snapshot as before (unless INJECT_PARTIAL), validators; then
 *                    once more, with memory, and it succeeds
 *   table of contents as the op left it, validators -> rich_down without memory, nothing left
 *
 * until the op asks for fewer than n.
 */
#ifndef SAMARA_TEST_INJECT_RUN_H
#define SAMARA_TEST_INJECT_RUN_H

#include <stddef.h>

#include "support/rich_mm.h"

enum inject_op_flags {
	INJECT_PARTIAL = 1 << 0,   /* a failure may leave a part done: what Linux leaves */
	INJECT_NEVER = 1 << 1,     /* succeeds whatever is refused */
	INJECT_NO_MEMORY = 1 << 2, /* asks for none */
};

struct inject_op {
	const char *name;
	/* 0, -ENOMEM, -EAGAIN. On success it brings w's tables up to date. */
	int (*fn)(struct rich *w);
	unsigned int flags; /* enum inject_op_flags */
};

/* A cmocka group of a test for each; the exit status of program. */
int inject_run(const char *program, const struct inject_op *ops, size_t n);

#endif
