/* SPDX-License-Identifier: MIT */
/*
 * Schedules, one after another, until one fails or there have been enough.
 */
#define _GNU_SOURCE
#include "main.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <time.h>
#include <unistd.h>

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

const char *verdict_text(enum verdict verdict)
{
	static const char *const text[VERDICTS] = {
		[PASSED] = "passed",     [NOT_HELD] = "requirement", [DATA_RACE] = "race",
		[DEADLOCK] = "deadlock", [TOO_LONG] = "steps",       [CRASHED] = "crash",
		[USED_FREED] = "freed",  [BROKEN] = "broken",
	};

	return text[verdict];
}

/* Addresses that are not random; on one CPU, so that handing over needs no wake-up of another. */
static void settle(char **argv)
{
	const int persona = personality(0xffffffff);
	cpu_set_t one;
	int cpu = sched_getcpu();

	if (persona >= 0 && !(persona & ADDR_NO_RANDOMIZE) &&
	    personality((unsigned long)persona | ADDR_NO_RANDOMIZE) >= 0)
		execv("/proc/self/exe", argv);
	CPU_ZERO(&one);
	CPU_SET(cpu < 0 ? 0 : cpu, &one);
	(void)sched_setaffinity(0, sizeof(one), &one);
}

/* plans ------------------------------------------------------------------- */

/* How many steps a schedule of it has: the most of a few. Always the same for one program. */
static unsigned int measure_length(const struct scenario *s, const struct options *o)
{
	struct plan plan = { .strategy = REPLAY, .memory = o->memory, .max_steps = o->max_steps };
	unsigned int most = 0;

	for (plan.seed = 1; plan.seed <= 5; plan.seed++) {
		schedule_run(s, &plan);
		if (shared->verdict != TOO_LONG && shared->steps > most)
			most = shared->steps;
		plan.strategy = RANDOM;
	}
	return most;
}

static struct plan plan_of(const struct options *o, uint64_t seed, unsigned int length)
{
	struct plan plan = {
		.strategy = o->way == WAY_PCT ? PCT : RANDOM,
		.memory = o->memory,
		.seed = seed,
		.depth = o->depth,
		.length = length,
		.max_steps = o->max_steps,
	};

	if (o->way == WAY_MIXED && seed % 2) {
		plan.strategy = PCT;
		plan.depth = 1 + (unsigned int)(seed / 2 % 4);
	}
	return plan;
}

bool is_enough(const struct options *o, const struct outcome *out, double end)
{
	return (o->schedules && out->schedules >= o->schedules) || (o->seconds > 0 && now() > end);
}

/* What fails must fail by itself, unless all failures are only counted. */
static void run_and_confirm(const struct scenario *s, const struct plan *plan, bool all)
{
	enum verdict verdict;

	schedule_run(s, plan);
	verdict = shared->verdict;
	if (!verdict || all || schedule_was_first())
		return;
	schedule_run_alone(s, plan);
	if (shared->verdict == verdict)
		return;
	shared->verdict = BROKEN;
	snprintf(shared->text, sizeof(shared->text), "%s behind other schedules, but not alone",
		 verdict_text(verdict));
}

static void run_one(const struct scenario *s, const struct options *o, struct outcome *out)
{
	out->plan = plan_of(o, o->seed + out->schedules, out->length);
	out->plan.events = o->pairs;
	if (o->alone)
		schedule_run_alone(s, &out->plan);
	else
		run_and_confirm(s, &out->plan, o->all);
	if (o->pairs)
		pairs_add();
	out->schedules++;
	out->different += different_add(shared->hash);
	out->hash = out->hash * 31 + shared->hash;
	out->failed += shared->verdict != PASSED;
	if (!o->all)
		out->verdict = shared->verdict;
}

static struct outcome sample(const struct scenario *s, const struct options *o)
{
	const double begin = now(), end = begin + o->seconds;
	struct outcome out = { .length = o->way == WAY_RANDOM ? 0 : measure_length(s, o) };

	different_begin();
	pairs_begin();
	while (!out.verdict && !is_enough(o, &out, end))
		run_one(s, o, &out);
	out.seconds = now() - begin;
	return out;
}

/* reports ----------------------------------------------------------------- */

