/* SPDX-License-Identifier: MIT */
/*
 * Swap areas that keep their pages compressed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <samara/alloc.h>
#include <samara/inject.h>

#include "support/cmocka_all.h"

#include "support/random.h"
#include "support/swap_box.h"

static const char *const algorithms[] = { "lz4", "zstd" };

static size_t allocated; /* bytes that the library has from the C library */

static void *counting_alloc(void *ctx, size_t size, size_t align)
{
	(void)ctx;
	allocated += size;
	return aligned_alloc(align, (size + align - 1) & ~(align - 1));
}

static void counting_free(void *ctx, void *p, size_t size)
{
	(void)ctx;
	allocated -= size;
	free(p);
}

static void off(struct samara_swap *area)
{
	assert_int_equal(swap_area_stop(area), 0);
	assert_int_equal(swap_area_used(area), 0);
	swap_area_end(area);
}

static struct samara_swap *on(struct store_box *box, const char *algorithm, unsigned long pages)
{
	struct samara_swap *area;

	assert_int_equal(swap_on_compressed(box->store, pages * BOX_PAGE + 5, algorithm, &area), 0);
	return area;
}

/* A page of text: a line that repeats. */
static void fill(struct store_box *box, struct folio *folio, unsigned long n)
{
	char *bytes = folio_virt(box->ram, folio);

	for (unsigned long at = 0; at < BOX_PAGE; at++)
		bytes[at] = "a page of %lu words that come again and again\n"[(at + n) % 45];
}

static void noise(struct store_box *box, struct folio *folio, unsigned long seed)
{
	uint64_t *words = folio_virt(box->ram, folio);
	struct rng rng;

	rng_init(&rng, seed);
	for (unsigned long i = 0; i < BOX_PAGE / sizeof(*words); i++)
		words[i] = rng_next(&rng);
}

static swp_entry_t leave(struct store_box *box, unsigned long n,
			 void (*with)(struct store_box *box, struct folio *folio, unsigned long n))
{
	struct folio *folio = swap_new_page(box, 1);
	swp_entry_t entry;

	with(box, folio, n);
	folio_lock(folio);
	assert_int_equal(swap_cache_add(box->store, folio), 0);
	entry = folio_swap(folio);
	assert_true(swap_dup(box->store, entry));
	folio_unlock_unseen(folio);
	folio_put(box->ram, folio);
	assert_int_equal(swap_uncache(box, entry), 0);
	return entry;
}

static void check(struct store_box *box, swp_entry_t entry, unsigned long n,
		  void (*with)(struct store_box *box, struct folio *folio, unsigned long n))
{
	struct folio *folio, *want = swap_new_page(box, 1);
	bool major = false;

	with(box, want, n);
	assert_int_equal(swap_read(box->store, entry, NULL, &folio, &major), 0);
	assert_memory_equal(folio_virt(box->ram, folio), folio_virt(box->ram, want), BOX_PAGE);
	folio_put(box->ram, folio);
	folio_put(box->ram, want);
}

static void pages_become_small_and_come_back_whole(void **state)
{
	struct store_box *box = *state;

	for (unsigned int a = 0; a < 2; a++) {
		struct samara_swap *area = on(box, algorithms[a], 300);
		const size_t before = allocated;
		swp_entry_t entry[300];

		for (unsigned int i = 0; i < 300; i++)
			entry[i] = leave(box, i, fill);
		/* Less than an eighth. */
		assert_true(allocated - before < 300 * BOX_PAGE / 8);
		for (unsigned int i = 0; i < 300; i++)
			check(box, entry[i], i, fill);
		swap_check(box);
		for (unsigned int i = 0; i < 300; i++)
			swap_put(box->store, entry[i]);
		assert_true(allocated <= before);
		off(area);
	}
}

static void what_cannot_be_compressed_is_kept_as_it_is(void **state)
{
	struct store_box *box = *state;

	for (unsigned int a = 0; a < 2; a++) {
		struct samara_swap *area = on(box, algorithms[a], 20);
		swp_entry_t entry[20];

		for (unsigned int i = 0; i < 20; i++)
			entry[i] = leave(box, i, i % 2 ? noise : fill);
		for (unsigned int i = 0; i < 20; i++)
			check(box, entry[i], i, i % 2 ? noise : fill);
		for (unsigned int i = 0; i < 20; i++)
			swap_put(box->store, entry[i]);
		off(area);
	}
}

