/* SPDX-License-Identifier: MIT */
/*
 * What the commands of `samara` have in common.
 *
 * Exit status: 0 all is well, 1 what was checked differs, 2 bad usage or
 * unreadable input, with one line on stderr that says what and where.
 */
#ifndef CLI_COMMON_H
#define CLI_COMMON_H

#include <stdbool.h>
#include <stdio.h>

enum { EXIT_SAME = 0, EXIT_DIFFERS = 1, EXIT_USAGE = 2 };

struct command {
	const char *name;
	const char *summary; /* for samara --help */
	int (*run)(int argc,
		   char **argv); /* argv[0] is the command's name; returns the exit status */
};

extern const struct command command_bench, command_check, command_replay, command_show,
	command_torture;

/* `samara COMMAND: ...` and a newline on stderr. Returns EXIT_USAGE. */
__attribute__((format(printf, 2, 3))) int fail(const char *command, const char *fmt, ...);

/* After getopt_long() returned '?': one line for argv, and EXIT_USAGE. */
int bad_option(const char *command, char **argv, int option);

/* An unsigned decimal number that fits an int: 0, or -1. */
int parse_int(const char *text, int *out);

/* A bar on stderr while something runs; nothing unless stderr is a terminal. */
struct progress {
	const char *what;
	double shown;
	bool on;
};
void progress_begin(struct progress *p, const char *what, bool wanted);
void progress_at(struct progress *p, double fraction); /* 0..1; negative: unknown */
void progress_end(struct progress *p);

/* May stream have colours? A terminal, and NO_COLOR is not set. */
bool colours_wanted(FILE *stream);

#endif
