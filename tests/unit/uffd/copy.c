/* SPDX-License-Identifier: MIT */
/*
 * UFFDIO_COPY and _ZEROPAGE of private memory. The answers are those that tools/uffd_facts got of
 * Linux 6.18.
 */
#include <errno.h>

#include <samara/inject.h>
#include <samara/reclaim.h>

#include "mmu/entry.h"
#include "support/uffd_copy.h"
#include "uffd/uffd.h"

#define DONTWAKE UFFDIO_COPY_MODE_DONTWAKE
#define COPY_WP UFFDIO_COPY_MODE_WP

#define ASSERT_ZERO(err_, field_, at, len, mode) \
	do { \
		long long f_; \
		assert_int_equal(uffd_zeropage_at(uffd, at, len, mode, &f_), err_); \
		assert_int_equal(f_, field_); \
	} while (0)

static void bad_arguments_leave_the_field_as_it_was(void **state)
{
	const unsigned long a = map_registered(4, 4, MISSING);

	(void)state;
	ASSERT_COPY(-EINVAL, 99, a, bytes, 0, 0);
	ASSERT_COPY(-EINVAL, 99, a + 1, bytes, P, 0);
	ASSERT_COPY(-EINVAL, 99, a, bytes, P + 1, 0);
	ASSERT_COPY(-EINVAL, 99, a, bytes, P, 4);
	ASSERT_COPY(-EINVAL, 99, a, bytes, -P, 0);
	ASSERT_COPY(-EINVAL, 99, LAST_PAGE, bytes, 4 * P, 0);
	ASSERT_COPY(-EINVAL, 99, a, (void *)-P, 2 * P, 0);
	ASSERT_ZERO(-EINVAL, 99, a, 0, 0);
	ASSERT_ZERO(-EINVAL, 99, a + 1, P, 0);
	ASSERT_ZERO(-EINVAL, 99, a, P, 2);
	ASSERT_ZERO(-EINVAL, 99, a, -P, 0);
	ASSERT_ZERO(-EINVAL, 99, LAST_PAGE, 4 * P, 0);
	assert_int_equal(mem_frames(&m), 0);
}

static void the_destination_is_within_one_registered_mapping(void **state)
{
	const unsigned long a = map_registered(6, 4, MISSING), nothing = 1UL << 30;
	struct samara_uffd *other = uffd_open(m.mm, 0, 0);

	(void)state;
	ASSERT_COPY(-ENOENT, -ENOENT, nothing, bytes, P, 0);
	ASSERT_COPY(-ENOENT, -ENOENT, a + 4 * P, bytes, P, 0);
	ASSERT_COPY(-ENOENT, -ENOENT, a + 3 * P, bytes, 2 * P, 0);
	ASSERT_ZERO(-ENOENT, -ENOENT, nothing, P, 0);
	ASSERT_ZERO(-ENOENT, -ENOENT, a + 4 * P, P, 0);
	ASSERT_ZERO(-ENOENT, -ENOENT, a + 3 * P, 2 * P, 0);
	/* Not registered comes before a source that cannot be read. */
	ASSERT_COPY(-ENOENT, -ENOENT, a + 4 * P, NULL, P, 0);
	assert_int_equal(mem_frames(&m), 0);
	/* Whose it is does not matter. */
	assert_int_equal(uffd_copy_to(other, a, bytes, P, 0, NULL), 0);
	assert_int_equal(uffd_zeropage_at(other, a + P, P, 0, NULL), 0);
	samara_uffd_put(other);
}

static void a_copy_is_dirty_and_writable_and_the_pages_own(void **state)
{
	const unsigned long a = map_registered(40, 40, MISSING);
	const unsigned char byte = 200;

	(void)state;
	ASSERT_COPY(0, 40 * P, a, bytes, 40 * P, 0);
	for (unsigned long i = 0; i < 40; i++) {
		const pte_t pte = mem_pte(&m, a + i * P);

		assert_true(pte_write(pte) && pte_dirty(pte) && !pte_uffd_wp(pte));
		assert_true(folio_test(mem_folio(&m, a + i * P), FOLIO_EXCLUSIVE));
		assert_byte(a + i * P, (unsigned char)(i + 1));
		assert_byte(a + i * P + P - 1, (unsigned char)(i + 1));
	}
	assert_int_equal(mem_frames(&m), 40);
	assert_int_equal(samara_write(m.mm, a, &byte, 1, NULL), 1);
	ASSERT_COPY(-EEXIST, -EEXIST, a, bytes, P, 0);
	assert_byte(a, 200);
}

static void a_source_need_not_be_aligned(void **state)
{
	const unsigned long a = map_registered(2, 2, MISSING);

	(void)state;
	ASSERT_COPY(0, 2 * P, a, bytes + 1, 2 * P, 0);
	assert_byte(a, 1);
	assert_byte(a + P - 1, 2);
	assert_byte(a + 2 * P - 1, 3);
}

