/* SPDX-License-Identifier: MIT */
/*
 * One operation on the tree and on its model: the calls without a cursor.
 * See tree_ops.h.
 */
#include "tree_ops.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define DUP_COMPARE_MAX 48u

void tree_run_init(struct tree_run *run, unsigned int flags)
{
	memset(run, 0, sizeof(*run));
	mt_init_flags(&run->mt, flags);
	model_init(&run->m);
	mas_init(&run->mas, &run->mt, 0);
	model_cursor_set(&run->c, 0, 0);
}

void tree_run_free(struct tree_run *run)
{
	mtree_destroy(&run->mt);
	model_free(&run->m);
}

int tree_differs(struct tree_run *run, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(run->text, sizeof(run->text), fmt, ap);
	va_end(ap);
	return -1;
}

void tree_log(struct tree_run *run, const char *fmt, ...)
{
	va_list ap;

	if (!run->log)
		return;
	va_start(ap, fmt);
	fputc('\t', run->log);
	vfprintf(run->log, fmt, ap);
	fputc('\n', run->log);
	fflush(run->log);
	va_end(ap);
}

void *tree_value(uint32_t value)
{
	unsigned long id = value;

	switch (id & 31) {
	case 0:
		return xa_mk_value(id >> 5);
	case 1:
		return (void *)((id << 2 | 2) + 4096); /* looks internal, but is not reserved */
	case 2:
		return XA_ZERO_ENTRY;
	case 3:
	case 4:
	case 5:
		return (void *)((id & 7) << 12); /* the same few again and again */
	case 6:
		return (void *)~(id << 2 | 3); /* the top of the address space, low bits clear */
	default:
		return (void *)((id + 1) << 8);
	}
}

const char *tree_op_name(enum tree_op_kind kind)
{
	static const char *const name[OP_KINDS] = {
		[OP_STORE_RANGE] = "store_range",
		[OP_STORE] = "store",
		[OP_INSERT_RANGE] = "insert_range",
		[OP_INSERT] = "insert",
		[OP_ERASE] = "erase",
		[OP_NULL_RANGE] = "NULL store",
		[OP_LOAD] = "load",
		[OP_MT_FIND] = "mt_find",
		[OP_MT_FIND_AFTER] = "mt_find_after",
		[OP_MT_NEXT] = "mt_next",
		[OP_MT_PREV] = "mt_prev",
		[OP_GAP] = "empty_area",
		[OP_GAP_REV] = "empty_area_rev",
		[OP_DUP] = "dup",
		[OP_WALK] = "walk",
		[OP_NEXT] = "next",
		[OP_NEXT_RANGE] = "next_range",
		[OP_PREV] = "prev",
		[OP_PREV_RANGE] = "prev_range",
		[OP_FIND] = "find",
		[OP_FIND_RANGE] = "find_range",
		[OP_FIND_REV] = "find_rev",
		[OP_FIND_RANGE_REV] = "find_range_rev",
		[OP_SET] = "set",
		[OP_PAUSE] = "pause",
		[OP_MAS_STORE] = "mas_store",
		[OP_MAS_STORE_GFP] = "mas_store_gfp",
		[OP_MAS_STORE_NULL] = "mas_store NULL",
		[OP_MAS_STORE_HERE] = "mas_store here",
		[OP_MAS_ERASE] = "mas_erase",
		[OP_MAS_ERASE_HERE] = "mas_erase here",
		[OP_PREALLOC] = "preallocate+store",
		[OP_PREALLOC_DROP] = "preallocate+destroy",
		[OP_SWEEP_ERASE] = "for_each+erase",
		[OP_SWEEP_STORE] = "for_each_rev+store",
		[OP_ALLOC_RANGE] = "alloc_range",
		[OP_ALLOC_RRANGE] = "alloc_rrange",
		[OP_ALLOC_CYCLIC] = "alloc_cyclic",
		[OP_GAP_STORE] = "empty_area+store",
		[OP_GAP_REV_STORE] = "empty_area_rev+store",
		[OP_DESTROY] = "destroy",
		[OP_RCU_OFF_ON] = "rcu off, on",
	};

	return kind < OP_KINDS && name[kind] ? name[kind] : "?";
}

