/* SPDX-License-Identifier: MIT */
/* Making allocations fail (samara/inject.h). */
#include "support/cmocka_all.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include <samara/inject.h>

#include "alloc/cache.h"
#include "alloc/mem.h"
#include "support/at_locks.h"

DEFINE_OBJ_CACHE(apples, "test_apple", 64, 64);
DEFINE_OBJ_CACHE(pears, "test_pear", 48, 16);
DEFINE_ALLOC_SITE(odd, "test_odd");

#define NAMELESS 40
static struct obj_cache nameless[NAMELESS]; /* more than there are slots */
static char nameless_name[NAMELESS][32];

/* Whether one allocation at each of the three sites works; leaves nothing behind. */
static bool try_cache(struct obj_cache *c)
{
	void *p = cache_alloc(c);

	if (p)
		cache_free(c, p);
	return p;
}

static bool try_mem(void)
{
	void *p = mem_alloc(&odd, 10);

	mem_free(&odd, p);
	return p;
}

static int all_off(void **state)
{
	samara_inject_nth(0);
	(void)samara_inject_count();
	return 0;
}

static int nothing_lives(void **state)
{
	samara_inject_nth(0);
	return samara_live_objects() != 0;
}

static void nth_fails_that_one_only(void **state)
{
	for (unsigned long nth = 1; nth < 200; nth++) {
		samara_inject_nth(nth);
		for (unsigned long i = 1; i < 200; i++) {
			bool ok = i % 3 == 0 ? try_mem() : try_cache(i % 3 == 1 ? &apples : &pears);

			assert_int_equal(ok, i != nth);
		}
	}
}

static void from_fails_that_one_and_all_after_it(void **state)
{
	samara_inject_from(5);
	for (int i = 1; i < 50; i++)
		assert_int_equal(i % 2 ? try_mem() : try_cache(&apples), i < 5);
	samara_inject_from(0);
	assert_true(try_mem());
	assert_true(try_cache(&apples));
}

static void zero_switches_off(void **state)
{
	samara_inject_nth(2);
	assert_true(try_mem());
	samara_inject_nth(0);
	assert_true(try_mem());
	samara_inject_from(1);
	assert_false(try_cache(&pears));
	samara_inject_nth(0);
	assert_true(try_cache(&pears));
}

static void bulk_counts_each_and_fails_whole(void **state)
{
	void *objs[100];

	for (unsigned long nth = 1; nth <= 110; nth++) {
		bool ok;

		samara_inject_nth(nth);
		(void)samara_inject_count();
		ok = cache_alloc_bulk(&apples, 100, objs);
		assert_int_equal(samara_inject_count(), 100);
		assert_int_equal(ok, nth > 100);
		if (ok)
			cache_free_bulk(&apples, 100, objs);
		else
			assert_true(try_cache(&apples));
		for (unsigned long i = 101; i <= 110 && nth > 100; i++)
			assert_int_equal(try_cache(&pears), i != nth);
		assert_int_equal(samara_live_objects(), 0);
	}
}

static void count_is_of_this_thread_since_the_last_call(void **state)
{
	for (int i = 0; i < 500; i++)
		assert_true(try_cache(&apples));
	for (int i = 0; i < 20; i++)
		assert_true(try_mem());
	samara_inject_from(1);
	assert_false(try_cache(&pears));
	assert_false(try_mem());
	assert_int_equal(samara_inject_count(), 522);
	assert_int_equal(samara_inject_count(), 0);
	cache_shrink_all(); /* moves counters about */
	assert_int_equal(samara_inject_count(), 0);
}

static void *other_thread(void *arg)
{
	int *failures = arg;

	*failures = 0;
	if (samara_inject_count() != 0)
		*failures += 1000;
	for (int i = 0; i < 100; i++)
		*failures += !try_cache(&apples) + !try_mem();
	if (samara_inject_count() != 200)
		*failures += 1000;
	samara_inject_nth(1); /* dies with the thread */
	return NULL;
}

