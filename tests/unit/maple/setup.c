/* SPDX-License-Identifier: MIT */
/*
 * Trees before and after their contents: initialisers, locks, RCU mode on and
 * off, destruction, cursor set-up.
 */
#include <pthread.h>
#include <unistd.h>

#include "support/cmocka_all.h"

#include <samara/inject.h>

#include "support/tree_model.h"

#define A ((void *)0xa000)
#define M ULONG_MAX

static DEFINE_MTREE(global_tree);
static struct maple_tree initialised =
	MTREE_INIT(initialised, MT_FLAGS_ALLOC_RANGE | MT_FLAGS_USE_RCU);

static void fill(struct maple_tree *mt, unsigned long n)
{
	unsigned long i;

	for (i = 0; i < n; i++)
		assert_int_equal(mtree_store_range(mt, 16 * i, 16 * i + 7, A, GFP_KERNEL), 0);
}

static void static_trees_work_at_once(void **state)
{
	assert_true(mtree_empty(&global_tree));
	assert_int_equal(global_tree.ma_flags, 0);
	assert_null(mtree_load(&global_tree, 0));
	assert_null(mtree_erase(&global_tree, 0));
	fill(&global_tree, 100);
	assert_ptr_equal(mtree_load(&global_tree, 16 * 99), A);
	mtree_destroy(&global_tree);
	assert_true(mtree_empty(&global_tree));
	assert_true(mt_in_rcu(&initialised));
	fill(&initialised, 100);
	mtree_destroy(&initialised);
	assert_int_equal(initialised.ma_flags, MT_FLAGS_ALLOC_RANGE | MT_FLAGS_USE_RCU);
}

static void init_forgets_garbage(void **state)
{
	struct maple_tree mt;

	__builtin_memset(&mt, 0x5a, sizeof(mt));
	mt_init(&mt);
	assert_true(mtree_empty(&mt));
	assert_int_equal(mt.ma_flags, 0);
	assert_int_equal(mt_height(&mt), 0);
	__builtin_memset(&mt, 0x5a, sizeof(mt));
	mt_init_flags(&mt, MT_FLAGS_ALLOC_RANGE);
	fill(&mt, 50);
	mtree_destroy(&mt);
}

static void destroyed_trees_can_be_used_again(void **state)
{
	unsigned long before = samara_live_objects();
	unsigned int flags, round;

	for (flags = 0; flags < 4; flags++) {
		struct maple_tree mt = MTREE_INIT(mt, flags);

		mtree_destroy(&mt); /* nothing in it */
		for (round = 0; round < 5; round++) {
			fill(&mt, 700);
			if (round & 1) {
				mtree_lock(&mt);
				__mt_destroy(&mt);
				mtree_unlock(&mt);
			} else {
				mtree_destroy(&mt);
			}
			assert_true(mtree_empty(&mt));
			assert_null(mt.ma_root);
			assert_int_equal(mt.ma_flags, flags);
			assert_null(mtree_load(&mt, 16));
		}
	}
	assert_int_equal(samara_live_objects(), before);
}

static void rcu_mode_goes_on_and_off(void **state)
{
	unsigned long before = samara_live_objects();
	struct maple_tree mt = MTREE_INIT(mt, 0);

	fill(&mt, 300);
	mtree_lock(&mt);
	mt_set_in_rcu(&mt);
	mtree_unlock(&mt);
	assert_true(mt_in_rcu(&mt));
	assert_int_equal(mt.ma_flags, MT_FLAGS_USE_RCU);
	fill(&mt, 600);
	assert_ptr_equal(mtree_erase(&mt, 160), A);
	mtree_lock(&mt);
	mt_clear_in_rcu(&mt);
	mtree_unlock(&mt);
	assert_false(mt_in_rcu(&mt));
	assert_int_equal(mt.ma_flags, 0);
	assert_ptr_equal(mtree_load(&mt, 16 * 599), A);
	fill(&mt, 900);
	mtree_destroy(&mt);
	assert_int_equal(samara_live_objects(), before);
}

/* A reader that is inside keeps what it sees, although the tree has gone. */
static void destruction_in_rcu_mode_waits_for_readers(void **state)
{
	struct maple_tree mt = MTREE_INIT(mt, MT_FLAGS_USE_RCU);
	MA_STATE(mas, &mt, 0, 0);
	unsigned long met = 0;

	fill(&mt, 15);
	samara_rcu_read_lock();
	assert_ptr_equal(mas_find(&mas, M), A);
	mtree_destroy(&mt);
	do {
		met++;
		assert_true(mas.index <= 16 * 14);
	} while (mas_find(&mas, M));
	samara_rcu_read_unlock();
	assert_true(met >= 1 && met <= 15);
	samara_rcu_synchronize();
}

static void *try_writing(void *arg)
{
	assert_int_equal(mtree_store((struct maple_tree *)arg, 5, A, GFP_KERNEL), 0);
	return NULL;
}

static void lock_keeps_other_writers_out(void **state)
{
	struct maple_tree mt = MTREE_INIT(mt, 0);
	MA_STATE(mas, &mt, 0, 0);
	pthread_t thread;

	assert_false(mt_lock_is_held(&mt));
	mtree_lock(&mt);
	assert_true(mt_lock_is_held(&mt));
	assert_true(mt_write_lock_is_held(&mt));
	assert_int_equal(pthread_create(&thread, NULL, try_writing, &mt), 0);
	assert_null(mas_walk(&mas));
	assert_true(mtree_empty(&mt));
	mtree_unlock(&mt);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_ptr_equal(mtree_load(&mt, 5), A);
	mas_lock(&mas);
	assert_true(mt_lock_is_held(&mt));
	mas_unlock(&mas);
	assert_false(mt_lock_is_held(&mt));
	mtree_destroy(&mt);
}

