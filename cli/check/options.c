/* SPDX-License-Identifier: MIT */
/*
 * The options of samara check.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "check/options.h"
#include "common.h"

static const char usage[] =
	"usage: samara check [OPTION]...\n"
	"       samara check --case [OPTION]... FILE...\n"
	"\n"
	"Make random memory calls in a clean process on the running kernel (Linux 6.18) and in\n"
	"the library, and compare after every call the answer and the whole map, now and then\n"
	"VmFlags, totals, pagemap, contents and which pages are one frame. A difference is shrunk\n"
	"to the shortest sequence that still shows it.\n"
	"\n"
	"  --seqs=N          sequences (100)\n"
	"  --ops=N           calls in each (400, at most 4000)\n"
	"  --seed=N          of the random numbers (1); the same seed makes the same calls\n"
	"  --mix=LIST        weights of calls, e.g. fork=50,mseal=0; `none' first: all others 0\n"
	"  --window=PAGES    the range of addresses that calls are aimed at (64)\n"
	"  --limits=SET      default; tight: no capabilities, low RLIMIT_AS, DATA, STACK and\n"
	"                    MEMLOCK; mixed: every third sequence is tight (mixed)\n"
	"  --profile=NAME    plain; pages (contents, signals, pagemap, several processes); guards\n"
	"                    (and mincore, nothing is accessed); collapse; vast (terabytes);\n"
	"                    full (hardly an address is left); mixed (these in turn); crowd\n"
	"                    (near max_map_count: slow); swap (as pages, with a swap file on the\n"
	"                    host, as root); uffd (as pages, with userfaultfds, as root) (mixed)\n"
	"  --every=N         VmFlags and totals after every Nth call (16)\n"
	"  --pages=N         in the profiles pages, swap, uffd: pages after every Nth call (4)\n"
	"  --jobs=N          processes (1)\n"
	"  --patience=N      seconds in which no call is done before the host is given up (60)\n"
	"  --assume=LIST     the library is to take the host for another: overcommit=0..2,\n"
	"                    max_map_count=N, zero_page=0 or 1\n"
	"  --overcommit=0..2 and\n"
	"  --max-map-count=N set the host's vm.overcommit_memory (for 2: the limit too) and\n"
	"                    vm.max_map_count for the time of the run; all programs feel it\n"
	"  --coverage        show what was tried: call, outcome, kind of mapping\n"
	"  --compat=FILE     write what was tried as docs/compatibility.md\n"
	"  --json            the summary as JSON\n"
	"  --repro=FILE      write a difference as a C program that shows it alone\n"
	"  --save=FILE       and as a case, with the library's answers; with --case: that case\n"
	"  --case            FILEs are cases: calls with the answers expected of them\n"
	"  --help\n"
	"\n"
	"Exit status: 0 no difference, 1 a difference, 2 bad usage, unreadable input, or a host\n"
	"that cannot be compared with.\n";

enum {
	OPT_SEQS = 256,
	OPT_OPS,
	OPT_SEED,
	OPT_MIX,
	OPT_WINDOW,
	OPT_LIMITS,
	OPT_PROFILE,
	OPT_OVERCOMMIT,
	OPT_MAX_MAP_COUNT,
	OPT_EVERY,
	OPT_PAGES,
	OPT_JOBS,
	OPT_PATIENCE,
	OPT_ASSUME,
	OPT_COVERAGE,
	OPT_COMPAT,
	OPT_JSON,
	OPT_REPRO,
	OPT_SAVE,
	OPT_CASE,
	OPT_HELP
};

static const struct option long_options[] = {
	{ "seqs", required_argument, NULL, OPT_SEQS },
	{ "ops", required_argument, NULL, OPT_OPS },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "mix", required_argument, NULL, OPT_MIX },
	{ "window", required_argument, NULL, OPT_WINDOW },
	{ "limits", required_argument, NULL, OPT_LIMITS },
	{ "profile", required_argument, NULL, OPT_PROFILE },
	{ "overcommit", required_argument, NULL, OPT_OVERCOMMIT },
	{ "max-map-count", required_argument, NULL, OPT_MAX_MAP_COUNT },
	{ "every", required_argument, NULL, OPT_EVERY },
	{ "pages", required_argument, NULL, OPT_PAGES },
	{ "jobs", required_argument, NULL, OPT_JOBS },
	{ "patience", required_argument, NULL, OPT_PATIENCE },
	{ "assume", required_argument, NULL, OPT_ASSUME },
	{ "coverage", no_argument, NULL, OPT_COVERAGE },
	{ "compat", required_argument, NULL, OPT_COMPAT },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "repro", required_argument, NULL, OPT_REPRO },
	{ "save", required_argument, NULL, OPT_SAVE },
	{ "case", no_argument, NULL, OPT_CASE },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

static int number(const char *option, const char *text, unsigned long least, unsigned long most,
		  unsigned long *out)
{
	char *end;

	errno = 0;
	*out = strtoul(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || *out < least || *out > most)
		return fail("check", "--%s=%s: not a number from %lu to %lu", option, text, least,
			    most);
	return EXIT_SAME;
}

/* The next NAME=VALUE of *rest; "none" alone has no value. */
static bool next_pair(char **rest, char **name, char **value)
{
	*name = strsep(rest, ",");
	*value = *name ? strchr(*name, '=') : NULL;
	if (*value)
		*(*value)++ = '\0';
	return *name != NULL;
}

