/* SPDX-License-Identifier: MIT */
/*
 * Calls that a limit refuses, each at its own place: the number of mappings, what may be
 * promised, RLIMIT_AS and RLIMIT_MEMLOCK, the end of the address space, a page's count of pins, the
 * host's descriptors. Nothing changes.
 */
#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

#include "support/cmocka_all.h"
#include <samara/access.h>

#include "support/mm_shape.h"

#define MAPS_MAX 8
#define PINS (1UL << 14)

/* A machine that allows few mappings, and an mm with some of them. */
struct few {
	struct samara_machine *machine;
	struct samara_mm *mm;
};

static int few_up(void **state)
{
	static struct few few;
	struct samara_machine_config cfg = SAMARA_MACHINE_CONFIG_INIT;

	cfg.max_map_count = MAPS_MAX;
	assert_int_equal(samara_machine_create(&cfg, &few.machine), 0);
	assert_int_equal(samara_mm_create(few.machine, &few.mm), 0);
	*state = &few;
	return 0;
}

static int few_down(void **state)
{
	struct few *few = *state;

	samara_mm_exit(few->mm);
	samara_machine_destroy(few->machine);
	return 0;
}

static void set_break(struct samara_mm *mm)
{
	struct samara_layout layout = SAMARA_LAYOUT_INIT;

	layout.start_brk = layout.brk = AT(500);
	assert_int_equal(samara_set_layout(mm, &layout), 0);
}

static void moving_needs_room_for_more_mappings(void **state)
{
	const struct few *few = *state;

	for (unsigned int i = 0; i < MAPS_MAX - 5; i++)
		map_pages(few->mm, i * 4, i * 4 + 2, RW, 0);
	assert_int_equal(samara_mremap(few->mm, AT(0), 2 * PAGE, 2 * PAGE,
				       MREMAP_MAYMOVE | MREMAP_FIXED, AT(100)),
			 -ENOMEM);
	map_pages(few->mm, 2, 4, PROT_READ, 0);
	map_pages(few->mm, 50, 51, RW, 0);
	/* It cannot grow where it is. */
	assert_int_equal(samara_mremap(few->mm, AT(0), 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE, 0),
			 -ENOMEM);
	assert_map(few->mm, "0-2 rw-p, 2-4 r--p, 4-6 rw-p, 8-10 rw-p, 50-51 rw-p");
}

static void cutting_in_three_needs_room_for_two_more(void **state)
{
	const struct few *few = *state;

	for (unsigned int i = 0; i < MAPS_MAX - 1; i++)
		map_pages(few->mm, i * 8, i * 8 + 4, RW, 0);
	/* The first cut stays, as in Linux. */
	assert_int_equal(samara_mprotect(few->mm, AT(1), PAGE, PROT_READ), -ENOMEM);
	assert_int_equal(stats_of(few->mm).map_count, MAPS_MAX);
	assert_int_equal(samara_mprotect(few->mm, AT(9), PAGE, PROT_READ), -ENOMEM);
	assert_int_equal(stats_of(few->mm).map_count, MAPS_MAX);
	assert_int_equal(samara_mm_validate(few->mm, NULL), 0);
}

static void the_heap_is_a_mapping_too(void **state)
{
	const struct few *few = *state;

	set_break(few->mm);
	for (unsigned int i = 0; i <= MAPS_MAX; i++)
		map_pages(few->mm, i * 2, i * 2 + 1, RW, 0);
	assert_int_equal(samara_brk(few->mm, AT(502)), AT(500));
	assert_int_equal(stats_of(few->mm).map_count, MAPS_MAX + 1);
}

