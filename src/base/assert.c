/* SPDX-License-Identifier: MIT */
/*
 * What happens when an assertion of assert.h fails: one line on stderr, then
 * abort() or a count. No locks, no allocation, so that it works anywhere.
 */
#include "base/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static unsigned long warnings;

void assert_bug(const char *cond, const char *file, int line)
{
	fprintf(stderr, "samara: BUG: %s (%s:%d)\n", cond, file, line);
	abort();
}

void assert_bug_text(const char *fmt, ...)
{
	va_list args;

	fputs("samara: BUG: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	abort();
}

void assert_warn(const char *cond, const char *file, int line)
{
	__atomic_fetch_add(&warnings, 1, __ATOMIC_RELAXED);
	fprintf(stderr, "samara: WARN: %s (%s:%d)\n", cond, file, line);
	if (getenv("SAMARA_FATAL_WARNINGS"))
		abort();
}

unsigned long samara_warnings(void)
{
	return READ_ONCE(warnings);
}
