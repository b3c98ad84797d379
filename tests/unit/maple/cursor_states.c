/* SPDX-License-Identifier: MIT */
/*
 * The cursor's state table for a tree of several entries (cursor_states_small.c
 * has the others): what every reading call does in every state. Each row was
 * worked out by hand from the behaviour of Linux 6.12-6.18; the model of
 * support/tree_model_cursor.c is held against it too.
 */

#include "support/cmocka_all.h"
#include "support/tree_states.h"

static const struct state_row rows[] = {
	/* several, from ma_start */
	ROW(SEVERAL, START, 220, WALK, 0, B, active, 200, 249),
	ROW(SEVERAL, START, 170, WALK, 0, NULL, active, 150, 199),
	ROW(SEVERAL, START, 220, NEXT, M, C, active, 250, 299),
	ROW(SEVERAL, START, 220, NEXT_RANGE, M, C, active, 250, 299),
	ROW(SEVERAL, START, 220, NEXT, 220, NULL, overflow, 220, 220),
	ROW(SEVERAL, START, 220, NEXT, 221, NULL, overflow, 200, 249),
	ROW(SEVERAL, START, 170, NEXT, M, B, active, 200, 249),
	ROW(SEVERAL, START, 170, NEXT, 199, NULL, overflow, 150, 199),
	ROW(SEVERAL, START, 170, NEXT_RANGE, M, B, active, 200, 249),
	ROW(SEVERAL, START, 260, NEXT_RANGE, M, NULL, active, 300, 399),
	ROW(SEVERAL, START, 1000, NEXT, M, NULL, overflow, 450, M),
	ROW(SEVERAL, START, 220, PREV, 0, A, active, 100, 149),
	ROW(SEVERAL, START, 220, PREV_RANGE, 0, NULL, active, 150, 199),
	ROW(SEVERAL, START, 220, PREV, 220, NULL, underflow, 220, 220),
	ROW(SEVERAL, START, 220, PREV, 219, NULL, underflow, 200, 249),
	ROW(SEVERAL, START, 170, PREV, 0, A, active, 100, 149),
	ROW(SEVERAL, START, 170, PREV, 150, NULL, underflow, 150, 199),
	ROW(SEVERAL, START, 170, PREV_RANGE, 0, A, active, 100, 149),
	ROW(SEVERAL, START, 50, PREV, 0, NULL, underflow, 0, 99),
	ROW(SEVERAL, START, 220, FIND, M, B, active, 200, 249),
	ROW(SEVERAL, START, 220, FIND, 220, B, active, 200, 249),
	ROW(SEVERAL, START, 220, FIND, 219, NULL, start, 220, 220),
	ROW(SEVERAL, START, 220, FIND_RANGE, M, B, active, 200, 249),
	ROW(SEVERAL, START, 170, FIND, M, B, active, 200, 249),
	ROW(SEVERAL, START, 170, FIND, 199, NULL, active, 150, 199),
	ROW(SEVERAL, START, 170, FIND, 200, B, active, 200, 249),
	ROW(SEVERAL, START, 170, FIND_RANGE, 199, NULL, overflow, 150, 199),
	ROW(SEVERAL, START, 170, FIND_RANGE, M, B, active, 200, 249),
	ROW(SEVERAL, START, 1000, FIND, M, NULL, active, 450, M),
	ROW(SEVERAL, START, 1000, FIND_RANGE, M, NULL, overflow, 450, M),
	ROW(SEVERAL, START, 220, FIND_REV, 0, B, active, 200, 249),
	ROW(SEVERAL, START, 220, FIND_REV, 220, B, active, 200, 249),
	ROW(SEVERAL, START, 220, FIND_REV, 221, NULL, start, 220, 220),
	ROW(SEVERAL, START, 220, FIND_RANGE_REV, 0, B, active, 200, 249),
	ROW(SEVERAL, START, 170, FIND_REV, 0, A, active, 100, 149),
	ROW(SEVERAL, START, 170, FIND_REV, 150, NULL, underflow, 150, 199),
	ROW(SEVERAL, START, 170, FIND_REV, 149, A, active, 100, 149),
	ROW(SEVERAL, START, 170, FIND_REV, 160, NULL, active, 150, 199),
	ROW(SEVERAL, START, 170, FIND_RANGE_REV, 0, A, active, 100, 149),
	ROW(SEVERAL, START, 50, FIND_REV, 0, NULL, underflow, 0, 99),
	ROW(SEVERAL, START, M, FIND_REV, 0, D, active, 400, 449),

	/* several, from ma_active */
	ROW(SEVERAL, ACTIVE, 220, WALK, 0, B, active, 200, 249),
	ROW(SEVERAL, ACTIVE, 220, NEXT, M, C, active, 250, 299),
	ROW(SEVERAL, ACTIVE, 220, NEXT, 250, C, active, 250, 299),
	ROW(SEVERAL, ACTIVE, 220, NEXT, 249, NULL, overflow, 200, 249),
	ROW(SEVERAL, ACTIVE, 260, NEXT, M, D, active, 400, 449),
	ROW(SEVERAL, ACTIVE, 260, NEXT, 399, NULL, overflow, 300, 399),
	ROW(SEVERAL, ACTIVE, 260, NEXT, 350, NULL, overflow, 300, 399),
	ROW(SEVERAL, ACTIVE, 260, NEXT, 400, D, active, 400, 449),
	ROW(SEVERAL, ACTIVE, 260, NEXT_RANGE, M, NULL, active, 300, 399),
	ROW(SEVERAL, ACTIVE, 260, NEXT_RANGE, 350, NULL, active, 300, 399),
	ROW(SEVERAL, ACTIVE, 260, NEXT_RANGE, 299, NULL, overflow, 250, 299),
	ROW(SEVERAL, ACTIVE, 420, NEXT, M, NULL, overflow, 450, M),
	ROW(SEVERAL, ACTIVE, 420, NEXT_RANGE, M, NULL, active, 450, M),
	ROW(SEVERAL, ACTIVE, 220, PREV, 0, A, active, 100, 149),
	ROW(SEVERAL, ACTIVE, 220, PREV, 149, A, active, 100, 149),
	ROW(SEVERAL, ACTIVE, 220, PREV, 150, NULL, underflow, 150, 199),
	ROW(SEVERAL, ACTIVE, 220, PREV, 160, NULL, underflow, 150, 199),
	ROW(SEVERAL, ACTIVE, 220, PREV, 200, NULL, underflow, 200, 249),
	ROW(SEVERAL, ACTIVE, 220, PREV_RANGE, 0, NULL, active, 150, 199),
	ROW(SEVERAL, ACTIVE, 220, PREV_RANGE, 160, NULL, active, 150, 199),
	ROW(SEVERAL, ACTIVE, 260, PREV_RANGE, 0, B, active, 200, 249),
	ROW(SEVERAL, ACTIVE, 220, FIND, M, C, active, 250, 299),
	ROW(SEVERAL, ACTIVE, 220, FIND, 249, NULL, active, 200, 249),
	ROW(SEVERAL, ACTIVE, 220, FIND, 230, NULL, active, 200, 249),
	ROW(SEVERAL, ACTIVE, 260, FIND, 399, NULL, active, 300, 399),
	ROW(SEVERAL, ACTIVE, 260, FIND, 400, D, active, 400, 449),
	ROW(SEVERAL, ACTIVE, 420, FIND, M, NULL, active, 450, M),
	ROW(SEVERAL, ACTIVE, 220, FIND_RANGE, 249, NULL, active, 200, 249),
	ROW(SEVERAL, ACTIVE, 260, FIND_RANGE, M, NULL, active, 300, 399),
	ROW(SEVERAL, ACTIVE, 350, FIND_RANGE, 399, NULL, active, 300, 399),
	ROW(SEVERAL, ACTIVE, 350, FIND_RANGE, 400, D, active, 400, 449),
	ROW(SEVERAL, ACTIVE, 220, FIND_REV, 0, A, active, 100, 149),
	ROW(SEVERAL, ACTIVE, 220, FIND_REV, 200, NULL, underflow, 200, 249),
	ROW(SEVERAL, ACTIVE, 220, FIND_REV, 201, NULL, active, 200, 249),
	ROW(SEVERAL, ACTIVE, 220, FIND_REV, 150, NULL, underflow, 150, 199),
	ROW(SEVERAL, ACTIVE, 220, FIND_RANGE_REV, 0, NULL, active, 150, 199),

	/* several, paused */
	ROW(SEVERAL, PAUSE, 220, WALK, 0, B, active, 200, 249),
	ROW(SEVERAL, PAUSE, 220, NEXT, M, C, active, 250, 299),
	ROW(SEVERAL, PAUSE, 220, NEXT, 249, NULL, overflow, 200, 249),
	ROW(SEVERAL, PAUSE, 260, NEXT_RANGE, M, NULL, active, 300, 399),
	ROW(SEVERAL, PAUSE, 220, PREV, 0, A, active, 100, 149),
	ROW(SEVERAL, PAUSE, 220, PREV_RANGE, 0, NULL, active, 150, 199),
	ROW(SEVERAL, PAUSE, 220, FIND, M, C, active, 250, 299),
	ROW(SEVERAL, PAUSE, 220, FIND, 249, NULL, pause, 200, 249),
	ROW(SEVERAL, PAUSE, 260, FIND, 300, NULL, active, 300, 399),
	ROW(SEVERAL, PAUSE, 260, FIND_RANGE, M, D, active, 400, 449),
	ROW(SEVERAL, PAUSE, 260, FIND_RANGE, 350, NULL, overflow, 300, 399),
	ROW(SEVERAL, PAUSE, 1000, FIND, M, NULL, pause, 450, M),
	ROW(SEVERAL, PAUSE, 220, FIND_REV, 0, A, active, 100, 149),
	ROW(SEVERAL, PAUSE, 220, FIND_REV, 200, NULL, underflow, 200, 249),
	ROW(SEVERAL, PAUSE, 260, FIND_REV, 0, B, active, 200, 249),
	ROW(SEVERAL, PAUSE, 220, FIND_RANGE_REV, 0, A, active, 100, 149),

	/* several, over the limit before */
	ROW(SEVERAL, OVER, 220, WALK, 0, B, active, 200, 249),
	ROW(SEVERAL, OVER, 220, NEXT, M, C, active, 250, 299),
	ROW(SEVERAL, OVER, 220, NEXT, 249, NULL, overflow, 200, 249),
	ROW(SEVERAL, OVER, 260, NEXT_RANGE, M, NULL, active, 300, 399),
	ROW(SEVERAL, OVER, 350, NEXT, M, D, active, 400, 449),
	ROW(SEVERAL, OVER, 220, PREV, 0, B, active, 200, 249),
	ROW(SEVERAL, OVER, 220, PREV_RANGE, 0, B, active, 200, 249),
	ROW(SEVERAL, OVER, 220, PREV, 200, NULL, underflow, 200, 249),
	ROW(SEVERAL, OVER, 350, PREV, 0, C, active, 250, 299),
	ROW(SEVERAL, OVER, 220, FIND, M, B, active, 200, 249),
	ROW(SEVERAL, OVER, 220, FIND, 249, NULL, overflow, 200, 249),
	ROW(SEVERAL, OVER, 220, FIND_RANGE, M, B, active, 200, 249),
	ROW(SEVERAL, OVER, 350, FIND, M, D, active, 400, 449),
	ROW(SEVERAL, OVER, 350, FIND_RANGE, M, D, active, 400, 449),
	ROW(SEVERAL, OVER, 220, FIND_REV, 0, A, active, 100, 149),
	ROW(SEVERAL, OVER, 220, FIND_REV, 200, NULL, underflow, 200, 249),
	ROW(SEVERAL, OVER, 220, FIND_RANGE_REV, 0, NULL, active, 150, 199),
	ROW(SEVERAL, OVER, 350, FIND_REV, 0, C, active, 250, 299),
	ROW(SEVERAL, OVER0, 220, FIND, M, B, active, 200, 249),
	ROW(SEVERAL, OVER0, 220, PREV, 0, B, active, 200, 249),

	/* several, under the limit before */
	ROW(SEVERAL, UNDER, 220, WALK, 0, B, active, 200, 249),
	ROW(SEVERAL, UNDER, 220, NEXT, M, B, active, 200, 249),
	ROW(SEVERAL, UNDER, 220, NEXT_RANGE, M, B, active, 200, 249),
	ROW(SEVERAL, UNDER, 220, NEXT, 249, NULL, overflow, 200, 249),
	ROW(SEVERAL, UNDER, 170, NEXT, M, B, active, 200, 249),
	ROW(SEVERAL, UNDER, 220, PREV, 0, A, active, 100, 149),
	ROW(SEVERAL, UNDER, 220, PREV, 200, NULL, underflow, 200, 249),
	ROW(SEVERAL, UNDER, 220, PREV_RANGE, 0, NULL, active, 150, 199),
	ROW(SEVERAL, UNDER, 170, PREV, 0, A, active, 100, 149),
	ROW(SEVERAL, UNDER, 220, FIND, M, B, active, 200, 249),
	ROW(SEVERAL, UNDER, 220, FIND, 200, NULL, overflow, 200, 249),
	ROW(SEVERAL, UNDER, 220, FIND_RANGE, M, B, active, 200, 249),
	ROW(SEVERAL, UNDER, 170, FIND, M, B, active, 200, 249),
	ROW(SEVERAL, UNDER, 220, FIND_REV, 0, A, active, 100, 149),
	ROW(SEVERAL, UNDER, 220, FIND_REV, 200, NULL, underflow, 200, 249),
	ROW(SEVERAL, UNDER, 220, FIND_RANGE_REV, 0, NULL, active, 150, 199),
	ROW(SEVERAL, UNDER, 170, FIND_RANGE_REV, 0, A, active, 100, 149),
	ROW(SEVERAL, UNDER0, 220, NEXT, M, B, active, 200, 249),

	/* several, from ma_none and ma_error */
	ROW(SEVERAL, NONE, 220, WALK, 0, B, active, 200, 249),
	ROW(SEVERAL, NONE, 220, NEXT, M, C, active, 250, 299),
	ROW(SEVERAL, NONE, 220, NEXT, 220, NULL, overflow, 220, 220),
	ROW(SEVERAL, NONE, 260, NEXT_RANGE, M, NULL, active, 300, 399),
	ROW(SEVERAL, NONE, 220, PREV, 0, A, active, 100, 149),
	ROW(SEVERAL, NONE, 220, PREV, 220, NULL, underflow, 220, 220),
	ROW(SEVERAL, NONE, 220, PREV_RANGE, 0, NULL, active, 150, 199),
	ROW(SEVERAL, NONE, 220, FIND, M, B, active, 200, 249),
	ROW(SEVERAL, NONE, 220, FIND, 220, NULL, none, 220, 220),
	ROW(SEVERAL, NONE, 170, FIND_RANGE, M, B, active, 200, 249),
	ROW(SEVERAL, NONE, 220, FIND_REV, 0, B, active, 200, 249),
	ROW(SEVERAL, NONE, 220, FIND_REV, 220, NULL, none, 220, 220),
	ROW(SEVERAL, NONE, 170, FIND_RANGE_REV, 0, A, active, 100, 149),
	ROW(SEVERAL, NONE50, 220, WALK, 0, B, active, 200, 249),
	ROW(SEVERAL, NONE50, 220, NEXT, M, C, active, 250, 299),
	ROW(SEVERAL, NONE50, 220, NEXT, 270, NULL, overflow, 220, 270),
	ROW(SEVERAL, NONE50, 220, PREV, 0, A, active, 100, 149),
	ROW(SEVERAL, NONE50, 220, FIND, M, C, active, 250, 299),
	ROW(SEVERAL, NONE50, 220, FIND, 270, NULL, none, 220, 270),
	ROW(SEVERAL, NONE50, 270, FIND_RANGE, M, D, active, 400, 449),
	ROW(SEVERAL, NONE50, 220, FIND_REV, 0, B, active, 200, 249),
	ROW(SEVERAL, NONE50, 220, FIND_RANGE_REV, 0, B, active, 200, 249),
	ROW(SEVERAL, ERROR, 220, WALK, 0, B, active, 200, 249),
	ROW(SEVERAL, ERROR, 220, NEXT, M, NULL, error, 220, 230),
	ROW(SEVERAL, ERROR, 220, NEXT_RANGE, M, NULL, error, 220, 230),
	ROW(SEVERAL, ERROR, 220, NEXT, 230, NULL, overflow, 220, 230),
	ROW(SEVERAL, ERROR, 220, PREV, 0, NULL, error, 220, 230),
	ROW(SEVERAL, ERROR, 220, PREV_RANGE, 0, NULL, error, 220, 230),
	ROW(SEVERAL, ERROR, 220, PREV, 220, NULL, underflow, 220, 230),
	ROW(SEVERAL, ERROR, 220, FIND, M, NULL, error, 220, 230),
	ROW(SEVERAL, ERROR, 220, FIND_RANGE, M, NULL, error, 220, 230),
	ROW(SEVERAL, ERROR, 220, FIND_REV, 0, NULL, error, 220, 230),
	ROW(SEVERAL, ERROR, 220, FIND_RANGE_REV, 0, NULL, error, 220, 230),
};

static void every_call_in_every_state(void **state)
{
	state_rows_run(rows, sizeof(rows) / sizeof(rows[0]));
}

/* A cursor that met its limit before any walk has no position: going on walks first. */
static void going_on_without_a_position_walks(void **state)
{
	struct maple_tree mt = MTREE_INIT(mt, 0);
	MA_STATE(mas, &mt, 220, 220);
	struct tree_model m;

	model_init(&m);
	state_build(&mt, &m, SEVERAL);
	mtree_lock(&mt);
	assert_null(mas_next(&mas, 220));
	assert_true(mas_is_overflow(&mas));
	assert_ptr_equal(mas_next(&mas, ULONG_MAX), C);
	mas_set(&mas, 220);
	assert_null(mas_prev(&mas, 220));
	assert_true(mas_is_underflow(&mas));
	assert_ptr_equal(mas_prev(&mas, 0), A);
	mas_set(&mas, 220);
	assert_null(mas_prev(&mas, 220));
	assert_ptr_equal(mas_find_rev(&mas, 0), A);
	mtree_unlock(&mt);
	mtree_destroy(&mt);
	model_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_call_in_every_state),
		cmocka_unit_test(going_on_without_a_position_walks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
