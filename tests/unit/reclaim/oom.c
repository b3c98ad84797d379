/* SPDX-License-Identifier: MIT */
/*
 * Who is chosen when memory has run out, what happens to it, and that no thread hangs on a victim
 * whose owner does nothing.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

#include <samara/reclaim.h>

#include "../process/family.h"
#include "core/mms.h"
#include "frame/vm_event.h"
#include "reclaim/reclaim.h"

#define FRAMES 256UL
#define MMS 4

static struct mem m;
static struct samara_mm *mms[MMS]; /* mms[0] is m.mm; the oldest first */

static struct {
	struct samara_mm *victim[8];
	unsigned int n;
	void (*meanwhile)(struct samara_mm *victim);
} told;

static void kill_it(struct samara_mm *victim, void *priv)
{
	assert_ptr_equal(priv, &told);
	assert_false(lock_rank_holds_any());
	told.victim[__atomic_fetch_add(&told.n, 1, __ATOMIC_RELAXED) % 8] = victim;
	if (told.meanwhile)
		told.meanwhile(victim);
}

static const struct samara_oom_ops ops = { .size = sizeof(ops), .kill = kill_it };

/* What reclaim does when it has freed nothing. */
static bool make_room(struct file_store *store)
{
	assert_ptr_equal(store, m.machine->store);
	return oom_make_room(m.machine);
}

static int set_up(void **state)
{
	(void)state;
	memset(&told, 0, sizeof(told));
	mem_open(&m, FRAMES * MEM_PAGE);
	mms[0] = m.mm;
	for (int i = 1; i < MMS; i++)
		assert_int_equal(samara_mm_create(m.machine, &mms[i]), 0);
	samara_set_oom(m.machine, &ops, &told);
	m.machine->store->make_room = make_room;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	mem_check(&m);
	for (int i = 1; i < MMS; i++)
		samara_mm_exit(mms[i]);
	mem_close(&m);
	return 0;
}

static unsigned long map_in(struct samara_mm *mm, unsigned long pages, int flags)
{
	const struct mem o = other(&m, mm);

	return mem_map(&o, pages, RW, flags, NULL);
}

/* mm writes to that many pages of its own. Their address. */
static unsigned long fill(struct samara_mm *mm, unsigned long pages)
{
	const unsigned long a = map_in(mm, pages, MAP_PRIVATE);

	for (unsigned long i = 0; i < pages; i++)
		put(mm, a + i * MEM_PAGE, i);
	return a;
}

/* Shared memory, which no victim gives back, has all frames that are left but keep. */
static void fill_up(struct samara_mm *mm, unsigned long keep)
{
	const unsigned long pages = FRAMES - mem_frames(&m) - keep;
	const unsigned long a = map_in(mm, pages, MAP_SHARED);

	for (unsigned long i = 0; i < pages; i++)
		put(mm, a + i * MEM_PAGE, i);
}

static void assert_told(unsigned int n, const struct samara_mm *last)
{
	assert_int_equal(told.n, n);
	assert_ptr_equal(told.victim[n - 1], last);
}

/* choice ----------------------------------------------------------------------- */

static void the_largest_is_chosen_told_and_reaped(void **state)
{
	(void)state;
	fill(mms[1], 10);
	fill(mms[2], 30);
	fill(mms[3], 20);
	fill_up(mms[0], 0);
	samara_set_oom_score_adj(mms[0], -1000);
	assert_true(oom_make_room(m.machine));
	assert_told(1, mms[2]);
	assert_int_equal(mem_frames(&m), FRAMES - 30);
	assert_int_equal(mm_rss_sum(mms[2], MM_ANONPAGES), 0);
	assert_int_equal(mm_oom(mms[2]), MM_OOM_VICTIM | MM_UNSTABLE | MM_OOM_SKIP);
	assert_int_equal(vm_event_sum(m.machine->ram, OOM_KILL), 1);
}

