/* SPDX-License-Identifier: MIT */
/*
 * A schedule, readable: each step of the threads, in its order.
 *
 *   step thread   operation       word = value                        place < its caller
 *      5 reader   load acquire    mt+8 = 0x7f01 (1 newer)             tree.c:71 < mtree.c:40
 */
#include "main.h"

#include <stdlib.h>

static const char *op_name(enum op_kind kind)
{
	static const char *const name[OP_KINDS] = {
		[OP_LOAD] = "load",
		[OP_STORE] = "store",
		[OP_RMW] = "change",
		[OP_FENCE] = "fence",
		[OP_WAIT] = "futex wait",
		[OP_WAKE] = "futex wake",
		[OP_RELAX] = "pause",
		[OP_RCU_LOCK] = "section begins",
		[OP_RCU_UNLOCK] = "section ends",
		[OP_RCU_WAIT] = "grace period",
		[OP_START] = "starts",
		[OP_END] = "ends",
		[OP_CREATE] = "makes thread",
		[OP_JOIN] = "joins",
	};

	return name[kind];
}

static const char *order_name(const struct event *e)
{
	switch (e->order) {
	case __ATOMIC_ACQUIRE:
	case __ATOMIC_CONSUME:
		return " acquire";
	case __ATOMIC_RELEASE:
		return " release";
	case __ATOMIC_ACQ_REL:
		return " acq_rel";
	case __ATOMIC_SEQ_CST:
		return " seq_cst";
	default:
		return "";
	}
}

static void load_places(void)
{
	uintptr_t *places = calloc(2UL * shared->events + 1, sizeof(*places));

	if (!places)
		return;
	for (unsigned int i = 0; i < shared->events; i++) {
		places[2 * i] = shared->event[i].place;
		places[2 * i + 1] = shared->event[i].caller;
	}
	places_load(places, 2 * shared->events);
	free(places);
}

static void print_event(unsigned int step, const struct event *e)
{
	char what[32], word[64];

	snprintf(what, sizeof(what), "%s%s", op_name(e->kind), order_name(e));
	printf("%6u %-10s %-15s ", step, shared->thread_name[e->thread], what);
	if (e->size) {
		describe_word(e->addr, word, sizeof(word));
		places_print(stdout, word);
		printf(" = 0x%lx", e->value);
	}
	if (e->stale)
		printf(" (%u newer)", e->stale);
	if (e->place) {
		printf("  at %s", place_text(e->place));
		if (e->caller)
			printf(" < %s", place_text(e->caller));
	}
	putchar('\n');
}

void trace_print(void)
{
	unsigned char before = THREADS_MAX;

	load_places();
	for (unsigned int i = 0; i < shared->events; i++) {
		const struct event *e = &shared->event[i];

		if (i && e->thread != before)
			printf("       -- %s\n", shared->thread_name[e->thread]);
		before = e->thread;
		print_event(i + 1, e);
	}
	printf("%u steps, %u switches\n", shared->steps, shared->switches);
}