static void zero_pages_are_the_zero_frame(void **state)
{
	const unsigned long a = map_registered(20, 20, MISSING);

	(void)state;
	ASSERT_ZERO(0, 20 * P, a, 20 * P, 0);
	assert_true(pte_special(mem_pte(&m, a)));
	assert_int_equal(pte_pfn(mem_pte(&m, a + 19 * P)), ZERO_FRAME);
	assert_int_equal(mem_frames(&m), 0);
	ASSERT_ZERO(-EEXIST, -EEXIST, a, P, 0);
	ASSERT_COPY(-EEXIST, -EEXIST, a, bytes, P, 0);
}

static void what_was_filled_before_a_failure_stays(void **state)
{
	const unsigned long a = map_registered(80, 80, MISSING);
	char *src = mmap(NULL, 40 * P, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_ptr_not_equal(src, MAP_FAILED);
	ASSERT_COPY(0, P, a + 2 * P, bytes, P, 0);
	ASSERT_COPY(-EEXIST, -EEXIST, a + 2 * P, bytes, 4 * P, 0);
	ASSERT_COPY(-EAGAIN, 2 * P, a, bytes, 4 * P, 0);
	ASSERT_COPY(0, P, a + 20 * P, bytes, P, 0);
	ASSERT_ZERO(-EAGAIN, 17 * P, a + 3 * P, 40 * P, 0);
	/* A source that cannot be read, from the start on, later, in a later batch. */
	assert_int_equal(mprotect(src + 2 * P, P, PROT_NONE), 0);
	assert_int_equal(mprotect(src + 30 * P, P, PROT_NONE), 0);
	ASSERT_COPY(-EFAULT, -EFAULT, a + 40 * P, src + 2 * P, 2 * P, 0);
	ASSERT_COPY(-EFAULT, -EFAULT, a + 40 * P, src + P + 1, 2 * P, 0);
	ASSERT_COPY(-EAGAIN, 2 * P, a + 40 * P, src, 4 * P, 0);
	ASSERT_COPY(-EAGAIN, 27 * P, a + 42 * P, src + 3 * P, 30 * P, 0);
	/* The source is looked at before the entry. */
	ASSERT_COPY(-EFAULT, -EFAULT, a, NULL, P, 0);
	munmap(src, 40 * P);
}

static void a_copy_may_come_write_protected(void **state)
{
	const unsigned long a = map_registered(4, 4, MISSING | WP),
			    b = map_registered(4, 4, MISSING);
	pte_t is;

	(void)state;
	ASSERT_COPY(0, P, a, bytes, P, COPY_WP);
	is = mem_pte(&m, a);
	assert_true(pte_uffd_wp(is) && !pte_write(is) && pte_dirty(is));
	ASSERT_COPY(-EINVAL, -EINVAL, b, bytes, P, COPY_WP);
	/* Before the source is read. */
	ASSERT_COPY(-EINVAL, -EINVAL, b, NULL, P, COPY_WP);
}

static void a_marker_gives_way_to_a_copy_only(void **state)
{
	static const unsigned int others[] = { MARKER_POISON, MARKER_GUARD,
					       MARKER_POISON | MARKER_UFFD_WP };
	const unsigned long a = map_registered(8, 8, MISSING | WP);
	pte_t pte;

	(void)state;
	ASSERT_ZERO(0, P, a + 7 * P, P, 0); /* a table */
	mem_mark(&m, a, MARKER_UFFD_WP);
	ASSERT_ZERO(-EEXIST, -EEXIST, a, P, 0);
	ASSERT_COPY(0, P, a, bytes, P, 0);
	pte = mem_pte(&m, a);
	assert_true(pte_present(pte) && pte_write(pte) && !pte_uffd_wp(pte));
	for (unsigned long i = 0; i < ARRAY_SIZE(others); i++) {
		mem_mark(&m, a + (i + 1) * P, others[i]);
		ASSERT_ZERO(-EEXIST, -EEXIST, a + (i + 1) * P, P, 0);
		ASSERT_COPY(0, P, a + (i + 1) * P, bytes, P, 0);
	}
}

static void private_shared_memory_gets_pages_of_its_own(void **state)
{
	struct samara_file *file;
	unsigned char byte = 9;
	unsigned long a;

	(void)state;
	assert_int_equal(samara_file_memfd(m.machine, "uffd", 4 * P, &file), 0);
	a = mem_map(&m, 5, RW, MAP_PRIVATE, file);
	uffd_register_at(uffd, a, 5 * P, MISSING | WP);
	ASSERT_COPY(0, P, a, bytes, P, COPY_WP);
	ASSERT_ZERO(0, P, a + P, P, 0);
	assert_true(folio_test(mem_folio(&m, a), FOLIO_ANON));
	assert_true(pte_special(mem_pte(&m, a + P)));
	/* The cache got nothing, and what it has does not matter. */
	assert_int_equal(samara_file_pread(file, &byte, 1, 0), 1);
	assert_int_equal(byte, 0);
	ASSERT_COPY(0, P, a + 2 * P, bytes, P, 0);
	ASSERT_COPY(-EFAULT, -EFAULT, a + 4 * P, bytes, P, 0);
	ASSERT_COPY(-EAGAIN, P, a + 3 * P, bytes, 2 * P, 0);
	ASSERT_ZERO(-EFAULT, -EFAULT, a + 4 * P, P, 0);
	samara_file_put(file);
}

/* As in Linux: so it will not merge with memory of another family. */
static void private_memory_gets_a_family_registered_or_not(void **state)
{
	const unsigned long a = mem_map(&m, 1, RW, MAP_PRIVATE, NULL);

	(void)state;
	ASSERT_ZERO(-ENOENT, -ENOENT, a, P, 0);
	assert_non_null(mem_vma(&m, a)->anon_vma);
}

static void an_ended_address_space_is_not_filled(void **state)
{
	struct samara_mm *mm;
	struct samara_uffd *of;
	long long field;

	(void)state;
	assert_int_equal(samara_mm_create(m.machine, &mm), 0);
	of = uffd_open(mm, 0, 0);
	samara_mm_exit(mm);
	assert_int_equal(uffd_copy_to(of, 1UL << 30, bytes, P, 0, &field), -ESRCH);
	assert_int_equal(field, 99);
	assert_int_equal(uffd_zeropage_at(of, 1UL << 30, P, 0, &field), -ESRCH);
	assert_int_equal(field, 99);
	samara_uffd_put(of);
}

static void nothing_is_filled_while_the_map_changes(void **state)
{
	const unsigned long a = map_registered(2, 2, MISSING);

	(void)state;
	smp_store_release(&uffd->changing, 1);
	ASSERT_COPY(-EAGAIN, -EAGAIN, a, bytes, P, 0);
	ASSERT_ZERO(-EAGAIN, -EAGAIN, a, P, 0);
	/* Linux says so before it looks at arguments. */
	ASSERT_COPY(-EAGAIN, -EAGAIN, a, bytes, 0, 0);
	smp_store_release(&uffd->changing, 0);
	ASSERT_COPY(0, P, a, bytes, P, 0);
}

static void what_memory_cannot_be_had_for_is_not_filled(void **state)
{
	static const char *const sites[] = { "frame", "page_table", "anon_vma" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sites); i++) {
		const unsigned long a = map_registered(2, 2, MISSING);

		assert_int_equal(samara_inject_site(sites[i], 1), 0);
		ASSERT_COPY(-ENOMEM, -ENOMEM, a, bytes, 2 * P, 0);
		assert_int_equal(samara_inject_site(sites[i], 0), 0);
		ASSERT_COPY(0, 2 * P, a, bytes, 2 * P, 0);
		assert_int_equal(samara_munmap(m.mm, a, 2 * P), 0);
	}
}

