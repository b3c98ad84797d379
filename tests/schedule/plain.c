/* SPDX-License-Identifier: MIT */
/*
 * Scenarios on real threads: each one a few hundred times, for at most a fraction of a second. The
 * host's scheduler chooses the orders, so a failure cannot be replayed. It is what ASan and TSan
 * look at; preset `schedule` has the scheduler that can (runtime/).
 */
#include "schedule/schedule.h"

#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct scenario *current;
static unsigned long round_now;
static pthread_barrier_t start;

void schedule_require_(bool holds, const char *text, const char *file, int line)
{
	if (holds)
		return;
	fprintf(stderr, "schedule: %s: not true: %s (%s:%d), in round %lu of real threads\n",
		current->name, text, file, line, round_now);
	exit(1);
}

void schedule_name(const void *word, const char *name)
{
	(void)word, (void)name;
}

long schedule_ghost(long *counter, long add)
{
	return __atomic_add_fetch(counter, add, __ATOMIC_RELAXED);
}

bool schedule_is_scheduled(void)
{
	return false;
}

struct job {
	const struct scenario_thread *thread;
	void *world;
};

static void *run_thread(void *arg)
{
	const struct job *job = arg;

	pthread_barrier_wait(&start);
	job->thread->run(job->world);
	return NULL;
}

static unsigned int count_threads(const struct scenario *s)
{
	unsigned int n = 0;

	while (n < SCHEDULE_THREADS && s->threads[n].name)
		n++;
	return n;
}

static void run_once(const struct scenario *s)
{
	const unsigned int n = count_threads(s);
	void *world = calloc(1, s->world_size ? s->world_size : 1);
	struct job jobs[SCHEDULE_THREADS];
	pthread_t threads[SCHEDULE_THREADS];

	if (!world || pthread_barrier_init(&start, NULL, n ? n : 1))
		abort();
	if (s->setup)
		s->setup(world);
	for (unsigned int i = 0; i < n; i++) {
		jobs[i] = (struct job){ &s->threads[i], world };
		if (pthread_create(&threads[i], NULL, run_thread, &jobs[i]))
			abort();
	}
	for (unsigned int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	if (s->check)
		s->check(world);
	pthread_barrier_destroy(&start);
	free(world);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct options {
	const char *scenario;
	unsigned long rounds;
	double seconds;
	bool list;
};

static int usage(int status)
{
	fprintf(status ? stderr : stdout,
		"usage: PROGRAM [--scenario=NAME] [--schedules=N] [--seconds=S] [--list] [--help]\n"
		"built with real threads; preset `schedule` has the scheduler\n");
	return status;
}

/* 0, or the exit status plus 1. */
static int parse(int argc, char **argv, struct options *o)
{
	static const struct option known[] = {
		{ "scenario", required_argument, NULL, 's' },
		{ "schedules", required_argument, NULL, 'n' },
		{ "seconds", required_argument, NULL, 't' },
		{ "list", no_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		char *end = NULL;

		switch (c) {
		case 's':
			o->scenario = optarg;
			break;
		case 'n':
			o->rounds = strtoul(optarg, &end, 10);
			break;
		case 't':
			o->seconds = strtod(optarg, &end);
			break;
		case 'l':
			o->list = true;
			break;
		case 'h':
			return 1 + usage(0);
		default:
			return 1 + 2;
		}
		if (end && (end == optarg || *end)) {
			fprintf(stderr, "%s: not a number: %s\n", argv[0], optarg);
			return 1 + 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "%s: unknown argument: %s\n", argv[0], argv[optind]);
		return 1 + 2;
	}
	return 0;
}

static void run(const struct scenario *s, const struct options *o, double seconds)
{
	const double end = now() + seconds;

	current = s;
	for (round_now = 1; round_now <= o->rounds; round_now++) {
		run_once(s);
		if (now() > end)
			break;
	}
}

int schedule_main(int argc, char **argv, const struct scenario *const *scenarios)
{
	struct options o = { .rounds = 300, .seconds = 0.8 };
	unsigned int count = 0, chosen = 0;
	const int status = parse(argc, argv, &o);

	if (status)
		return status - 1;
	while (scenarios[count])
		count++;
	for (unsigned int i = 0; i < count; i++) {
		const struct scenario *s = scenarios[i];

		if (o.scenario && strcmp(o.scenario, s->name) != 0)
			continue;
		chosen++;
		if (o.list)
			printf("%-24s %s\n", s->name, s->what);
		else if (!s->finds)
			run(s, &o, o.seconds / (o.scenario ? 1 : count));
	}
	if (chosen)
		return 0;
	fprintf(stderr, "%s: no scenario: %s\n", argv[0], o.scenario ? o.scenario : "(none)");
	return 2;
}
