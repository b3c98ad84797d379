/* SPDX-License-Identifier: MIT */
/* samara_set_alloc_hooks() beside threads that have used the library and are idle. */
#include "support/cmocka_all.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include <samara/alloc.h>
#include <samara/inject.h>
#include <samara/maple_tree.h>

static unsigned long blocks; /* of our hooks */

static void *our_alloc(void *ctx, size_t size, size_t align)
{
	void *p = aligned_alloc(align < 16 ? 16 : align, (size + align - 1) & ~(align - 1));

	__atomic_fetch_add(&blocks, p != NULL, __ATOMIC_RELAXED);
	return p;
}

static void our_free(void *ctx, void *p, size_t size)
{
	__atomic_fetch_sub(&blocks, 1, __ATOMIC_RELAXED);
	free(p);
}

static const struct samara_alloc_hooks ours = { .alloc = our_alloc, .free = our_free };

static void use_tree(void)
{
	struct maple_tree tree = MTREE_INIT(tree, MT_FLAGS_USE_RCU);

	for (unsigned long i = 0; i < 200; i++)
		assert_int_equal(mtree_store(&tree, i * 2, &tree, GFP_KERNEL), 0);
	for (unsigned long i = 0; i < 200; i++)
		assert_ptr_equal(mtree_erase(&tree, i * 2), &tree);
	mtree_destroy(&tree);
}

struct idle {
	pthread_t thread;
	sem_t used, go_on;
	bool again; /* uses it once more before it ends */
};

static void *idle(void *arg)
{
	struct idle *t = arg;

	use_tree();
	sem_post(&t->used);
	sem_wait(&t->go_on);
	if (t->again)
		use_tree();
	return NULL;
}

static void start(struct idle *t, bool again)
{
	t->again = again;
	assert_int_equal(sem_init(&t->used, 0, 0), 0);
	assert_int_equal(sem_init(&t->go_on, 0, 0), 0);
	assert_int_equal(pthread_create(&t->thread, NULL, idle, t), 0);
	sem_wait(&t->used);
}

static void end(struct idle *t)
{
	sem_post(&t->go_on);
	pthread_join(t->thread, NULL);
}

static void idle_threads_lose_what_they_kept(void **state)
{
	struct idle ends, goes_on;

	use_tree();
	start(&ends, false);
	start(&goes_on, true);
	assert_int_equal(samara_set_alloc_hooks(&ours), 0);
	end(&ends);
	assert_int_equal(blocks, 0);
	end(&goes_on);
	assert_true(blocks > 0);
	use_tree();
	assert_int_equal(samara_set_alloc_hooks(NULL), 0);
	assert_int_equal(blocks, 0);
}

static void hooks_stay_while_something_is_allocated(void **state)
{
	struct maple_tree tree = MTREE_INIT(tree, 0);

	assert_int_equal(mtree_store(&tree, 5, &tree, GFP_KERNEL), 0);
	assert_int_equal(samara_set_alloc_hooks(&ours), -EBUSY);
	mtree_destroy(&tree);
	assert_int_equal(samara_set_alloc_hooks(&ours), 0);
	assert_int_equal(samara_set_alloc_hooks(NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(idle_threads_lose_what_they_kept),
		cmocka_unit_test(hooks_stay_while_something_is_allocated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