static void a_page_that_changes_replaces_its_bytes(void **state)
{
	struct store_box *box = *state;
	struct samara_swap *area = on(box, "lz4", 4);
	swp_entry_t entry = swap_page_out(box, 1);
	struct folio *folio;
	bool major = false;

	for (unsigned long stamp = 2; stamp < 20; stamp++) {
		assert_int_equal(swap_read(box->store, entry, NULL, &folio, &major), 0);
		folio_lock(folio);
		swap_set_stamp(box, folio, stamp % 4 ? stamp : 0);
		folio_set(folio, FOLIO_DIRTY);
		folio_unlock_unseen(folio);
		folio_put(box->ram, folio);
		assert_int_equal(swap_uncache(box, entry), 0);
		assert_int_equal(swap_look(box, entry), stamp % 4 ? stamp : 0);
	}
	swap_put(box->store, entry);
	off(area);
}

static void refused_memory_is_a_write_that_fails(void **state)
{
	struct store_box *box = *state;

	for (unsigned int a = 0; a < 2; a++) {
		struct samara_swap *area = on(box, algorithms[a], 4);
		struct folio *folio = swap_new_page(box, 6);
		swp_entry_t entry;

		folio_lock(folio);
		assert_int_equal(swap_cache_add(box->store, folio), 0);
		entry = folio_swap(folio);
		assert_true(swap_dup(box->store, entry));
		folio_unlock_unseen(folio);
		samara_inject_nth(1);
		assert_int_equal(swap_uncache(box, entry), -EIO);
		samara_inject_nth(0);
		assert_true(swap_cache_is(folio, entry));
		assert_int_equal(swap_look(box, entry), 6);
		swap_check(box);
		swap_put(box->store, entry);
		folio_put(box->ram, folio);
		off(area);
	}
}

static void refused_memory_leaves_no_area(void **state)
{
	struct store_box *box = *state;

	for (unsigned int a = 0; a < 2; a++) {
		const unsigned long live = samara_live_objects();
		struct samara_swap *area;
		unsigned long nth = 0;
		int err;

		do {
			samara_inject_nth(++nth);
			err = swap_on_compressed(box->store, 100 * BOX_PAGE, algorithms[a], &area);
			samara_inject_nth(0);
			if (err) {
				assert_int_equal(err, -ENOMEM);
				assert_int_equal(samara_live_objects(), live);
			}
		} while (err);
		assert_int_equal(nth, 9);
		off(area);
	}
}

static void arguments_are_looked_at(void **state)
{
	struct store_box *box = *state;
	struct samara_swap *area;

	assert_int_equal(swap_on_compressed(box->store, BOX_PAGE - 1, "lz4", &area), -EINVAL);
	assert_int_equal(swap_on_compressed(box->store, ~0UL, "lz4", &area), -EINVAL);
	assert_int_equal(swap_on_compressed(box->store, BOX_PAGE, "lzo", &area), -EINVAL);
	assert_int_equal(swap_on_compressed(box->store, BOX_PAGE, "", &area), -EINVAL);
	assert_int_equal(swap_on_compressed(box->store, BOX_PAGE, NULL, &area), -EINVAL);
}

static void it_is_used_before_areas_without_a_priority(void **state)
{
	struct store_box *box = *state;
	struct swap_disk disk;
	struct samara_swap *slow = swap_disk_on(box, &disk, 4, 0), *fast = on(box, "zstd", 4);
	swp_entry_t entry = swap_page_out(box, 3);

	assert_int_equal(swp_area(entry), swap_area_number(fast));
	swap_put(box->store, entry);
	off(fast);
	swap_disk_off(slow, &disk);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, store_box_up, store_box_down)

int main(void)
{
	static const struct samara_alloc_hooks hooks = {
		.alloc = counting_alloc,
		.free = counting_free,
	};
	const struct CMUnitTest tests[] = {
		TEST(pages_become_small_and_come_back_whole),
		TEST(what_cannot_be_compressed_is_kept_as_it_is),
		TEST(a_page_that_changes_replaces_its_bytes),
		TEST(refused_memory_is_a_write_that_fails),
		TEST(refused_memory_leaves_no_area),
		TEST(arguments_are_looked_at),
		TEST(it_is_used_before_areas_without_a_priority),
	};

	if (samara_set_alloc_hooks(&hooks))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
