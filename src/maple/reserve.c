/* SPDX-License-Identifier: MIT */
/*
 * Nodes that are allocated before a store, so that the store cannot fail.
 *
 * mas_preallocate() rehearses one store. It builds what the store would build, and keeps the nodes
 * instead of publishing them. A store that comes after other stores cannot be rehearsed:
 * maple_reserve_fill() allocates the most nodes that pack_sizes() makes of each level.
 */
#include "maple/level.h"
#include "maple/writer.h"

void maple_reserve_drop(const struct maple_tree *mt, void **reserve)
{
	for (unsigned int kind = 0; kind < 2; kind++) {
		maple_head *head;

		while ((head = reserve_take(reserve, kind)))
			node_free(mt, head);
	}
}

/* Add n leaves (kind 0) or inner nodes (kind 1). 0 or -ENOMEM. */
static int reserve_add(const struct maple_tree *mt, void **reserve, unsigned int kind,
		       unsigned long n)
{
	while (n--) {
		void *node = node_alloc(mt, kind);

		if (!node)
			return -ENOMEM;
		reserve_put(reserve, node);
	}
	return 0;
}

/* The most nodes that one store builds of a level whose nodes have that many slots. */
static unsigned long most_made(unsigned int slots)
{
	return pack_sizes(GATHER_MAX(slots), slots, GROWS_WITHIN).nodes;
}

int maple_reserve_fill(const struct maple_tree *mt, unsigned int stores, void **reserve)
{
	const void *root = mt->ma_root;
	unsigned long levels = root_is_node(root) ? root_node(root)->level : 0, inner = 0;

	/* Each store builds every level, and perhaps a new root that the next store builds too. */
	for (unsigned int store = 0; store < stores; store++)
		inner += levels++ * most_made(INNER_SLOTS) + 1;
	if (!reserve_add(mt, reserve, 0, stores * most_made(LEAF_SLOTS)) &&
	    !reserve_add(mt, reserve, 1, inner))
		return 0;
	maple_reserve_drop(mt, reserve);
	return -ENOMEM;
}

void samara_mas_destroy(struct ma_state *mas)
{
	maple_reserve_drop(mas->tree, mas->prealloc);
}

static int preallocate(struct ma_state *mas, void *entry)
{
	const struct maple_request request = cursor_request(mas, entry);
	struct maple_writer writer;

	maple_writer_init(&writer, mas->tree);
	return maple_rehearse(&writer, &request);
}

int samara_mas_preallocate(struct ma_state *mas, void *entry, gfp_t gfp)
{
	int err = preallocate(mas, entry);

	(void)gfp;
	if (err) {
		samara_mas_destroy(mas);
		samara_mas_reset(mas);
	}
	return err;
}

/*
 * Enough for that many stores in ascending order. A leaf holds LEAF_SLOTS of them, and each new
 * leaf replaces its parent. The same number again is for leaves that are split.
 */
int samara_mas_expected_entries(struct ma_state *mas, unsigned long nr_entries)
{
	unsigned long wanted = nr_entries / (LEAF_SLOTS / 2) + 3;

	if (!reserve_add(mas->tree, mas->prealloc, 0, wanted) &&
	    !reserve_add(mas->tree, mas->prealloc, 1, wanted + MAX_LEVEL))
		return 0;
	samara_mas_destroy(mas);
	mas->status = ma_error;
	mas->node = (void *)(long)-ENOMEM;
	return -ENOMEM;
}

bool samara_mas_nomem(struct ma_state *mas, gfp_t gfp)
{
	(void)gfp;
	if (samara_mas_errno(mas) != -ENOMEM)
		return false;
	/* A store needs the same nodes for every entry, and not more for NULL. */
	if (preallocate(mas, SAMARA_XA_ZERO_ENTRY))
		return false;
	samara_mas_reset(mas);
	return true;
}
