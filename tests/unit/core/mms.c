/* SPDX-License-Identifier: MIT */
/*
 * The list of a machine's mms, under a walker: what is met, and what stays, while mms come and go.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "core/mms.h"
#include "process/fork.h"
#include "support/at_locks.h"
#include "support/fork_steps.h"
#include "support/forked.h"
#include "support/cmocka_all.h"
#include "support/mem.h"
#include "support/waits.h"

#define RW (PROT_READ | PROT_WRITE)
#define THREADS 3
#define ROUNDS 200

MEM_FIXTURE(m, 16 << 20);

static struct samara_mm *made(void)
{
	struct samara_mm *mm;

	assert_int_equal(samara_mm_create(m.machine, &mm), 0);
	return mm;
}

static struct samara_mm *child_of(struct samara_mm *parent)
{
	struct samara_mm *mm;

	assert_int_equal(samara_fork(parent, &mm), 0);
	return mm;
}

static void each_mm_is_met_once_in_the_order_of_joining(void **state)
{
	struct samara_mm *known[] = { m.mm, made(), child_of(m.mm), made() }, *mm;
	unsigned int n = 0;

	(void)state;
	for_each_mm(m.machine, mm) assert_ptr_equal(mm, known[n++]);
	assert_int_equal(n, 4);
	samara_mm_exit(known[1]);
	n = 0;
	for_each_mm(m.machine, mm) n++;
	assert_int_equal(n, 3);
	samara_mm_exit(known[2]);
	samara_mm_exit(known[3]);
}

static void an_mm_that_ends_under_a_walker_keeps_its_place(void **state)
{
	struct samara_mm *second = made(), *third = made(), *mm;

	(void)state;
	mm = mm_next(m.machine, NULL);
	mm = mm_next(m.machine, mm);
	assert_ptr_equal(mm, second);
	samara_mm_exit(second);
	assert_int_equal(mm->life.state, MM_DYING);
	assert_false(mm_gate_open(mm, MM_GATE_REMOVE));
	mm = mm_next(m.machine, mm);
	assert_ptr_equal(mm, third);
	samara_mm_exit(third);
	assert_null(mm_next(m.machine, mm));
}

static void a_machine_lives_as_long_as_a_walker_holds_an_mm(void **state)
{
	struct samara_machine *machine;
	struct samara_mm *mm;

	(void)state;
	assert_int_equal(samara_machine_create(NULL, &machine), 0);
	assert_int_equal(samara_mm_create(machine, &mm), 0);
	assert_ptr_equal(mm_next(machine, NULL), mm);
	samara_mm_exit(mm);
	samara_machine_destroy(machine);
	assert_int_equal(refcount_read(&machine->refs), 1);
	mm_put(mm);
}

static void a_child_that_joins_during_a_walk_is_met(void **state)
{
	struct samara_mm *mm, *child = NULL;
	unsigned int n = 0;

	(void)state;
	for_each_mm(m.machine, mm)
	{
		if (!n++)
			child = child_of(m.mm);
		else
			assert_ptr_equal(mm, child);
	}
	assert_int_equal(n, 2);
	samara_mm_exit(child);
}

/* The order of locks is checked for its lock too. */
static void lock_below_a_frame(void *arg)
{
	static struct samara_spinlock inner;

	spin_lock(&inner, RANK_FRAME);
	mmap_read_lock(arg);
}

static void an_mm_has_a_lock_of_its_own_rank(void **state)
{
#ifdef SAMARA_DEBUG
	struct forked child;

	(void)state;
	assert_int_equal(m.mm->mmap_lock.sem.rank, RANK_MMAP);
	run_forked(lock_below_a_frame, m.mm, &child);
	assert_true(child.signal || child.status);
	assert_non_null(strstr(child.text, "mmap_lock taken while holding frame"));
#else
	(void)state, (void)lock_below_a_frame;
	skip();
#endif
}

/* being built ------------------------------------------------------------------ */

static struct {
	struct waiting_call call;
	enum mm_state state; /* of the child, as the walker met it */
	unsigned long vmas;
} built;

static void walk(void *arg)
{
	struct samara_mm *mm;

	(void)arg;
	for_each_mm(m.machine, mm)
	{
		if (mm == m.mm)
			continue;
		mmap_read_lock(mm);
		built.state = smp_load_acquire(&mm->life.state);
		if (mm_gate_open(mm, MM_GATE_LOOK))
			built.vmas = mm->count.map_count;
		mmap_read_unlock(mm);
	}
}

static void walk_beside(enum fork_step step, struct samara_mm *parent, struct samara_mm *child)
{
	(void)parent;
	if (step == FORK_PAGES)
		assert_true(waits_for(&built.call, &child->mmap_lock.sem));
}

