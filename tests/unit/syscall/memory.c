/* SPDX-License-Identifier: MIT */
/*
 * What samara_mm_memory() counts.
 */
#include <errno.h>
#include <sys/mman.h>

#include <samara/access.h>

#include "support/cmocka_all.h"

#include "support/mm_shape.h"

static struct samara_mm_memory memory_of(struct fixture *f)
{
	struct samara_mm_memory memory = { .size = sizeof(memory) };

	assert_int_equal(samara_mm_memory(f->mm, &memory), 0);
	return memory;
}

static void pages_are_counted_by_kind(void **state)
{
	struct fixture *f = *state;
	char byte = 1;

	map_pages(f->mm, 0, 8, RW, 0);
	assert_int_equal(memory_of(f).page_tables, 0);
	assert_int_equal(samara_write(f->mm, AT(0), &byte, 1, NULL), 1);
	assert_int_equal(samara_read(f->mm, AT(1), &byte, 1, NULL), 1); /* the zero page */
	assert_int_equal(memory_of(f).rss_anon, 1);
	assert_int_equal(memory_of(f).page_tables, 4);
	map_file(f, 0, 8, RW, MAP_SHARED, 0);
	assert_int_equal(memory_of(f).rss_anon, 0);
	assert_int_equal(samara_write(f->mm, AT(0), &byte, 1, NULL), 1);
	assert_int_equal(memory_of(f).rss_shmem, 1);
	assert_int_equal(memory_of(f).rss_file, 0);
	assert_int_equal(samara_munmap(f->mm, AT(0), 8 * PAGE), 0);
	assert_int_equal(memory_of(f).rss_shmem, 0);
}

/* The first write needs the mmap_lock, for the family; later ones do not. */
static void faults_are_counted_by_lock(void **state)
{
	struct fixture *f = *state;
	struct samara_mm_memory memory;
	const char byte = 1;

	map_pages(f->mm, 0, 8, RW, 0);
	assert_int_equal(samara_write(f->mm, AT(0), &byte, 1, NULL), 1);
	memory = memory_of(f);
	assert_int_equal(memory.vma_lock_success, 0);
	assert_int_equal(memory.vma_lock_abort + memory.vma_lock_retry, 1);
	for (unsigned long i = 1; i < 8; i++)
		assert_int_equal(samara_write(f->mm, AT(i), &byte, 1, NULL), 1);
	assert_int_equal(memory_of(f).vma_lock_success, 7);
}

static void so_are_those_of_pins(void **state)
{
	struct fixture *f = *state;
	struct samara_mm_memory memory;
	struct samara_pin pin[4];

	map_pages(f->mm, 0, 4, RW, 0);
	for (unsigned long i = 0; i < 4; i++)
		assert_int_equal(samara_pin_pages(f->mm, AT(i), 1, SAMARA_PIN_WRITE, &pin[i]), 1);
	memory = memory_of(f);
	assert_int_equal(memory.vma_lock_retry, 1);
	assert_int_equal(memory.vma_lock_success, 3);
	samara_unpin_pages(pin, 4, 0);
}

static void the_size_is_checked(void **state)
{
	struct fixture *f = *state;
	struct samara_mm_memory memory = { .size = sizeof(memory.size) - 1 };

	assert_int_equal(samara_mm_memory(f->mm, &memory), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pages_are_counted_by_kind, fixture_up,
						fixture_down),
		cmocka_unit_test_setup_teardown(faults_are_counted_by_lock, fixture_up,
						fixture_down),
		cmocka_unit_test_setup_teardown(so_are_those_of_pins, fixture_up, fixture_down),
		cmocka_unit_test_setup_teardown(the_size_is_checked, fixture_up, fixture_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
