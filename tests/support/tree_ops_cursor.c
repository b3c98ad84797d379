/* SPDX-License-Identifier: MIT */
/*
 * One operation on the tree and on its model: the calls with a cursor, under
 * the tree's lock. See tree_ops.h.
 *
 * After a store the model takes over the cursor's index..last and status where
 * the documentation leaves a choice (tree_adopt()): a NULL store may report the
 * range that was asked for or the whole joined empty range, and a cursor on a
 * tree without nodes has no position to keep.
 */
#include "tree_ops.h"

#include <errno.h>

static int compare_cursor(struct tree_run *run, const struct model_cursor *want, const void *got,
			  const void *entry)
{
	const struct ma_state *mas = &run->mas;

	if (got == entry && mas->index == want->index && mas->last == want->last &&
	    mas->status == want->status)
		return 0;
	return tree_differs(run, "%p %#lx..%#lx %s, should be %p %#lx..%#lx %s", got, mas->index,
			    mas->last, maple_status_name(mas->status), entry, want->index,
			    want->last, maple_status_name(want->status));
}

static void set_both(struct tree_run *run, unsigned long first, unsigned long last)
{
	tree_log(run, "mas_set_range(&mas, %#lx, %#lx);", first, last);
	mas_set_range(&run->mas, first, last);
	model_cursor_set(&run->c, first, last);
}

/* Linux looks at no limit below a root entry, nor in an empty tree. */
static bool limit_matters(const struct tree_run *run, enum tree_read call)
{
	if (call != READ_PREV && call != READ_PREV_RANGE && call != READ_FIND_REV &&
	    call != READ_FIND_RANGE_REV)
		return true;
	return run->m.n > 1 || (run->m.n == 1 && run->m.r[0].last);
}

static int op_read(struct tree_run *run, enum tree_read call, unsigned long limit)
{
	struct model_cursor before, other;
	void *got, *want;
	int err;

	if (run->c.lost && call != READ_WALK)
		set_both(run, run->c.index, run->c.index);
	if (!limit_matters(run, call))
		limit = 0;
	if (call == READ_WALK)
		tree_log(run, "mas_walk(&mas);");
	else
		tree_log(run, "%s(&mas, %#lx);", tree_read_name(call), limit);
	before = run->c;
	got = tree_read(&run->mas, call, limit);
	want = model_read(&run->m, model_shape(&run->m), &run->c, call, limit);
	err = compare_cursor(run, &run->c, got, want);
	if (err && model_either_shape(&run->m)) {
		other = before;
		want = model_read(&run->m, MODEL_ROOT, &other, call, limit);
		if (!compare_cursor(run, &other, got, want)) {
			run->c = other;
			return 0;
		}
	}
	return err;
}

static bool status_fits(const struct tree_run *run, const void *entry)
{
	enum maple_status status = run->mas.status;

	if (!run->m.n)
		return status == ma_start || status == ma_none;
	if (run->m.root_entry)
		return status == ma_start || status == ma_none || status == ma_root;
	if (model_either_shape(&run->m))
		return status == ma_start || status == ma_none || status == ma_root ||
		       status == ma_active;
	return status == ma_active || (status == ma_start && !entry);
}

/* After entry was stored over first..last by the cursor, or an entry there erased. */
int tree_adopt(struct tree_run *run, unsigned long first, unsigned long last, const void *entry)
{
	const struct ma_state *mas = &run->mas;
	struct model_range slot = model_slot(&run->m, first);

	if (!status_fits(run, entry))
		return tree_differs(run, "after the store: status %s",
				    maple_status_name(mas->status));
	if (entry && (mas->index != first || mas->last != last))
		return tree_differs(run, "after the store: %#lx..%#lx, should be %#lx..%#lx",
				    mas->index, mas->last, first, last);
	if (!entry && !(mas->index == first && mas->last == last) &&
	    !(mas->index == slot.first && mas->last == slot.last))
		return tree_differs(
			run, "after the NULL store: %#lx..%#lx, should be %#lx..%#lx or %#lx..%#lx",
			mas->index, mas->last, first, last, slot.first, slot.last);
	run->c = (struct model_cursor){ mas->index, mas->last, mas->status, false };
	return 0;
}

/* The first entry in first..last; *here is false when first itself was empty. */
static void *first_entry(const struct tree_run *run, unsigned long first, unsigned long last,
			 bool *here)
{
	size_t i = model_at(&run->m, first);

	*here = i < run->m.n && run->m.r[i].first <= first;
	return i < run->m.n && run->m.r[i].first <= last ? run->m.r[i].entry : NULL;
}

static int store_here(struct tree_run *run, enum tree_op_kind kind, unsigned long first,
		      unsigned long last, void *entry)
{
	bool here;
	void *old = first_entry(run, first, last, &here), *got = old;
	int err = 0;

	switch (kind) {
	case OP_MAS_STORE_GFP:
		tree_log(run, "mas_store_gfp(&mas, (void *)%#lx, GFP_KERNEL);",
			 (unsigned long)entry);
		err = mas_store_gfp(&run->mas, entry, GFP_KERNEL);
		break;
	case OP_PREALLOC:
		tree_log(run,
			 "mas_preallocate(&mas, (void *)%#lx, GFP_KERNEL); mas_store_prealloc();",
			 (unsigned long)entry);
		err = mas_preallocate(&run->mas, entry, GFP_KERNEL);
		if (!err)
			mas_store_prealloc(&run->mas, entry);
		break;
	default:
		tree_log(run, "mas_store(&mas, (void *)%#lx);", (unsigned long)entry);
		got = mas_store(&run->mas, entry);
		if (!got && !here)
			got = old;
	}
	if (err || mas_is_err(&run->mas))
		return tree_differs(run, "store: %d, status %s", err,
				    maple_status_name(run->mas.status));
	if (got != old)
		return tree_differs(run, "mas_store() returned %p, should be %p", got, old);
	model_store(&run->m, first, last, entry);
	return tree_adopt(run, first, last, entry);
}