static void threads_do_not_see_each_other(void **state)
{
	pthread_t thread;
	int failures;

	samara_inject_nth(3);
	assert_int_equal(pthread_create(&thread, NULL, other_thread, &failures), 0);
	pthread_join(thread, NULL);
	assert_int_equal(failures, 0);
	assert_int_equal(samara_inject_count(), 0);
	assert_true(try_cache(&apples));
	assert_true(try_cache(&apples));
	assert_false(try_cache(&apples));
	assert_true(try_cache(&apples));
}

static void site_fails_once_and_only_there(void **state)
{
	assert_int_equal(samara_inject_site("test_pear", 3), 0);
	for (int i = 1; i < 10; i++) {
		assert_true(try_cache(&apples));
		assert_true(try_mem());
		assert_int_equal(try_cache(&pears), i != 3);
	}
	assert_int_equal(samara_inject_site("test_odd", 1), 0);
	assert_true(try_cache(&pears));
	assert_false(try_mem());
	assert_true(try_mem());
}

static void site_can_be_switched_off(void **state)
{
	assert_int_equal(samara_inject_site("test_pear", 1), 0);
	assert_int_equal(samara_inject_site("test_pear", 0), 0);
	assert_true(try_cache(&pears));
	assert_int_equal(samara_inject_site("no such site", 1), -ENOENT);
}

static void *one_apple(void *arg)
{
	*(bool *)arg = try_cache(&apples);
	return NULL;
}

static void site_counts_in_every_thread(void **state)
{
	pthread_t thread;
	bool ok;

	assert_int_equal(samara_inject_site("test_apple", 2), 0);
	assert_true(try_cache(&apples));
	assert_int_equal(pthread_create(&thread, NULL, one_apple, &ok), 0);
	pthread_join(thread, NULL);
	assert_false(ok);
	assert_true(try_cache(&apples));
}

/* what each site tells ---------------------------------------------------- */

struct wanted {
	const char *name;
	struct samara_site_info info;
	int times;
};

static void look_for(const struct samara_site_info *info, void *arg)
{
	struct wanted *wanted = arg;

	if (!strcmp(info->name, wanted->name)) {
		wanted->info = *info;
		wanted->times++;
	}
}

static struct samara_site_info site_info(const char *name)
{
	struct wanted wanted = { .name = name };

	samara_inject_each_site(look_for, &wanted);
	assert_int_equal(wanted.times, 1);
	return wanted.info;
}

static void sites_tell_asked_refused_and_live(void **state)
{
	struct samara_site_info before = site_info("test_apple"), after;
	void *objs[70];
	pthread_t thread;
	bool ok;

	assert_true(cache_alloc_bulk(&apples, 70, objs));
	samara_inject_nth(1);
	assert_false(try_cache(&apples));
	assert_int_equal(pthread_create(&thread, NULL, one_apple, &ok), 0);
	pthread_join(thread, NULL);
	after = site_info("test_apple");
	assert_int_equal(after.asked - before.asked, 72);
	assert_int_equal(after.refused - before.refused, 1);
	assert_int_equal(after.live, 70);
	cache_free_bulk(&apples, 70, objs);
	assert_int_equal(site_info("test_apple").live, 0);

	before = site_info("test_odd");
	samara_inject_nth(2);
	assert_true(try_mem());
	assert_false(try_mem());
	after = site_info("test_odd");
	assert_int_equal(after.asked - before.asked, 2);
	assert_int_equal(after.refused - before.refused, 1);
	assert_int_equal(after.live, 0);
}

/* A thread that has asked, and ends when it is told to. */
struct asker {
	pthread_t thread;
	int asked, leave; /* atomic */
};

static void *ask_and_stay(void *arg)
{
	struct asker *a = arg;

	meet_join();
	for (int i = 0; i < 10; i++)
		assert_true(try_cache(&apples));
	__atomic_store_n(&a->asked, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&a->leave, __ATOMIC_ACQUIRE))
		sched_yield();
	return NULL;
}

static void let_it_end(void *arg)
{
	struct asker *a = arg;

	__atomic_store_n(&a->leave, 1, __ATOMIC_RELEASE);
	pthread_join(a->thread, NULL);
}