void tree_cursor_pause(struct tree_run *run)
{
	if (run->c.status == ma_start)
		return;
	tree_log(run, "mas_pause(&mas);");
	mas_pause(&run->mas);
	run->c.status = ma_pause;
	run->c.lost = false;
}

static int op_store(struct tree_run *run, const struct tree_op *op)
{
	void *entry = op->kind == OP_NULL_RANGE ? NULL : tree_value(op->value);
	unsigned long last = op->kind == OP_STORE ? op->a : op->b;
	int err, want = op->a > last ? -EINVAL : 0;

	tree_cursor_pause(run);
	tree_log(run, "mtree_store_range(&mt, %#lx, %#lx, (void *)%#lx, GFP_KERNEL);", op->a, last,
		 (unsigned long)entry);
	if (op->kind == OP_STORE)
		err = mtree_store(&run->mt, op->a, entry, GFP_KERNEL);
	else
		err = mtree_store_range(&run->mt, op->a, last, entry, GFP_KERNEL);
	if (!want)
		model_store(&run->m, op->a, last, entry);
	return err == want ? 0 : tree_differs(run, "store: %d, should be %d", err, want);
}

static int op_insert(struct tree_run *run, const struct tree_op *op)
{
	void *entry = tree_value(op->value);
	unsigned long last = op->kind == OP_INSERT ? op->a : op->b;
	int err, want = op->a > last ? -EINVAL : model_insert(&run->m, op->a, last, entry);

	tree_cursor_pause(run);
	tree_log(run, "mtree_insert_range(&mt, %#lx, %#lx, (void *)%#lx, GFP_KERNEL);", op->a, last,
		 (unsigned long)entry);
	if (op->kind == OP_INSERT)
		err = mtree_insert(&run->mt, op->a, entry, GFP_KERNEL);
	else
		err = mtree_insert_range(&run->mt, op->a, last, entry, GFP_KERNEL);
	return err == want ? 0 : tree_differs(run, "insert: %d, should be %d", err, want);
}

static int op_erase(struct tree_run *run, const struct tree_op *op)
{
	void *got, *want = model_erase(&run->m, op->a);

	tree_cursor_pause(run);
	tree_log(run, "mtree_erase(&mt, %#lx);", op->a);
	got = mtree_erase(&run->mt, op->a);
	return got == want ? 0 : tree_differs(run, "erase: %p, should be %p", got, want);
}

static int op_lookup(struct tree_run *run, const struct tree_op *op)
{
	unsigned long index = op->a, want_index = op->a;
	void *got = NULL, *want = NULL;

	switch (op->kind) {
	case OP_LOAD:
		tree_log(run, "mtree_load(&mt, %#lx);", op->a);
		got = mtree_load(&run->mt, op->a);
		want = model_load(&run->m, op->a);
		if (xa_is_zero(want))
			want = NULL;
		break;
	case OP_MT_FIND:
		tree_log(run, "index = %#lx; mt_find(&mt, &index, %#lx);", op->a, op->b);
		got = mt_find(&run->mt, &index, op->b);
		want = model_mt_find(&run->m, &want_index, op->b);
		break;
	case OP_MT_FIND_AFTER:
		tree_log(run, "index = %#lx; mt_find_after(&mt, &index, %#lx);", op->a, op->b);
		got = mt_find_after(&run->mt, &index, op->b);
		want = op->a ? model_mt_find(&run->m, &want_index, op->b) : NULL;
		break;
	case OP_MT_NEXT:
		tree_log(run, "mt_next(&mt, %#lx, %#lx);", op->a, op->b);
		got = mt_next(&run->mt, op->a, op->b);
		want = model_mt_next(&run->m, op->a, op->b);
		break;
	case OP_MT_PREV:
		index = want_index = 0;
		if (run->m.n == 1 &&
		    !run->m.r[0].last) { /* Linux ignores the limit for a root entry */
			tree_log(run, "mt_prev(&mt, %#lx, 0);", op->a);
			got = mt_prev(&run->mt, op->a, 0);
			want = model_mt_prev(&run->m, op->a, 0);
			break;
		}
		tree_log(run, "mt_prev(&mt, %#lx, %#lx);", op->a, op->b);
		got = mt_prev(&run->mt, op->a, op->b);
		want = model_mt_prev(&run->m, op->a, op->b);
		break;
	}
	if (got != want)
		return tree_differs(run, "found %p, should be %p", got, want);
	return index == want_index ?
		       0 :
		       tree_differs(run, "index is %#lx, should be %#lx", index, want_index);
}

