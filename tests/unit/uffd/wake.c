/* SPDX-License-Identifier: MIT */
/*
 * What ends the wait of an access for a handler, and what it finds then.
 */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>

#include "support/mem.h"
#include "support/uffd_sleep.h"

#define RW (PROT_READ | PROT_WRITE)
#define P MEM_PAGE
#define PAGES 8UL

static struct mem m;
static struct samara_uffd *uffd;
static unsigned long a; /* registered, PAGES of them */
static const unsigned char ones[MEM_PAGE] = { [0 ... MEM_PAGE - 1] = 1 };

static void open_one(int flags, unsigned long long features)
{
	uffd = uffd_open(m.mm, O_NONBLOCK | flags, features);
	a = mem_map(&m, PAGES, RW, MAP_PRIVATE, NULL);
	uffd_register_at(uffd, a, PAGES * P, MISSING);
}

static int set_up(void **state)
{
	(void)state;
	mem_open(&m, 1 << 20);
	open_one(0, 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	samara_uffd_put(uffd);
	mem_check(&m);
	mem_close(&m);
	return 0;
}

struct at {
	unsigned long addr, len;
	struct samara_fault fault;
};

static long do_read(void *arg)
{
	struct at *at = arg;
	unsigned char byte = 0;
	const long n = samara_read(m.mm, at->addr, &byte, 1, &at->fault);

	return n == 1 ? byte : n;
}

static long do_write(void *arg)
{
	const struct at *at = arg;
	const unsigned char byte = 5;

	return samara_write(m.mm, at->addr, &byte, 1, NULL);
}

static void assert_told(unsigned long addr, unsigned long long flags)
{
	struct uffd_msg msg;

	assert_int_equal(samara_uffd_read(uffd, &msg, 1), sizeof(msg));
	assert_int_equal(msg.event, UFFD_EVENT_PAGEFAULT);
	assert_int_equal(msg.arg.pagefault.address, addr);
	assert_int_equal(msg.arg.pagefault.flags, flags);
}

static void assert_nothing_told(void)
{
	struct uffd_msg msg;

	assert_int_equal(samara_uffd_read(uffd, &msg, 1), -EAGAIN);
}

static void a_wake_up_without_a_page_asks_again(void **state)
{
	struct at at = { .addr = a + P };
	struct sleeping s;

	(void)state;
	assert_true(sleeps(&s, uffd, 1, do_read, &at));
	assert_told(a + P, 0);
	assert_int_equal(uffd_wake_at(uffd, a, P), 0);
	assert_int_equal(uffd_wake_at(uffd, a + 2 * P, P), 0);
	assert_nothing_told();
	assert_int_equal(uffd_wake_at(uffd, a, 2 * P), 0);
	while (uffd_sleepers(uffd) != 1)
		sched_yield();
	assert_told(a + P, 0);
	/* Also where the first message was not read. */
	assert_int_equal(uffd_wake_at(uffd, a, PAGES * P), 0);
	while (uffd_sleepers(uffd) != 1)
		sched_yield();
	assert_told(a + P, 0);
	assert_nothing_told();
	assert_int_equal(uffd_zeropage_at(uffd, a + P, P, UFFDIO_ZEROPAGE_MODE_DONTWAKE, NULL), 0);
	assert_int_equal(uffd_sleepers(uffd), 1);
	assert_int_equal(uffd_zeropage_at(uffd, a + P, P, 0, NULL), -EEXIST);
	assert_int_equal(uffd_sleepers(uffd), 1);
	assert_int_equal(uffd_wake_at(uffd, a, PAGES * P), 0);
	assert_int_equal(woken(&s), 0);
}

static void bad_arguments_of_wake(void **state)
{
	(void)state;
	assert_int_equal(uffd_wake_at(uffd, a, 0), -EINVAL);
	assert_int_equal(uffd_wake_at(uffd, a + 1, P), -EINVAL);
	assert_int_equal(uffd_wake_at(uffd, a, -P), -EINVAL);
	assert_int_equal(uffd_wake_at(uffd, 1UL << 47, P), -EINVAL);
	assert_int_equal(uffd_wake_at(uffd, 1UL << 30, P), 0);
	assert_int_equal(samara_uffd_ioctl(uffd, UFFDIO_WAKE, NULL), -EFAULT);
}

static void two_at_one_page_are_two_messages_and_one_answer(void **state)
{
	struct at at = { .addr = a };
	struct sleeping s[2];

	(void)state;
	assert_true(sleeps(&s[0], uffd, 1, do_read, &at));
	assert_true(sleeps(&s[1], uffd, 2, do_write, &at));
	assert_told(a, 0);
	assert_told(a, UFFD_PAGEFAULT_FLAG_WRITE);
	assert_int_equal(uffd_copy_to(uffd, a, ones, P, 0, NULL), 0);
	assert_int_equal(woken(&s[1]), 1);
	woken(&s[0]);
}

static void partial_fills_wake_what_they_filled(void **state)
{
	struct at at[2] = { { .addr = a }, { .addr = a + 3 * P } };
	struct sleeping s[2];
	long long field;

	(void)state;
	assert_int_equal(uffd_zeropage_at(uffd, a + 2 * P, P, 0, NULL), 0);
	assert_true(sleeps(&s[0], uffd, 1, do_read, &at[0]));
	assert_true(sleeps(&s[1], uffd, 2, do_read, &at[1]));
	assert_int_equal(uffd_copy_to(uffd, a, ones, 2 * P, UFFDIO_COPY_MODE_DONTWAKE, &field), 0);
	assert_int_equal(uffd_sleepers(uffd), 2);
	assert_int_equal(uffd_wake_at(uffd, a, P), 0);
	assert_int_equal(woken(&s[0]), 1);
	assert_int_equal(samara_madvise(m.mm, a, P, MADV_DONTNEED), 0);
	assert_true(sleeps(&s[0], uffd, 2, do_read, &at[0]));
	assert_int_equal(uffd_zeropage_at(uffd, a, PAGES * P, 0, &field), -EAGAIN);
	assert_int_equal(field, P);
	assert_int_equal(woken(&s[0]), 0);
	assert_int_equal(uffd_sleepers(uffd), 1);
	assert_int_equal(uffd_copy_to(uffd, a + 3 * P, ones, P, 0, NULL), 0);
	assert_int_equal(woken(&s[1]), 1);
}

static void unregistering_wakes_who_sleeps_there(void **state)
{
	struct at at = { .addr = a + P };
	struct sleeping s;

	(void)state;
	assert_true(sleeps(&s, uffd, 1, do_write, &at));
	assert_int_equal(uffd_unregister_at(uffd, a, P), 0);
	assert_int_equal(uffd_sleepers(uffd), 1);
	assert_int_equal(uffd_unregister_at(uffd, a + P, P), 0);
	assert_int_equal(woken(&s), 1);
	assert_nothing_told();
}

/* As in Linux. */
static void unregistering_where_nothing_can_be_missing_wakes_none(void **state)
{
	struct at at = { .addr = a + P };
	struct sleeping s;

	(void)state;
	assert_true(sleeps(&s, uffd, 1, do_write, &at));
	uffd_register_at(uffd, a, PAGES * P, WP);
	assert_int_equal(uffd_sleepers(uffd), 1);
	assert_int_equal(uffd_unregister_at(uffd, a + P, P), 0);
	assert_int_equal(uffd_sleepers(uffd), 1);
	assert_int_equal(uffd_wake_at(uffd, a + P, P), 0);
	assert_int_equal(woken(&s), 1);
}

static void closing_wakes_all(void **state)
{
	struct at at[3] = { { .addr = a }, { .addr = a + P }, { .addr = a } };
	struct sleeping s[3];

	(void)state;
	for (unsigned int told = 0; told < 2; told++) {
		for (unsigned int i = 0; i < 3; i++)
			assert_true(sleeps(&s[i], uffd, i + 1, do_write, &at[i]));
		if (told)
			assert_told(a, UFFD_PAGEFAULT_FLAG_WRITE);
		samara_uffd_put(uffd);
		for (unsigned int i = 0; i < 3; i++)
			assert_int_equal(woken(&s[i]), 1);
		open_one(0, 0);
		for (unsigned int i = 0; i < 3; i++)
			at[i].addr = a + i * P;
	}
}

/* Nobody is woken by a change of the map; who is woken then sees what is there. */
static void the_map_may_be_another_when_a_sleeper_wakes(void **state)
{
	struct at at = { .addr = a };
	struct sleeping s;

	(void)state;
	assert_true(sleeps(&s, uffd, 1, do_read, &at));
	assert_int_equal(samara_munmap(m.mm, a, P), 0);
	assert_int_equal(uffd_sleepers(uffd), 1);
	assert_int_equal(uffd_wake_at(uffd, a, P), 0);
	assert_int_equal(woken(&s), 0);
	assert_int_equal(at.fault.signo, SIGSEGV);
	assert_int_equal(at.fault.code, SEGV_MAPERR);
	at.addr = a + P;
	assert_true(sleeps(&s, uffd, 1, do_read, &at));
	assert_int_equal(samara_mprotect(m.mm, a + P, P, PROT_NONE), 0);
	assert_int_equal(uffd_sleepers(uffd), 1);
	assert_int_equal(uffd_wake_at(uffd, a, 2 * P), 0);
	assert_int_equal(woken(&s), 0);
	assert_int_equal(at.fault.code, SEGV_ACCERR);
}

static long do_read_in(void *arg)
{
	unsigned char byte;

	return samara_read(arg, 1UL << 20, &byte, 1, NULL);
}

static void the_end_of_the_address_space_wakes_all(void **state)
{
	struct samara_uffd *of;
	struct samara_mm *mm;
	struct uffd_msg msg;
	struct sleeping s;

	(void)state;
	assert_int_equal(samara_mm_create(m.machine, &mm), 0);
	of = uffd_open(mm, O_NONBLOCK, 0);
	assert_int_equal(samara_mmap(mm, 1UL << 20, P, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
				     NULL, 0),
			 1UL << 20);
	uffd_register_at(of, 1UL << 20, P, MISSING);
	assert_true(sleeps(&s, of, 1, do_read_in, mm));
	samara_mm_exit(mm);
	assert_int_equal(woken(&s), 0);
	assert_int_equal(samara_uffd_read(of, &msg, 1), -EAGAIN);
	assert_int_equal(uffd_wake_at(of, 1UL << 20, P), 0);
	samara_uffd_put(of);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_wake_up_without_a_page_asks_again),
		TEST(bad_arguments_of_wake),
		TEST(two_at_one_page_are_two_messages_and_one_answer),
		TEST(partial_fills_wake_what_they_filled),
		TEST(unregistering_wakes_who_sleeps_there),
		TEST(unregistering_where_nothing_can_be_missing_wakes_none),
		TEST(closing_wakes_all),
		TEST(the_map_may_be_another_when_a_sleeper_wakes),
		TEST(the_end_of_the_address_space_wakes_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