static int op_store(struct tree_run *run, const struct tree_op *op)
{
	bool null = op->kind == OP_MAS_STORE_NULL || (op->kind == OP_PREALLOC && (op->c & 1));
	unsigned long first = op->a < op->b ? op->a : op->b, last = op->a < op->b ? op->b : op->a;

	if (op->kind == OP_MAS_STORE_HERE && run->c.status == ma_active) {
		if (first < run->c.index || first > run->c.last)
			first = op->c & 1 ? run->c.index : run->c.last;
		if (last < first)
			last = first;
		tree_log(run, "__mas_set_range(&mas, %#lx, %#lx);", first, last);
		__mas_set_range(&run->mas, first, last);
	} else {
		set_both(run, first, last);
	}
	return store_here(run, op->kind, first, last, null ? NULL : tree_value(op->value));
}

static int op_erase(struct tree_run *run, const struct tree_op *op)
{
	struct model_range slot;
	void *got;

	if (op->kind == OP_MAS_ERASE)
		set_both(run, op->a, op->a);
	slot = model_slot(&run->m, run->mas.index);
	tree_log(run, "mas_erase(&mas);");
	got = mas_erase(&run->mas);
	if (got != slot.entry)
		return tree_differs(run, "mas_erase() returned %p, should be %p", got, slot.entry);
	if (!got) { /* nothing to erase: where the cursor stays depends on the shape */
		set_both(run, op->a, op->a);
		return 0;
	}
	model_erase(&run->m, slot.first);
	return tree_adopt(run, slot.first, slot.last, NULL);
}

static int op_prealloc_drop(struct tree_run *run, const struct tree_op *op)
{
	unsigned long first = op->a < op->b ? op->a : op->b, last = op->a < op->b ? op->b : op->a;
	void *entry;
	int err;

	set_both(run, first, last);
	entry = op->c & 1 ? NULL : tree_value(op->value);
	tree_log(run, "mas_preallocate(&mas, (void *)%#lx, GFP_KERNEL); mas_destroy(&mas);",
		 (unsigned long)entry);
	err = mas_preallocate(&run->mas, entry, GFP_KERNEL);
	mas_destroy(&run->mas);
	set_both(run, first, last);
	return err ? tree_differs(run, "mas_preallocate() returned %d", err) : 0;
}

/* Walk over at most c % 16 + 1 entries and change every other one under way. */
static int op_sweep(struct tree_run *run, const struct tree_op *op)
{
	unsigned long first = op->a < op->b ? op->a : op->b, last = op->a < op->b ? op->b : op->a;
	enum tree_read call = op->kind == OP_SWEEP_ERASE ? READ_FIND : READ_FIND_REV;
	unsigned long steps = op->c % 16 + 1, bits = op->value,
		      limit = call == READ_FIND ? last : first;
	struct tree_op erase = { .kind = OP_MAS_ERASE_HERE };
	int err;

	set_both(run, call == READ_FIND ? first : last, call == READ_FIND ? first : last);
	while (steps--) {
		err = op_read(run, call, limit);
		if (err)
			return err;
		/* At the limit the cursor may stand on an empty range, so ask the model. */
		if (!model_load(&run->m, run->c.index) ||
		    (run->c.status != ma_active && run->c.status != ma_root) ||
		    run->c.index > last || run->c.last < first)
			return 0;
		bits = bits >> 1 | bits << 31;
		if (bits & 1)
			continue;
		erase.a = run->c.index;
		if (op->kind == OP_SWEEP_ERASE)
			err = op_erase(run, &erase);
		else
			err = store_here(run, OP_MAS_STORE, run->c.index, run->c.last,
					 tree_value(op->value));
		if (err)
			return err;
	}
	return 0;
}

static int cursor_locked(struct tree_run *run, const struct tree_op *op)
{
	switch (op->kind) {
	case OP_SET:
		set_both(run, op->a, op->a);
		return 0;
	case OP_PAUSE:
		tree_log(run, "mas_pause(&mas);");
		mas_pause(&run->mas);
		run->c.status = ma_pause;
		run->c.lost = false;
		return 0;
	case OP_MAS_ERASE:
	case OP_MAS_ERASE_HERE:
		return op_erase(run, op);
	case OP_PREALLOC_DROP:
		return op_prealloc_drop(run, op);
	case OP_SWEEP_ERASE:
	case OP_SWEEP_STORE:
		return op_sweep(run, op);
	default:
		break;
	}
	if (op->kind >= OP_WALK && op->kind <= OP_FIND_RANGE_REV)
		return op_read(run, (enum tree_read)(READ_WALK + (op->kind - OP_WALK)), op->a);
	return op_store(run, op);
}

int tree_op_cursor(struct tree_run *run, const struct tree_op *op)
{
	int err;

	mtree_lock(&run->mt);
	err = cursor_locked(run, op);
	mtree_unlock(&run->mt);
	return err;
}
