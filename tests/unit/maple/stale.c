/* SPDX-License-Identifier: MIT */
/*
 * A reader whose way down is out of date: the level above its parent was
 * replaced, and what that said of its neighbour no longer holds.
 */

#include "support/cmocka_all.h"

#include "maple/node.h"

#define A ((void *)0xa000)
#define B ((void *)0xb000)
#define ENTRIES 6000ul

static struct maple_tree mt;

static void put(unsigned long first, unsigned long last, void *entry)
{
	assert_int_equal(mtree_store_range(&mt, first, last, entry, GFP_KERNEL), 0);
}

static maple_inner *grow(unsigned int flags)
{
	maple_inner *root;
	unsigned long i;

	mt_init_flags(&mt, flags);
	for (i = 0; i < ENTRIES; i++)
		put(16 * i, 16 * i + 7, A);
	root = (maple_inner *)root_node(mt.ma_root);
	assert_int_equal(root->head.level, 2);
	assert_true(root->head.count >= 5);
	return root;
}

/* Fill the gaps from first on until the root has another node. */
static void replace_root(unsigned long first)
{
	const void *root = mt.ma_root;
	unsigned long at;

	for (at = first / 16 * 16; mt.ma_root == root; at += 16) {
		assert_true(at < 16 * ENTRIES);
		put(at + 8, at + 9, A);
		put(at + 11, at + 12, A);
	}
}

enum way { UPWARDS, DOWNWARDS };

/* Child c of the root is emptied entry by entry, then something is put back there. */
static void neighbour_comes_back(unsigned int flags, int c, enum way way)
{
	maple_inner *root = grow(flags);
	unsigned long first = (root->key[c] + 15) / 16 * 16, end = root->key[c + 1], at;
	MA_STATE(mas, &mt, 0, 0);

	samara_rcu_read_lock();
	mas_set(&mas, way == UPWARDS ? first - 16 : (end + 15) / 16 * 16);
	assert_ptr_equal(mas_walk(&mas), A);
	for (at = first; at < end; at += 16)
		assert_ptr_equal(mtree_erase(&mt, at), A);
	assert_null(root->slot[c]);
	replace_root(root->key[way == UPWARDS ? c + 2 : 0] + 64);
	put(first + 160, first + 161, B);
	assert_ptr_equal(way == UPWARDS ? mas_next(&mas, ULONG_MAX) : mas_prev(&mas, 0), B);
	assert_int_equal(mas.index, first + 160);
	samara_rcu_read_unlock();
	mtree_destroy(&mt);
}

static void entry_in_a_subtree_that_was_cut_off_is_found(void **state)
{
	int c;

	for (c = 1; c < 4; c++) {
		neighbour_comes_back(MT_FLAGS_USE_RCU, c, UPWARDS);
		neighbour_comes_back(MT_FLAGS_USE_RCU | MT_FLAGS_ALLOC_RANGE, c, UPWARDS);
	}
	for (c = 2; c < 4; c++) {
		neighbour_comes_back(MT_FLAGS_USE_RCU, c, DOWNWARDS);
		neighbour_comes_back(MT_FLAGS_USE_RCU | MT_FLAGS_ALLOC_RANGE, c, DOWNWARDS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entry_in_a_subtree_that_was_cut_off_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
