/* SPDX-License-Identifier: MIT */
/*
 * bench/mm: memory calls beside the host kernel's. docs/performance.md says what
 * it showed.
 */
#define _GNU_SOURCE
#include "mm.h"

#include <getopt.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "../support/pin.h"

static const char usage[] =
	"usage: mm [options]\n"
	"  --rounds=N   measured rounds, after one that warms up (9)\n"
	"  --cpu=N      core to run on (1)\n"
	"  --clock=cpu  CPU time of the process, for a busy machine (wall)\n"
	"  --quick      3 short rounds (or --rounds) and small maps: a smoke test\n"
	"  --only-calls the calls at 1,000 VMAs alone\n"
	"  --only-growth\n"
	"               the rows from 10 to 1,000,000 VMAs alone\n"
	"  --svg=FILE   draw these rows\n"
	"  --json       figures as JSON\n";

struct arguments {
	int cpu;
	bool quick, calls, growth, pages, json;
	const char *svg;
};

static int number(const char *s, int least, int most)
{
	char *end;
	long v = strtol(s, &end, 10);

	if (*end || end == s || v < least || v > most) {
		fprintf(stderr, "mm: %s is not a number from %d to %d\n%s", s, least, most, usage);
		exit(2);
	}
	return (int)v;
}

static enum bench_clock clock_kind(const char *s)
{
	if (!strcmp(s, "cpu"))
		return BENCH_CLOCK_CPU;
	if (!strcmp(s, "wall"))
		return BENCH_CLOCK_WALL;
	fprintf(stderr, "mm: %s is no clock\n%s", s, usage);
	exit(2);
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
		{ "svg", required_argument, NULL, 's' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'r')
			r->rounds = number(optarg, 1, ROUNDS_MAX);
		else if (c == 'c')
			a->cpu = number(optarg, 0, 1023);
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
		else if (c == 's')
			a->svg = optarg;
		else if (c == 'j')
			a->json = true;
		else {
			fputs(usage, c == 'h' ? stdout : stderr);
			exit(c == 'h' ? 0 : 2);
		}
	}
	if (a->calls + a->growth + a->pages > 1 || (a->svg && (a->calls || a->pages))) {
		fprintf(stderr, "mm: one --only at a time, and --svg needs the growth rows\n%s",
			usage);
		exit(2);
	}
	if (a->quick)
		r->scale = 0.01;
	if (!r->rounds)
		r->rounds = a->quick ? 3 : 9;
}

static int draw(const char *path, const struct run *r)
{
	FILE *out = fopen(path, "w");
	bool drawn;

	if (!out) {
		perror(path);
		return 1;
	}
	drawn = print_svg(out, r);
	if (!fclose(out) && drawn)
		return 0;
	fprintf(stderr, "mm: %s could not be written\n", path);
	return 1;
}

int main(int argc, char **argv)
{
	static const size_t sizes[] = { 10, 100, 1000, 10000, 100000, 1000000 };
	static struct run r = { .scale = 1 };
	struct arguments a = { .cpu = 1 };
	bool all;

	parse(argc, argv, &a, &r);
	mallopt(M_TRIM_THRESHOLD, -1);
	if (bench_pin(a.cpu))
		fprintf(stderr, "mm: cannot keep to core %d: figures will vary more\n", a.cpu);
	r.clock = bench_clock_open(r.kind);
	ours_count_bytes();
	all = !a.calls && !a.growth && !a.pages;
	if (all)
		measure_bytes(&r, a.quick ? 10000 : 1000000);
	if (all || a.calls)
		measure_calls(&r, 1000);
	if (all) {
		measure_places(&r, 100, a.quick ? 10000 : 60000);
		measure_clearing(&r);
	}
	if (a.pages || a.quick) {
		measure_pages(&r, a.quick);
		measure_hits(&r);
		if (!a.quick)
			measure_two_threads(&r);
	}
	if (all || a.growth)
		measure_growth(&r, sizes, a.quick ? 4 : 6);
	if (a.json)
		print_json(stdout, &r);
	else
		print_table(stdout, &r);
	return a.svg ? draw(a.svg, &r) : 0;
}