static void what_cannot_be_promised_is_refused(void **state)
{
	const struct fixture *f = *state;
	const long before = samara_committed_pages(f->machine);

	map_pages(f->mm, 0, 4, PROT_READ, 0);
	map_pages(f->mm, 10, 12, RW, 0);
	map_pages(f->mm, 2030, 2032, RW, MAP_GROWSDOWN);
	map_pages(f->mm, 12, 13, PROT_READ, 0);
	samara_set_overcommit(f->machine, SAMARA_OVERCOMMIT_ALWAYS);
	map_pages(f->mm, 1 << 24, (1 << 24) + (8UL << 18), RW, 0);
	samara_set_overcommit(f->machine, SAMARA_OVERCOMMIT_NEVER);
	assert_int_equal(samara_mprotect(f->mm, AT(0), 4 * PAGE, RW), -ENOMEM);
	assert_int_equal(samara_mremap(f->mm, AT(2030), 2 * PAGE, 3 * PAGE, 0, 0), -ENOMEM);
	assert_int_equal(samara_mremap(f->mm, AT(10), 2 * PAGE, 3 * PAGE, MREMAP_MAYMOVE, 0),
			 -ENOMEM);
	assert_int_equal(samara_touch(f->mm, AT(2029), 1, PROT_WRITE), -EFAULT);
	assert_map(f->mm, "0-4 r--p, 10-12 rw-p, 12-13 r--p, 2030-2032 rw-p");
	assert_int_equal(samara_committed_pages(f->machine), before + 4 + (8L << 18));
}

static void what_may_not_be_locked_or_mapped_does_not_grow(void **state)
{
	const struct fixture *f = *state;

	set_break(f->mm);
	map_pages(f->mm, 0, 2, RW, 0);
	assert_int_equal(samara_mlock(f->mm, AT(0), 2 * PAGE), 0);
	assert_int_equal(samara_set_rlimit(f->mm, RLIMIT_MEMLOCK, 2 * PAGE, 2 * PAGE), 0);
	assert_int_equal(samara_mremap(f->mm, AT(0), 2 * PAGE, 3 * PAGE, 0, 0), -EAGAIN);
	assert_int_equal(samara_mlockall(f->mm, MCL_FUTURE), 0);
	assert_int_equal(samara_brk(f->mm, AT(501)), AT(500));
	assert_int_equal(samara_munlockall(f->mm), 0);
	assert_int_equal(samara_set_rlimit(f->mm, RLIMIT_AS, 2 * PAGE, 2 * PAGE), 0);
	assert_int_equal(samara_mremap(f->mm, AT(0), 2 * PAGE, 3 * PAGE, 0, 0), -ENOMEM);
	assert_map(f->mm, "0-2 rw-p");
}

static void ranges_beyond_the_end_are_nowhere(void **state)
{
	const struct fixture *f = *state;
	unsigned char vec;

	assert_int_equal(samara_msync(f->mm, ~0UL - PAGE + 1, 2 * PAGE, MS_SYNC), -ENOMEM);
	assert_int_equal(samara_mincore(f->mm, AT(0), ~0UL - PAGE + 1, &vec), -ENOMEM);
}

static void a_page_takes_no_more_pins_than_it_can_count(void **state)
{
	static struct samara_pin pin[PINS];
	const struct fixture *f = *state;
	unsigned long n = 0;

	map_pages(f->mm, 0, 1, RW, 0);
	write_pages(f->mm, 0, 1);
	while (n < PINS && samara_pin_pages(f->mm, AT(0), 1, 0, &pin[n]) == 1)
		n++;
	assert_in_range(n, 1000, PINS - 1);
	assert_int_equal(samara_pin_pages(f->mm, AT(0), 1, 0, &pin[n]), -ENOMEM);
	samara_unpin_pages(pin, n, 0);
	assert_int_equal(samara_pin_pages(f->mm, AT(0), 1, 0, pin), 1);
	samara_unpin_pages(pin, 1, 0);
}

static void a_host_without_descriptors_gives_no_file(void **state)
{
	const struct fixture *f = *state;
	const int fd = memfd_create("last", 0);
	struct rlimit before, none;
	struct samara_file *file;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = (rlim_t)fd + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(samara_file_from_fd(f->machine, fd, &file), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	close(fd);
}

#define FEW(test) cmocka_unit_test_setup_teardown(test, few_up, few_down)
#define PLAIN(test) cmocka_unit_test_setup_teardown(test, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FEW(moving_needs_room_for_more_mappings),
		FEW(cutting_in_three_needs_room_for_two_more),
		FEW(the_heap_is_a_mapping_too),
		PLAIN(what_cannot_be_promised_is_refused),
		PLAIN(what_may_not_be_locked_or_mapped_does_not_grow),
		PLAIN(ranges_beyond_the_end_are_nowhere),
		PLAIN(a_page_takes_no_more_pins_than_it_can_count),
		PLAIN(a_host_without_descriptors_gives_no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