/* A thread ends at any lock that the counting takes: what it asked for is counted all the same. */
static void what_a_thread_asked_for_is_counted_while_it_ends(void **state)
{
	bool met = true;

	if (!at_locks_available())
		skip();
	for (unsigned int nth = 1; met; nth++) {
		const unsigned long before = site_info("test_apple").asked;
		struct asker asker = { .asked = 0 };
		struct samara_site_info now;

		assert_int_equal(pthread_create(&asker.thread, NULL, ask_and_stay, &asker), 0);
		while (!__atomic_load_n(&asker.asked, __ATOMIC_ACQUIRE))
			sched_yield();
		meet_at(NULL, nth, let_it_end, &asker);
		now = site_info("test_apple");
		met = meet_end();
		if (!met)
			let_it_end(&asker);
		assert_int_equal(now.asked - before, 10);
	}
}

static void what_the_allocator_refuses_counts_as_refused(void **state)
{
	const struct samara_site_info before = site_info("test_odd");
	struct samara_site_info after;

	assert_null(mem_alloc(&odd, SIZE_MAX));
	after = site_info("test_odd");
	assert_int_equal(after.asked - before.asked, 1);
	assert_int_equal(after.refused - before.refused, 1);
	assert_int_equal(after.live, before.live);
}

/* Caches beyond the number of magazines work, count and fail like the others. */
static void caches_without_a_slot_behave_alike(void **state)
{
	void *objs[NAMELESS][3];

	for (int i = 0; i < NAMELESS; i++) {
		snprintf(nameless_name[i], sizeof(nameless_name[i]), "nameless_%d", i);
		nameless[i] = (struct obj_cache){
			.size = 96,
			.align = 32,
			.site = { .name = nameless_name[i], .cache = &nameless[i] },
		};
		for (int k = 0; k < 3; k++) {
			objs[i][k] = cache_alloc(&nameless[i]);
			assert_non_null(objs[i][k]);
		}
	}
	assert_int_equal(samara_inject_count(), 3 * NAMELESS);
	assert_int_equal(samara_live_objects(), 3 * NAMELESS);
	for (int i = 0; i < NAMELESS; i++) {
		samara_inject_nth(2);
		assert_true(try_cache(&nameless[i]));
		assert_false(try_cache(&nameless[i]));
		assert_int_equal(samara_inject_site(nameless_name[i], 1), 0);
		assert_false(try_cache(&nameless[i]));
		assert_true(try_cache(&nameless[i]));
		assert_int_equal(site_info(nameless_name[i]).asked, 7);
		assert_int_equal(site_info(nameless_name[i]).refused, 2);
		cache_free(&nameless[i], objs[i][0]);
		cache_free_rcu(&nameless[i], objs[i][1]);
		cache_free_rcu(&nameless[i], objs[i][2]);
	}
	assert_int_equal(samara_live_objects(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nth_fails_that_one_only, all_off, nothing_lives),
		cmocka_unit_test_setup_teardown(from_fails_that_one_and_all_after_it, all_off,
						nothing_lives),
		cmocka_unit_test_setup_teardown(zero_switches_off, all_off, nothing_lives),
		cmocka_unit_test_setup_teardown(bulk_counts_each_and_fails_whole, all_off,
						nothing_lives),
		cmocka_unit_test_setup_teardown(count_is_of_this_thread_since_the_last_call,
						all_off, nothing_lives),
		cmocka_unit_test_setup_teardown(threads_do_not_see_each_other, all_off,
						nothing_lives),
		cmocka_unit_test_setup_teardown(site_fails_once_and_only_there, all_off,
						nothing_lives),
		cmocka_unit_test_setup_teardown(site_can_be_switched_off, all_off, nothing_lives),
		cmocka_unit_test_setup_teardown(site_counts_in_every_thread, all_off,
						nothing_lives),
		cmocka_unit_test(what_the_allocator_refuses_counts_as_refused),
		cmocka_unit_test_setup_teardown(sites_tell_asked_refused_and_live, all_off,
						nothing_lives),
		cmocka_unit_test_setup_teardown(what_a_thread_asked_for_is_counted_while_it_ends,
						all_off, nothing_lives),
		cmocka_unit_test_setup_teardown(caches_without_a_slot_behave_alike, all_off,
						nothing_lives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
