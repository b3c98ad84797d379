/* SPDX-License-Identifier: MIT */
/*
 * Threads that find no memory: none hangs on a victim, whatever its owner does, and each gets what
 * a victim had.
 */
#include <sched.h>

#include "oom.h"

/* threads ------------------------------------------------------------------------- */

static bool second_done; /* atomic */

/* The first one's kill() waits for this thread, which needs memory too. */
static void *make_room_too(void *arg)
{
	assert_true(oom_make_room(m.machine));
	__atomic_store_n(&second_done, true, __ATOMIC_RELEASE);
	return arg;
}

static void wait_for_another_thread(struct samara_mm *victim)
{
	pthread_t thread;

	(void)victim;
	told.meanwhile = NULL;
	assert_int_equal(pthread_create(&thread, NULL, make_room_too, NULL), 0);
	pthread_join(thread, NULL);
}

static void a_kill_that_waits_for_a_thread_without_memory_ends(void **state)
{
	(void)state;
	fill(mms[1], 10);
	samara_set_oom_score_adj(m.mm, -1000);
	fill_up(m.mm, 0);
	told.meanwhile = wait_for_another_thread;
	assert_true(oom_make_room(m.machine));
	assert_true(__atomic_load_n(&second_done, __ATOMIC_ACQUIRE));
	assert_told(1, mms[1]); /* once */
	assert_int_equal(mem_frames(&m), FRAMES - 10);
}

static void *exit_it(void *mm)
{
	samara_mm_exit(mm);
	return NULL;
}

static void let_it_exit(struct samara_mm *victim)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, exit_it, victim), 0);
	pthread_join(thread, NULL);
}

static void a_victim_that_has_exited_before_it_is_reaped(void **state)
{
	(void)state;
	fill(mms[3], 10);
	samara_set_oom_score_adj(m.mm, -1000);
	fill_up(m.mm, 0);
	told.meanwhile = let_it_exit;
	assert_true(oom_make_room(m.machine));
	assert_told(1, mms[3]);
	assert_int_equal(mem_frames(&m), FRAMES - 10);
	assert_int_equal(samara_mm_create(m.machine, &mms[3]), 0);
}

/* oom_make_room(), which gives a victim up early. */
static bool make_room_soon(void)
{
#ifdef SAMARA_DEBUG
	const unsigned long tries = oom_reap_tries;
	bool room;

	oom_reap_tries = 300;
	room = oom_make_room(m.machine);
	oom_reap_tries = tries;
	return room;
#else
	return oom_make_room(m.machine);
#endif
}

/* Its lock is held all the time: the next victim is another one. */
static void a_victim_whose_lock_cannot_be_had_is_passed_by(void **state)
{
	(void)state;
	fill(mms[1], 10);
	fill(mms[2], 20);
	samara_set_oom_score_adj(m.mm, -1000);
	fill_up(m.mm, 0);
	down_write(&mms[2]->mmap_lock.sem);
	lock_rank_release(&mms[2]->mmap_lock.sem); /* as if another thread held it */
	assert_true(make_room_soon());
	assert_told(1, mms[2]);
	assert_int_equal(mem_frames(&m), FRAMES);
	assert_int_equal(mm_oom(mms[2]), MM_OOM_VICTIM | MM_OOM_SKIP);
	assert_true(oom_make_room(m.machine));
	assert_told(2, mms[1]);
	assert_int_equal(mem_frames(&m), FRAMES - 10);
	lock_rank_try(&mms[2]->mmap_lock.sem, RANK_MMAP);
	mmap_write_unlock(mms[2]);
}

#define THREADS 4

static void *until_none_is_left(void *arg)
{
	while (oom_make_room(m.machine))
		sched_yield();
	return arg;
}

/* Each is told once, whoever finds it, and all threads come to an end. */
static void many_threads_tell_each_victim_once(void **state)
{
	pthread_t thread[THREADS];
	struct samara_file *file;

	(void)state;
	assert_int_equal(samara_file_memfd(m.machine, "full", FRAMES * MEM_PAGE, &file), 0);
	fill_file(file);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, until_none_is_left, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(told.n, MMS);
	for (unsigned int i = 0; i < MMS; i++)
		for (unsigned int k = 0; k < i; k++)
			assert_ptr_not_equal(told.victim[i], told.victim[k]);
	samara_file_put(file);
}

