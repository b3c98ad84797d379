/* SPDX-License-Identifier: MIT */
/*
 * What a forked child gets of its parent's pages, and what a failed fork leaves.
 */
#include <errno.h>
#include <string.h>

#include "support/cmocka_all.h"

#include <samara/inject.h>

#include "store/swap_area.h"
#include "support/page_world.h"

static struct vma *fork_pages(struct world *w, struct vma *src)
{
	struct vma *dst = world_fork(w, world_mm(w), src);

	assert_int_equal(copy_page_range(dst, src, NULL), 0);
	return dst;
}

static void anonymous_pages_are_shared_and_write_protected(void **state)
{
	struct world *w = *state;
	struct vma *src = world_vma(w, 0, 1100, VM_RW, NULL);
	struct folio *folio = put_anon(src, 511, 1);
	pte_t parent, child;

	put_anon(src, 512, 2);
	put_anon(src, 1099, 3);
	fork_pages(w, src);
	parent = pte_of(w->mm[0], 511);
	child = pte_of(w->mm[1], 511);
	assert_ptr_equal(folio_of(w->mm[1], 511), folio);
	assert_false(pte_write(parent) || pte_write(child));
	assert_true(pte_dirty(parent) && pte_dirty(child));
	assert_true(pte_young(parent));
	assert_false(pte_young(child));
	assert_int_equal(folio_maps(folio), 2);
	assert_false(folio_test(folio, FOLIO_EXCLUSIVE));
	assert_int_equal(rss_of(w->mm[1], MM_ANONPAGES), 3);
	assert_int_equal(rss_of(w->mm[0], MM_ANONPAGES), 3);
	assert_true(pte_none(pte_of(w->mm[1], 0)));
	assert_world(w);
}

static void a_pinned_page_is_copied_at_once(void **state)
{
	struct world *w = *state;
	struct vma *src = world_vma(w, 0, 600, VM_RW, NULL);
	struct folio *folio = put_anon(src, 5, 0x33), *own;
	pte_t child;

	for (unsigned int i = 0; i < FOLIO_PIN_BIAS; i++)
		folio_get(folio);
	put_anon(src, 4, 1);
	put_anon(src, 6, 1);
	fork_pages(w, src);
	own = folio_of(w->mm[1], 5);
	child = pte_of(w->mm[1], 5);
	assert_ptr_not_equal(own, folio);
	assert_true(folio_test(folio, FOLIO_EXCLUSIVE) && folio_test(own, FOLIO_EXCLUSIVE));
	assert_true(pte_write(pte_of(w->mm[0], 5)));
	assert_true(pte_write(child) && pte_dirty(child) && pte_young(child));
	assert_memory_equal(folio_virt(w->ram, own), folio_virt(w->ram, folio), WORLD_PAGE);
	assert_int_equal(folio_maps(own), 1);
	assert_ptr_equal(own->mapping, w->vmas->anon_vma);
	assert_ptr_equal(folio_of(w->mm[1], 6), folio_of(w->mm[0], 6));
	assert_int_equal(rss_of(w->mm[1], MM_ANONPAGES), 3);
	assert_world(w);
	folio_put_many(w->ram, folio, FOLIO_PIN_BIAS);
}

static void a_pinned_page_that_is_shared_already_is_shared_again(void **state)
{
	struct world *w = *state;
	struct vma *src = world_vma(w, 0, 8, VM_RW, NULL);
	struct folio *folio = put_anon(src, 5, 0x33);

	fork_pages(w, src);
	for (unsigned int i = 0; i < FOLIO_PIN_BIAS; i++)
		folio_get(folio);
	fork_pages(w, src);
	assert_ptr_equal(folio_of(w->mm[2], 5), folio);
	assert_int_equal(folio_maps(folio), 3);
	assert_world(w);
	folio_put_many(w->ram, folio, FOLIO_PIN_BIAS);
}

static void file_pages_are_left_to_be_faulted_in_again(void **state)
{
	struct world *w = *state;
	struct vma *src = world_vma(w, 0, 8, VM_RW | VM_SHARED_BITS, &w->host);

	put_file(src, 1, PTE_DIRTY | PTE_WRITE);
	fork_pages(w, src);
	assert_true(pte_none(pte_of(w->mm[1], 1)));
	assert_int_equal(w->mm[1]->tables.nr, 0);
}

static void file_pages_beside_private_copies_are_shared(void **state)
{
	struct world *w = *state;
	struct vma *src = world_vma(w, 0, 8, VM_RW, &w->shmem);
	struct folio *cache = put_file(src, 1, 0);

	put_anon(src, 2, 1);
	fork_pages(w, src);
	assert_ptr_equal(folio_of(w->mm[1], 1), cache);
	assert_ptr_equal(folio_of(w->mm[1], 2), folio_of(w->mm[0], 2));
	assert_int_equal(folio_maps(cache), 2);
	assert_int_equal(rss_of(w->mm[1], MM_SHMEMPAGES), 1);
	assert_int_equal(rss_of(w->mm[1], MM_ANONPAGES), 1);
	assert_false(pte_write(pte_of(w->mm[1], 1)));
	assert_world(w);
}

