/* SPDX-License-Identifier: MIT */
/*
 * The command line.
 */
#include "main.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
	"usage: PROGRAM [options]\n"
	"  --scenario=NAME     only this one (default: all)\n"
	"  --strategy=NAME     mixed, random, pct, exhaustive (mixed: random and pct in turn)\n"
	"  --depth=D           pct: priority changes plus 1 (3)\n"
	"  --preemptions=N     exhaustive: most choices that are not the usual ones (2)\n"
	"  --memory=MODEL      c11, or sc: no load sees an old value (c11)\n"
	"  --seed=N            of the first schedule (1); the next has the next seed\n"
	"  --schedules=N       how many of each scenario (1000; 0: no limit)\n"
	"  --seconds=S         at most that long on each scenario (0: no limit)\n"
	"  --steps=N           a schedule with more steps has failed (100000)\n"
	"  --trace             one schedule, and each of its steps\n"
	"  --minimize          of a failing schedule: as few switches as will do, and the trace\n"
	"  --all               go on after a failure, and count them\n"
	"  --alone             a process for each schedule (slow)\n"
	"  --pairs             places that meet on one word, in which orders\n"
	"  --list --quiet --help\n"
	"exit status: 0 passed, 1 a schedule failed, 2 bad arguments\n";

enum {
	SCENARIO = 1,
	STRATEGY,
	DEPTH,
	PREEMPTIONS,
	MEMORY,
	SEED,
	SCHEDULES,
	SECONDS,
	STEPS,
	TRACE,
	MINIMIZE,
	PAIRS,
	ALL,
	ALONE,
	LIST,
	QUIET,
	HELP
};

static const struct option known[] = {
	{ "scenario", required_argument, NULL, SCENARIO },
	{ "strategy", required_argument, NULL, STRATEGY },
	{ "depth", required_argument, NULL, DEPTH },
	{ "preemptions", required_argument, NULL, PREEMPTIONS },
	{ "memory", required_argument, NULL, MEMORY },
	{ "seed", required_argument, NULL, SEED },
	{ "schedules", required_argument, NULL, SCHEDULES },
	{ "seconds", required_argument, NULL, SECONDS },
	{ "steps", required_argument, NULL, STEPS },
	{ "trace", no_argument, NULL, TRACE },
	{ "minimize", no_argument, NULL, MINIMIZE },
	{ "pairs", no_argument, NULL, PAIRS },
	{ "all", no_argument, NULL, ALL },
	{ "alone", no_argument, NULL, ALONE },
	{ "list", no_argument, NULL, LIST },
	{ "quiet", no_argument, NULL, QUIET },
	{ "help", no_argument, NULL, HELP },
	{ 0 },
};

static const char *const ways[] = { "mixed", "random", "pct", "exhaustive", NULL };
static const char *const memories[] = { [MEMORY_SC] = "sc", [MEMORY_C11] = "c11", NULL };

static bool number(const char *text, uint64_t most, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 0);
	return *text >= '0' && *text <= '9' && !*end && !errno && *out <= most;
}

static bool number_of(const char *text, uint64_t least, uint64_t most, unsigned int *out)
{
	uint64_t n;

	if (!number(text, most, &n) || n < least)
		return false;
	*out = (unsigned int)n;
	return true;
}

static bool one_of(const char *text, const char *const *names, unsigned int *out)
{
	for (unsigned int i = 0; names[i]; i++) {
		if (!strcmp(text, names[i])) {
			*out = i;
			return true;
		}
	}
	return false;
}

static bool seconds(const char *text, double *out)
{
	char *end;

	*out = strtod(text, &end);
	return end != text && !*end && *out >= 0 && *out < 1e9;
}

/* False: the option does not take this value. */
static bool take(int option, const char *value, struct options *o)
{
	unsigned int n = 0;
	bool good = true;

	switch (option) {
	case SCENARIO:
		o->scenario = value;
		return true;
	case STRATEGY:
		good = one_of(value, ways, &n);
		o->way = n;
		return good;
	case MEMORY:
		good = one_of(value, memories, &n);
		o->memory = n;
		return good;
	case DEPTH:
		return number_of(value, 1, 16, &o->depth);
	case PREEMPTIONS:
		return number_of(value, 0, 1000, &o->preemptions);
	case STEPS:
		return number_of(value, 1, EVENTS_MAX, &o->max_steps);
	case SEED:
		return number(value, UINT64_MAX, &o->seed);
	case SCHEDULES:
		return number(value, ULONG_MAX, &o->schedules);
	case SECONDS:
		return seconds(value, &o->seconds);
	case TRACE:
		o->trace = true;
		return true;
	case MINIMIZE:
		o->minimize = true;
		return true;
	case PAIRS:
		o->pairs = true;
		return true;
	case ALL:
		o->all = true;
		return true;
	case ALONE:
		o->alone = true;
		return true;
	case LIST:
		o->list = true;
		return true;
	case QUIET:
		o->quiet = true;
		return true;
	default:
		o->help = true;
		return true;
	}
}

int options_parse(int argc, char **argv, struct options *o)
{
	int option, at;

	while ((option = getopt_long(argc, argv, "", known, &at)) != -1) {
		if (option == '?')
			return 1 + 2; /* getopt has said so */
		if (!take(option, optarg, o)) {
			fprintf(stderr, "%s: bad --%s: %s\n", argv[0], known[at].name, optarg);
			return 1 + 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "%s: unknown argument: %s\n", argv[0], argv[optind]);
		return 1 + 2;
	}
	if (!o->help)
		return 0;
	fputs(help, stdout);
	return 1 + 0;
}