/* Pages of shared memory and page tables count, as much as others. */
static void all_that_an_mm_has_counts(void **state)
{
	unsigned long at;

	(void)state;
	fill(mms[1], 12);
	at = map_in(mms[2], 8, MAP_SHARED);
	for (unsigned long i = 0; i < 8; i++)
		put(mms[2], at + i * MEM_PAGE, i);
	fill(mms[2], 1);
	/* A page each in leaf tables of their own. */
	for (unsigned long i = 1; i < 6; i++) {
		at = samara_mmap(mms[2], i << 32, MEM_PAGE, RW,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0);
		assert_int_equal(samara_madvise(mms[2], at, MEM_PAGE, MADV_GUARD_INSTALL), 0);
	}
	assert_true(mms[2]->tables.nr > mms[1]->tables.nr + 4);
	samara_set_oom_score_adj(mms[0], -1000);
	fill_up(mms[0], 0);
	assert_true(oom_make_room(m.machine));
	assert_told(1, mms[2]);
}

/* 300 thousandths of 256 pages are 76. */
static void the_adjustment_counts_as_thousandths_of_all_pages(void **state)
{
	(void)state;
	fill(mms[0], 90);
	fill(mms[1], 10);
	fill(mms[2], 20);
	assert_int_equal(samara_set_oom_score_adj(mms[2], 300), 0);
	fill(mms[3], 60);
	assert_int_equal(samara_set_oom_score_adj(mms[3], -300), 0);
	fill(mms[1], FRAMES - mem_frames(&m));
	assert_int_equal(samara_set_oom_score_adj(mms[1], -1000), 0);
	assert_true(oom_make_room(m.machine));
	assert_told(1, mms[2]); /* 96 + tables; mms[0] has 90, mms[3] -16 */
	fill_up(mms[1], 0);
	assert_true(oom_make_room(m.machine));
	assert_told(2, mms[0]);
	fill_up(mms[1], 0);
	assert_true(oom_make_room(m.machine));
	assert_told(3, mms[3]);
	fill_up(mms[1], 0);
	assert_false(oom_make_room(m.machine));
}

static void of_two_alike_the_younger_is_chosen(void **state)
{
	(void)state;
	fill(mms[1], 20);
	fill(mms[2], 20);
	samara_set_oom_score_adj(mms[0], -1000);
	fill_up(mms[0], 0);
	assert_true(oom_make_room(m.machine));
	assert_told(1, mms[2]);
}

static void the_adjustment_is_checked_and_inherited(void **state)
{
	struct samara_mm *child;

	(void)state;
	assert_int_equal(samara_set_oom_score_adj(m.mm, 1001), -EINVAL);
	assert_int_equal(samara_set_oom_score_adj(m.mm, -1001), -EINVAL);
	assert_int_equal(samara_set_oom_score_adj(m.mm, -1000), 0);
	child = forked(&m);
	assert_int_equal(child->limits.oom_score_adj, -1000);
	samara_mm_exit(child);
}

/* what is done ------------------------------------------------------------------- */

static void without_ops_there_is_no_victim(void **state)
{
	struct samara_oom_ops wrong = ops;

	(void)state;
	wrong.size = 3;
	samara_set_oom(m.machine, &wrong, NULL); /* does nothing */
	fill_up(m.mm, 0);
	samara_set_oom(m.machine, NULL, NULL);
	assert_false(oom_make_room(m.machine));
	assert_int_equal(told.n, 0);
	for (int i = 0; i < MMS; i++)
		assert_int_equal(mm_oom(mms[i]), 0);
}

static void a_free_frame_is_room_enough(void **state)
{
	const unsigned long refused = frames_refused;

	(void)state;
	fill(mms[1], 10);
	fill_up(m.mm, 1);
	assert_true(oom_make_room(m.machine));
	assert_int_equal(told.n, 0);
	fill_up(m.mm, 0);
	assert_true(oom_make_room(m.machine));
	assert_told(1, mms[0]);
	/* A look for a free frame is not an operation that lacked one. */
	assert_int_equal(frames_refused, refused);
}

/* A file that no mm maps gets all frames that are left. */
static void fill_file(struct samara_file *file)
{
	char byte = 1;

	for (unsigned long p = 0; mem_frames(&m) < FRAMES; p++)
		assert_int_equal(samara_file_pwrite(file, &byte, 1, p * MEM_PAGE), 1);
}

