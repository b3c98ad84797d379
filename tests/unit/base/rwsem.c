/* SPDX-License-Identifier: MIT */
/* The reader-writer lock (base/lock.h). */
#include "support/cmocka_all.h"
#include "support/forked.h"
#include "support/random.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/lock.h"

#define THREADS 4

static struct rwsem sem = RWSEM_INIT(RANK_MMAP);
static unsigned long pair[2]; /* equal whenever no writer is inside */
static unsigned long stop;

static bool write_once(void)
{
	bool equal = pair[0] == pair[1];

	pair[0]++;
	pair[1]++;
	return equal;
}

struct mix {
	uint64_t seed;
	unsigned long rounds, writes;
	bool torn;
};

static void *mixed(void *arg)
{
	struct mix *job = arg;
	struct rng rng;

	rng_init(&rng, job->seed);
	for (unsigned long i = 0; i < job->rounds; i++) {
		switch (rng_below(&rng, 8)) {
		case 0:
			down_write(&sem);
			job->torn |= !write_once();
			job->writes++;
			up_write(&sem);
			break;
		case 1:
			down_write(&sem);
			job->torn |= !write_once();
			job->writes++;
			downgrade_write(&sem);
			job->torn |= pair[0] != pair[1];
			up_read(&sem);
			break;
		case 2:
			if (!down_write_trylock(&sem))
				break;
			job->torn |= !write_once();
			job->writes++;
			up_write(&sem);
			break;
		case 3:
			if (!down_read_trylock(&sem))
				break;
			job->torn |= pair[0] != pair[1];
			up_read(&sem);
			break;
		default:
			down_read(&sem);
			job->torn |= pair[0] != pair[1];
			up_read(&sem);
		}
	}
	return NULL;
}

static void writers_are_alone_and_nobody_is_lost(void **state)
{
	struct mix job[THREADS] = { 0 };
	pthread_t thread[THREADS];
	unsigned long writes = 0;

	memset(pair, 0, sizeof(pair));
	for (size_t i = 0; i < THREADS; i++) {
		job[i].seed = test_seed() + i;
		job[i].rounds = (test_full() ? 50 : 1) * 100000 / test_slowdown();
		assert_int_equal(pthread_create(&thread[i], NULL, mixed, &job[i]), 0);
	}
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(thread[i], NULL);
		if (job[i].torn)
			test_replay(test_seed());
		assert_false(job[i].torn);
		writes += job[i].writes;
	}
	assert_int_equal(pair[0], writes);
	assert_false(rwsem_is_locked(&sem));
	assert_int_equal(sem.state, 0);
	assert_null(sem.first);
}

struct tries {
	bool read, write;
};

static void *try_both(void *arg)
{
	struct tries *got = arg;

	got->read = down_read_trylock(&sem);
	if (got->read)
		up_read(&sem);
	got->write = down_write_trylock(&sem);
	if (got->write)
		up_write(&sem);
	return NULL;
}

static struct tries try_in_another_thread(void)
{
	struct tries got;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, try_both, &got), 0);
	pthread_join(thread, NULL);
	return got;
}

static void readers_share_and_writers_do_not(void **state)
{
	struct tries got = try_in_another_thread();

	assert_true(got.read && got.write);
	down_read(&sem);
	got = try_in_another_thread();
	assert_true(got.read && !got.write);
	assert_true(rwsem_is_locked(&sem));
	assert_false(rwsem_is_write_locked(&sem));
	up_read(&sem);
	down_write(&sem);
	got = try_in_another_thread();
	assert_true(!got.read && !got.write);
	assert_true(rwsem_is_write_locked(&sem));
	downgrade_write(&sem);
	got = try_in_another_thread();
	assert_true(got.read && !got.write);
	up_read(&sem);
	assert_false(rwsem_is_locked(&sem));
}

/* Fairness: each of these ends only if the one is let in beside the many. */

static void *read_until_stopped(void *arg)
{
	while (!READ_ONCE(stop)) {
		down_read(&sem);
		up_read(&sem);
	}
	return arg;
}

static void *write_until_stopped(void *arg)
{
	while (!READ_ONCE(stop)) {
		down_write(&sem);
		up_write(&sem);
	}
	return arg;
}

static void beside(void *(*many)(void *arg), void (*down)(struct rwsem *sem),
		   void (*up)(struct rwsem *sem))
{
	pthread_t thread[THREADS];

	WRITE_ONCE(stop, 0);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, many, NULL), 0);
	for (int i = 0; i < 200; i++) {
		down(&sem);
		up(&sem);
	}
	WRITE_ONCE(stop, 1);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	assert_false(rwsem_is_locked(&sem));
}

static void readers_do_not_starve_a_writer(void **state)
{
	beside(read_until_stopped, down_write, up_write);
}

static void writers_do_not_starve_a_reader(void **state)
{
	beside(write_until_stopped, down_read, up_read);
}

static void read_recursively(void *arg)
{
	down_read(&sem);
	down_read(&sem);
}

static void read_then_write(void *arg)
{
	down_read(&sem);
	down_write(&sem);
}

static void recursion_ends_the_process(void **state)
{
#ifdef SAMARA_DEBUG
	struct forked child;

	run_forked(read_recursively, NULL, &child);
	assert_non_null(strstr(child.text, "mmap_lock taken twice"));
	run_forked(read_then_write, NULL, &child);
	assert_non_null(strstr(child.text, "mmap_lock taken twice"));
#else
	(void)read_recursively, (void)read_then_write;
	skip();
#endif
}

static void assert_helpers(void *arg)
{
	struct rwsem other;

	unsetenv("SAMARA_FATAL_WARNINGS");
	rwsem_init(&other, RANK_VMA);
	down_write(&sem);
	rwsem_assert_held(&sem);
	rwsem_assert_held_write(&sem);
	down_read(&other);
	rwsem_assert_held(&other);
	if (samara_warnings())
		_Exit(1);
	rwsem_assert_held_write(&other);
	up_read(&other);
	rwsem_assert_held(&other);
	_Exit((int)samara_warnings() + 2);
}

static void assert_helpers_know_how_it_is_held(void **state)
{
	struct forked child;

	run_forked(assert_helpers, NULL, &child);
#ifdef SAMARA_DEBUG
	assert_int_equal(child.status, 4);
#else
	assert_int_equal(child.status, 2);
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(readers_share_and_writers_do_not),
		cmocka_unit_test(writers_are_alone_and_nobody_is_lost),
		cmocka_unit_test(readers_do_not_starve_a_writer),
		cmocka_unit_test(writers_do_not_starve_a_reader),
		cmocka_unit_test(recursion_ends_the_process),
		cmocka_unit_test(assert_helpers_know_how_it_is_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
