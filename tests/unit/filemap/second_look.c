/* SPDX-License-Identifier: MIT */
/*
 * A fault maps a page between the moment when truncation (or a hole) has unmapped it and the
 * moment when it leaves the cache: it is unmapped once more.
 */
#include "filemap/filemap.h"
#include "support/waits.h"
#include "unit/rmap/space.h"

static void cut(void *arg)
{
	struct fixture *f = arg;

	assert_int_equal(file_set_length(f->file, 5 * PAGE), 0);
}

static void punch(void *arg)
{
	struct fixture *f = arg;

	assert_int_equal(file_punch(f->file, 5, 5), 0);
}

/* call waits for the lock of page 5; the caller of this maps the page again while it has that. */
static void map_again_meanwhile(struct fixture *f, void (*call)(void *arg))
{
	struct waiting_call c = { .call = call, .arg = f };
	bool waited, unmapped;
	struct folio *folio;

	map_file(f, 0, 8, RW, MAP_SHARED, 0);
	put_file(f->mm, 4, 0);
	folio = put_file(f->mm, 5, PTE_WRITE | PTE_DIRTY);
	hold(folio);
	waited = waits_for_folio(&c, folio);
	unmapped = pte_none(pte_of(f->mm, 5));
	share(f->mm, 5, folio);
	folio_unlock(folio);
	call_returns(&c);
	assert_true(waited);
	assert_true(unmapped);
	assert_true(pte_none(pte_of(f->mm, 5)));
	assert_int_equal(folio_maps(folio), 0);
	assert_int_equal(folio_refs(folio), 1);
	folio_put(f->machine->ram, folio);
	assert_true(pte_present(pte_of(f->mm, 4)));
	assert_int_equal(mm_rss_sum(f->mm, MM_SHMEMPAGES), 1);
	clear_pages(f->mm, 0, 8);
}

static void what_is_mapped_while_a_file_is_cut_goes_too(void **state)
{
	map_again_meanwhile(*state, cut);
}

static void what_is_mapped_while_a_hole_is_made_goes_too(void **state)
{
	map_again_meanwhile(*state, punch);
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(what_is_mapped_while_a_file_is_cut_goes_too),
		test(what_is_mapped_while_a_hole_is_made_goes_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
