/* SPDX-License-Identifier: MIT */
/*
 * Running a piece of a test in a forked child, for what ends the process: an
 * assertion, a sanitizer's report.
 */
#ifndef SAMARA_TEST_FORKED_H
#define SAMARA_TEST_FORKED_H

#include <stdbool.h>
#include <stddef.h>

struct forked {
	int signal;	 /* that ended the child, or 0 */
	int status;	 /* its exit status, when signal is 0 */
	char text[8192]; /* the beginning of what it wrote to stderr */
};

/*
 * Run fn(arg) in a child, which exits with status 0 when fn returns, without
 * atexit handlers. The child dumps no core.
 */
void run_forked(void (*fn)(void *arg), void *arg, struct forked *out);

/* ThreadSanitizer does not allow threads in the child of a process that has some. */
bool forked_may_have_threads(void);

#endif