static int parse_mix(struct settings *set, char *rest)
{
	unsigned long weight, sum = 0;
	char *name, *value;

	while (next_pair(&rest, &name, &value)) {
		int id = 0;

		if (!value && !strcmp(name, "none")) {
			memset(set->plan.weight, 0, sizeof(set->plan.weight));
			continue;
		}
		while (id < CALLS && strcmp(calls[id].name, name) != 0)
			id++;
		if (!value || (id == CALLS && strcmp(name, "stack") != 0))
			return fail("check", "--mix: %s is not CALL=WEIGHT", name);
		if (number("mix", value, 0, 1000000, &weight))
			return EXIT_USAGE;
		set->plan.weight[id] = (int)weight;
	}
	for (int i = 0; i < MIXES; i++)
		sum += (unsigned long)set->plan.weight[i];
	return sum ? EXIT_SAME : fail("check", "--mix leaves no call");
}

static int parse_assume(struct settings *set, char *rest)
{
	char *name, *value;
	unsigned long n;

	while (next_pair(&rest, &name, &value)) {
		if (value && !strcmp(name, "overcommit")) {
			if (number("assume=overcommit", value, 0, 2, &n))
				return EXIT_USAGE;
			set->machine.overcommit = (int)n;
		} else if (value && !strcmp(name, "max_map_count")) {
			if (number("assume=max_map_count", value, 1, 1UL << 30, &n))
				return EXIT_USAGE;
			set->machine.max_map_count = (int)n;
		} else if (value && !strcmp(name, "zero_page")) {
			if (number("assume=zero_page", value, 0, 1, &n))
				return EXIT_USAGE;
			set->machine.zero_page = n ? ZERO_PAGE_SHARED : ZERO_PAGE_NONE;
		} else {
			return fail("check", "--assume: %s is not a setting with a value", name);
		}
	}
	return EXIT_SAME;
}

static int parse_limits(struct settings *set, const char *text)
{
	static const char *const names[] = { "default", "tight", "mixed" };

	for (int i = 0; i < 3; i++)
		if (!strcmp(names[i], text)) {
			set->plan.limits = i;
			return EXIT_SAME;
		}
	return fail("check", "--limits=%s: not default, tight or mixed", text);
}

static int parse_profile(struct settings *set, const char *text)
{
	for (int i = 0; i <= PROFILES; i++)
		if (!strcmp(profile_names[i], text)) {
			set->plan.profile = i;
			return EXIT_SAME;
		}
	return fail("check", "--profile=%s: there is none of that name", text);
}

