/* SPDX-License-Identifier: MIT */
/* Spinlock, mutex and the rank checker (base/lock.h, base/lock_rank.h). */
#include "support/cmocka_all.h"
#include "support/forked.h"
#include "support/random.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/lock.h"

#define THREADS 4

static struct samara_spinlock spin;
static struct mutex mutex = MUTEX_INIT(RANK_USER);
static unsigned long counter; /* plain: only a lock makes the sum right */

static void *count_with_spinlock(void *arg)
{
	for (unsigned long i = *(unsigned long *)arg; i; i--) {
		spin_lock(&spin, RANK_MAPLE);
		counter++;
		spin_unlock(&spin);
	}
	return NULL;
}

static void *count_with_mutex(void *arg)
{
	for (unsigned long i = *(unsigned long *)arg; i; i--) {
		if (i % 4 || !mutex_trylock(&mutex))
			mutex_lock(&mutex);
		counter++;
		mutex_unlock(&mutex);
	}
	return NULL;
}

static void count_in_threads(void *(*count)(void *arg))
{
	unsigned long rounds = 100000 / test_slowdown();
	pthread_t thread[THREADS];

	counter = 0;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, count, &rounds), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(counter, THREADS * rounds);
}

static void spinlock_excludes(void **state)
{
	count_in_threads(count_with_spinlock);
	assert_false(spin_is_locked(&spin));
}

static void mutex_excludes(void **state)
{
	count_in_threads(count_with_mutex);
	assert_false(mutex_is_locked(&mutex));
}

static void *try_both(void *arg)
{
	bool *got = arg;

	got[0] = spin_trylock(&spin, RANK_MAPLE);
	got[1] = mutex_trylock(&mutex);
	return NULL;
}

static void trylock_fails_while_held(void **state)
{
	bool got[2] = { true, true };
	pthread_t thread;

	mutex_lock(&mutex);
	assert_true(spin_trylock(&spin, RANK_MAPLE));
	assert_true(spin_is_locked(&spin));
	assert_int_equal(pthread_create(&thread, NULL, try_both, got), 0);
	pthread_join(thread, NULL);
	spin_unlock(&spin);
	mutex_unlock(&mutex);
	assert_false(got[0]);
	assert_false(got[1]);
	assert_false(spin_is_locked(&spin));
}

static void a_public_spinlock_is_four_bytes_of_zero(void **state)
{
	struct samara_spinlock zero;

	assert_int_equal(sizeof(zero), 4);
	memset(&zero, 0, sizeof(zero));
	spin_lock(&zero, RANK_MAPLE);
	spin_unlock(&zero);
	assert_int_equal(zero.word, 0);
}

static void every_rank_has_a_name(void **state)
{
	for (int rank = 0; rank < RANK_COUNT; rank++)
		assert_string_not_equal(lock_rank_name(rank), "unknown");
	assert_string_equal(lock_rank_name(RANK_COUNT), "unknown");
}

/* ranks ------------------------------------------------------------------- */

static struct samara_spinlock low, high, twin;

static void descending(void *arg)
{
	spin_lock(&high, RANK_FRAME);
	spin_lock(&low, RANK_MMAP);
}

static void equal(void *arg)
{
	spin_lock(&high, RANK_FRAME);
	spin_lock(&twin, RANK_FRAME);
}

static void same_lock(void *arg)
{
	spin_lock(&high, RANK_FRAME);
	spin_lock_nested(&high, RANK_FRAME);
}

static void below_a_trylock(void *arg)
{
	spin_lock(&low, RANK_MMAP);
	if (spin_trylock(&high, RANK_FRAME))
		spin_lock(&twin, RANK_PAGE_TABLE);
}

static struct rwsem rwsem = RWSEM_INIT(RANK_MMAP);

/* Said before it would wait for itself for ever. */
static void read_what_is_written(void *arg)
{
	down_write(&rwsem);
	down_read(&rwsem);
}

static void write_what_is_read(void *arg)
{
	down_read(&rwsem);
	down_write(&rwsem);
}

static void read_nested_what_is_written(void *arg)
{
	down_write(&rwsem);
	down_read_nested(&rwsem);
}

static void write_nested_what_is_read(void *arg)
{
	down_read(&rwsem);
	down_write_nested(&rwsem);
}

static void write_nested_what_is_written(void *arg)
{
	down_write(&rwsem);
	down_write_nested(&rwsem);
}

static struct mutex mutex_twice = MUTEX_INIT(RANK_MMAP);

static void same_mutex(void *arg)
{
	mutex_lock(&mutex_twice);
	mutex_lock(&mutex_twice);
}

static void same_spinlock(void *arg)
{
	spin_lock(&high, RANK_FRAME);
	spin_lock(&high, RANK_FRAME);
}

static void unlock_not_held(void *arg)
{
	spin_unlock(&low);
}

static void rank_violations_end_the_process(void **state)
{
	static const struct {
		void (*fn)(void *arg);
		const char *text;
	} wrong[] = {
		{ descending, "mmap_lock taken while holding frame" },
		{ equal, "frame taken while holding frame" },
		{ same_lock, "frame taken twice" },
		{ below_a_trylock, "page table taken while holding frame" },
		{ read_what_is_written, "mmap_lock taken twice" },
		{ write_what_is_read, "mmap_lock taken twice" },
		{ read_nested_what_is_written, "mmap_lock taken twice" },
		{ write_nested_what_is_read, "mmap_lock taken twice" },
		{ write_nested_what_is_written, "mmap_lock taken twice" },
		{ same_mutex, "mmap_lock taken twice" },
		{ same_spinlock, "frame taken twice" },
		{ unlock_not_held, "does not hold" },
	};

#ifndef SAMARA_DEBUG
	skip();
#endif
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct forked child;

		run_forked(wrong[i].fn, NULL, &child);
		assert_true(child.signal || child.status);
		assert_non_null(strstr(child.text, "samara: BUG: lock order"));
		assert_non_null(strstr(child.text, wrong[i].text));
	}
}

static void correct_orders(void *arg)
{
	/* ascending, released in another order */
	spin_lock(&low, RANK_MMAP);
	spin_lock(&high, RANK_PAGE_TABLE);
	spin_unlock(&low);
	/* equal, said so */
	spin_lock_nested(&twin, RANK_PAGE_TABLE);
	spin_unlock(&high);
	/* a trylock may go down */
	if (!spin_trylock(&low, RANK_MMAP))
		_Exit(1);
	spin_assert_held(&low);
	spin_assert_held(&twin);
	spin_unlock(&twin);
	spin_unlock(&low);
	/* and everything anew */
	spin_lock(&low, RANK_MMAP);
	spin_unlock(&low);
}

static void correct_orders_pass(void **state)
{
	struct forked child;

	run_forked(correct_orders, NULL, &child);
	assert_int_equal(child.signal, 0);
	assert_int_equal(child.status, 0);
	assert_string_equal(child.text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_public_spinlock_is_four_bytes_of_zero),
		cmocka_unit_test(spinlock_excludes),
		cmocka_unit_test(mutex_excludes),
		cmocka_unit_test(trylock_fails_while_held),
		cmocka_unit_test(every_rank_has_a_name),
		cmocka_unit_test(rank_violations_end_the_process),
		cmocka_unit_test(correct_orders_pass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
