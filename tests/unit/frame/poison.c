/* SPDX-License-Identifier: MIT */
/*
 * Frames by number: free ones are taken one by one, those in use are found, and one that is bad is
 * never given out again.
 */
#include "fixture.h"
#include "frame/pfn.h"

static unsigned long poisoned(struct ram *ram)
{
	struct ram_stats stats;

	ram_stats(ram, &stats);
	return stats.poisoned;
}

static void a_free_frame_is_taken_out_of_its_block(void **state)
{
	struct ram *ram = *state;
	struct folio *first = must_alloc(ram, 0, FOLIO_ZEROED), *out[4];
	const unsigned long before = unused(ram), at = 37;

	/* From the middle of a block, from a shard, from what was never used. */
	assert_int_equal(ram_take_free(ram, at, 1, out), 1);
	assert_int_equal(folio_pfn(ram, out[0]), at);
	assert_int_equal(folio_refs(out[0]), 1);
	assert_int_equal(ram_take_free(ram, at, 1, out + 1), 0);
	assert_int_equal(ram_take_free(ram, folio_pfn(ram, first), 1, out + 1), 0);
	assert_int_equal(ram_take_free(ram, FRAMES - 2, 2, out + 1), 2);
	assert_int_equal(ram_take_free(ram, ZERO_FRAME, 1, out + 3), 0);
	assert_int_equal(ram_take_free(ram, FRAMES, 1, out + 3), 0);
	assert_int_equal(unused(ram), before - 3);
	assert_valid(ram);
	for (int i = 0; i < 3; i++)
		folio_put(ram, out[i]);
	folio_put(ram, first);
	assert_int_equal(unused(ram), before + 1);
	assert_valid(ram);
}

static void a_frame_in_use_is_found(void **state)
{
	struct ram *ram = *state;
	struct folio *one = must_alloc(ram, 0, FOLIO_ZEROED);
	struct folio *block = must_alloc(ram, 3, FOLIO_ZEROED);
	const unsigned long pfn = folio_pfn(ram, block);

	assert_ptr_equal(folio_get_pfn(ram, folio_pfn(ram, one)), one);
	assert_int_equal(folio_refs(one), 2);
	assert_ptr_equal(folio_get_pfn(ram, pfn + 5), block);
	folio_put(ram, block);
	folio_put(ram, block);
	folio_put(ram, one);
	folio_put(ram, one);
	assert_null(folio_get_pfn(ram, pfn + 5));
	assert_null(folio_get_pfn(ram, ZERO_FRAME));
	assert_null(folio_get_pfn(ram, FRAMES - 1));
}

static void a_bad_frame_is_never_used_again(void **state)
{
	struct ram *ram = *state;
	struct folio *folio = must_alloc(ram, 0, FOLIO_ZEROED), *all[FRAMES], *out;
	const unsigned long pfn = folio_pfn(ram, folio), before = unused(ram);
	unsigned long n = 0;

	folio_set(folio, FOLIO_POISONED);
	assert_false(ram_is_poisoned(ram, pfn));
	folio_put(ram, folio);
	assert_true(ram_is_poisoned(ram, pfn));
	assert_int_equal(poisoned(ram), 1);
	assert_int_equal(unused(ram), before);
	assert_int_equal(ram_take_free(ram, pfn, 1, &out), 0);
	assert_null(folio_get_pfn(ram, pfn));
	assert_valid(ram);
	while ((folio = folio_alloc(ram, 0, FOLIO_RAW))) {
		assert_int_not_equal(folio_pfn(ram, folio), pfn);
		all[n++] = folio;
	}
	assert_int_equal(n, before);
	while (n--)
		folio_put(ram, all[n]);
	assert_valid(ram);
}

static void a_bad_block_goes_as_a_whole(void **state)
{
	struct ram *ram = *state;
	struct folio *folio = must_alloc(ram, 2, FOLIO_ZEROED);
	const unsigned long pfn = folio_pfn(ram, folio);

	folio_set(folio, FOLIO_POISONED);
	folio_put(ram, folio);
	for (unsigned long i = 0; i < 4; i++)
		assert_true(ram_is_poisoned(ram, pfn + i));
	assert_false(ram_is_poisoned(ram, pfn + 4));
	assert_int_equal(poisoned(ram), 4);
	assert_valid(ram);
}

static int ram_gone(void **state)
{
	ram_destroy(*state);
	assert_int_equal(samara_warnings(), 0);
	return 0;
}

#define test(name, down) cmocka_unit_test_setup_teardown(name, ram_up, down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_free_frame_is_taken_out_of_its_block, ram_down),
		test(a_frame_in_use_is_found, ram_down),
		test(a_bad_frame_is_never_used_again, ram_gone),
		test(a_bad_block_goes_as_a_whole, ram_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
