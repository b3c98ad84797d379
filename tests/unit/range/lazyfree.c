/* SPDX-License-Identifier: MIT */
/*
 * MADV_FREE: which pages may be dropped afterwards.
 */
#include "support/cmocka_all.h"

#include "support/page_world.h"

static bool may_be_dropped(struct samara_mm *mm, unsigned long n)
{
	return !folio_test(folio_of(mm, n), FOLIO_SWAPBACKED) && !pte_dirty(pte_of(mm, n));
}

static void freed_pages_stay_until_somebody_wants_them(void **state)
{
	struct world *w = *state;
	struct vma *vma = world_vma(w, 0, 1024, VM_RW, NULL);
	struct range_look look;

	put_anon(vma, 511, 0x77);
	put_anon(vma, 512, 1);
	put_anon(vma, 513, 1);
	range_lazyfree(vma, PG(0), PG(513));
	assert_true(may_be_dropped(w->mm[0], 511) && may_be_dropped(w->mm[0], 512));
	assert_false(may_be_dropped(w->mm[0], 513));
	assert_false(pte_young(pte_of(w->mm[0], 511)));
	assert_true(pte_write(pte_of(w->mm[0], 511)));
	assert_int_equal(*(char *)folio_virt(w->ram, folio_of(w->mm[0], 511)), 0x77);
	range_look(vma, PG(0), PG(1024), &look);
	assert_int_equal(look.lazyfree, 2);
	assert_int_equal(look.rss, 3);
	assert_world(w);
}

static void dirty_pages_of_others_too_are_left_alone(void **state)
{
	struct world *w = *state;
	struct vma *vma = world_vma(w, 0, 8, VM_RW, NULL);

	folio_set(put_anon(vma, 1, 1), FOLIO_DIRTY);
	assert_int_equal(copy_page_range(world_fork(w, world_mm(w), vma), vma, NULL), 0);
	folio_set(put_anon(vma, 2, 1), FOLIO_DIRTY);
	range_lazyfree(vma, PG(0), PG(8));
	assert_false(may_be_dropped(w->mm[0], 1));
	assert_true(pte_dirty(pte_of(w->mm[0], 1)));
	assert_true(may_be_dropped(w->mm[0], 2));
	assert_false(folio_test(folio_of(w->mm[0], 2), FOLIO_DIRTY));
}

static void poison_leaves_and_guards_stay(void **state)
{
	struct world *w = *state;
	struct vma *vma = world_vma(w, 0, 8, VM_RW, NULL);

	put_marker(vma, 1, MARKER_POISON);
	put_marker(vma, 2, MARKER_GUARD);
	put_zero(vma, 3);
	range_lazyfree(vma, PG(0), PG(8));
	assert_true(pte_none(pte_of(w->mm[0], 1)));
	assert_int_equal(pte_marker(pte_of(w->mm[0], 2)), MARKER_GUARD);
	assert_true(pte_special(pte_of(w->mm[0], 3)));
}

#define test(name) cmocka_unit_test_setup_teardown(name, world_up, world_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(freed_pages_stay_until_somebody_wants_them),
		test(dirty_pages_of_others_too_are_left_alone),
		test(poison_leaves_and_guards_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
