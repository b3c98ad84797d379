/* SPDX-License-Identifier: MIT */
/*
 * The cursor's state table for trees of no entry and of one: what every reading
 * call does in every state. Each row was worked out by hand from the behaviour
 * of Linux 6.12-6.18; the model of support/tree_model_cursor.c is held against
 * it too.
 */

#include "support/cmocka_all.h"
#include "support/tree_states.h"

static const struct state_row rows[] = {
	/* empty */
	ROW(EMPTY, START, 5, WALK, 0, NULL, none, 0, M),
	ROW(EMPTY, START, 5, NEXT, M, NULL, none, 0, M),
	ROW(EMPTY, START, 5, NEXT_RANGE, M, NULL, none, 0, M),
	ROW(EMPTY, START, 5, NEXT, 5, NULL, overflow, 5, 5),
	ROW(EMPTY, START, 5, PREV, 0, NULL, none, 0, M),
	ROW(EMPTY, START, 5, PREV_RANGE, 0, NULL, none, 0, M),
	ROW(EMPTY, START, 5, PREV, 5, NULL, underflow, 5, 5),
	ROW(EMPTY, START, 5, FIND, M, NULL, none, 0, M),
	ROW(EMPTY, START, 5, FIND_RANGE, M, NULL, none, 0, M),
	ROW(EMPTY, START, 5, FIND, 4, NULL, start, 5, 5),
	ROW(EMPTY, START, 5, FIND_REV, 0, NULL, root, 0, 0),
	ROW(EMPTY, START, 5, FIND_RANGE_REV, 0, NULL, root, 0, 0),
	ROW(EMPTY, START, 5, FIND_REV, 6, NULL, start, 5, 5),
	ROW(EMPTY, ACTIVE, 5, WALK, 0, NULL, none, 0, M),
	ROW(EMPTY, ACTIVE, 5, NEXT, M, NULL, overflow, 0, M),
	ROW(EMPTY, ACTIVE, 5, PREV, 0, NULL, underflow, 0, M),
	ROW(EMPTY, ACTIVE, 5, FIND, M, NULL, none, 0, M),
	ROW(EMPTY, ACTIVE, 5, FIND_REV, 0, NULL, none, 0, M),
	ROW(EMPTY, PAUSE, 5, FIND, M, NULL, none, 0, M),
	ROW(EMPTY, PAUSE, 5, NEXT, M, NULL, none, 0, M),
	ROW(EMPTY, PAUSE, 5, FIND_REV, 0, NULL, root, 0, 0),
	ROW(EMPTY, OVER0, 5, FIND, M, NULL, none, 0, M),
	ROW(EMPTY, OVER0, 5, PREV, 0, NULL, none, 0, M),
	ROW(EMPTY, UNDER0, 5, NEXT, M, NULL, none, 0, M),
	ROW(EMPTY, UNDER0, 5, FIND, M, NULL, none, 0, M),
	ROW(EMPTY, ERROR, 5, WALK, 0, NULL, none, 0, M),
	ROW(EMPTY, ERROR, 5, NEXT, M, NULL, error, 5, 15),
	ROW(EMPTY, ERROR, 5, FIND, M, NULL, error, 5, 15),
	ROW(EMPTY, ERROR, 5, FIND_REV, 0, NULL, error, 5, 15),

	/* only 0..0 */
	ROW(ROOT, START, 0, WALK, 0, A, root, 0, 0),
	ROW(ROOT, START, 0, NEXT, M, NULL, none, 1, M),
	ROW(ROOT, START, 0, NEXT_RANGE, M, NULL, none, 1, M),
	ROW(ROOT, START, 0, NEXT, 0, NULL, overflow, 0, 0),
	ROW(ROOT, START, 0, PREV, 0, NULL, underflow, 0, 0),
	ROW(ROOT, START, 0, PREV_RANGE, 0, NULL, underflow, 0, 0),
	ROW(ROOT, START, 0, FIND, M, A, root, 0, 0),
	ROW(ROOT, START, 0, FIND, 0, A, root, 0, 0),
	ROW(ROOT, START, 0, FIND_RANGE, M, A, root, 0, 0),
	ROW(ROOT, START, 0, FIND_REV, 0, A, root, 0, 0),
	ROW(ROOT, START, 0, FIND_RANGE_REV, 0, A, root, 0, 0),
	ROW(ROOT, START, 5, WALK, 0, NULL, none, 1, M),
	ROW(ROOT, START, 5, NEXT, M, NULL, none, 1, M),
	ROW(ROOT, START, 5, PREV, 0, A, root, 0, 0),
	ROW(ROOT, START, 5, PREV_RANGE, 0, A, root, 0, 0),
	ROW(ROOT, START, 5, FIND, M, NULL, none, 1, M),
	ROW(ROOT, START, 5, FIND_RANGE, M, NULL, none, 1, M),
	ROW(ROOT, START, 5, FIND_REV, 0, A, root, 0, 0),
	ROW(ROOT, START, 5, FIND_RANGE_REV, 0, A, root, 0, 0),
	ROW(ROOT, ACTIVE, 0, WALK, 0, A, root, 0, 0),
	ROW(ROOT, ACTIVE, 0, NEXT, M, NULL, none, 1, M),
	ROW(ROOT, ACTIVE, 0, NEXT_RANGE, M, NULL, none, 1, M),
	ROW(ROOT, ACTIVE, 0, PREV, 0, NULL, underflow, 0, 0),
	ROW(ROOT, ACTIVE, 0, FIND, M, NULL, none, 1, M),
	ROW(ROOT, ACTIVE, 0, FIND_RANGE, M, NULL, none, 1, M),
	ROW(ROOT, ACTIVE, 0, FIND_REV, 0, NULL, none, 0, 0),
	ROW(ROOT, ACTIVE, 0, FIND_RANGE_REV, 0, NULL, none, 0, 0),
	ROW(ROOT, ACTIVE, 5, WALK, 0, NULL, none, 1, M),
	ROW(ROOT, ACTIVE, 5, NEXT, M, NULL, overflow, 1, M),
	ROW(ROOT, ACTIVE, 5, PREV, 0, A, root, 0, 0),
	ROW(ROOT, ACTIVE, 5, PREV_RANGE, 0, A, root, 0, 0),
	ROW(ROOT, ACTIVE, 5, FIND, M, NULL, none, 1, M),
	ROW(ROOT, ACTIVE, 5, FIND_REV, 0, A, root, 0, 0),
	ROW(ROOT, ACTIVE, 5, FIND_RANGE_REV, 0, A, root, 0, 0),
	ROW(ROOT, PAUSE, 0, WALK, 0, A, root, 0, 0),
	ROW(ROOT, PAUSE, 0, NEXT, M, NULL, none, 1, M),
	ROW(ROOT, PAUSE, 0, PREV, 0, NULL, underflow, 0, 0),
	ROW(ROOT, PAUSE, 0, FIND, M, NULL, none, 1, M),
	ROW(ROOT, PAUSE, 0, FIND_RANGE, M, NULL, none, 1, M),
	ROW(ROOT, PAUSE, 0, FIND_REV, 0, NULL, underflow, 0, 0),
	ROW(ROOT, PAUSE, 5, FIND_REV, 0, A, root, 0, 0),
	ROW(ROOT, PAUSE, 5, PREV, 0, A, root, 0, 0),
	ROW(ROOT, OVER, 0, WALK, 0, A, root, 0, 0),
	ROW(ROOT, OVER, 0, PREV, 0, NULL, underflow, 0, 0),
	ROW(ROOT, OVER, 0, FIND, M, A, root, 0, 0),
	ROW(ROOT, OVER, 0, FIND, 0, NULL, overflow, 0, 0),
	ROW(ROOT, OVER, 0, FIND_REV, 0, NULL, underflow, 0, 0),
	ROW(ROOT, OVER0, 5, PREV, 0, A, root, 0, 0),
	ROW(ROOT, OVER0, 5, FIND, M, NULL, none, 1, M),
	ROW(ROOT, UNDER, 0, NEXT, M, A, root, 0, 0),
	ROW(ROOT, UNDER, 0, NEXT_RANGE, M, A, root, 0, 0),
	ROW(ROOT, UNDER, 0, FIND, M, A, root, 0, 0),
	ROW(ROOT, UNDER, 0, FIND, 0, NULL, overflow, 0, 0),
	ROW(ROOT, UNDER, 0, FIND_REV, 0, NULL, underflow, 0, 0),
	ROW(ROOT, NONE, 0, NEXT, M, NULL, root, 0, 0), /* odd, but so it is */
	ROW(ROOT, NONE, 0, FIND, M, A, root, 0, 0),
	ROW(ROOT, NONE, 0, FIND_REV, 0, NULL, none, 0, 0),
	ROW(ROOT, ERROR, 5, WALK, 0, NULL, none, 1, M),
	ROW(ROOT, ERROR, 5, PREV, 0, NULL, error, 5, 15),

	/* one entry: empty on both sides */
	ROW(ONE, START, 0, WALK, 0, NULL, active, 0, 99),
	ROW(ONE, START, 0, FIND, M, A, active, 100, 149),
	ROW(ONE, START, 0, FIND, 99, NULL, active, 0, 99),
	ROW(ONE, START, 0, FIND_RANGE, 99, NULL, overflow, 0, 99),
	ROW(ONE, START, 0, FIND, 100, A, active, 100, 149),
	ROW(ONE, START, 0, PREV, 0, NULL, underflow, 0, 0),
	ROW(ONE, START, 0, FIND_REV, 0, NULL, underflow, 0, 99),
	ROW(ONE, START, M, WALK, 0, NULL, active, 150, M),
	ROW(ONE, START, M, NEXT, M, NULL, overflow, M, M),
	ROW(ONE, START, M, FIND, M, NULL, active, 150, M),
	ROW(ONE, START, M, FIND_RANGE, M, NULL, overflow, 150, M),
	ROW(ONE, START, M, PREV, 0, A, active, 100, 149),
	ROW(ONE, START, M, FIND_REV, 0, A, active, 100, 149),
	ROW(ONE, START, 149, NEXT, M, NULL, overflow, 150, M),
	ROW(ONE, START, 149, NEXT_RANGE, M, NULL, active, 150, M),
	ROW(ONE, ACTIVE, 120, PREV, 0, NULL, underflow, 0, 99),
	ROW(ONE, ACTIVE, 120, PREV_RANGE, 0, NULL, active, 0, 99),
	ROW(ONE, ACTIVE, 120, FIND, M, NULL, active, 150, M),
	ROW(ONE, ACTIVE, 120, FIND_RANGE, M, NULL, active, 150, M),
	ROW(ONE, ACTIVE, 120, FIND_REV, 0, NULL, underflow, 0, 99),
	ROW(ONE, ACTIVE, 120, FIND_RANGE_REV, 0, NULL, active, 0, 99),
	ROW(ONE, NONE, 120, FIND, M, A, active, 100, 149),
	ROW(ONE, NONE, 0, NEXT, M, A, active, 100, 149),
	ROW(ONE, NONE, M, PREV, 0, A, active, 100, 149),
};

static void every_call_in_every_state_of_a_small_tree(void **state)
{
	state_rows_run(rows, sizeof(rows) / sizeof(rows[0]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_call_in_every_state_of_a_small_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
