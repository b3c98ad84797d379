/* SPDX-License-Identifier: MIT */
/*
 * Intrusive circular doubly linked list. The head is a node like the others,
 * so that adding and removing have no special cases:
 *
 *      .--> head <--> a <--> b <--> c <--.
 *      '----------------------------------'
 *
 * The caller's lock protects a list. A node that list_del() has removed points nowhere.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/compiler.h"

struct list_head {
	struct list_head *next, *prev;
};

#define LIST_HEAD(name) struct list_head name = { &(name), &(name) }

static inline void list_insert_between(struct list_head *node, struct list_head *prev,
				       struct list_head *next)
{
	node->prev = prev;
	node->next = next;
	prev->next = node;
	next->prev = node;
}

static inline void list_init(struct list_head *head)
{
	head->next = head;
	head->prev = head;
}

static inline bool list_empty(const struct list_head *head)
{
	return head->next == head;
}

/* Put node last. */
static inline void list_add_tail(struct list_head *node, struct list_head *head)
{
	list_insert_between(node, head->prev, head);
}

static inline void list_del(struct list_head *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	node->next = NULL;
	node->prev = NULL;
}

#define list_entry(ptr, type, member) container_of(ptr, type, member)
#define list_first_entry(head, type, member) list_entry((head)->next, type, member)
#define list_next_entry(pos, member) list_entry((pos)->member.next, __typeof__(*(pos)), member)

/*
 * At the end pos is not an entry at all, so its address is compared without looking into it: it
 * need not be aligned as an entry is.
 */
#define list_entry_is_head(pos, head, member) \
	((char *)(pos) + offsetof(__typeof__(*(pos)), member) == (char *)(head))

#define list_for_each_entry(pos, head, member) \
	for (pos = list_first_entry(head, __typeof__(*pos), member); \
	     !list_entry_is_head(pos, head, member); pos = list_next_entry(pos, member))

#endif
