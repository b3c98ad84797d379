/* SPDX-License-Identifier: MIT */
/*
 * How a validator says what it found.
 */
#ifndef BASE_REPORT_H
#define BASE_REPORT_H

#include <samara/types.h>

#include "base/compiler.h"

/*
 * Note the first broken invariant: its name (static storage) and a sentence
 * with the numbers. out may be NULL, and a report that is already filled keeps
 * what it says. Always -EUCLEAN, so that a validator can return it.
 */
__cold __printf_like(3, 4) int report_broken(struct samara_report *out, const char *invariant,
					     const char *fmt, ...);

#endif
