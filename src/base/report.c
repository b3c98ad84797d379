/* SPDX-License-Identifier: MIT */
/*
 * Filling a struct samara_report: the first finding wins, the text is cut to
 * what fits and always terminated.
 */
#include "base/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

int report_broken(struct samara_report *out, const char *invariant, const char *fmt, ...)
{
	va_list args;

	if (!out || out->invariant)
		return -EUCLEAN;
	out->invariant = invariant;
	va_start(args, fmt);
	if (vsnprintf(out->text, sizeof(out->text), fmt, args) < 0)
		out->text[0] = '\0';
	va_end(args);
	return -EUCLEAN;
}
