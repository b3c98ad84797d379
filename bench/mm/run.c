/* SPDX-License-Identifier: MIT */
/*
 * What is to be measured, and how: the command line of bench/mm and of `samara bench`.
 * docs/performance.md says what it showed.
 */
#define _GNU_SOURCE
#include "mm.h"

#include <getopt.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/pin.h"

static const char usage[] =
	"usage: %s [OPTION]...\n\n"
	"Measure memory calls, page faults and forks of the library beside the running\n"
	"kernel's own, on the same map and in turn. About half a minute.\n\n"
	"  --rounds=N     measured rounds, after one that warms up (9)\n"
	"  --cpu=N        core to run on (1)\n"
	"  --clock=cpu    CPU time of the process, for a busy machine (wall)\n"
	"  --quick        3 short rounds (or --rounds) and small maps: a smoke test\n"
	"  --only-calls   the calls at 1,000 VMAs alone\n"
	"  --only-pages   page faults, forks and calls on pages alone\n"
	"  --only-uffd    userfaultfd and PAGEMAP_SCAN alone\n"
	"  --only-growth  the rows from 10 to 1,000,000 VMAs alone\n"
	"  --svg=FILE     draw these rows\n"
	"  --json         figures as JSON\n"
	"  --help\n\n"
	"Exit status: 0 measured (also where a goal is missed), 1 something failed, 2 bad\n"
	"usage.\n";

const char *bench_name = "mm";

struct arguments {
	int cpu;
	bool quick, calls, growth, pages, uffd, json;
	const char *svg;
};

__attribute__((format(printf, 1, 2), noreturn)) static void bad_usage(const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "%s: ", bench_name);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	exit(2);
}

static int number(const char *option, const char *s, int least, int most)
{
	char *end;
	long v = strtol(s, &end, 10);

	if (*end || end == s || v < least || v > most)
		bad_usage("--%s=%s: not a number from %d to %d", option, s, least, most);
	return (int)v;
}

static enum bench_clock clock_kind(const char *s)
{
	if (!strcmp(s, "cpu"))
		return BENCH_CLOCK_CPU;
	if (!strcmp(s, "wall"))
		return BENCH_CLOCK_WALL;
	bad_usage("--clock=%s: neither cpu nor wall", s);
}

static void check(int argc, char **argv, const struct arguments *a)
{
	if (optind < argc)
		bad_usage("%s: takes no argument", argv[optind]);
	if (a->calls + a->growth + a->pages + a->uffd > 1)
		bad_usage("only one --only-... at a time");
	if (a->svg && (a->calls || a->pages || a->uffd))
		bad_usage("--svg draws the rows of --only-growth, which are left out");
}

static void parse(int argc, char **argv, struct arguments *a, struct run *r)
{
	static const struct option options[] = {
		{ "rounds", required_argument, NULL, 'r' },
		{ "cpu", required_argument, NULL, 'c' },
		{ "clock", required_argument, NULL, 'C' },
		{ "quick", no_argument, NULL, 'q' },
		{ "only-calls", no_argument, NULL, 'o' },
		{ "only-growth", no_argument, NULL, 'g' },
		{ "only-pages", no_argument, NULL, 'p' },
		{ "only-uffd", no_argument, NULL, 'u' },
		{ "svg", required_argument, NULL, 's' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (c == 'r')
			r->rounds = number("rounds", optarg, 1, ROUNDS_MAX);
		else if (c == 'c')
			a->cpu = number("cpu", optarg, 0, 1023);
		else if (c == 'C')
			r->kind = clock_kind(optarg);
		else if (c == 'q')
			a->quick = true;
		else if (c == 'o')
			a->calls = true;
		else if (c == 'g')
			a->growth = true;
		else if (c == 'p')
			a->pages = true;
		else if (c == 'u')
			a->uffd = true;
		else if (c == 's')
			a->svg = optarg;
		else if (c == 'j')
			a->json = true;
		else if (c == 'h') {
			printf(usage, bench_name);
			exit(0);
		} else {
			bad_usage("%s: %s", argv[optind - 1],
				  c == ':' ? "needs a value" : "no such option");
		}
	}
	check(argc, argv, a);
	if (a->quick)
		r->scale = 0.01;
	if (!r->rounds)
		r->rounds = a->quick ? 3 : 9;
}

/* Opened before anything is measured: half a minute is not to be lost to a wrong name. */
static FILE *open_svg(const char *path)
{
	FILE *out = fopen(path, "w");

	if (!out)
		bad_usage("--svg=%s: cannot be written", path);
	return out;
}

static int draw(const struct arguments *a, FILE *out, const struct run *r)
{
	const bool drawn = print_svg(out, r);

	if (!fclose(out) && drawn)
		return 0;
	fprintf(stderr, "%s: %s could not be written\n", bench_name, a->svg);
	return 1;
}

int bench_mm(const char *name, int argc, char **argv)
{
	static const size_t sizes[] = { 10, 100, 1000, 10000, 100000, 1000000 };
	static struct run r = { .scale = 1 };
	struct arguments a = { .cpu = 1 };
	FILE *svg = NULL;
	bool all;

	bench_name = name;
	parse(argc, argv, &a, &r);
	if (a.svg)
		svg = open_svg(a.svg);
	r.tell = isatty(STDERR_FILENO);
	mallopt(M_TRIM_THRESHOLD, -1);
	if (bench_pin(a.cpu))
		fprintf(stderr, "%s: cannot keep to core %d: figures will vary more\n", bench_name,
			a.cpu);
	r.clock = bench_clock_open(r.kind);
	ours_count_bytes();
	all = !a.calls && !a.growth && !a.pages && !a.uffd;
	if (all)
		measure_bytes(&r, a.quick ? 10000 : 1000000);
	if (all || a.calls)
		measure_calls(&r, 1000);
	if (all) {
		measure_places(&r, 100, a.quick ? 10000 : 60000);
		measure_clearing(&r);
	}
	if (all || a.pages) {
		measure_pages(&r, a.quick);
		measure_hits(&r);
		if (!a.quick)
			measure_two_threads(&r);
	}
	if (all || a.uffd)
		measure_uffd(&r, a.quick);
	if (all || a.growth)
		measure_growth(&r, sizes, a.quick ? 4 : 6);
	run_tell(&r, "");
	if (a.json)
		print_json(stdout, &r);
	else
		print_table(stdout, &r);
	return svg ? draw(&a, svg, &r) : 0;
}
