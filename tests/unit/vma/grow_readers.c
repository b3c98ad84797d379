/* SPDX-License-Identifier: MIT */
/*
 * A stack that grows page by page under readers that take no lock: what was mapped before stays
 * mapped at every moment, as the same VMA, and so do its neighbours.
 */
#include <pthread.h>
#include <sched.h>

#include "support/cmocka_all.h"

#include "base/rcu.h"
#include "core/vma_lock.h"
#include "support/mm_shape.h"
#include "support/random.h"
#include "vma/find.h"

#define TOP 1000
#define READERS 2
#define NEIGHBOURS 8
#define NEIGHBOUR(i) (TOP + 300UL + (i)*2UL)

struct grown {
	struct fixture *f;
	const struct vma *stack;
	const struct vma *neighbour; /* the first above */
	unsigned long reads, wrong;  /* atomic */
	unsigned int running;        /* readers; atomic */
	bool stop;
};

static void *look(void *arg)
{
	struct grown *g = arg;
	unsigned long reads = 0, wrong = 0;

	__atomic_fetch_add(&g->running, 1, __ATOMIC_RELAXED);
	while (!__atomic_load_n(&g->stop, __ATOMIC_RELAXED)) {
		MA_STATE(mas, &g->f->mm->mt, AT(TOP - 1), AT(TOP - 1));

		rcu_read_lock();
		wrong += mtree_load(&g->f->mm->mt, AT(TOP - 1)) != g->stack;
		wrong += mas_walk(&mas) != g->stack || mas.last != AT(TOP) - 1;
		wrong += mtree_load(&g->f->mm->mt, AT(TOP)) != NULL;
		wrong += mtree_load(&g->f->mm->mt, AT(NEIGHBOUR(0))) != g->neighbour;
		rcu_read_unlock();
		reads++;
	}
	__atomic_fetch_add(&g->reads, reads, __ATOMIC_RELAXED);
	__atomic_fetch_add(&g->wrong, wrong, __ATOMIC_RELAXED);
	return NULL;
}

static void a_stack_that_grows_is_there_all_the_time(void **state)
{
	struct grown g = { .f = *state };
	const unsigned int rounds = (test_full() ? 4000 : 400) / (unsigned int)test_slowdown();
	struct samara_mm *mm = g.f->mm;
	pthread_t reader[READERS];

	/* Neighbours, so that its leaf has several entries. */
	map_pages(mm, 0, 2, RW, 0);
	for (unsigned int i = 0; i < NEIGHBOURS; i++)
		map_pages(mm, NEIGHBOUR(i), NEIGHBOUR(i) + 1, RW, 0);
	map_pages(mm, TOP - 2, TOP, RW, MAP_GROWSDOWN);
	g.stack = vma_lookup(mm, AT(TOP - 1));
	g.neighbour = vma_lookup(mm, AT(NEIGHBOUR(0)));
	for (int i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&reader[i], NULL, look, &g), 0);
	while (__atomic_load_n(&g.running, __ATOMIC_RELAXED) < READERS)
		sched_yield();
	for (unsigned int round = 0; round < rounds; round++) {
		for (unsigned int page = TOP - 3; page > TOP - 500; page--)
			assert_int_equal(samara_touch(mm, AT(page), 1, PROT_WRITE), 0);
		assert_int_equal(samara_munmap(mm, AT(TOP - 500), 498 * PAGE), 0);
	}
	__atomic_store_n(&g.stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < READERS; i++)
		assert_int_equal(pthread_join(reader[i], NULL), 0);
	print_message("%lu reads\n", g.reads);
	assert_int_equal(g.wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_stack_that_grows_is_there_all_the_time,
						fixture_up, fixture_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
