/* SPDX-License-Identifier: MIT */
/*
 * A case in memory: the calls, and what is expected of them.
 */
#ifndef CLI_CHECK_CASE_H
#define CLI_CHECK_CASE_H

#include "check/check.h"
#include "common.h"

#define BRIEF 320 /* bytes of a line of a map */

struct expected {
	struct answer answer;
	char *map; /* the lines with a bar, or NULL */
	size_t map_len;
};

struct script {
	struct seq seq;
	struct expected expected[MAX_OPS + 1];
	int zero_page;   /* enum zero_page that it is about; UNKNOWN: it is right for both */
	char why[128];   /* it cannot be read */
	char title[300]; /* the first comment */
};

#define fail_check(...) fail("check", __VA_ARGS__)

#endif
