/* SPDX-License-Identifier: MIT */
/*
 * All orders of a few threads on the locks of src/base/: no sleeper is left behind, writers are
 * alone, and the first waiter is passed a bounded number of times. It is the library's own source
 * that runs (support/explore.h).
 */
#include "support/cmocka_all.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/lock.h"
#include "support/explore.h"
#include "support/random.h"

#define FEW_STATES 30000

static struct {
	struct rwsem sem;
	struct samara_spinlock spin;
	unsigned int readers, writers; /* inside */
	const void *first;             /* the first waiter, and how many came in before it since */
	unsigned int passed;
} s;

static void begin(void)
{
	rwsem_init(&s.sem, RANK_MMAP);
}

/* The waiter's entry is on its thread's stack. */
static bool is_on_own_stack(const void *p)
{
	const char *here = (const char *)&p;

	return p && llabs((intptr_t)p - (intptr_t)here) < 16 << 10;
}

/* A call before HANDOFF is one section that passed; each other thread may have one more begun. */
static void count_pass(void)
{
	const bool queued = *(volatile unsigned int *)&s.sem.state & RWSEM_WAITERS;
	const void *first = queued && !is_on_own_stack(s.sem.first) ? s.sem.first : NULL;

	s.passed = first && first == s.first ? s.passed + 1 : 0;
	s.first = first;
	if (s.passed > RWSEM_PATIENCE + EXPLORE_THREADS - 1)
		explore_fail("the first waiter was passed too often");
}

static void enter_read(void)
{
	s.readers++;
	if (s.writers)
		explore_fail("a reader beside a writer");
	count_pass();
}

static void enter_write(void)
{
	s.writers++;
	if (s.writers > 1 || s.readers)
		explore_fail("a writer is not alone");
	count_pass();
}

static void leave_read(void)
{
	s.readers--;
	up_read(&s.sem);
}

static void leave_write(void)
{
	s.writers--;
	up_write(&s.sem);
}

static void reader(void)
{
	down_read(&s.sem);
	enter_read();
	leave_read();
}

static void writer(void)
{
	down_write(&s.sem);
	enter_write();
	leave_write();
}

static void downgrader(void)
{
	down_write(&s.sem);
	enter_write();
	s.writers--;
	s.readers++;
	downgrade_write(&s.sem);
	enter_read();
	s.readers--;
	leave_read();
}

static void trier(void)
{
	if (down_read_trylock(&s.sem)) {
		enter_read();
		leave_read();
	}
	if (down_write_trylock(&s.sem)) {
		enter_write();
		leave_write();
	}
}

/* what each of the threads does ------------------------------------------- */

static void (*job[EXPLORE_THREADS])(void);
static bool for_ever; /* all but thread 0 */

static void do_job(unsigned int self)
{
	do {
		job[self]();
	} while (for_ever && self);
}

static void check(const char *name, unsigned int threads, void (*one)(unsigned int self))
{
	const struct explore e = {
		.name = name,
		.threads = threads,
		.thread = one,
		.shared = &s,
		.size = sizeof(s),
		.begin = begin,
		.most_states = 1000000,
	};
	struct explore early = e;

	if (!explore_possible())
		skip();
	assert_true(explore(&e));
	print_message("%s: %lu states\n", name, explore_states());
	early.spurious = true;
	if (explore_states() < FEW_STATES || test_full())
		assert_true(explore(&early));
}

#define CHECK_JOBS(...) \
	do { \
		void (*const jobs_[])(void) = { __VA_ARGS__ }; \
		for (size_t i_ = 0; i_ < ARRAY_SIZE(jobs_); i_++) \
			job[i_] = jobs_[i_]; \
		check(#__VA_ARGS__, ARRAY_SIZE(jobs_), do_job); \
	} while (0)

static void every_sleeper_is_woken(void **state)
{
	for_ever = false;
	CHECK_JOBS(reader, reader, writer, writer);
	if (test_full()) {
		CHECK_JOBS(reader, writer, writer, writer);
		CHECK_JOBS(reader, reader, reader, writer);
	}
}

static void downgrading_lets_readers_in(void **state)
{
	for_ever = false;
	CHECK_JOBS(downgrader, reader, downgrader);
	CHECK_JOBS(downgrader, reader, writer);
	if (test_full())
		CHECK_JOBS(downgrader, reader, writer, reader);
}

static void trylocks_leave_no_trace(void **state)
{
	for_ever = false;
	CHECK_JOBS(trier, reader, writer);
	if (test_full())
		CHECK_JOBS(trier, trier, writer, reader);
}

static void neither_kind_keeps_the_other_out(void **state)
{
	for_ever = true;
	CHECK_JOBS(writer, reader, reader);
	CHECK_JOBS(reader, writer, writer);
	CHECK_JOBS(writer, trier, trier);
	if (test_full()) {
		CHECK_JOBS(writer, writer, writer);
		CHECK_JOBS(reader, writer, trier);
		CHECK_JOBS(reader, downgrader, writer);
	}
}

/* the spinlock ------------------------------------------------------------ */

static void spin(unsigned int self)
{
	(void)self;
	for (int i = 0; i < 2; i++) {
		(spin_acquire)(&s.spin);
		if (s.writers++)
			explore_fail("two threads hold the spinlock");
		s.writers--;
		(spin_release)(&s.spin);
	}
}

static void a_spinlock_loses_no_sleeper(void **state)
{
	check("spinlock", 3, spin);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_sleeper_is_woken),
		cmocka_unit_test(downgrading_lets_readers_in),
		cmocka_unit_test(trylocks_leave_no_trace),
		cmocka_unit_test(neither_kind_keeps_the_other_out),
		cmocka_unit_test(a_spinlock_loses_no_sleeper),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
