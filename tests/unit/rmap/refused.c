/* SPDX-License-Identifier: MIT */
/*
 * Calls on memory with families, in a forked child, with every allocation failing in turn: the
 * map, its links and the number of objects are those of before, until the call succeeds.
 */
#include <errno.h>

#include <samara/inject.h>

#include "space.h"

#define FIXED_MOVE (MREMAP_MAYMOVE | MREMAP_FIXED)

static long unmap_the_middle(struct samara_mm *mm)
{
	return samara_munmap(mm, AT(2), PAGE);
}

static long protect_the_middle(struct samara_mm *mm)
{
	return samara_mprotect(mm, AT(2), 2 * PAGE, PROT_READ);
}

static long protect_the_files_middle(struct samara_mm *mm)
{
	return samara_mprotect(mm, AT(22), 2 * PAGE, PROT_READ);
}

static long map_over_the_middle(struct samara_mm *mm)
{
	const unsigned long ret = samara_mmap(mm, AT(2), 2 * PAGE, PROT_READ,
					      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0);

	return ret == AT(2) ? 0 : (long)ret;
}

static long move_a_part(struct samara_mm *mm)
{
	const unsigned long ret = samara_mremap(mm, AT(2), 2 * PAGE, 2 * PAGE, FIXED_MOVE, AT(100));

	return ret == AT(100) ? 0 : (long)ret;
}

/* Out of the middle of one, into the middle of another, and smaller. */
static long move_shrink_and_cut(struct samara_mm *mm)
{
	const unsigned long ret = samara_mremap(mm, AT(2), 4 * PAGE, 2 * PAGE, FIXED_MOVE, AT(22));

	return ret == AT(22) ? 0 : (long)ret;
}

/* 40-42 has none and takes over that of 42-44. */
static long merge_with_family(struct samara_mm *mm)
{
	return samara_mprotect(mm, AT(42), 2 * PAGE, RW);
}

/* Untouched memory goes between an untouched VMA, which grows, and a touched one. */
static long move_between_strangers(struct samara_mm *mm)
{
	const unsigned long ret = samara_mremap(mm, AT(60), 2 * PAGE, 2 * PAGE, FIXED_MOVE, AT(52));

	return ret == AT(52) ? 0 : (long)ret;
}

/*
 *   0-8    family of the parent's, and own       40-42  untouched
 *   20-28  a private file mapping, the same      42-44  read-only, a family of its own
 *   50-52  untouched    52-54  something    54-56  a family of its own    60-62  untouched
 */
static void make_map(struct fixture *f)
{
	struct samara_mm *child;

	map_pages(f->mm, 0, 8, RW, 0);
	map_file(f, 20, 28, RW, MAP_PRIVATE, 0);
	write_pages(f->mm, 0, 8);
	write_pages(f->mm, 20, 28);
	assert_int_equal(samara_fork(f->mm, &child), 0);
	samara_mm_exit(f->mm);
	f->mm = child;
	map_pages(child, 40, 42, RW, 0);
	map_pages(child, 42, 44, RW | PROT_EXEC, 0);
	map_pages(child, 50, 52, RW, 0);
	map_pages(child, 52, 54, RW | PROT_EXEC, 0);
	map_pages(child, 54, 56, RW, 0);
	map_pages(child, 60, 62, RW, 0);
	write_pages(child, 42, 44);
	write_pages(child, 54, 56);
	assert_int_equal(vma_of(child, 0)->rmap.anon_links, 2);
	assert_int_equal(vma_of(child, 20)->rmap.anon_links, 2);
	assert_null(vma_of(child, 40)->anon_vma);
	assert_null(vma_of(child, 50)->anon_vma);
}

static const char before[] = "0-8 rw-p, 20-28 rw-p @0, 40-42 rw-p, 42-44 rwxp, 50-52 rw-p, "
			     "52-54 rwxp, 54-56 rw-p, 60-62 rw-p";

static const struct {
	long (*call)(struct samara_mm *mm);
	const char *after;
} cases[] = {
	{ unmap_the_middle,
	  "0-2 rw-p, 3-8 rw-p, 20-28 rw-p @0, 40-42 rw-p, 42-44 rwxp, 50-52 rw-p, "
	  "52-54 rwxp, 54-56 rw-p, 60-62 rw-p" },
	{ protect_the_middle,
	  "0-2 rw-p, 2-4 r--p, 4-8 rw-p, 20-28 rw-p @0, 40-42 rw-p, 42-44 rwxp, "
	  "50-52 rw-p, 52-54 rwxp, 54-56 rw-p, 60-62 rw-p" },
	{ protect_the_files_middle, "0-8 rw-p, 20-22 rw-p @0, 22-24 r--p @2, 24-28 rw-p @4, "
				    "40-42 rw-p, 42-44 rwxp, 50-52 rw-p, 52-54 rwxp, 54-56 rw-p, "
				    "60-62 rw-p" },
	{ map_over_the_middle,
	  "0-2 rw-p, 2-4 r--p, 4-8 rw-p, 20-28 rw-p @0, 40-42 rw-p, 42-44 rwxp, "
	  "50-52 rw-p, 52-54 rwxp, 54-56 rw-p, 60-62 rw-p" },
	{ move_a_part, "0-2 rw-p, 4-8 rw-p, 20-28 rw-p @0, 40-42 rw-p, 42-44 rwxp, 50-52 rw-p, "
		       "52-54 rwxp, 54-56 rw-p, 60-62 rw-p, 100-102 rw-p" },
	{ move_shrink_and_cut, "0-2 rw-p, 6-8 rw-p, 20-22 rw-p @0, 22-24 rw-p, 24-28 rw-p @4, "
			       "40-42 rw-p, 42-44 rwxp, 50-52 rw-p, 52-54 rwxp, 54-56 rw-p, "
			       "60-62 rw-p" },
	{ merge_with_family, "0-8 rw-p, 20-28 rw-p @0, 40-44 rw-p, 50-52 rw-p, 52-54 rwxp, "
			     "54-56 rw-p, 60-62 rw-p" },
	{ move_between_strangers, "0-8 rw-p, 20-28 rw-p @0, 40-42 rw-p, 42-44 rwxp, 50-56 rw-p" },
};

static void a_refused_allocation_changes_no_link(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned long live;
		unsigned int n;
		long ret;

		make_map(f);
		assert_map(f->mm, before);
		live = samara_live_objects();
		for (n = 1;; n++) {
			samara_inject_nth(n);
			ret = cases[i].call(f->mm);
			samara_inject_nth(0);
			if (!ret)
				break;
			assert_int_equal(ret, -ENOMEM);
			assert_map(f->mm, before); /* validates links too */
			assert_int_equal(samara_live_objects(), live);
		}
		assert_true(n > 1);
		assert_map(f->mm, cases[i].after);
		samara_mm_exit(f->mm);
		assert_int_equal(samara_mm_create(f->machine, &f->mm), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_refused_allocation_changes_no_link, fixture_up,
						fixture_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
