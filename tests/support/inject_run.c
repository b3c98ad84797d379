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

struct run {
	const struct inject_op *op;
	struct rich w;
	struct rich_snap *before, *after;
	unsigned long failures;
};

/* What is refused: the nth, or it and all after it; then the again-th of the second try. */
struct plan {
	enum inject_how how;
	unsigned long nth, again;
};

static void failed(struct run *r, const char *when)
{
	r->failures++;
	if (r->op->flags & INJECT_NEVER)
		fail_msg("%s: failed", when);
	rich_validate(&r->w, when);
	if (!(r->op->flags & INJECT_PARTIAL)) {
		rich_snap_take(&r->w, r->after);
		rich_snap_same(r->before, r->after, when);
	}
}

/* Returns how many allocations were asked for; *err: 0, or out of memory. */
static unsigned long attempt(struct run *r, enum inject_how how, unsigned long nth, int *err,
			     const char *when)
{
	unsigned long asked;

	inject_arm(how, nth);
	*err = r->op->fn(&r->w);
	asked = inject_disarm(*err ? INJECT_FAILED : INJECT_SUCCEEDED);
	if (*err && ((*err != -ENOMEM && *err != -EAGAIN) || asked < nth))
		fail_msg("%s: %d", when, *err);
	if (*err)
		failed(r, when);
	return asked;
}

/* Returns how many allocations the (last refused) try asked for. */
static unsigned long try(struct run *r, const struct plan *plan)
{
	unsigned long asked;
	char when[160];
	int err;

	snprintf(when, sizeof(when), "%s, allocation %lu%s refused, then %lu", r->op->name,
		 plan->nth, plan->how == INJECT_ON ? " and on" : "", plan->again);
	rich_up(&r->w);
	rich_snap_take(&r->w, r->before);
	asked = attempt(r, plan->how, plan->nth, &err, when);
	if (err && plan->again)
		asked = attempt(r, INJECT_ONCE, plan->again, &err, when);
	else if (plan->again)
		asked = 0;
	if (err && r->op->fn(&r->w))
		fail_msg("%s: and with memory it fails", when);
	rich_check(&r->w, when);
	rich_down(&r->w);
	return asked;
}

/* SAMARA_FULL=1: what has failed fails once more, at each allocation. */
static void fail_again(struct run *r, unsigned long nth)
{
	struct plan plan = { .how = INJECT_ONCE, .nth = nth, .again = 1 };

	while (try(r, &plan) >= plan.again)
		plan.again++;
}

static void each_allocation_in_turn(void **state)
{
	struct run r = { .op = *state };
	const unsigned long live = samara_live_objects();

	samara_inject_nth(0); /* what a test that failed has left */
	r.before = rich_snap_new();
	r.after = rich_snap_new();
	for (int how = INJECT_ONCE; how <= INJECT_ON; how++) {
		struct plan plan = { .how = how, .nth = 1 };

		while (try(&r, &plan) >= plan.nth) {
			if (test_full() && how == INJECT_ONCE)
				fail_again(&r, plan.nth);
			plan.nth++;
			assert_in_range(plan.nth, 1, ALLOCATIONS_MAX);
		}
		if (r.op->flags & INJECT_NO_MEMORY)
			assert_int_equal(plan.nth, 1);
		else if (plan.nth == 1)
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
