/* SPDX-License-Identifier: MIT */
/*
 * Readers beside one writer.
 *
 *   tree_readers [--secs N] [--seed S] [--threads N] [--mode MODE]
 *
 * The index space is that of support/tree_zones.h. Walks go strictly up (down)
 * and meet every anchor on their way. Modes: rcu, rcu-gaps (the tree tracks
 * gaps), locked (readers take the lock, and the tree is not in RCU mode),
 * locked-gaps; without one, each of them for its share of the time.
 *
 * Prints what was done; exit status 1 and the replay command when wrong.
 */
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <samara/inject.h>

#include "support/tree_zone_writer.h"

#define THREADS_MAX 64

static struct {
	struct maple_tree mt;
	struct zone_writer writer;
	bool locked;
	bool stop;
	unsigned long reads, steps;
} shared;

static void *writer(void *arg)
{
	struct zone_writer *w = arg;

	while (!__atomic_load_n(&shared.stop, __ATOMIC_RELAXED))
		zone_write(w);
	return NULL;
}

/* Readers ----------------------------------------------------------------- */

static void read_load(unsigned long at)
{
	struct zone_moment moment = zone_note(at);

	zone_check_load("mtree_load", &moment, at, mtree_load(&shared.mt, at));
}

static void read_walk(unsigned long at)
{
	struct zone_moment moment = zone_note(at);
	MA_STATE(mas, &shared.mt, at, at);
	void *value = mas_walk(&mas);

	zone_check_load("mas_walk", &moment, at, value);
	if (mas.index > at || mas.last < at)
		zone_wrong("mas_walk: %#lx..%#lx at %#lx", mas.index, mas.last, at);
	else if (value)
		zone_check_range("mas_walk", mas.index, mas.last, value);
	else
		zone_check_empty("mas_walk", mas.index, mas.last);
}

static unsigned long read_up(unsigned long from, unsigned long to)
{
	MA_STATE(mas, &shared.mt, from, from);
	struct zone_moment moment = zone_note(from);
	unsigned long met = 0, steps = 0, before = 0, first = 0;
	void *value;

	mas_for_each(&mas, value, to) {
		if (steps && mas.index <= before)
			zone_wrong("mas_find: %#lx after %#lx", mas.index, before);
		if (steps)
			zone_check_step("mas_find", &moment, first, mas.index, value);
		zone_check_range("mas_find", mas.index, mas.last, value);
		met += zone_part(mas.index) == ANCHOR && mas.index >= from;
		first = mas.index;
		before = mas.last;
		moment = zone_note(before);
		steps++;
	}
	if (met != zone_anchors(from, to))
		zone_wrong("mas_find: %lu anchors in %#lx..%#lx, should be %lu", met, from, to,
			   zone_anchors(from, to));
	return steps;
}

static unsigned long read_down(unsigned long from, unsigned long to)
{
	MA_STATE(mas, &shared.mt, to, to);
	unsigned long met = 0, steps = 0, before = ULONG_MAX;
	struct zone_moment moment = zone_note(to);
	void *value = mas_walk(&mas);

	for (; value || !steps; value = mas_prev(&mas, from)) {
		steps++;
		if (!value)
			continue;
		if (mas.last >= before)
			zone_wrong("mas_prev: %#lx after %#lx", mas.last, before);
		if (before != ULONG_MAX)
			zone_check_step("mas_prev", &moment, before, mas.index, value);
		zone_check_range("mas_prev", mas.index, mas.last, value);
		met += zone_part(mas.index) == ANCHOR && mas.index >= from && mas.index <= to;
		before = mas.index;
		moment = zone_note(before);
	}
	if (met != zone_anchors(from, to))
		zone_wrong("mas_prev: %lu anchors in %#lx..%#lx, should be %lu", met, from, to,
			   zone_anchors(from, to));
	return steps;
}

static unsigned long read_ranges(unsigned long from, bool down)
{
	MA_STATE(mas, &shared.mt, from, from);
	unsigned long steps, first, last;

	(void)mas_walk(&mas);
	for (steps = 0; steps < 60; steps++) {
		void *value;

		first = mas.index;
		last = mas.last;
		value = down ? mas_prev_range(&mas, 0) : mas_next_range(&mas, ULONG_MAX);
		if (!mas_is_active(&mas))
			break;
		if (down ? mas.last >= first : mas.index <= last)
			zone_wrong("%s: %#lx..%#lx after %#lx..%#lx",
				   down ? "mas_prev_range" : "mas_next_range", mas.index, mas.last,
				   first, last);
		if (value)
			zone_check_range("range", mas.index, mas.last, value);
		else
			zone_check_empty("range", mas.index, mas.last);
	}
	return steps;
}

static unsigned long read_find(unsigned long from, unsigned long to)
{
	unsigned long index = from, steps = 0, met = 0, first = 0;
	struct zone_moment moment = zone_note(from);
	void *value;

	mt_for_each(&shared.mt, value, index, to) {
		if (steps)
			zone_check_step("mt_find", &moment, first, index - 1, value);
		first = index - 1;
		moment = zone_note(first);
		met += zone_part(zone_value_first(value)) == ANCHOR &&
		       zone_value_first(value) >= from;
		zone_check_at("mt_find", index - 1, value);
		steps++;
	}
	if (met != zone_anchors(from, to))
		zone_wrong("mt_find: %lu anchors in %#lx..%#lx, should be %lu", met, from, to,
			   zone_anchors(from, to));
	return steps;
}

static void enter(void)
{
	if (shared.locked)
		mtree_lock(&shared.mt);
	else
		samara_rcu_read_lock();
}