static void a_shared_mapping_that_is_copied_is_clean_and_old_in_the_child(void **state)
{
	struct world *w = *state;
	struct vma *src = world_vma(w, 0, 8, VM_RW | VM_SHARED_BITS, &w->shmem);

	src->vm_flags |= VM_MAYBE_GUARD;
	put_file(src, 1, PTE_DIRTY | PTE_WRITE);
	put_marker(src, 2, MARKER_GUARD);
	fork_pages(w, src);
	assert_true(pte_write(pte_of(w->mm[1], 1)));
	assert_false(pte_dirty(pte_of(w->mm[1], 1)) || pte_young(pte_of(w->mm[1], 1)));
	assert_true(pte_write(pte_of(w->mm[0], 1)) && pte_dirty(pte_of(w->mm[0], 1)));
	assert_int_equal(pte_marker(pte_of(w->mm[1], 2)), MARKER_GUARD);
	assert_world(w);
}

static void pfn_maps_are_copied_and_counted_as_nothing(void **state)
{
	struct world *w = *state;
	struct vma *src = world_vma(w, 0, 8, VM_RW | VM_SHARED_BITS | VM_PFNMAP, NULL);

	put_pte(src, 3, pte_with(mk_pte(77, src->vm_flags), PTE_SPECIAL | PTE_WRITE | PTE_DIRTY));
	fork_pages(w, src);
	assert_int_equal(pte_pfn(pte_of(w->mm[1], 3)), 77);
	assert_true(pte_special(pte_of(w->mm[1], 3)) && pte_write(pte_of(w->mm[1], 3)));
	assert_int_equal(rss_of(w->mm[1], MM_FILEPAGES), 0);
}

static void markers_go_on_as_far_as_the_child_wants_them(void **state)
{
	struct world *w = *state;
	struct vma *src = world_vma(w, 0, 8, VM_RW | VM_UFFD_WP, &w->shmem), *dst;

	world_anon_vma(src);
	put_marker(src, 0, MARKER_GUARD);
	put_marker(src, 1, MARKER_POISON);
	put_marker(src, 2, MARKER_UFFD_WP);
	put_marker(src, 3, MARKER_UFFD_WP | MARKER_POISON);
	put_anon(src, 4, 1);
	dst = world_fork(w, world_mm(w), src);
	dst->vm_flags &= ~VM_UFFD_WP;
	assert_int_equal(copy_page_range(dst, src, NULL), 0);
	assert_int_equal(pte_marker(pte_of(w->mm[1], 0)), MARKER_GUARD);
	assert_int_equal(pte_marker(pte_of(w->mm[1], 1)), MARKER_POISON);
	assert_true(pte_none(pte_of(w->mm[1], 2)));
	assert_int_equal(pte_marker(pte_of(w->mm[1], 3)), MARKER_POISON);
	dst = world_fork(w, world_mm(w), src);
	assert_int_equal(copy_page_range(dst, src, NULL), 0);
	assert_int_equal(pte_marker(pte_of(w->mm[2], 2)), MARKER_UFFD_WP);
	/* That a scan has noted it on poison is not copied, as in Linux. */
	assert_int_equal(pte_marker(pte_of(w->mm[2], 3)), MARKER_POISON);
	assert_world(w);
}

/* What copy_undo() has to bring back: who is exclusive, and with what in the page. */
#define UNDO_PAGES 700

static void take_exclusive(struct world *w, unsigned char *exclusive)
{
	for (unsigned long n = 0; n < UNDO_PAGES; n++) {
		const pte_t pte = pte_of(w->mm[0], n);

		exclusive[n] = pte_present(pte) && !pte_special(pte) &&
			       folio_test(pfn_folio(w->ram, pte_pfn(pte)), FOLIO_EXCLUSIVE);
	}
}

/*
 * A parent of which a part is shared with a child that lives, a part is alone again
 * without anybody having noticed, and the rest is exclusive, one page of it pinned.
 */
static struct vma *make_parent(struct world *w, struct vma **first)
{
	struct vma *src = world_vma(w, 0, UNDO_PAGES, VM_RW, NULL);

	for (unsigned long n = 0; n < UNDO_PAGES; n++)
		if (n % 3)
			put_anon(src, n, (int)n);
	*first = fork_pages(w, src);
	world_zap(*first, 0, 300, ZAP_ALL);
	world_zap(*first, 650, 700, ZAP_ALL);
	world_zap(src, 250, 270, ZAP_ALL);
	for (unsigned long n = 250; n < 270; n++)
		put_anon(src, n, 1);
	for (unsigned int i = 0; i < FOLIO_PIN_BIAS; i++)
		folio_get(folio_of(w->mm[0], 261));
	return src;
}

