/* SPDX-License-Identifier: MIT */
/*
 * Calls that have begun, by thread. Invariants: nr entries; each is in the
 * bucket of its tid and in the list from oldest to newest; a tid has one entry
 * at most; size >= nr, but for want of memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "replay/begun.h"

#define FIRST_SIZE 64

static struct begun **bucket_of(const struct begun_table *b, int tid)
{
	return &b->bucket[(unsigned int)tid * 2654435761U & (b->size - 1)];
}

/* Twice the buckets; with too little memory for them the old ones serve on. */
static int grow(struct begun_table *b)
{
	size_t size = b->size ? 2 * b->size : FIRST_SIZE;
	struct begun **bucket = calloc(size, sizeof(*bucket));

	if (!bucket)
		return b->size ? 0 : -ENOMEM;
	free(b->bucket);
	b->bucket = bucket;
	b->size = size;
	for (struct begun *at = b->oldest; at; at = at->newer) {
		struct begun **head = bucket_of(b, at->tid);

		at->next = *head;
		*head = at;
	}
	return 0;
}

struct begun *begun_take(struct begun_table *b, int tid)
{
	struct begun **at, *found;

	if (!b->nr)
		return NULL;
	at = bucket_of(b, tid);
	while (*at && (*at)->tid != tid) {
		b->looked_at++;
		at = &(*at)->next;
	}
	found = *at;
	if (!found)
		return NULL;
	b->looked_at++;
	*at = found->next;
	*(found->older ? &found->older->newer : &b->oldest) = found->newer;
	*(found->newer ? &found->newer->older : &b->newest) = found->older;
	b->nr--;
	return found;
}

int begun_keep(struct begun_table *b, int tid, const char *text, size_t len)
{
	struct begun *new = malloc(sizeof(*new) + len + 1), **head;

	if (new) {
		memcpy(new->text, text, len); /* before the old entry goes: text may be its */
		new->text[len] = '\0';
		new->len = len;
		new->tid = tid;
	}
	free(begun_take(b, tid));
	if (!new || (b->nr >= b->size && grow(b))) {
		free(new);
		return -ENOMEM;
	}
	head = bucket_of(b, tid);
	new->next = *head;
	*head = new;
	new->newer = NULL;
	new->older = b->newest;
	*(b->newest ? &b->newest->newer : &b->oldest) = new;
	b->newest = new;
	b->nr++;
	return 0;
}

void begun_free(struct begun_table *b)
{
	while (b->oldest) {
		struct begun *next = b->oldest->newer;

		free(b->oldest);
		b->oldest = next;
	}
	free(b->bucket);
}
