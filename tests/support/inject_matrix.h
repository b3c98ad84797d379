/* SPDX-License-Identifier: MIT */
/*
 * What refusing memory did, site by site, for tools/inject: with SAMARA_INJECT_MATRIX=FILE
 * a test program appends a line "program site asked refused recovered" for each site to FILE when
 * it is done. Recovered: refusals in spite of which the call succeeded.
 */
#ifndef SAMARA_TEST_INJECT_MATRIX_H
#define SAMARA_TEST_INJECT_MATRIX_H

enum inject_how { INJECT_ONCE, INJECT_ON };

/* The nth allocation of this thread from now fails, or it and all that follow. */
void inject_arm(enum inject_how how, unsigned long nth);

enum inject_outcome { INJECT_FAILED, INJECT_SUCCEEDED };

/* Memory is back. Returns how many allocations were asked for since inject_arm(). */
unsigned long inject_disarm(enum inject_outcome outcome);

/* At the end of main(): writes the lines if they are asked for, and returns result. */
int inject_matrix(const char *program, int result);

#endif