/* More pages than there are frames: others leave. */
static void a_fill_makes_room(void **state)
{
	const unsigned long pages = 400, a = map_registered(pages, pages, MISSING);
	struct samara_swap *swap;

	(void)state;
	assert_int_equal(samara_swapon_compressed(m.machine, 1 << 22, "lz4", &swap), 0);
	for (unsigned long i = 0; i < pages; i += 40)
		ASSERT_COPY(0, 40 * P, a + i * P, bytes, 40 * P, 0);
	for (unsigned long i = 0; i < pages; i++)
		assert_byte(a + i * P, (unsigned char)(i % 40 + 1));
	assert_int_equal(samara_munmap(m.mm, a, pages * P), 0);
	assert_int_equal(samara_swapoff(swap), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(bad_arguments_leave_the_field_as_it_was),
		TEST(the_destination_is_within_one_registered_mapping),
		TEST(a_copy_is_dirty_and_writable_and_the_pages_own),
		TEST(a_source_need_not_be_aligned),
		TEST(zero_pages_are_the_zero_frame),
		TEST(what_was_filled_before_a_failure_stays),
		TEST(a_copy_may_come_write_protected),
		TEST(a_marker_gives_way_to_a_copy_only),
		TEST(private_shared_memory_gets_pages_of_its_own),
		TEST(private_memory_gets_a_family_registered_or_not),
		TEST(an_ended_address_space_is_not_filled),
		TEST(nothing_is_filled_while_the_map_changes),
		TEST(what_memory_cannot_be_had_for_is_not_filled),
		TEST(a_fill_makes_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