/* the whole path ---------------------------------------------------------------------- */

static void an_access_gets_what_the_victim_had(void **state)
{
	unsigned long a;

	(void)state;
	fill(mms[1], 10);
	fill(mms[2], 30);
	samara_set_oom_score_adj(m.mm, -1000);
	a = map_in(m.mm, 20, MAP_PRIVATE);
	fill_up(m.mm, 0);
	for (unsigned long i = 0; i < 20; i++)
		put(m.mm, a + i * MEM_PAGE, i + 5);
	assert_told(1, mms[2]);
	for (unsigned long i = 0; i < 20; i++)
		assert_int_equal(get(m.mm, a + i * MEM_PAGE), i + 5);
}

static void an_access_of_the_victim_itself_gives_SIGBUS(void **state)
{
	struct samara_fault fault = { 0 };
	unsigned long a, word = 1;

	(void)state;
	fill(mms[1], 30);
	samara_set_oom_score_adj(m.mm, -1000);
	a = map_in(mms[1], 1, MAP_PRIVATE);
	fill_up(m.mm, 0);
	assert_int_equal(samara_write(mms[1], a, &word, sizeof(word), &fault), 0);
	assert_int_equal(fault.signo, SIGBUS);
	assert_int_equal(fault.code, BUS_ADRERR);
	assert_told(1, mms[1]);
}

static void a_write_of_a_file_gets_what_the_victim_had(void **state)
{
	struct samara_file *file;
	char byte = 1;

	(void)state;
	assert_int_equal(samara_file_memfd(m.machine, "file", 8 * MEM_PAGE, &file), 0);
	fill(mms[1], 10);
	samara_set_oom_score_adj(m.mm, -1000);
	fill_up(m.mm, 0);
	for (unsigned long p = 0; p < 8; p++)
		assert_int_equal(samara_file_pwrite(file, &byte, 1, p * MEM_PAGE), 1);
	assert_told(1, mms[1]);
	samara_file_put(file);
}

/* Its pages stay when the machine has ended, and there is no mm. */
static void a_file_that_outlives_its_machine_has_no_victim(void **state)
{
	struct samara_machine_config cfg = SAMARA_MACHINE_CONFIG_INIT;
	struct samara_machine *machine;
	struct samara_file *file;
	unsigned long p = 0;
	char byte = 1;

	(void)state;
	cfg.ram_bytes = FRAMES * MEM_PAGE;
	assert_int_equal(samara_machine_create(&cfg, &machine), 0);
	samara_set_oom(machine, &ops, &told);
	assert_int_equal(samara_file_memfd(machine, "file", 2 * FRAMES * MEM_PAGE, &file), 0);
	samara_machine_destroy(machine);
	while (samara_file_pwrite(file, &byte, 1, p * MEM_PAGE) == 1)
		p++;
	assert_int_equal(p, FRAMES);
	assert_int_equal(told.n, 0);
	samara_file_put(file);
}

static void without_a_victim_an_access_is_refused(void **state)
{
	struct samara_fault fault = { .signo = 1 };
	unsigned long a, word = 1;

	(void)state;
	for (int i = 0; i < MMS; i++)
		samara_set_oom_score_adj(mms[i], -1000);
	a = map_in(m.mm, 1, MAP_PRIVATE);
	fill_up(m.mm, 0);
	assert_int_equal(samara_write(m.mm, a, &word, sizeof(word), &fault), -ENOMEM);
	assert_int_equal(fault.signo, 0);
	for (int i = 0; i < MMS; i++)
		samara_set_oom_score_adj(mms[i], 0);
	samara_set_oom(m.machine, NULL, NULL);
	assert_int_equal(samara_write(m.mm, a, &word, sizeof(word), &fault), -ENOMEM);
	assert_int_equal(told.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(a_kill_that_waits_for_a_thread_without_memory_ends),
		TEST(a_victim_that_has_exited_before_it_is_reaped),
		TEST(a_victim_whose_lock_cannot_be_had_is_passed_by),
		TEST(many_threads_tell_each_victim_once),
		TEST(an_access_gets_what_the_victim_had),
		TEST(an_access_of_the_victim_itself_gives_SIGBUS),
		TEST(a_write_of_a_file_gets_what_the_victim_had),
		TEST(a_file_that_outlives_its_machine_has_no_victim),
		TEST(without_a_victim_an_access_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
