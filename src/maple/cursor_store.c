/* SPDX-License-Identifier: MIT */
/*
 * The writing half of the cursor API. The tree's lock is held.
 *
 * After a store the cursor is active on the entry that was stored or, after a store of NULL, on the
 * whole empty range around it. It takes the writer's path where the store left an exact one, as
 * most stores do. Else the next call that needs a leaf walks to one.
 */
#include "maple/store.h"
#include "maple/walk.h"

static void set_error(struct ma_state *mas, int err)
{
	mas->status = ma_error;
	mas->node = (void *)(long)err;
	mas->end = 0;
}

/*
 * The empty range around an index that falls into slot i, or behind it. False: the range reaches
 * beyond the leaf.
 */
static bool empty_in_leaf(struct ma_state *mas, const maple_leaf *leaf, int i)
{
	int below = i, above = i + 1;

	while (below >= 0 && !leaf->slot[below])
		below--;
	while (above < leaf->head.count && !leaf->slot[above])
		above++;
	if (below < 0 || above >= leaf->head.count)
		return false;
	mas->index = leaf->last[below] + 1;
	mas->last = leaf->start[above] - 1;
	return true;
}

/* Stand where the writer's path leads. False: the path is unknown, or its leaf does not tell. */
static bool stand_at_path(struct ma_state *mas, const struct maple_writer *writer,
			  const void *entry)
{
	const struct maple_path *path = &writer->path;
	maple_leaf *leaf = path->node[0];
	int i;

	if (path->state != MAPLE_PATH_EXACT)
		return false;
	i = leaf_search(leaf, mas->index);
	if (!entry && !empty_in_leaf(mas, leaf, i))
		return false;
	mas->node = leaf;
	mas->offset = (unsigned char)max(i, 0);
	mas->end = entry ? leaf->head.count : 0;
	mas->min = path->lower;
	mas->max = path->upper;
	mas->depth = path->top;
	for (unsigned int level = 1; level <= mas->depth; level++) {
		mas->path[level - 1] = path->node[level];
		mas->slots[level - 1] = (signed char)path->slot[level];
	}
	return true;
}

static void stand_on_stored(struct ma_state *mas, const struct maple_writer *writer,
			    const void *entry)
{
	mas->status = ma_active;
	if (stand_at_path(mas, writer, entry))
		return;
	walk_forget(mas);
	if (!entry)
		samara_mas_walk(mas);
	if (!root_is_node(mas->tree->ma_root))
		samara_mas_reset(mas);
}

/* *first, unless first is NULL, becomes the first entry that overlapped the range. */
static int cursor_store(struct ma_state *mas, void *entry, void **first)
{
	const struct maple_request request = cursor_request(mas, entry);
	struct maple_writer writer;
	int err;

	if (mas->index > mas->last)
		return -EINVAL;
	maple_writer_init(&writer, mas->tree);
	if (first)
		*first = edge_first_entry(&writer, mas->index, mas->last);
	err = maple_writer_store(&writer, &request);
	if (err)
		return err;
	stand_on_stored(mas, &writer, entry);
	return 0;
}

void maple_replace(struct ma_state *mas, void *entry)
{
	maple_leaf *leaf = (maple_leaf *)mas->node;

	VM_WARN_ON((mas->status != ma_active && mas->status != ma_root) || !entry);
	if (leaf && leaf->start[mas->offset] == mas->index && leaf->last[mas->offset] == mas->last)
		slot_publish(&leaf->slot[mas->offset], entry);
	else
		samara_mas_store(mas, entry); /* the root itself is the entry */
}

void *samara_mas_store(struct ma_state *mas, void *entry)
{
	void *first = NULL;
	int err = cursor_store(mas, entry, &first);

	if (err) {
		set_error(mas, err);
		return NULL;
	}
	return first;
}

int samara_mas_store_gfp(struct ma_state *mas, void *entry, gfp_t gfp)
{
	int err = cursor_store(mas, entry, NULL);

	(void)gfp;
	if (err)
		set_error(mas, err);
	return err;
}

void samara_mas_store_prealloc(struct ma_state *mas, void *entry)
{
	int err = cursor_store(mas, entry, NULL);

	VM_WARN_ON(err); /* the range or the tree is not the one that was prepared for */
	if (err)
		set_error(mas, err);
	samara_mas_destroy(mas);
}

void *samara_mas_erase(struct ma_state *mas)
{
	struct maple_writer writer;
	void *entry;

	maple_writer_init(&writer, mas->tree);
	entry = maple_writer_erase(&writer, mas->index);
	if (!entry)
		return samara_mas_walk(mas);
	stand_on_stored(mas, &writer, NULL);
	return entry;
}