/* The nth allocation is refused. What copy_page_range() said. */
static int fork_refused(struct world *w, unsigned long nth)
{
	unsigned char before[UNDO_PAGES], after[UNDO_PAGES];
	struct vma *first, *src = make_parent(w, &first);
	struct vma *dst = world_fork(w, world_mm(w), src);
	int err;

	take_exclusive(w, before);
	samara_inject_nth(nth);
	err = copy_page_range(dst, src, NULL);
	samara_inject_nth(0);
	assert_world(w);
	world_vma_gone(w, dst);
	world_mm_gone(w, w->mm[2]);
	if (err) {
		copy_undo(src);
		take_exclusive(w, after);
		assert_memory_equal(before, after, sizeof(before));
	}
	assert_world(w);
	folio_put_many(w->ram, folio_of(w->mm[0], 261), FOLIO_PIN_BIAS);
	world_vma_gone(w, first);
	world_mm_gone(w, w->mm[1]);
	world_vma_gone(w, src);
	return err;
}

static void a_failed_fork_leaves_the_parent_as_it_was(void **state)
{
	unsigned long nth = 1;
	int err;

	while ((err = fork_refused(*state, nth))) {
		assert_int_equal(err, -ENOMEM);
		nth++;
	}
	assert_true(nth > 3); /* two leaves and a frame at least */
}

static void undoing_takes_nothing_from_a_child_that_still_has_it(void **state)
{
	struct world *w = *state;
	struct vma *src = world_vma(w, 0, 8, VM_RW, NULL), *dst;

	put_anon(src, 1, 1);
	put_anon(src, 2, 1);
	dst = fork_pages(w, src);
	world_zap(dst, 2, 3, ZAP_ALL);
	copy_undo(src);
	assert_false(folio_test(folio_of(w->mm[0], 1), FOLIO_EXCLUSIVE));
	assert_true(folio_test(folio_of(w->mm[0], 2), FOLIO_EXCLUSIVE));
	assert_world(w);
}

/* A fork that stops at a slot's limit leaves the parent as it was. */
static void a_fork_fails_where_a_slot_has_too_many_entries(void **state)
{
	struct world *w = *state;
	struct vma *vma = world_vma(w, 0, 16, VM_RW, NULL), *child;
	pte_t first, second;

	world_anon_vma(vma);
	first = put_swap(vma, 1, 0x5a, SWP_EXCLUSIVE);
	second = put_swap(vma, 2, 0x5a, 0);
	assert_true(swap_dup(w->box.store, pte_swap_entry(second)));
	child = world_fork(w, world_mm(w), vma);
#ifdef SAMARA_DEBUG /* in others the limit stays */
	swap_count_max = 2;
	assert_int_equal(copy_page_range(child, vma, NULL), -ENOMEM);
	swap_count_max = SWAP_COUNT_LIMIT;
#endif
	swap_put(w->box.store, pte_swap_entry(second));
	assert_world(w);
	world_vma_gone(w, child);
	copy_undo(vma);
	assert_true(pte_same(pte_of(w->mm[0], 1), first));
	assert_true(pte_same(pte_of(w->mm[0], 2), second));
	assert_world(w);
}

/* One that was shared before is not exclusive after a fork that failed. */
static void a_failed_fork_makes_nothing_exclusive_that_was_not(void **state)
{
	struct world *w = *state;
	struct vma *vma = world_vma(w, 0, 16, VM_RW, NULL), *first, *second;

	put_swap(vma, 1, 0x5a, SWP_EXCLUSIVE);
	first = world_fork(w, world_mm(w), vma);
	assert_int_equal(copy_page_range(first, vma, NULL), 0);
	second = world_fork(w, world_mm(w), vma);
	assert_int_equal(copy_page_range(second, vma, NULL), 0);
	world_vma_gone(w, second);
	copy_undo(vma);
	assert_false(swp_value(pte_of(w->mm[0], 1)) & SWP_EXCLUSIVE);
	world_vma_gone(w, first);
	copy_undo(vma);
	assert_false(swp_value(pte_of(w->mm[0], 1)) & SWP_EXCLUSIVE);
	assert_world(w);
}

#define test(name) cmocka_unit_test_setup_teardown(name, world_up, world_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(anonymous_pages_are_shared_and_write_protected),
		test(a_pinned_page_is_copied_at_once),
		test(a_pinned_page_that_is_shared_already_is_shared_again),
		test(file_pages_are_left_to_be_faulted_in_again),
		test(file_pages_beside_private_copies_are_shared),
		test(a_shared_mapping_that_is_copied_is_clean_and_old_in_the_child),
		test(pfn_maps_are_copied_and_counted_as_nothing),
		test(markers_go_on_as_far_as_the_child_wants_them),
		test(a_failed_fork_leaves_the_parent_as_it_was),
		test(undoing_takes_nothing_from_a_child_that_still_has_it),
		test(a_fork_fails_where_a_slot_has_too_many_entries),
		test(a_failed_fork_makes_nothing_exclusive_that_was_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
