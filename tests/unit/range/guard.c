/* SPDX-License-Identifier: MIT */
/*
 * Guard markers come and go.
 */
#include <errno.h>

#include "support/cmocka_all.h"

#include <samara/inject.h>

#include "support/page_world.h"

static bool is_guard(struct samara_mm *mm, unsigned long n)
{
	return pte_marker(pte_of(mm, n)) == MARKER_GUARD;
}

static void guards_take_the_place_of_everything(void **state)
{
	struct world *w = *state;
	struct vma *vma = world_vma(w, 0, 1100, VM_RW, NULL);

	assert_int_equal(guard_install(vma, PG(20), PG(21)), 0);
	assert_non_null(vma->anon_vma);
	guard_remove(vma, PG(20), PG(21));
	put_anon(vma, 500, 1);
	put_zero(vma, 501);
	put_marker(vma, 502, MARKER_POISON);
	put_marker(vma, 503, MARKER_UFFD_WP);
	put_anon(vma, 499, 1);
	assert_int_equal(guard_install(vma, PG(500), PG(1030)), 0);
	for (unsigned long n = 500; n < 1030; n++)
		assert_true(is_guard(w->mm[0], n));
	assert_true(pte_present(pte_of(w->mm[0], 499)));
	assert_true(pte_none(pte_of(w->mm[0], 1030)));
	assert_int_equal(rss_of(w->mm[0], MM_ANONPAGES), 1);
	assert_world(w);
	/* Guards that are there already stay. */
	assert_int_equal(guard_install(vma, PG(490), PG(600)), 0);
	assert_true(is_guard(w->mm[0], 490) && is_guard(w->mm[0], 599));
	assert_world(w);
	guard_remove(vma, PG(495), PG(1100));
	for (unsigned long n = 0; n < 1100; n++)
		assert_int_equal(is_guard(w->mm[0], n), n >= 490 && n < 495);
}

static void removing_guards_leaves_pages_and_other_markers(void **state)
{
	struct world *w = *state;
	struct vma *vma = world_vma(w, 0, 8, VM_RW, NULL);

	put_anon(vma, 0, 1);
	put_marker(vma, 1, MARKER_POISON);
	put_marker(vma, 2, MARKER_GUARD);
	guard_remove(vma, PG(0), PG(8));
	assert_true(pte_present(pte_of(w->mm[0], 0)));
	assert_int_equal(pte_marker(pte_of(w->mm[0], 1)), MARKER_POISON);
	assert_true(pte_none(pte_of(w->mm[0], 2)));
}

static void files_have_guards_too(void **state)
{
	struct world *w = *state;
	struct vma *vma = world_vma(w, 0, 8, VM_RW | VM_SHARED_BITS, &w->host);
	struct folio *folio = put_file(vma, 3, PTE_DIRTY | PTE_WRITE);

	assert_int_equal(guard_install(vma, PG(0), PG(8)), 0);
	assert_true(is_guard(w->mm[0], 3));
	assert_null(vma->anon_vma); /* fork goes by VM_MAYBE_GUARD */
	assert_int_equal(folio_maps(folio), 0);
	assert_true(folio_test(folio, FOLIO_DIRTY));
	assert_int_equal(rss_of(w->mm[0], MM_FILEPAGES), 0);
	assert_world(w);
}

static void more_pages_than_a_batch_holds(void **state)
{
	struct world *w = *state;
	struct vma *vma = world_vma(w, 0, 1200, VM_RW, NULL);

	for (unsigned long n = 0; n < 1200; n++)
		put_anon(vma, n, 1);
	assert_int_equal(guard_install(vma, PG(0), PG(100)), 0); /* makes no table */
	samara_inject_from(1);
	assert_int_equal(guard_install(vma, PG(0), PG(1200)), 0);
	samara_inject_from(0);
	for (unsigned long n = 0; n < 1200; n++)
		assert_true(is_guard(w->mm[0], n));
	assert_world(w);
}

static void a_refusal_changes_no_page(void **state)
{
	struct world *w = *state;
	struct vma *vma = world_vma(w, 0, 3000, VM_RW, NULL);
	unsigned long nth = 1;
	int err;

	put_anon(vma, 2, 0x11);
	for (;; nth++) {
		samara_inject_nth(nth);
		err = guard_install(vma, PG(0), PG(3000));
		samara_inject_nth(0);
		if (!err)
			break;
		assert_int_equal(err, -ENOMEM);
		assert_true(pte_present(pte_of(w->mm[0], 2)));
		for (unsigned long n = 0; n < 3000; n++)
			assert_false(is_guard(w->mm[0], n));
		assert_int_equal(rss_of(w->mm[0], MM_ANONPAGES), 1);
		assert_world(w);
	}
	assert_true(nth > 2); /* several tables were needed */
	assert_true(is_guard(w->mm[0], 2999));
	assert_world(w);
}

#define test(name) cmocka_unit_test_setup_teardown(name, world_up, world_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(guards_take_the_place_of_everything),
		test(removing_guards_leaves_pages_and_other_markers),
		test(files_have_guards_too),
		test(more_pages_than_a_batch_holds),
		test(a_refusal_changes_no_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
