/* SPDX-License-Identifier: MIT */
/*
 * Nodes that a cursor has set aside, so that a later store need not ask for any.
 *
 * How many a store needs is found out by doing it: mas_preallocate() builds
 * everything as the store will, and keeps the nodes instead of publishing them.
 */
#include "maple/store.h"
#include "maple/walk.h"

static void reserve_drop(struct ma_state *mas)
{
	for (unsigned int kind = 0; kind < 2; kind++) {
		maple_head *head;

		while ((head = reserve_take(mas->prealloc, kind)))
			node_free(mas->tree, head);
	}
}

void samara_mas_destroy(struct ma_state *mas)
{
	reserve_drop(mas);
}

static int preallocate(struct ma_state *mas, void *entry)
{
	struct maple_store op;

	store_begin(&op, mas->tree, mas->index, mas->last, entry);
	op.reserve = mas->prealloc;
	return maple_rehearse(&op);
}

int samara_mas_preallocate(struct ma_state *mas, void *entry, gfp_t gfp)
{
	int err = preallocate(mas, entry);

	(void)gfp;
	if (err) {
		reserve_drop(mas);
		samara_mas_reset(mas);
	}
	return err;
}

/*
 * Enough for nr stores in ascending order: a leaf for each LEAF_SLOTS of them,
 * which makes its parent anew, and as much again for leaves that are split.
 */
int samara_mas_expected_entries(struct ma_state *mas, unsigned long nr_entries)
{
	unsigned long wanted = nr_entries / (LEAF_SLOTS / 2) + 3;

	for (unsigned int kind = 0; kind < 2; kind++) {
		for (unsigned long i = 0; i < wanted; i++) {
			void *node = node_alloc(mas->tree, kind);

			if (!node) {
				reserve_drop(mas);
				mas->status = ma_error;
				mas->node = (void *)(long)-ENOMEM;
				return -ENOMEM;
			}
			reserve_put(mas->prealloc, node);
		}
		wanted += MAX_LEVEL;
	}
	return 0;
}

bool samara_mas_nomem(struct ma_state *mas, gfp_t gfp)
{
	(void)gfp;
	if (samara_mas_errno(mas) != -ENOMEM)
		return false;
	/* No store of the range needs more than that of an entry, whatever its value. */
	if (preallocate(mas, SAMARA_XA_ZERO_ENTRY))
		return false;
	samara_mas_reset(mas);
	return true;
}