static void print_stderr(void)
{
	char buf[4096];
	ssize_t n;
	off_t at = 0;

	while ((n = pread(schedule_stderr(), buf, sizeof(buf), at)) > 0) {
		fwrite(buf, 1, (size_t)n, stdout);
		at += n;
	}
}

static void print_replay(const struct scenario *s, const struct options *o, const struct plan *plan)
{
	if (o->way == WAY_EXHAUSTIVE) {
		printf("replay: %s --scenario=%s --strategy=exhaustive --preemptions=%u%s\n",
		       o->program, s->name, o->preemptions,
		       plan->memory == MEMORY_SC ? " --memory=sc" : "");
		return;
	}
	printf("replay: %s --scenario=%s --strategy=%s", o->program, s->name,
	       plan->strategy == PCT ? "pct" : "random");
	if (plan->strategy == PCT)
		printf(" --depth=%u", plan->depth);
	printf(" --seed=%lu%s --schedules=1\n", plan->seed,
	       plan->memory == MEMORY_SC ? " --memory=sc" : "");
}

static void print_outcome(const struct scenario *s, const struct outcome *out)
{
	printf("%s: %s after %lu schedules (%lu different) in %.2f s, %.0f a second, %u steps\n",
	       s->name,
	       out->verdict  ? verdict_text(out->verdict) :
	       out->complete ? "all passed" :
			       "passed",
	       out->schedules, out->different, out->seconds,
	       (double)out->schedules / (out->seconds + 1e-9), shared->steps);
}

/* Whether it came to what it should. */
static bool report(const struct scenario *s, const struct options *o, const struct outcome *out)
{
	const char *found = verdict_text(out->verdict);

	if (o->all) {
		printf("%s: %lu of %lu schedules failed; %u steps; hash %016lx\n", s->name,
		       out->failed, out->schedules, out->length, out->hash);
		return !out->failed || s->finds;
	}
	if (s->finds ? !strcmp(found, s->finds) : !out->verdict) {
		if (!o->quiet)
			print_outcome(s, out);
		return true;
	}
	print_outcome(s, out);
	if (s->finds && !out->verdict) {
		printf("%s: %s was not found\n", s->name, s->finds);
		return false;
	}
	print_stderr();
	printf("%s: %s: ", s->name, found);
	places_print(stdout, shared->text);
	putchar('\n');
	print_replay(s, o, &out->plan);
	return false;
}

/* What led to the failure of the last schedule, if that was asked for. */
static void explain(const struct scenario *s, const struct options *o, struct outcome *out)
{
	const enum verdict verdict = shared->verdict;
	struct plan plan = out->plan;

	if (out->verdict && o->minimize)
		plan = minimize(s, &plan);
	if (!o->trace && !(out->verdict && o->minimize))
		return;
	plan.events = true;
	schedule_run(s, &plan);
	trace_print();
	if (shared->verdict != verdict)
		printf("%s: the same choices led to another end: %s\n", s->name,
		       verdict_text(shared->verdict));
}

static bool run(const struct scenario *s, const struct options *o)
{
	struct outcome out = o->way == WAY_EXHAUSTIVE ? explore(s, o) : sample(s, o);
	const bool good = report(s, o, &out);

	explain(s, o, &out);
	if (o->pairs)
		pairs_print();
	return good;
}

int schedule_main(int argc, char **argv, const struct scenario *const *scenarios)
{
	struct options o = { .program = argv[0],
			     .memory = MEMORY_C11,
			     .seed = 1,
			     .schedules = 1000,
			     .depth = 3,
			     .preemptions = 2,
			     .max_steps = 100000 };
	const int status = options_parse(argc, argv, &o);
	unsigned int chosen = 0;
	bool passed = true;

	if (status)
		return status - 1;
	settle(argv);
	schedule_prepare();
	for (unsigned int i = 0; scenarios[i]; i++) {
		const struct scenario *s = scenarios[i];

		if (o.scenario && strcmp(o.scenario, s->name) != 0)
			continue;
		chosen++;
		if (o.list)
			printf("%-24s %s\n", s->name, s->what);
		else
			passed &= run(s, &o);
		fflush(stdout);
	}
	if (chosen)
		return !passed;
	fprintf(stderr, "%s: no scenario: %s\n", argv[0], o.scenario ? o.scenario : "(none)");
	return 2;
}
