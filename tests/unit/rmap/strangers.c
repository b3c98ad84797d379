/* SPDX-License-Identifier: MIT */
/*
 * Neighbours that do not share a family, since they could never become one VMA: each differs
 * from its neighbour, which has a family, in one thing.
 */
#include "rmap/link.h"
#include "space.h"

static void prepare(struct samara_mm *mm, unsigned long page)
{
	mmap_read_lock(mm);
	assert_int_equal(anon_vma_prepare(vma_of(mm, page)), 0);
	mmap_read_unlock(mm);
	assert_non_null(vma_of(mm, page)->anon_vma);
}

static bool same_family(struct samara_mm *mm, unsigned long a, unsigned long b)
{
	return vma_of(mm, a)->anon_vma == vma_of(mm, b)->anon_vma;
}

/* Whether the VMA of page fresh, which is prepared now, has the family of page old's. */
static bool joins(struct fixture *f, unsigned long fresh, unsigned long old)
{
	bool same;

	assert_null(vma_of(f->mm, fresh)->anon_vma);
	prepare(f->mm, fresh);
	same = same_family(f->mm, fresh, old);
	assert_int_equal(samara_mm_validate(f->mm, NULL), 0);
	assert_int_equal(samara_munmap(f->mm, AT(0), 40 * PAGE), 0);
	return same;
}

/* VMAs [4, 6) and [6, 8), of which the one with that page has a family, and other rights. */
static void two_neighbours(struct fixture *f, unsigned long old)
{
	map_pages(f->mm, 4, 6, old < 6 ? RW | PROT_EXEC : RW, 0);
	map_pages(f->mm, 6, 8, old < 6 ? RW : RW | PROT_EXEC, 0);
	prepare(f->mm, old);
}

static void rights_alone_keep_nobody_apart(void **state)
{
	struct fixture *f = *state;

	two_neighbours(f, 4);
	assert_true(joins(f, 6, 4));
	two_neighbours(f, 6);
	assert_true(joins(f, 4, 6));
}

static void other_flags_do(void **state)
{
	struct fixture *f = *state;

	two_neighbours(f, 4);
	assert_int_equal(samara_madvise(f->mm, AT(6), 2 * PAGE, MADV_DONTFORK), 0);
	assert_false(joins(f, 6, 4));
	two_neighbours(f, 6);
	assert_int_equal(samara_madvise(f->mm, AT(4), 2 * PAGE, MADV_DONTFORK), 0);
	assert_false(joins(f, 4, 6));
}

/* The offsets go on from one to the other, as if both were anonymous. */
static void so_does_a_file(void **state)
{
	struct fixture *f = *state;

	map_file(f, 4, 6, RW, MAP_PRIVATE, AT(4) / PAGE);
	map_pages(f->mm, 6, 8, RW, 0);
	prepare(f->mm, 4);
	assert_false(joins(f, 6, 4));
	map_pages(f->mm, 4, 6, RW, 0);
	map_file(f, 6, 8, RW, MAP_PRIVATE, AT(6) / PAGE);
	prepare(f->mm, 6);
	assert_false(joins(f, 4, 6));
}

static void so_does_a_gap_in_offsets(void **state)
{
	struct fixture *f = *state;

	map_file(f, 4, 6, RW, MAP_PRIVATE, 0);
	map_file(f, 6, 8, RW, MAP_PRIVATE, 3);
	prepare(f->mm, 4);
	assert_false(joins(f, 6, 4));
	map_file(f, 4, 6, RW, MAP_PRIVATE, 0);
	map_file(f, 6, 8, RW | PROT_EXEC, MAP_PRIVATE, 2);
	prepare(f->mm, 4);
	assert_true(joins(f, 6, 4));
}

static void so_does_a_hole(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 4, 6, RW, 0);
	map_pages(f->mm, 7, 9, RW, 0);
	prepare(f->mm, 4);
	assert_false(joins(f, 7, 4));
	map_pages(f->mm, 4, 6, RW, 0);
	map_pages(f->mm, 7, 9, RW, 0);
	prepare(f->mm, 7);
	assert_false(joins(f, 4, 7));
}

/* In a child the neighbour descends from the parent's family. */
static void so_do_ancestors(void **state)
{
	struct fixture *f = *state;
	struct samara_mm *child;

	map_pages(f->mm, 4, 6, RW, 0);
	map_pages(f->mm, 6, 8, RW | PROT_EXEC, 0);
	prepare(f->mm, 4);
	assert_int_equal(samara_fork(f->mm, &child), 0);
	assert_int_equal(vma_of(child, 4)->rmap.anon_links, 2);
	prepare(child, 6);
	assert_false(same_family(child, 6, 4));
	samara_mm_exit(child);
	prepare(f->mm, 6);
	assert_true(same_family(f->mm, 6, 4));
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(rights_alone_keep_nobody_apart), test(other_flags_do), test(so_does_a_file),
		test(so_does_a_gap_in_offsets),       test(so_does_a_hole), test(so_do_ancestors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
