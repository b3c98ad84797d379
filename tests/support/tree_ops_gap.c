/* SPDX-License-Identifier: MIT */
/*
 * One operation on the tree and on its model: searching and filling gaps.
 * See tree_ops.h.
 */
#include "tree_ops.h"

#include <errno.h>

static bool tracks_gaps(const struct tree_run *run)
{
	return run->mt.ma_flags & MT_FLAGS_ALLOC_RANGE;
}

/* Values that the mtree_alloc_*() calls refuse. */
static bool is_reserved(const void *entry)
{
	return ((unsigned long)entry & 3) == 2 && (unsigned long)entry < 4096;
}

static int search(struct ma_state *mas, const struct tree_op *op, bool rev)
{
	return rev ? mas_empty_area_rev(mas, op->a, op->b, op->c) :
		     mas_empty_area(mas, op->a, op->b, op->c);
}

static int model_search(const struct tree_model *m, const struct tree_op *op, bool rev,
			unsigned long *first)
{
	return rev ? model_gap_rev(m, op->a, op->b, op->c, first) :
		     model_gap(m, op->a, op->b, op->c, first);
}

/* Search with mas; on success it covers exactly the size that was asked for. */
static int search_both(struct tree_run *run, struct ma_state *mas, const struct tree_op *op,
		       bool rev, int *found)
{
	unsigned long first = 0;
	int err, want = model_search(&run->m, op, rev, &first);

	tree_log(run, "mas_set(&mas, 0); mas_empty_area%s(&mas, %#lx, %#lx, %#lx);",
		 rev ? "_rev" : "", op->a, op->b, op->c);
	err = search(mas, op, rev);
	*found = !err;
	if (err != want)
		return tree_differs(run, "empty_area: %d (%#lx..%#lx), should be %d (%#lx)", err,
				    mas->index, mas->last, want, first);
	if (!err && (mas->index != first || mas->last != first + op->c - 1))
		return tree_differs(run, "empty_area: %#lx..%#lx, should be %#lx..%#lx", mas->index,
				    mas->last, first, first + op->c - 1);
	return 0;
}

static int op_gap(struct tree_run *run, const struct tree_op *op)
{
	MA_STATE(mas, &run->mt, 0, 0);
	int err, found;

	mtree_lock(&run->mt);
	err = search_both(run, &mas, op, op->kind == OP_GAP_REV, &found);
	mtree_unlock(&run->mt);
	return err;
}

static int op_gap_store(struct tree_run *run, const struct tree_op *op)
{
	void *entry = tree_value(op->value);
	unsigned long first, last;
	int err, found;

	mtree_lock(&run->mt);
	mas_set(&run->mas, 0);
	model_cursor_set(&run->c, 0, 0);
	err = search_both(run, &run->mas, op, op->kind == OP_GAP_REV_STORE, &found);
	first = run->mas.index;
	last = run->mas.last;
	if (!err && found) {
		tree_log(run, "mas_store_gfp(&mas, (void *)%#lx, GFP_KERNEL);",
			 (unsigned long)entry);
		err = mas_store_gfp(&run->mas, entry, GFP_KERNEL);
		if (err)
			err = tree_differs(run, "mas_store_gfp() in a gap: %d", err);
		model_store(&run->m, first, last, entry);
		if (!err)
			err = tree_adopt(run, first, last, entry);
	} else {
		mas_set(&run->mas, 0);
	}
	mtree_unlock(&run->mt);
	return err;
}

static int op_alloc(struct tree_run *run, const struct tree_op *op)
{
	bool rev = op->kind == OP_ALLOC_RRANGE;
	void *entry = tree_value(op->value);
	unsigned long start = 12345, first = 12345;
	int err, want;

	tree_cursor_pause(run);
	tree_log(run,
		 "mtree_alloc_%srange(&mt, &start, (void *)%#lx, %#lx, %#lx, %#lx, GFP_KERNEL);",
		 rev ? "r" : "", (unsigned long)entry, op->c, op->a, op->b);
	if (rev)
		err = mtree_alloc_rrange(&run->mt, &start, entry, op->c, op->a, op->b, GFP_KERNEL);
	else
		err = mtree_alloc_range(&run->mt, &start, entry, op->c, op->a, op->b, GFP_KERNEL);
	if (!tracks_gaps(run) || is_reserved(entry))
		want = -EINVAL;
	else
		want = model_search(&run->m, op, rev, &first);
	if (!want)
		model_store(&run->m, first, first + op->c - 1, entry);
	if (err != want || start != first)
		return tree_differs(run, "alloc: %d at %#lx, should be %d at %#lx", err, start,
				    want, first);
	return 0;
}

static int model_cyclic(struct tree_run *run, const struct tree_op *op, unsigned int *flags,
			unsigned long *next, unsigned long *first)
{
	unsigned long lo = op->a > *next ? op->a : *next;
	int ret = model_gap(&run->m, lo, op->b, 1, first);

	if (!ret && (*flags & MT_FLAGS_ALLOC_WRAPPED)) {
		*flags &= ~(unsigned int)MT_FLAGS_ALLOC_WRAPPED;
		ret = 1;
	}
	if (ret < 0 && lo > op->a) {
		ret = model_gap(&run->m, op->a, op->b, 1, first);
		if (!ret)
			ret = 1;
	}
	if (ret < 0)
		return ret;
	model_store(&run->m, *first, *first, tree_value(op->value));
	*next = *first + 1;
	if (!*next)
		*flags |= MT_FLAGS_ALLOC_WRAPPED;
	return ret;
}

static int op_cyclic(struct tree_run *run, const struct tree_op *op)
{
	void *entry = tree_value(op->value);
	unsigned long start = 12345, first = 12345, next;
	unsigned int flags = run->mt.ma_flags;
	int ret, want;

	if (op->c % 8 == 0)
		run->next_id = op->c;
	next = run->next_id;
	tree_cursor_pause(run);
	tree_log(
		run,
		"next = %#lx; mtree_alloc_cyclic(&mt, &start, (void *)%#lx, %#lx, %#lx, &next, 0);",
		next, (unsigned long)entry, op->a, op->b);
	ret = mtree_alloc_cyclic(&run->mt, &start, entry, op->a, op->b, &next, GFP_KERNEL);
	if (!tracks_gaps(run) || is_reserved(entry))
		want = -EINVAL;
	else
		want = model_cyclic(run, op, &flags, &run->next_id, &first);
	if (ret != want || start != first || next != run->next_id || flags != run->mt.ma_flags)
		return tree_differs(
			run,
			"cyclic: %d at %#lx, next %#lx, flags %#x, should be %d at %#lx, %#lx, %#x",
			ret, start, next, run->mt.ma_flags, want, first, run->next_id, flags);
	return 0;
}

int tree_op_gap(struct tree_run *run, const struct tree_op *op)
{
	if (op->kind == OP_ALLOC_RANGE || op->kind == OP_ALLOC_RRANGE)
		return op_alloc(run, op);
	if (op->kind == OP_ALLOC_CYCLIC)
		return op_cyclic(run, op);
	if (!tracks_gaps(run))
		return 0;
	if (op->kind == OP_GAP_STORE || op->kind == OP_GAP_REV_STORE)
		return op_gap_store(run, op);
	return op_gap(run, op);
}