static void leave(void)
{
	if (shared.locked)
		mtree_unlock(&shared.mt);
	else
		samara_rcu_read_unlock();
}

static void *reader(void *arg)
{
	struct rng *rng = arg;
	unsigned long reads = 0, steps = 0, end = zone_index(ZONES, 0);

	while (!__atomic_load_n(&shared.stop, __ATOMIC_RELAXED)) {
		unsigned long at = rng_below(rng, end),
			      to = at + rng_below(rng, rng_one_in(rng, 8) ? end : 200 * CELL);
		unsigned int what = (unsigned int)rng_below(rng, 8);

		if (what > 3 || shared.locked)
			enter();
		switch (what) {
		case 0:
		case 1:
		case 2:
			read_load(at);
			break;
		case 3:
			steps += read_find(at, to);
			break;
		case 4:
			read_walk(at);
			break;
		case 5:
			steps += read_up(at, to);
			break;
		case 6:
			steps += read_down(at, to < end ? to : end - 1);
			break;
		default:
			steps += read_ranges(at, rng_one_in(rng, 2));
		}
		if (what > 3 || shared.locked)
			leave();
		reads++;
	}
	__atomic_fetch_add(&shared.reads, reads, __ATOMIC_RELAXED);
	__atomic_fetch_add(&shared.steps, steps, __ATOMIC_RELAXED);
	return NULL;
}

struct mode {
	const char *name;
	unsigned int flags;
};

static const struct mode modes[] = {
	{ "rcu", MT_FLAGS_USE_RCU },
	{ "rcu-gaps", MT_FLAGS_USE_RCU | MT_FLAGS_ALLOC_RANGE },
	{ "locked", 0 },
	{ "locked-gaps", MT_FLAGS_ALLOC_RANGE },
};
#define MODES (sizeof(modes) / sizeof(modes[0]))

struct options {
	unsigned long secs, threads;
	uint64_t seed;
	const char *mode; /* NULL: all of them, one after the other */
};

static void usage(void)
{
	fprintf(stderr, "usage: tree_readers [--secs N] [--seed S] [--threads N] [--mode MODE]\n");
	exit(2);
}

static void parse(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "secs", required_argument, NULL, 's' },
		{ "seed", required_argument, NULL, 'S' },
		{ "threads", required_argument, NULL, 't' },
		{ "mode", required_argument, NULL, 'm' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 's':
			o->secs = strtoul(optarg, NULL, 0);
			break;
		case 'S':
			o->seed = strtoull(optarg, NULL, 0);
			break;
		case 't':
			o->threads = strtoul(optarg, NULL, 0);
			break;
		case 'm':
			o->mode = optarg;
			break;
		default:
			usage();
		}
	}
	if (!o->threads || o->threads > THREADS_MAX)
		usage();
}

static void run(const struct options *o, const struct mode *mode, unsigned long ms)
{
	struct timespec nap = { (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 };
	pthread_t thread[THREADS_MAX + 1];
	struct rng rng[THREADS_MAX + 1];
	char text[300] = "";
	unsigned long i;

	memset(&shared, 0, sizeof(shared));
	mt_init_flags(&shared.mt, mode->flags);
	shared.locked = !(mode->flags & MT_FLAGS_USE_RCU);
	shared.writer.mt = &shared.mt;
	rng_init(&shared.writer.rng, o->seed * 100);
	zone_build(&shared.writer);
	for (i = 0; i <= o->threads; i++) {
		rng_init(&rng[i], o->seed * 100 + i);
		if (pthread_create(&thread[i], NULL, i ? reader : writer,
				   i ? (void *)&rng[i] : &shared.writer)) {
			perror("pthread_create");
			exit(2);
		}
	}
	nanosleep(&nap, NULL);
	__atomic_store_n(&shared.stop, true, __ATOMIC_RELAXED);
	for (i = 0; i <= o->threads; i++)
		pthread_join(thread[i], NULL);
	mtree_lock(&shared.mt);
	if (model_compare(&shared.writer.m, &shared.mt, text, sizeof(text)))
		zone_wrong("in the end: %s", text);
	mtree_unlock(&shared.mt);
	mtree_destroy(&shared.mt);
	model_free(&shared.writer.m);
}

/* False when something was wrong. */
static bool run_mode(const struct options *o, const struct mode *mode, unsigned long ms)
{
	unsigned long before = samara_live_objects(), left;

	run(o, mode, ms);
	left = samara_live_objects() - before;
	if (left)
		zone_wrong("%lu objects are left", left);
	printf("tree_readers %s: %lu writes beside %lu reads and %lu steps of %lu readers, "
	       "%lu wrong\n",
	       mode->name, shared.writer.writes, shared.reads, shared.steps, o->threads,
	       zone_wrongs());
	if (!zone_wrongs())
		return true;
	fprintf(stderr,
		"replay: tree_readers --secs %lu --threads %lu --seed %" PRIu64 " --mode %s\n",
		ms / 1000 + 1, o->threads, o->seed, mode->name);
	return false;
}

int main(int argc, char **argv)
{
	struct options o = { .secs = 10, .threads = 2, .seed = test_seed() };
	bool found = false;
	size_t i;

	parse(&o, argc, argv);
	for (i = 0; i < MODES; i++) {
		if (o.mode && strcmp(o.mode, modes[i].name))
			continue;
		found = true;
		if (!run_mode(&o, &modes[i], o.secs * 1000 / (o.mode ? 1 : MODES)))
			return 1;
	}
	if (!found)
		usage();
	return 0;
}
