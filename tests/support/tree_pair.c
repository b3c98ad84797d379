/* SPDX-License-Identifier: MIT */
/*
 * A tree with its model; see tree_pair.h.
 */
#include "tree_pair.h"

#include <string.h>

#include "support/cmocka_all.h"

void tree_pair_grow(struct tree_pair *b, unsigned int flags, unsigned int n, unsigned int step)
{
	unsigned int i;

	memset(b, 0, sizeof(*b));
	mt_init_flags(&b->mt, flags);
	model_init(&b->m);
	for (i = 0; i < n; i++) {
		unsigned long at = 16ul * (i * step % n);
		void *entry = (void *)((at + 16) << 8);
		unsigned long last = n == 1 ? 0 : at + 7; /* one entry: the root entry */

		assert_int_equal(mtree_store_range(&b->mt, at, last, entry, GFP_KERNEL), 0);
		model_store(&b->m, at, last, entry);
	}
}

void tree_pair_check(struct tree_pair *b, const char *what, const char *when)
{
	char text[512] = "";

	mtree_lock(&b->mt);
	if (model_compare(&b->m, &b->mt, text, sizeof(text)))
		fail_msg("%s, %s: %s", what, when, text);
	mtree_unlock(&b->mt);
}

void tree_pair_free(struct tree_pair *b)
{
	mtree_destroy(&b->mt);
	model_free(&b->m);
}
