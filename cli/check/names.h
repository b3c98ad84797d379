/* SPDX-License-Identifier: MIT */
/*
 * Names of constants: in a case's text, and in C.
 */
#ifndef CLI_CHECK_NAMES_H
#define CLI_CHECK_NAMES_H

#include "check/check.h"

struct flag_name {
	const char *text;
	unsigned long value;
	const char *c; /* an expression for a C program, whatever its headers know */
};

/* The table of kind, or NULL when it has no names. */
const struct flag_name *names_of(enum arg_kind kind);

/* One value out of many, rather than bits. */
bool is_one_of(enum arg_kind kind);

#endif