/* Each owner is told once, though none of them ends its mm. */
static void the_next_victim_is_another_one_until_none_is_left(void **state)
{
	struct samara_file *file;

	(void)state;
	assert_int_equal(samara_file_memfd(m.machine, "full", FRAMES * MEM_PAGE, &file), 0);
	for (int i = 0; i < MMS; i++)
		fill(mms[i], 10 + (unsigned long)i);
	for (int i = MMS - 1; i >= 0; i--) {
		fill_file(file);
		assert_true(oom_make_room(m.machine));
		assert_told((unsigned int)(MMS - i), mms[i]);
	}
	fill_file(file);
	assert_false(oom_make_room(m.machine));
	assert_int_equal(told.n, MMS);
	samara_file_put(file);
}

/* One that ends by itself is waited for, and no other is told. */
static void an_mm_that_is_dying_ends_the_search(void **state)
{
	(void)state;
	fill(mms[1], 10);
	fill(mms[2], 90);
	fill_up(m.mm, 0);
	smp_store_release(&mms[1]->life.state, MM_DYING);
	assert_true(oom_make_room(m.machine)); /* it does not go on, so it is reaped */
	assert_int_equal(told.n, 0);
	assert_int_equal(mm_rss_sum(mms[1], MM_ANONPAGES), 0);
	fill_up(m.mm, 0);
	assert_true(oom_make_room(m.machine));
	assert_told(1, m.mm);
}

static void a_victim_of_before_ends_the_search(void **state)
{
	(void)state;
	fill(mms[1], 10);
	fill(mms[2], 90);
	fill_up(m.mm, 0);
	mm_oom_set(mms[1], MM_OOM_VICTIM);
	assert_true(oom_make_room(m.machine));
	assert_int_equal(told.n, 0);
	assert_int_equal(mm_oom(mms[1]), MM_OOM_VICTIM | MM_UNSTABLE | MM_OOM_SKIP);
	assert_int_equal(mm_rss_sum(mms[1], MM_ANONPAGES), 0);
}

static void what_is_being_built_is_no_victim(void **state)
{
	(void)state;
	fill(mms[1], 10);
	fill(mms[2], 90);
	samara_set_oom_score_adj(m.mm, -1000);
	fill_up(m.mm, 0);
	smp_store_release(&mms[2]->life.state, MM_BUILDING);
	assert_true(oom_make_room(m.machine));
	assert_told(1, mms[1]);
	smp_store_release(&mms[2]->life.state, MM_LIVE);
}

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

/* Its lock is held all the time: the next victim is another one. */
static void a_victim_whose_lock_cannot_be_had_is_passed_by(void **state)
{
	const unsigned long tries = oom_reap_tries;

	(void)state;
	fill(mms[1], 10);
	fill(mms[2], 20);
	samara_set_oom_score_adj(m.mm, -1000);
	fill_up(m.mm, 0);
	down_write(&mms[2]->mmap_lock.sem);
	lock_rank_release(&mms[2]->mmap_lock.sem); /* as if another thread held it */
	oom_reap_tries = 300;
	assert_true(oom_make_room(m.machine));
	oom_reap_tries = tries;
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
		TEST(the_largest_is_chosen_told_and_reaped),
		TEST(all_that_an_mm_has_counts),
		TEST(the_adjustment_counts_as_thousandths_of_all_pages),
		TEST(of_two_alike_the_younger_is_chosen),
		TEST(the_adjustment_is_checked_and_inherited),
		TEST(without_ops_there_is_no_victim),
		TEST(a_free_frame_is_room_enough),
		TEST(the_next_victim_is_another_one_until_none_is_left),
		TEST(an_mm_that_is_dying_ends_the_search),
		TEST(a_victim_of_before_ends_the_search),
		TEST(what_is_being_built_is_no_victim),
		TEST(a_kill_that_waits_for_a_thread_without_memory_ends),
		TEST(a_victim_that_has_exited_before_it_is_reaped),
		TEST(a_victim_whose_lock_cannot_be_had_is_passed_by),
		TEST(many_threads_tell_each_victim_once),
		TEST(an_access_gets_what_the_victim_had),
		TEST(an_access_of_the_victim_itself_gives_SIGBUS),
		TEST(a_write_of_a_file_gets_what_the_victim_had),
		TEST(without_a_victim_an_access_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
