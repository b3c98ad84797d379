/* SPDX-License-Identifier: MIT */
/*
 * cmocka.h, and what it wants in front of it.
 *
 * A failed assertion ends the program with SIGABRT, after its message is printed. cmocka would
 * otherwise jump back to its runner: out of a thread that is not the runner's, out of a forked
 * child into a second run of the remaining tests, or past the barrier that another thread waits at.
 */
#ifndef SAMARA_TEST_CMOCKA_ALL_H
#define SAMARA_TEST_CMOCKA_ALL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

__attribute__((constructor)) static void abort_when_an_assertion_fails(void)
{
	setenv("CMOCKA_TEST_ABORT", "1", 1);
}

#endif
