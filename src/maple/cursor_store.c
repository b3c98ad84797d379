/* SPDX-License-Identifier: MIT */
/*
 * The writing half of the cursor API. The tree's lock is held.
 *
 * After a store the cursor is active on what was stored, but knows no leaf: the
 * next call that needs one walks to it.
 */
#include "maple/store.h"
#include "maple/walk.h"

static void set_error(struct ma_state *mas, int err)
{
	mas->status = ma_error;
	mas->node = (void *)(long)err;
	mas->end = 0;
}

/* The cursor stands on what was stored; after a NULL store on all that is empty around it. */
static void stand_on_stored(struct ma_state *mas, const void *entry)
{
	walk_forget(mas);
	mas->status = ma_active;
	if (!entry)
		samara_mas_walk(mas);
	if (!root_is_node(mas->tree->ma_root))
		samara_mas_reset(mas);
}

static int cursor_store(struct ma_state *mas, void *entry)
{
	struct maple_store op;
	int err;

	if (mas->index > mas->last)
		return -EINVAL;
	store_begin(&op, mas->tree, mas->index, mas->last, entry);
	op.reserve = mas->prealloc;
	err = maple_store(&op);
	if (err)
		return err;
	stand_on_stored(mas, entry);
	return 0;
}

/* What covers the first index, or the first entry of the range. */
static void *first_of_range(const struct ma_state *mas)
{
	MA_STATE(look, mas->tree, mas->index, mas->index);

	return samara_mas_find(&look, mas->last);
}

void *samara_mas_store(struct ma_state *mas, void *entry)
{
	void *first = mas->index > mas->last ? NULL : first_of_range(mas);
	int err = cursor_store(mas, entry);

	if (err) {
		set_error(mas, err);
		return NULL;
	}
	return first;
}

int samara_mas_store_gfp(struct ma_state *mas, void *entry, gfp_t gfp)
{
	int err = cursor_store(mas, entry);

	(void)gfp;
	if (err)
		set_error(mas, err);
	return err;
}

void samara_mas_store_prealloc(struct ma_state *mas, void *entry)
{
	int err = cursor_store(mas, entry);

	VM_WARN_ON(err); /* the range or the tree is not the one that was prepared for */
	if (err)
		set_error(mas, err);
	samara_mas_destroy(mas);
}

void *samara_mas_erase(struct ma_state *mas)
{
	struct maple_store op;
	void *entry;

	store_begin(&op, mas->tree, mas->index, mas->index, NULL);
	entry = maple_erase(&op);
	if (!entry)
		return samara_mas_walk(mas);
	stand_on_stored(mas, NULL);
	return entry;
}
