/* SPDX-License-Identifier: MIT */
/*
 * Where UFFDIO_COPY reads: guest memory that samara_uffd_source() names.
 */
#include <errno.h>

#include "mmu/entry.h"
#include "support/uffd_copy.h"
#include "support/uffd_sleep.h"

static void a_source_can_be_an_address_space(void **state)
{
	const unsigned long a = map_registered(20, 20, MISSING), hole = 1UL << 30;
	struct samara_machine *machine;
	struct samara_mm *guest;
	unsigned long src;

	(void)state;
	assert_int_equal(samara_machine_create(NULL, &machine), 0);
	assert_int_equal(samara_mm_create(machine, &guest), 0);
	src = samara_mmap(guest, 0, 20 * P, RW, MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0);
	assert_int_equal(samara_write(guest, src, bytes, 20 * P, NULL), 20 * P);
	samara_uffd_source(uffd, guest);
	ASSERT_COPY(0, 17 * P, a, src, 17 * P, 0);
	assert_byte(a + 16 * P, 17);
	ASSERT_COPY(-EFAULT, -EFAULT, a + 17 * P, hole, P, 0);
	ASSERT_COPY(-EAGAIN, P, a + 17 * P, src + 19 * P, 2 * P, 0);
	samara_uffd_source(uffd, NULL);
	ASSERT_COPY(0, P, a + 18 * P, bytes, P, 0);
	assert_byte(a + 18 * P, 1);
	samara_mm_exit(guest);
	samara_machine_destroy(machine);
}

/* Aligned or not; one that cannot be read is another matter. */
static void a_source_is_within_its_address_space(void **state)
{
	const unsigned long a = map_registered(2, 2, MISSING), top = LAST_PAGE + P;

	(void)state;
	samara_uffd_source(uffd, m.mm);
	ASSERT_COPY(-EFAULT, -EFAULT, a, LAST_PAGE, P, 0);
	ASSERT_COPY(-EFAULT, -EFAULT, a, NULL, P, 0);
	ASSERT_COPY(-EFAULT, -EFAULT, a, 1, P, 0);
	ASSERT_COPY(-EINVAL, 99, a, LAST_PAGE + 1, P, 0);
	ASSERT_COPY(-EINVAL, 99, a, LAST_PAGE, 2 * P, 0);
	ASSERT_COPY(-EINVAL, 99, a, top, P, 0);
	ASSERT_COPY(-EINVAL, 99, a, 1UL << 60, P, 0);
	ASSERT_COPY(-EINVAL, 99, a, -P, P, 0);
	/* Before the destination is looked at. */
	ASSERT_COPY(-EINVAL, 99, 1UL << 30, top, P, 0);
}

struct copy_request {
	struct samara_uffd *uffd;
	unsigned long dst, src;
};

static long copy_one(void *arg)
{
	const struct copy_request *r = arg;
	long long field;

	return uffd_copy_to(r->uffd, r->dst, (void *)r->src, P, 0, &field);
}

/* It waits for the source's own handler meanwhile. */
static void a_copy_outlives_its_userfaultfd(void **state)
{
	struct copy_request request;
	struct samara_uffd *source;
	struct samara_mm *guest;
	struct sleeping s;
	long long field;

	(void)state;
	assert_int_equal(samara_mm_create(m.machine, &guest), 0);
	request.src = samara_mmap(guest, 0, P, RW, MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0);
	request.dst = mem_map(&m, 1, RW, MAP_PRIVATE, NULL);
	source = uffd_open(guest, 0, 0);
	uffd_register_at(source, request.src, P, MISSING);
	request.uffd = uffd_open(m.mm, 0, 0);
	uffd_register_at(request.uffd, request.dst, P, MISSING);
	samara_uffd_source(request.uffd, guest);
	assert_true(sleeps(&s, source, 1, copy_one, &request));
	samara_uffd_put(request.uffd);
	assert_int_equal(uffd_zeropage_at(source, request.src, P, 0, &field), 0);
	assert_int_equal(woken(&s), -ENOENT);
	samara_uffd_put(source);
	samara_mm_exit(guest);
}

/* Half of what it copies was read: the rest can be read later. */
static void a_copy_is_interrupted_in_the_middle_of_a_page(void **state)
{
	struct copy_request request;
	struct samara_uffd *source;
	struct samara_mm *guest;
	struct sleeping s;

	(void)state;
	assert_int_equal(samara_mm_create(m.machine, &guest), 0);
	request.src = samara_mmap(guest, 0, 2 * P, RW, MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0) + 1;
	request.dst = map_registered(1, 1, MISSING);
	request.uffd = uffd;
	source = uffd_open(guest, 0, 0);
	uffd_register_at(source, request.src - 1, 2 * P, MISSING);
	assert_int_equal(uffd_copy_to(source, request.src - 1, bytes, P, 0, NULL), 0);
	samara_uffd_source(uffd, guest);
	assert_true(sleeps(&s, source, 1, copy_one, &request));
	assert_int_equal(samara_uffd_interrupt(guest, 0), 1);
	assert_int_equal(woken(&s), -EAGAIN);
	assert_true(pte_none(mem_pte(&m, request.dst)));
	samara_uffd_put(source);
	samara_mm_exit(guest);
}

static void a_source_that_has_ended_cannot_be_read(void **state)
{
	const unsigned long a = map_registered(1, 1, MISSING);
	struct samara_mm *guest;
	unsigned long src;

	(void)state;
	assert_int_equal(samara_mm_create(m.machine, &guest), 0);
	src = samara_mmap(guest, 0, P, RW, MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0);
	assert_int_equal(samara_write(guest, src, bytes, P, NULL), P);
	samara_uffd_source(uffd, guest);
	samara_mm_exit(guest);
	ASSERT_COPY(-EFAULT, -EFAULT, a, src, P, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(a_source_can_be_an_address_space),
		TEST(a_source_is_within_its_address_space),
		TEST(a_copy_outlives_its_userfaultfd),
		TEST(a_copy_is_interrupted_in_the_middle_of_a_page),
		TEST(a_source_that_has_ended_cannot_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
