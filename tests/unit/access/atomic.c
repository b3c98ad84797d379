/* SPDX-License-Identifier: MIT */
/*
 * samara_cmpxchg().
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "support/cmocka_all.h"
#include "support/mem.h"

#define RW (PROT_READ | PROT_WRITE)

static struct mem m;
static unsigned long at;

static int set_up(void **state)
{
	(void)state;
	mem_open(&m, 1 << 20);
	at = mem_map(&m, 2, RW, MAP_PRIVATE, NULL);
	return 0;
}

MEM_TEAR_DOWN(m);

static void each_size_exchanges_its_bytes_only(void **state)
{
	struct samara_fault fault;
	unsigned char bytes[32];

	(void)state;
	for (unsigned int size = 1; size <= 8; size *= 2) {
		uint64_t expected = 0x8877665544332211, was = 0;

		memset(bytes, 0, sizeof(bytes));
		memcpy(bytes + 8, &expected, 8);
		memset(bytes + 16, 0xff, 8);
		assert_int_equal(samara_write(m.mm, at, bytes, 32, NULL), 32);
		memcpy(&was, &expected, size);
		expected = was + 1;
		assert_int_equal(samara_cmpxchg(m.mm, at + 8, size, &expected, 0xabcdef0123456789,
						&fault),
				 0);
		assert_int_equal(expected, was);
		assert_int_equal(samara_cmpxchg(m.mm, at + 8, size, &expected, 0xabcdef0123456789,
						&fault),
				 1);
		memcpy(bytes + 8, (uint64_t[]){ 0xabcdef0123456789 }, size);
		unsigned char now[32];
		assert_int_equal(samara_read(m.mm, at, now, 32, NULL), 32);
		assert_memory_equal(now, bytes, 32);
	}
}

static void a_page_that_is_not_there_is_faulted_in_and_exchanged(void **state)
{
	struct samara_fault fault;
	uint64_t expected = 0, now = 0;

	(void)state;
	assert_int_equal(samara_cmpxchg(m.mm, at + 16, 8, &expected, 5, &fault), 1);
	assert_int_equal(samara_read(m.mm, at + 16, &now, 8, NULL), 8);
	assert_int_equal(now, 5);
	assert_int_equal(fault.signo, 0);
}

static void odd_sizes_and_places_are_refused(void **state)
{
	uint64_t expected = 0;

	(void)state;
	assert_int_equal(samara_cmpxchg(m.mm, at, 3, &expected, 1, NULL), -EINVAL);
	assert_int_equal(samara_cmpxchg(m.mm, at, 0, &expected, 1, NULL), -EINVAL);
	assert_int_equal(samara_cmpxchg(m.mm, at, 16, &expected, 1, NULL), -EINVAL);
	assert_int_equal(samara_cmpxchg(m.mm, at + 4, 8, &expected, 1, NULL), -EINVAL);
	assert_int_equal(samara_cmpxchg(m.mm, at + 1, 2, &expected, 1, NULL), -EINVAL);
	assert_true(pte_none(mem_pte(&m, at)));
}

static void the_right_to_write_is_needed_in_any_case(void **state)
{
	struct samara_fault fault;
	uint64_t expected = 7;

	(void)state;
	assert_int_equal(samara_mprotect(m.mm, at, MEM_PAGE, PROT_READ), 0);
	assert_int_equal(samara_cmpxchg(m.mm, at, 8, &expected, 1, &fault), -EFAULT);
	assert_int_equal(fault.signo, SIGSEGV);
	assert_int_equal(fault.code, SEGV_ACCERR);
	assert_int_equal(fault.addr, at);
	assert_int_equal(expected, 7);
	assert_int_equal(samara_cmpxchg(m.mm, 0, 8, &expected, 1, NULL), -EFAULT);
}

#define ROUNDS 20000

static void *count_up(void *arg)
{
	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t n = 0;

		while (samara_cmpxchg(m.mm, at + 64, 4, &n, n + 1, NULL) != 1)
			;
	}
	return NULL;
}

static void no_exchange_is_lost(void **state)
{
	pthread_t thread;
	uint32_t n;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, count_up, NULL), 0);
	count_up(NULL);
	pthread_join(thread, NULL);
	assert_int_equal(samara_read(m.mm, at + 64, &n, 4, NULL), 4);
	assert_int_equal(n, 2 * ROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(each_size_exchanges_its_bytes_only),
		TEST(a_page_that_is_not_there_is_faulted_in_and_exchanged),
		TEST(odd_sizes_and_places_are_refused),
		TEST(the_right_to_write_is_needed_in_any_case),
		TEST(no_exchange_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