static int op_dup(struct tree_run *run, const struct tree_op *op)
{
	struct maple_tree copy = MTREE_INIT(copy, run->mt.ma_flags);
	void *entry = model_load(&run->m, op->a), *got;
	int err;

	tree_log(run, "mtree_dup(&mt, &copy, GFP_KERNEL);");
	err = mtree_dup(&run->mt, &copy, GFP_KERNEL);
	if (err)
		return tree_differs(run, "dup: %d", err);
	mtree_lock(&copy);
	if (copy.ma_flags != run->mt.ma_flags)
		err = tree_differs(run, "dup: flags %#x, should be %#x", copy.ma_flags,
				   run->mt.ma_flags);
	else if (run->m.n <= DUP_COMPARE_MAX)
		err = model_compare(&run->m, &copy, run->text, sizeof(run->text));
	mtree_unlock(&copy);
	tree_log(run, "mtree_erase(&copy, %#lx);", op->a);
	got = mtree_erase(&copy, op->a);
	if (!err && got != entry)
		err = tree_differs(run, "dup: erase in the copy gave %p, should be %p", got, entry);
	tree_log(run, "mtree_destroy(&copy);");
	mtree_destroy(&copy);
	got = mtree_load(&run->mt, op->a);
	if (!err && got != entry && !xa_is_zero(entry))
		err = tree_differs(run, "dup: the copy's erase reached the original");
	return err;
}

static int op_rare(struct tree_run *run, const struct tree_op *op)
{
	tree_cursor_pause(run);
	if (op->kind == OP_DESTROY) {
		tree_log(run, "mtree_destroy(&mt);");
		mtree_destroy(&run->mt);
		model_store(&run->m, 0, ULONG_MAX, NULL);
		return mtree_empty(&run->mt) ? 0 : tree_differs(run, "not empty after destroy");
	}
	if (!mt_in_rcu(&run->mt))
		return 0;
	tree_log(run,
		 "mtree_lock(&mt); mt_clear_in_rcu(&mt); mt_set_in_rcu(&mt); mtree_unlock(&mt);");
	mtree_lock(&run->mt);
	mt_clear_in_rcu(&run->mt);
	mt_set_in_rcu(&run->mt);
	mtree_unlock(&run->mt);
	return 0;
}

int tree_op_normal(struct tree_run *run, const struct tree_op *op)
{
	switch (op->kind) {
	case OP_STORE_RANGE:
	case OP_STORE:
	case OP_NULL_RANGE:
		return op_store(run, op);
	case OP_INSERT_RANGE:
	case OP_INSERT:
		return op_insert(run, op);
	case OP_ERASE:
		return op_erase(run, op);
	case OP_DUP:
		return op_dup(run, op);
	case OP_DESTROY:
	case OP_RCU_OFF_ON:
		return op_rare(run, op);
	default:
		return op_lookup(run, op);
	}
}

int tree_op_apply(struct tree_run *run, const struct tree_op *op)
{
	if (op->kind >= OP_WALK && op->kind <= OP_SWEEP_STORE)
		return tree_op_cursor(run, op);
	if (op->kind == OP_GAP || op->kind == OP_GAP_REV ||
	    (op->kind >= OP_ALLOC_RANGE && op->kind <= OP_GAP_REV_STORE))
		return tree_op_gap(run, op);
	return tree_op_normal(run, op);
}

int tree_run_check(struct tree_run *run)
{
	int err;

	mtree_lock(&run->mt);
	err = model_compare(&run->m, &run->mt, run->text, sizeof(run->text));
	mtree_unlock(&run->mt);
	return err;
}
