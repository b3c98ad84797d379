/* SPDX-License-Identifier: MIT */
/*
 * Messages, progress and options, the same for each command.
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clean.h"
#include "common.h"

int fail(const char *command, const char *fmt, ...)
{
	char text[8192];
	va_list args;

	fflush(stdout);
	fprintf(stderr, "samara %s: ", command);
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	clean_put(text, strlen(text), stderr); /* names and lines of others are in it */
	fputc('\n', stderr);
	return EXIT_USAGE;
}

int bad_option(const char *command, char **argv, int option)
{
	const char *text = argv[optind > 1 ? optind - 1 : 1];

	if (option == ':')
		return fail(command, "option %s wants a value; see samara %s --help", text,
			    command);
	return fail(command, "unknown option %s; see samara %s --help", text, command);
}

int parse_int(const char *text, int *out)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno || end == text || *end || value < 0 || value > 0x7fffffffL)
		return -1;
	*out = (int)value;
	return 0;
}

void progress_begin(struct progress *p, const char *what, bool wanted)
{
	*p = (struct progress){ .what = what, .shown = -1, .on = wanted && isatty(STDERR_FILENO) };
}

void progress_at(struct progress *p, double fraction)
{
	static const char marks[] = "########################################";
	int filled = (int)(fraction * 40);

	if (!p->on || fraction < 0 || fraction - p->shown < 0.01)
		return;
	p->shown = fraction;
	filled = filled > 40 ? 40 : filled;
	fprintf(stderr, "\r%.30s [%.*s%*s] %3.0f %%", p->what, filled, marks, 40 - filled, "",
		fraction * 100);
}

void progress_end(struct progress *p)
{
	if (p->on && p->shown >= 0)
		fputs("\r\033[K", stderr);
	p->shown = -1;
}

bool colours_wanted(FILE *stream)
{
	const char *no = getenv("NO_COLOR");

	return isatty(fileno(stream)) && !(no && *no);
}
