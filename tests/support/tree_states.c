/* SPDX-License-Identifier: MIT */
/*
 * Trying the rows of the cursor's state table; see tree_states.h.
 */
#include "tree_states.h"

#include <errno.h>

#include "support/cmocka_all.h"

#include <samara/inject.h>

static void put(struct maple_tree *mt, struct tree_model *m, unsigned long first,
		unsigned long last, void *entry)
{
	assert_int_equal(mtree_store_range(mt, first, last, entry, GFP_KERNEL), 0);
	model_store(m, first, last, entry);
}

void state_build(struct maple_tree *mt, struct tree_model *m, enum state_tree tree)
{
	if (tree == ROOT)
		put(mt, m, 0, 0, A);
	if (tree == ONE || tree == SEVERAL)
		put(mt, m, 100, 149, A);
	if (tree == SEVERAL) {
		put(mt, m, 200, 249, B);
		put(mt, m, 250, 299, C);
		put(mt, m, 400, 449, D);
	}
}

/* Bring the cursor to where the row wants it. */
static void arrive(struct ma_state *mas, const struct state_row *row)
{
	mas_set(mas, row->at);
	switch (row->way) {
	case START:
	case NONE:
	case NONE50:
		break;
	case ACTIVE:
		mas_walk(mas);
		break;
	case PAUSE:
		if (row->tree != EMPTY) /* there the walk leaves nothing to go on from */
			mas_walk(mas);
		mas_pause(mas);
		break;
	case OVER:
		mas_walk(mas);
		assert_null(mas_next(mas, mas->last));
		break;
	case UNDER:
		mas_walk(mas);
		assert_null(mas_prev(mas, mas->index));
		break;
	case OVER0:
		assert_null(mas_next(mas, row->at));
		break;
	case UNDER0:
		assert_null(mas_prev(mas, row->at));
		break;
	case ERROR:
		mas_set_range(mas, row->at, row->at + 10);
		samara_inject_from(1);
		mas_store(mas, D);
		samara_inject_from(0);
		assert_int_equal(samara_mas_errno(mas), -ENOMEM);
		break;
	}
}

static void check(const struct state_row *row, const char *who, void *entry,
		  enum maple_status status, unsigned long index, unsigned long last)
{
	if (entry != row->entry || status != row->status || index != row->index ||
	    last != row->last)
		fail_msg("line %d, %s(%#lx), %s: %p %s %lu..%lu, should be %p %s %lu..%lu",
			 row->line, tree_read_name(row->call), row->limit, who, entry,
			 maple_status_name(status), index, last, row->entry,
			 maple_status_name(row->status), row->index, row->last);
}

static void run_row(const struct state_row *row, unsigned int flags)
{
	struct maple_tree mt = MTREE_INIT(mt, flags);
	MA_STATE(mas, &mt, 0, 0);
	struct model_cursor c;
	struct tree_model m;
	void *entry;

	model_init(&m);
	if (row->way == NONE || row->way == NONE50) {
		mtree_lock(&mt);
		assert_null(mas_walk(&mas));
		assert_true(mas_is_none(&mas));
		__mas_set_range(&mas, row->at, row->at + (row->way == NONE50 ? 50 : 0));
		mtree_unlock(&mt);
	}
	state_build(&mt, &m, row->tree);
	mtree_lock(&mt);
	if (row->way != NONE && row->way != NONE50)
		arrive(&mas, row);
	c = (struct model_cursor){ mas.index, mas.last, mas.status, false };
	entry = tree_read(&mas, row->call, row->limit);
	check(row, "tree", entry, mas.status, mas.index, mas.last);
	entry = model_read(&m, model_shape(&m), &c, row->call, row->limit);
	check(row, "model", entry, c.status, c.index, c.last);
	mtree_unlock(&mt);
	mtree_destroy(&mt);
	model_free(&m);
}

void state_rows_run(const struct state_row *rows, size_t n)
{
	unsigned int flags;
	size_t i;

	for (flags = 0; flags < 4; flags++)
		for (i = 0; i < n; i++)
			run_row(&rows[i], flags);
}
