/* SPDX-License-Identifier: MIT */
/*
 * What leaves, what stays, and what is told to whom, when pages are zapped.
 */
#include "support/cmocka_all.h"

#include <samara/inject.h>

#include "support/page_world.h"

static void zapped_pages_are_free_and_uncounted(void **state)
{
	struct world *w = *state;
	struct vma *vma = world_vma(w, 0, 1100, VM_RW, NULL);
	struct ram_stats before, after;

	ram_stats(w->ram, &before);
	for (unsigned long n = 0; n < 1100; n += 3)
		put_anon(vma, n, (int)n);
	put_zero(vma, 1);
	assert_int_equal(rss_of(w->mm[0], MM_ANONPAGES), 367);
	world_zap(vma, 0, 600, ZAP_ALL);
	assert_int_equal(rss_of(w->mm[0], MM_ANONPAGES), 167);
	assert_true(pte_none(pte_of(w->mm[0], 1)));
	assert_true(pte_none(pte_of(w->mm[0], 597)));
	assert_true(pte_present(pte_of(w->mm[0], 600)));
	assert_world(w);
	world_zap(vma, 600, 1100, ZAP_ALL);
	ram_stats(w->ram, &after);
	assert_int_equal(after.free + after.cached, before.free + before.cached);
}

static void nothing_outside_the_range_is_touched(void **state)
{
	struct world *w = *state;
	struct vma *vma = world_vma(w, 0, 2000, VM_RW, NULL);

	for (unsigned long n = 500; n < 520; n++)
		put_anon(vma, n, 1);
	world_zap(vma, 510, 514, ZAP_ALL);
	for (unsigned long n = 500; n < 520; n++)
		assert_int_equal(pte_none(pte_of(w->mm[0], n)), n >= 510 && n < 514);
}

/* One row of the table in zap.c: kind of entry at page n, and what each way of zapping leaves. */
static void fill_kinds(struct world *w, struct vma *vma)
{
	put_anon(vma, 0, 1);
	put_zero(vma, 1);
	put_marker(vma, 2, MARKER_GUARD);
	put_marker(vma, 3, MARKER_POISON);
	put_marker(vma, 4, MARKER_UFFD_WP);
	if (vma->vm_file)
		put_file(vma, 5, 0);
	(void)w;
}

static unsigned int left(struct samara_mm *mm)
{
	unsigned int mask = 0;

	for (unsigned long n = 0; n < 6; n++)
		mask |= pte_none(pte_of(mm, n)) ? 0 : 1U << n;
	return mask;
}

static void each_kind_of_entry_stays_or_leaves_as_the_table_says(void **state)
{
	static const unsigned int file_left[] = { 0, 1 << 2 | 1 << 4,
						  1 << 0 | 1 << 2 | 1 << 3 | 1 << 4 };
	static const unsigned int anon_left[] = { 0, 1 << 2, 1 << 0 | 1 << 2 | 1 << 3 };
	struct world *w = *state;
	struct vma *file = world_vma(w, 0, 6, VM_RW, &w->shmem), *anon;

	for (int what = ZAP_ALL; what <= ZAP_FILE_ONLY; what++) {
		fill_kinds(w, file);
		world_zap(file, 0, 6, (enum zap_what)what);
		assert_int_equal(left(w->mm[0]), file_left[what]);
		assert_world(w);
		world_zap(file, 0, 6, ZAP_ALL);
	}
	world_vma_gone(w, file);
	anon = world_vma(w, 0, 6, VM_RW, NULL);
	for (int what = ZAP_ALL; what <= ZAP_FILE_ONLY; what++) {
		fill_kinds(w, anon);
		world_zap(anon, 0, 6, (enum zap_what)what);
		assert_int_equal(left(w->mm[0]), anon_left[what]);
		world_zap(anon, 0, 6, ZAP_ALL);
	}
}

static void a_write_protected_page_of_a_file_leaves_its_mark(void **state)
{
	struct world *w = *state;
	struct vma *vma = world_vma(w, 0, 4, VM_RW | VM_SHARED_BITS | VM_UFFD_WP, &w->shmem);

	put_file(vma, 0, PTE_UFFD_WP);
	put_file(vma, 1, 0);
	world_zap(vma, 0, 2, ZAP_KEEP_GUARDS);
	assert_int_equal(pte_marker(pte_of(w->mm[0], 0)), MARKER_UFFD_WP);
	assert_true(pte_none(pte_of(w->mm[0], 1)));
	put_file(vma, 2, PTE_UFFD_WP);
	world_zap(vma, 0, 3, ZAP_ALL);
	assert_int_equal(left(w->mm[0]), 0);
}

