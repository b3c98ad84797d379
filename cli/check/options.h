/* SPDX-License-Identifier: MIT */
/*
 * What samara check was asked to do.
 */
#ifndef CLI_CHECK_OPTIONS_H
#define CLI_CHECK_OPTIONS_H

#include "check/check.h"

struct options {
	struct settings set;
	int jobs;
	bool json, coverage, cases, help;
	const char *repro, *save, *compat;
	int host_overcommit, host_max_map_count; /* -1: as they are */
};

/* EXIT_SAME, or EXIT_USAGE after one line on stderr. */
int options_parse(int argc, char **argv, struct options *o);

#endif