static void external_lock_leaves_locking_to_the_caller(void **state)
{
	pthread_mutex_t mine = PTHREAD_MUTEX_INITIALIZER;
	struct maple_tree mt = MTREE_INIT_EXT(mt, MT_FLAGS_LOCK_EXTERN | MT_FLAGS_USE_RCU, mine);
	MA_STATE(mas, &mt, 10, 19);

	mt_set_external_lock(&mt, &mine);
	assert_true(mt_external_lock(&mt));
	assert_true(mt_lock_is_held(&mt));
	pthread_mutex_lock(&mine);
	assert_int_equal(mas_store_gfp(&mas, A, GFP_KERNEL), 0);
	mas_set(&mas, 30);
	assert_null(mas_store(&mas, A));
	assert_ptr_equal(mas_erase(&mas), A);
	assert_ptr_equal(mas_prev(&mas, 0), A);
	assert_int_equal(mas.index, 10);
	__mt_destroy(&mt);
	pthread_mutex_unlock(&mine);
	assert_true(mtree_empty(&mt));
}

static void cursor_setup_sets_what_it_says(void **state)
{
	struct maple_tree mt = MTREE_INIT(mt, 0);
	MA_STATE(mas, &mt, 3, 9);

	fill(&mt, 40);
	assert_ptr_equal(mas.tree, &mt);
	assert_int_equal(mas.index, 3);
	assert_int_equal(mas.last, 9);
	assert_int_equal(mas.status, ma_start);
	mtree_lock(&mt);
	mas_set(&mas, 20);
	assert_ptr_equal(mas_walk(&mas), A);
	assert_true(mas_is_active(&mas));
	__mas_set_range(&mas, 17, 18);
	assert_true(mas_is_active(&mas)); /* the place is kept */
	assert_int_equal(mas.index, 17);
	assert_int_equal(mas.last, 18);
	mas_set_range(&mas, 50, 60);
	assert_int_equal(mas.status, ma_start);
	assert_int_equal(mas.index, 50);
	assert_int_equal(mas.last, 60);
	mas_walk(&mas);
	mas_reset(&mas);
	assert_int_equal(mas.status, ma_start);
	assert_int_equal(mas.index, 48);
	assert_int_equal(mas.last, 55);
	mas_walk(&mas);
	mas_pause(&mas);
	assert_int_equal(mas.status, ma_pause);
	assert_int_equal(mas.index, 48);
	mas_init(&mas, &mt, 77);
	assert_int_equal(mas.status, ma_start);
	assert_int_equal(mas.index, 77);
	assert_int_equal(mas.last, 77);
	mas_destroy(&mas); /* nothing set aside: nothing happens */
	mtree_unlock(&mt);
	mtree_destroy(&mt);
}

static void height_grows_and_shrinks_with_the_tree(void **state)
{
	struct maple_tree mt = MTREE_INIT(mt, 0);
	unsigned int height = 0, now;
	unsigned long i;

	for (i = 0; i < 20000; i++) {
		assert_int_equal(mtree_store(&mt, i * 5 + 1, A, GFP_KERNEL), 0);
		now = mt_height(&mt);
		assert_true(now >= height && now <= height + 1);
		height = now;
	}
	assert_true(height >= 3);
	assert_int_equal(mtree_store_range(&mt, 100, M, NULL, GFP_KERNEL), 0);
	assert_true(mt_height(&mt) < height);
	assert_int_equal(mtree_store_range(&mt, 0, M, NULL, GFP_KERNEL), 0);
	assert_int_equal(mt_height(&mt), 0);
}

static void look_up_everything(struct maple_tree *mt)
{
	static const unsigned long at[] = { 0, 1, 7, 8, 160, M - 1, M };
	size_t i, j;

	for (i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		(void)mtree_load(mt, at[i]);
		for (j = 0; j < sizeof(at) / sizeof(at[0]); j++) {
			unsigned long index = at[i];

			(void)mt_find(mt, &index, at[j]);
			index = at[i];
			(void)mt_find_after(mt, &index, at[j]);
			(void)mt_next(mt, at[i], at[j]);
			(void)mt_prev(mt, at[i], at[j]);
		}
	}
}

/* Else the grace period never ends, for it would wait for this very thread. */
static void lookups_leave_no_read_section_behind(void **state)
{
	static const unsigned long sizes[] = { 0, 1, 10, 1000 };
	unsigned int flags;
	size_t i;

	alarm(60); /* a failure is a hang */
	for (flags = 0; flags < 4; flags++) {
		for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			struct maple_tree mt = MTREE_INIT(mt, flags);

			if (sizes[i] == 1)
				assert_int_equal(mtree_store(&mt, 0, A, GFP_KERNEL), 0);
			else
				fill(&mt, sizes[i]);
			look_up_everything(&mt);
			samara_rcu_synchronize();
			mtree_destroy(&mt);
			samara_rcu_synchronize();
		}
	}
	alarm(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(static_trees_work_at_once),
		cmocka_unit_test(init_forgets_garbage),
		cmocka_unit_test(destroyed_trees_can_be_used_again),
		cmocka_unit_test(rcu_mode_goes_on_and_off),
		cmocka_unit_test(destruction_in_rcu_mode_waits_for_readers),
		cmocka_unit_test(lookups_leave_no_read_section_behind),
		cmocka_unit_test(lock_keeps_other_writers_out),
		cmocka_unit_test(external_lock_leaves_locking_to_the_caller),
		cmocka_unit_test(cursor_setup_sets_what_it_says),
		cmocka_unit_test(height_grows_and_shrinks_with_the_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
