/* SPDX-License-Identifier: MIT */
#include "support/inject_run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <samara/inject.h>

#include "support/cmocka_all.h"
#include "support/inject_matrix.h"
#include "support/random.h"

#define ALLOCATIONS_MAX 2000ul
/* Beyond this many, `make test` tries only each seventh. */
#define ALL_OF 60ul

struct run {
	const struct inject_op *op;
	struct rich w;
	struct rich_snap *before, *after;
	unsigned long failures;
};

static void failed(struct run *r, const char *when)
{
	int err;

	r->failures++;
	if (r->op->flags & INJECT_NEVER)
		fail_msg("%s: failed", when);
	rich_validate(&r->w, when);
	if (!(r->op->flags & INJECT_PARTIAL)) {
		rich_snap_take(&r->w, r->after);
		rich_snap_same(r->before, r->after, when);
	}
	err = r->op->fn(&r->w);
	if (err)
		fail_msg("%s: and with memory %d", when, err);
}

/* Returns how many allocations it asked for. */
static unsigned long try(struct run *r, enum inject_how how, unsigned long nth)
{
	unsigned long asked;
	char when[160];
	int err;

	snprintf(when, sizeof(when), "%s, allocation %lu%s refused", r->op->name, nth,
		 how == INJECT_ON ? " and on" : "");
	rich_up(&r->w);
	rich_snap_take(&r->w, r->before);
	inject_arm(how, nth);
	err = r->op->fn(&r->w);
	asked = inject_disarm(err ? INJECT_FAILED : INJECT_SUCCEEDED);
	if (err && ((err != -ENOMEM && err != -EAGAIN) || asked < nth))
		fail_msg("%s: %d", when, err);
	if (err)
		failed(r, when);
	rich_check(&r->w, when);
	rich_down(&r->w);
	return asked;
}

static void each_allocation_in_turn(void **state)
{
	struct run r = { .op = *state };
	const unsigned long live = samara_live_objects();
	const unsigned long stride = test_full() ? 1 : 7;

	r.before = rich_snap_new();
	r.after = rich_snap_new();
	for (int how = INJECT_ONCE; how <= INJECT_ON; how++) {
		unsigned long nth = 1;

		while (try(&r, how, nth) >= nth) {
			assert_in_range(nth, 1, ALLOCATIONS_MAX);
			nth += nth < ALL_OF ? 1 : stride;
		}
		if (r.op->flags & INJECT_NO_MEMORY)
			assert_int_equal(nth, 1);
		else if (nth == 1)
			fail_msg("%s asks for no memory", r.op->name);
	}
	if (!(r.op->flags & (INJECT_NEVER | INJECT_NO_MEMORY)))
		assert_true(r.failures);
	rich_snap_free(r.before);
	rich_snap_free(r.after);
	assert_int_equal(samara_live_objects(), live);
}

int inject_run(const char *program, const struct inject_op *ops, size_t n)
{
	struct CMUnitTest *tests = calloc(n, sizeof(*tests));
	int failures;

	if (!tests)
		return 1;
	for (size_t i = 0; i < n; i++)
		tests[i] = (struct CMUnitTest){ .name = ops[i].name,
						.test_func = each_allocation_in_turn,
						.initial_state = (void *)&ops[i] };
	failures = _cmocka_run_group_tests(program, tests, n, NULL, NULL);
	free(tests);
	return inject_matrix(program, failures);
}