static void a_walker_waits_for_an_mm_that_is_being_built(void **state)
{
	const unsigned long a = mem_map(&m, 3, RW, MAP_PRIVATE | MAP_POPULATE, NULL);
	struct samara_mm *child;

	(void)state;
	at_fork_steps(walk_beside);
	built.call = (struct waiting_call){ .call = walk };
	child = child_of(m.mm);
	at_fork_steps_end();
	call_returns(&built.call);
	assert_int_equal(built.state, MM_LIVE);
	assert_int_equal(built.vmas, 1);
	assert_int_equal(samara_munmap(child, a, MEM_PAGE), 0);
	samara_mm_exit(child);
}

/* A page that is pinned is copied, for which there is no frame: the fork fails at its pages. */
static void a_walker_finds_the_mm_of_a_failed_fork_closed(void **state)
{
	const unsigned long a = mem_map(&m, 1, RW, MAP_PRIVATE | MAP_POPULATE, NULL);
	struct samara_mm *child;
	struct samara_pin pin;

	(void)state;
	at_fork_steps(walk_beside);
	assert_int_equal(samara_pin_pages(m.mm, a, 1, SAMARA_PIN_WRITE, &pin), 1);
	mem_map(&m, 4095, RW, MAP_PRIVATE | MAP_POPULATE, NULL);
	built.call = (struct waiting_call){ .call = walk };
	built.vmas = 0;
	assert_int_equal(samara_fork(m.mm, &child), -ENOMEM);
	at_fork_steps_end();
	call_returns(&built.call);
	assert_int_not_equal(built.state, MM_LIVE);
	assert_int_equal(built.vmas, 0);
	samara_unpin_pages(&pin, 1, 1);
}

static void see_whether_open(void *arg)
{
	struct samara_mm *mm;

	for_each_mm(m.machine, mm)
	{
		if (smp_load_acquire(&mm->life.state) == MM_BUILDING &&
		    !rwsem_is_write_locked(&mm->mmap_lock.sem))
			*(bool *)arg = true;
	}
}

/* A walker comes at each lock that a fork takes. */
static void a_child_is_in_the_list_only_while_it_is_locked_or_built(void **state)
{
	unsigned int met = 0;
	bool open = false;

	(void)state;
	if (!at_locks_available())
		skip();
	mem_map(&m, 1, RW, MAP_PRIVATE | MAP_POPULATE, NULL);
	for (unsigned int nth = 1;; nth++) {
		struct samara_mm *child;

		meet_at(NULL, nth, see_whether_open, &open);
		child = child_of(m.mm);
		if (!meet_end()) {
			samara_mm_exit(child);
			break;
		}
		met++;
		assert_false(open);
		samara_mm_exit(child);
	}
	assert_true(met > 4);
}

/* threads ---------------------------------------------------------------------- */

static unsigned int running; /* atomic */

/* Mms come, fork and go. */
static void *come_and_go(void *arg)
{
	const char byte = 1;

	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		struct samara_mm *mm, *child;
		unsigned long a;

		assert_int_equal(samara_mm_create(m.machine, &mm), 0);
		a = samara_mmap(mm, 0, 2 * MEM_PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0);
		assert_int_equal(samara_write(mm, a, &byte, 1, NULL), 1);
		assert_int_equal(samara_fork(mm, &child), 0);
		samara_mm_exit(mm);
		assert_int_equal(samara_write(child, a, &byte, 1, NULL), 1);
		samara_mm_exit(child);
	}
	atomic_dec(&running);
	return NULL;
}

/* Each mm as it is: its VMAs, counted, are as many as it says. */
static void look_at(struct samara_mm *mm)
{
	unsigned long n = 0;
	struct vma *vma;

	mmap_read_lock(mm);
	if (mm_gate_open(mm, MM_GATE_LOOK)) {
		MA_STATE(mas, &mm->mt, 0, 0);

		mas_for_each(&mas, vma, ULONG_MAX)
			n++;
		assert_int_equal(n, mm->count.map_count);
	}
	mmap_read_unlock(mm);
}

static void a_walker_goes_round_while_mms_come_fork_and_go(void **state)
{
	pthread_t thread[THREADS];
	struct samara_mm *mm;

	(void)state;
	running = THREADS;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, come_and_go, NULL), 0);
	while (smp_load_acquire(&running)) {
		unsigned int met = 0;

		for_each_mm(m.machine, mm)
		{
			look_at(mm);
			met += mm == m.mm;
		}
		assert_int_equal(met, 1);
	}
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(each_mm_is_met_once_in_the_order_of_joining),
		TEST(an_mm_that_ends_under_a_walker_keeps_its_place),
		TEST(a_machine_lives_as_long_as_a_walker_holds_an_mm),
		TEST(a_child_that_joins_during_a_walk_is_met),
		TEST(an_mm_has_a_lock_of_its_own_rank),
		TEST(a_walker_waits_for_an_mm_that_is_being_built),
		TEST(a_walker_finds_the_mm_of_a_failed_fork_closed),
		TEST(a_child_is_in_the_list_only_while_it_is_locked_or_built),
		TEST(a_walker_goes_round_while_mms_come_fork_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