static int parse_host_setting(struct options *o, int opt)
{
	unsigned long n = 0;
	int status;

	if (opt == OPT_OVERCOMMIT) {
		status = number("overcommit", optarg, 0, 2, &n);
		o->host_overcommit = (int)n;
	} else {
		/* Fewer, and other programs of the machine fail. */
		status = number("max-map-count", optarg, 2000, 1UL << 24, &n);
		o->host_max_map_count = (int)n;
	}
	return status;
}

static int parse_number(struct options *o, int opt)
{
	unsigned long jobs;
	int status;

	switch (opt) {
	case OPT_SEQS:
		return number("seqs", optarg, 1, 1UL << 40, &o->set.plan.seqs);
	case OPT_OPS:
		return number("ops", optarg, 8, MAX_OPS, &o->set.plan.ops);
	case OPT_SEED:
		return number("seed", optarg, 0, ~0UL, &o->set.plan.seed);
	case OPT_WINDOW:
		return number("window", optarg, 8, MAX_WINDOW, &o->set.plan.window);
	case OPT_EVERY:
		return number("every", optarg, 1, 1UL << 30, &o->set.look.every);
	case OPT_PATIENCE:
		return number("patience", optarg, 1, 86400, &o->set.patience);
	case OPT_PAGES:
		return number("pages", optarg, 1, 1UL << 30, &o->set.look.pages);
	default:
		status = number("jobs", optarg, 1, 64, &jobs);
		o->jobs = (int)jobs;
		return status;
	}
}

static int take(struct options *o, int opt, char **argv)
{
	switch (opt) {
	case OPT_MIX:
		return parse_mix(&o->set, optarg);
	case OPT_LIMITS:
		return parse_limits(&o->set, optarg);
	case OPT_PROFILE:
		return parse_profile(&o->set, optarg);
	case OPT_OVERCOMMIT:
	case OPT_MAX_MAP_COUNT:
		return parse_host_setting(o, opt);
	case OPT_COMPAT:
		o->compat = optarg;
		return EXIT_SAME;
	case OPT_ASSUME:
		return parse_assume(&o->set, optarg);
	case OPT_COVERAGE:
		o->coverage = true;
		return EXIT_SAME;
	case OPT_JSON:
		o->json = true;
		return EXIT_SAME;
	case OPT_REPRO:
		o->repro = optarg;
		return EXIT_SAME;
	case OPT_SAVE:
		o->save = optarg;
		return EXIT_SAME;
	case OPT_CASE:
		o->cases = true;
		return EXIT_SAME;
	case OPT_HELP:
		fputs(usage, stdout);
		o->help = true;
		return EXIT_SAME;
	case '?':
	case ':':
		return bad_option("check", argv, opt);
	default:
		return parse_number(o, opt);
	}
}

int options_parse(int argc, char **argv, struct options *o)
{
	int opt, status = EXIT_SAME;

	*o = (struct options){
		.set = { .plan = { .seed = 1,
				   .seqs = 100,
				   .ops = 400,
				   .window = 64,
				   .limits = LIMITS_MIXED,
				   .profile = PROFILES },
			 .look = { .every = 16, .pages = 4 },
			 .patience = 60,
			 .machine = { .overcommit = -1,
				      .max_map_count = -1,
				      .zero_page = ZERO_PAGE_UNKNOWN } },
		.jobs = 1,
		.host_overcommit = -1,
		.host_max_map_count = -1,
	};
	o->set.plan.weight[MIX_STACK] = 25;
	for (int i = 0; i < CALLS; i++)
		o->set.plan.weight[i] = calls[i].weight;
	while (!status && !o->help &&
	       (opt = getopt_long(argc, argv, ":", long_options, NULL)) != -1)
		status = take(o, opt, argv);
	if (status || o->help)
		return status;
	if (o->cases && optind == argc)
		return fail("check", "--case wants FILEs");
	if (o->cases && o->save && optind + 1 != argc)
		return fail("check", "--save with --case wants one FILE");
	if (!o->cases && optind < argc)
		return fail("check", "%s: a FILE without --case; see samara check --help",
			    argv[optind]);
	return EXIT_SAME;
}
