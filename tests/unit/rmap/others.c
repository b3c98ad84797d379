/* SPDX-License-Identifier: MIT */
/*
 * Where a walk comes to an entry that is not the folio's: a private copy, a frame without a
 * folio, a swap entry. And where it comes to one that must stay.
 */
#include <errno.h>

#include "mmu/entry.h"
#include "space.h"

#define COPIES 16UL
#define WINDOW(i) (100 + 10 * (i))

static bool is_between(const struct ram *ram, const struct folio *folio,
		       struct folio *const copies[COPIES])
{
	bool below = false, above = false;

	for (unsigned long i = 0; i < COPIES; i++) {
		below |= folio_pfn(ram, copies[i]) < folio_pfn(ram, folio);
		above |= folio_pfn(ram, copies[i]) > folio_pfn(ram, folio);
	}
	return below && above;
}

/*
 * A file's page that is mapped once; where it would be in private mappings there are copies, with
 * lower and with higher frames.
 */
static struct folio *copied(struct fixture *f, struct folio *copies[COPIES])
{
	struct folio *folio = NULL;

	map_file(f, 0, 1, RW, MAP_SHARED, 0);
	for (unsigned long i = 0; i < COPIES; i++) {
		map_file(f, WINDOW(i), WINDOW(i) + 1, RW, MAP_PRIVATE, 0);
		if (i == COPIES / 2)
			folio = put_file(f->mm, 0, PTE_WRITE | PTE_DIRTY);
		copies[i] = put_anon(f->mm, WINDOW(i));
	}
	assert_true(is_between(ram_of(f->mm), folio, copies));
	return folio;
}

static void private_copies_are_not_the_files_page(void **state)
{
	struct fixture *f = *state;
	struct folio *copies[COPIES], *folio = copied(f, copies);
	struct ram *ram = ram_of(f->mm);

	hold(folio);
	assert_int_equal(folio_referenced(store_of(f->mm), folio), 1);
	assert_true(folio_mkclean(ram, folio));
	assert_int_equal(folio_unmap_all(store_of(f->mm), folio, (swp_entry_t){ 0 }), 0);
	assert_int_equal(folio_maps(folio), 0);
	let_go(ram, folio);
	assert_true(pte_none(pte_of(f->mm, 0)));
	for (unsigned long i = 0; i < COPIES; i++) {
		const pte_t pte = pte_of(f->mm, WINDOW(i));

		assert_int_equal(pte_pfn(pte), folio_pfn(ram, copies[i]));
		assert_true(pte_write(pte) && pte_dirty(pte) && pte_young(pte));
		assert_int_equal(folio_maps(copies[i]), 1);
	}
	assert_int_equal(mm_rss_sum(f->mm, MM_ANONPAGES), COPIES);
	clear_pages(f->mm, 0, WINDOW(COPIES));
}

/* An entry whose bits for the frame are the folio's, and that is not the folio's for all that. */
static void stays(struct fixture *f, struct folio *folio, pte_t entry)
{
	struct ram *ram = ram_of(f->mm);

	set_pte(f->mm, 10, entry);
	hold(folio);
	assert_int_equal(folio_referenced(store_of(f->mm), folio), 0);
	assert_int_equal(folio_unmap_all(store_of(f->mm), folio, (swp_entry_t){ 0 }), 0);
	let_go(ram, folio);
	assert_true(pte_same(pte_of(f->mm, 10), entry));
	/* No area has the slot of a swap entry that is made up. */
	set_pte(f->mm, 10, mk_marker(MARKER_GUARD));
	clear_pages(f->mm, 10, 11);
}

static void entries_without_a_folio_are_nobodys(void **state)
{
	struct fixture *f = *state;
	struct ram *ram = ram_of(f->mm);
	pte_t slot = pte_empty();
	struct folio *folio;
	bool major;

	map_file(f, 10, 11, RW, MAP_PRIVATE, 0);
	assert_int_equal(page_cache_get(f->file->inode, 0, &folio, &major), 0);
	folio_unlock(folio);
	stays(f, folio, pte_with(mk_pte(folio_pfn(ram, folio), VM_READ), PTE_SPECIAL));
	/* The low bits of the type lie below those of a frame, the others among them. */
	slot.v = (uint64_t)folio_pfn(ram, folio) << PTE_PFN_SHIFT |
		 (uint64_t)SWP_AREA << PTE_SWP_TYPE_SHIFT | PTE_SWP;
	assert_int_equal(pte_pfn(slot), folio_pfn(ram, folio));
	assert_true(pte_swp(slot) && swp_type(slot) >= SWP_AREA);
	stays(f, folio, slot);
	folio_put(ram, folio);
}

/* In which mm a walk looks first. */
static enum rmap_answer note_first(struct rmap_walk *walk, struct vma *vma, unsigned long addr)
{
	*(struct samara_mm **)walk->arg = vma->vm_mm;
	return RMAP_STOP;
}

/* A copy that must not go is met first: the walk ends, the other is left. */
static void nothing_goes_behind_one_that_must_stay(void **state)
{
	struct fixture *f = *state;
	struct ram *ram = ram_of(f->mm);
	struct samara_mm *child, *at_first = NULL, *other;
	struct rmap_walk walk = { .ram = ram, .one = note_first, .arg = &at_first };
	struct folio *folio;

	map_pages(f->mm, 0, 2, RW, 0);
	folio = put_anon(f->mm, 0);
	assert_int_equal(samara_fork(f->mm, &child), 0);
	if (pte_none(pte_of(child, 0)))
		share(child, 0, folio);
	folio_test_clear(folio, FOLIO_EXCLUSIVE | FOLIO_SWAPBACKED);
	walk.folio = folio;
	hold(folio);
	rmap_walk(&walk);
	assert_non_null(at_first);
	other = at_first == child ? f->mm : child;
	set_pte(at_first, 0, pte_with(pte_of(at_first, 0), PTE_DIRTY));
	set_pte(other, 0, pte_without(pte_of(other, 0), PTE_DIRTY));
	assert_int_equal(folio_unmap_all(store_of(f->mm), folio, (swp_entry_t){ 0 }), -EBUSY);
	let_go(ram, folio);
	assert_int_equal(folio_maps(folio), 2);
	assert_true(pte_present(pte_of(at_first, 0)));
	assert_true(pte_present(pte_of(other, 0)));
	clear_pages(child, 0, 2);
	samara_mm_exit(child);
	clear_pages(f->mm, 0, 2);
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(private_copies_are_not_the_files_page),
		test(entries_without_a_folio_are_nobodys),
		test(nothing_goes_behind_one_that_must_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
