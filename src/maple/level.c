/* SPDX-License-Identifier: MIT */
/*
 * How the nodes of one level are filled (level.h), and where they come from.
 */
#include "maple/level.h"

/*
 * The fewest nodes that leave a tenth of each one free, filled evenly. A tree that grows at one
 * end, as one that is filled in order does, gets full nodes.
 */
struct packing pack_sizes(unsigned int items, unsigned int slots, enum growth growth)
{
	unsigned int filled = slots - slots / 10;
	struct packing packing = { .nodes = items ? 1 : 0, .size = { items } };

	if (items <= slots)
		return packing;
	if (growth != GROWS_WITHIN && items <= 2 * slots) {
		packing.nodes = 2;
		packing.size[growth == GROWS_AT_END ? 0 : 1] = slots;
		packing.size[growth == GROWS_AT_END ? 1 : 0] = items - slots;
		return packing;
	}
	BUG_ON(items > GATHER_MAX(slots));
	packing.nodes = (items + filled - 1) / filled;
	BUG_ON(packing.nodes > FRESH_MAX);
	for (unsigned int i = 0; i < packing.nodes; i++)
		packing.size[i] = items * (i + 1) / packing.nodes - items * i / packing.nodes;
	return packing;
}

struct neighbour neighbour_wanted(const struct maple_store *op, unsigned int level,
				  unsigned int items, unsigned int slots, enum growth growth)
{
	struct neighbour none = { .node = NULL }, neighbour = none;
	const maple_inner *parent;
	bool overflows = items > slots && growth == GROWS_WITHIN;
	bool sparse = items && is_sparse(items, slots);

	if (level == op->left->top || (!overflows && !sparse))
		return none;
	parent = op->left->node[level + 1];
	neighbour.slot = live_below(parent, op->left->slot[level + 1]);
	neighbour.on_left = neighbour.slot >= 0;
	if (!neighbour.on_left) {
		parent = op->right->node[level + 1];
		neighbour.slot = live_above(parent, op->right->slot[level + 1]);
		if (neighbour.slot >= parent->head.count)
			return none;
	}
	neighbour.node = parent->slot[neighbour.slot];
	if (sparse && items + neighbour.node->live > slots * 9 / 10)
		return none;
	return neighbour;
}

void neighbour_take(struct maple_store *op, struct neighbour neighbour)
{
	op->fresh.replaced = neighbour.on_left ? LEFT_JOINED : RIGHT_JOINED;
	op->fresh.neighbour = neighbour.slot;
	old_node(op, neighbour.node);
}

void old_node(struct maple_store *op, void *node)
{
	BUG_ON(op->old.n == OLD_MAX);
	op->old.node[op->old.n++] = node;
}

void *reserve_take(void **reserve, unsigned int level)
{
	void **chain = &reserve[level > 0];
	maple_head *head = *chain;

	if (head) {
		*chain = head->link[0];
		head->dead = 0;
	}
	return head;
}

void reserve_put(void **reserve, void *node)
{
	maple_head *head = node;
	void **chain = &reserve[head->level > 0];

	head->link[0] = *chain;
	*chain = head;
}

void *made_node(struct maple_store *op, unsigned int level)
{
	void **reserve = op->request->reserve;
	maple_head *head = reserve ? reserve_take(reserve, level) : NULL;

	if (!head)
		head = node_alloc(op->mt, level);
	if (unlikely(!head))
		return NULL;
	head->level = (unsigned char)level;
	head->link[0] = op->made;
	op->made = head;
	return head;
}
