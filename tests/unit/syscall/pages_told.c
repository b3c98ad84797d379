/* SPDX-License-Identifier: MIT */
/*
 * What smaps says of pages that two processes share and of those that one has alone; and what
 * an installed mapping that was written to has.
 */
#include <string.h>

#include "support/cmocka_all.h"

#include "core/mm.h"
#include "support/mm_shape.h"
#include "support/mm_text.h"
#include "vma/find.h"

static char text[MM_TEXT];

static void assert_line(const char *line)
{
	if (!strstr(text, line))
		fail_msg("no line \"%s\" in\n%s", line, text);
}

static void smaps_tells_shared_from_private(void **state)
{
	struct fixture *f = *state;
	struct samara_mm *child;

	map_pages(f->mm, 0, 8, RW, 0);
	write_pages(f->mm, 0, 5);
	assert_int_equal(samara_fork(f->mm, &child), 0);
	write_pages(f->mm, 0, 1); /* a copy; the child has the other one alone */
	write_pages(f->mm, 6, 8);
	assert_int_equal(mm_text(f->mm, samara_print_smaps, text), 0);
	assert_line("Rss:                  28 kB\n");
	assert_line("Pss:                  20 kB\n");
	assert_line("Pss_Dirty:            20 kB\n");
	assert_line("Shared_Clean:          0 kB\n");
	assert_line("Shared_Dirty:         16 kB\n");
	assert_line("Private_Clean:         0 kB\n");
	assert_line("Private_Dirty:        12 kB\n");
	assert_line("Anonymous:            28 kB\n");
	samara_mm_exit(child);
	assert_int_equal(mm_text(f->mm, samara_print_smaps, text), 0);
	assert_line("Shared_Dirty:          0 kB\n");
	assert_line("Private_Dirty:        28 kB\n");
}

static void what_was_written_to_has_a_family(void **state)
{
	struct fixture *f = *state;
	struct samara_mapping mapping = {
		.start = AT(0),
		.end = AT(2),
		.prot = RW,
		.flags = MAP_PRIVATE,
	};

	assert_int_equal(samara_mm_install(f->mm, &mapping), 0);
	mapping.start = AT(4);
	mapping.end = AT(6);
	mapping.touched = true;
	assert_int_equal(samara_mm_install(f->mm, &mapping), 0);
	assert_null(vma_lookup(f->mm, AT(0))->anon_vma);
	assert_non_null(vma_lookup(f->mm, AT(4))->anon_vma);
}

static void what_is_installed_locked_is_counted_as_locked(void **state)
{
	struct fixture *f = *state;
	struct samara_mapping mapping = {
		.start = AT(0),
		.end = AT(3),
		.prot = RW,
		.flags = MAP_PRIVATE | MAP_LOCKED,
	};

	assert_int_equal(samara_mm_install(f->mm, &mapping), 0);
	assert_int_equal(stats_of(f->mm).locked_vm, 3);
	mapping.start = AT(4);
	mapping.end = AT(6);
	mapping.flags = MAP_PRIVATE;
	assert_int_equal(samara_mm_install(f->mm, &mapping), 0);
	assert_int_equal(stats_of(f->mm).locked_vm, 3);
	assert_int_equal(samara_munmap(f->mm, AT(0), 6 * PAGE), 0);
	assert_int_equal(stats_of(f->mm).locked_vm, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(smaps_tells_shared_from_private, fixture_up,
						fixture_down),
		cmocka_unit_test_setup_teardown(what_was_written_to_has_a_family, fixture_up,
						fixture_down),
		cmocka_unit_test_setup_teardown(what_is_installed_locked_is_counted_as_locked,
						fixture_up, fixture_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