static void dirty_and_accessed_bits_go_to_a_files_folio(void **state)
{
	struct world *w = *state;
	struct vma *vma = world_vma(w, 0, 4, VM_RW | VM_SHARED_BITS, &w->host);
	struct folio *dirty = put_file(vma, 0, PTE_DIRTY | PTE_WRITE);
	struct folio *clean = put_file(vma, 1, 0), *once;

	world_zap(vma, 0, 2, ZAP_ALL);
	assert_true(folio_test(dirty, FOLIO_DIRTY));
	assert_true(folio_test(dirty, FOLIO_REFERENCED));
	assert_false(folio_test(clean, FOLIO_DIRTY));
	assert_int_equal(folio_maps(dirty), 0);
	assert_int_equal(rss_of(w->mm[0], MM_FILEPAGES), 0);
	/* A reader from front to back leaves no trace. */
	vma->vm_flags |= VM_SEQ_READ;
	once = put_file(vma, 2, 0);
	world_zap(vma, 2, 3, ZAP_ALL);
	assert_false(folio_test(once, FOLIO_REFERENCED));
}

/* It goes, or another process goes on with it, whose entry has bits of its own. */
static void an_anonymous_folio_learns_nothing(void **state)
{
	struct world *w = *state;
	struct vma *vma = world_vma(w, 0, 8, VM_RW, NULL);
	struct folio *folio = put_anon(vma, 1, 1);
	unsigned int before;

	folio_get(folio);
	before = folio_flags(folio);
	assert_int_equal(before & (FOLIO_DIRTY | FOLIO_REFERENCED), 0);
	assert_true(pte_dirty(pte_of(w->mm[0], 1)) && pte_young(pte_of(w->mm[0], 1)));
	world_zap(vma, 0, 8, ZAP_ALL);
	assert_int_equal(folio_flags(folio), before);
	folio_put(w->ram, folio);
}

static void shared_memory_and_files_are_counted_apart(void **state)
{
	struct world *w = *state;
	struct vma *shmem = world_vma(w, 0, 4, VM_RW | VM_SHARED_BITS, &w->shmem);
	struct vma *host = world_vma(w, 4, 8, VM_RW, &w->host);

	put_file(shmem, 0, 0);
	put_file(host, 4, 0);
	put_anon(host, 5, 1);
	assert_int_equal(rss_of(w->mm[0], MM_SHMEMPAGES), 1);
	assert_int_equal(rss_of(w->mm[0], MM_FILEPAGES), 1);
	assert_int_equal(rss_of(w->mm[0], MM_ANONPAGES), 1);
	world_zap(shmem, 0, 4, ZAP_ALL);
	assert_int_equal(rss_of(w->mm[0], MM_SHMEMPAGES), 0);
	world_zap(host, 4, 8, ZAP_ALL);
	assert_int_equal(rss_of(w->mm[0], MM_FILEPAGES), 0);
	assert_int_equal(rss_of(w->mm[0], MM_ANONPAGES), 0);
}

static void a_full_batch_is_flushed_and_the_leaf_entered_again(void **state)
{
	struct world *w = *state;
	struct vma *vma = world_vma(w, 0, 12000, VM_RW, NULL);

	for (unsigned long n = 0; n < 12000; n++)
		put_anon(vma, n, 1);
	world_zap(vma, 0, 12000, ZAP_ALL);
	assert_int_equal(rss_of(w->mm[0], MM_ANONPAGES), 0);
	assert_world(w);
	/* The same with no memory for a batch: flushed all the time. */
	for (unsigned long n = 0; n < 1200; n++)
		put_anon(vma, n, 1);
	samara_inject_from(1);
	world_zap(vma, 0, 1200, ZAP_ALL);
	samara_inject_from(0);
	assert_int_equal(rss_of(w->mm[0], MM_ANONPAGES), 0);
	assert_world(w);
}

static void a_page_that_somebody_holds_outlives_its_mapping(void **state)
{
	struct world *w = *state;
	struct vma *vma = world_vma(w, 0, 4, VM_RW, NULL);
	struct folio *folio = put_anon(vma, 0, 0x5a);

	folio_get(folio);
	world_zap(vma, 0, 4, ZAP_ALL);
	assert_int_equal(folio_maps(folio), 0);
	assert_int_equal(folio_refs(folio), 1);
	assert_int_equal(*(unsigned char *)folio_virt(w->ram, folio), 0x5a);
	folio_put(w->ram, folio);
}

#define test(name) cmocka_unit_test_setup_teardown(name, world_up, world_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(zapped_pages_are_free_and_uncounted),
		test(nothing_outside_the_range_is_touched),
		test(each_kind_of_entry_stays_or_leaves_as_the_table_says),
		test(a_write_protected_page_of_a_file_leaves_its_mark),
		test(dirty_and_accessed_bits_go_to_a_files_folio),
		test(an_anonymous_folio_learns_nothing),
		test(shared_memory_and_files_are_counted_apart),
		test(a_full_batch_is_flushed_and_the_leaf_entered_again),
		test(a_page_that_somebody_holds_outlives_its_mapping),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
