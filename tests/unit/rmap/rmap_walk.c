/* SPDX-License-Identifier: MIT */
/*
 * From a folio to its mappings: all of them are found, none beside, and what is done to a
 * folio is done to each.
 */
#include <errno.h>

#include "rmap/link.h"
#include "space.h"
#include "store/swap_area.h"
#include "support/swap_box.h"

#define FOUND_MAX 8

struct found {
	unsigned int n;
	struct {
		struct samara_mm *mm;
		unsigned long addr;
	} at[FOUND_MAX];
	unsigned int stop_after;
};

static enum rmap_answer note(struct rmap_walk *walk, struct vma *vma, unsigned long addr)
{
	struct found *found = walk->arg;

	assert_true(found->n < FOUND_MAX);
	assert_true(addr >= vma->vm_start && addr < vma->vm_end);
	found->at[found->n].mm = vma->vm_mm;
	found->at[found->n].addr = addr;
	found->n++;
	return found->n == found->stop_after ? RMAP_STOP : RMAP_ON;
}

static struct found walk(struct ram *ram, struct folio *folio, enum mm_gate gate)
{
	struct found found = { 0 };
	struct rmap_walk walk = {
		.ram = ram,
		.folio = folio,
		.gate = gate,
		.one = note,
		.arg = &found,
	};

	hold(folio);
	rmap_walk(&walk);
	let_go(ram, folio);
	return found;
}

static bool has(const struct found *found, struct samara_mm *mm, unsigned long page)
{
	for (unsigned int i = 0; i < found->n; i++)
		if (found->at[i].mm == mm && found->at[i].addr == AT(page))
			return true;
	return false;
}

static void a_new_anonymous_page_is_exclusive(void **state)
{
	struct fixture *f = *state;
	struct folio *folio;

	map_pages(f->mm, 0, 4, RW, 0);
	folio = put_anon(f->mm, 2);
	assert_int_equal(folio_maps(folio), 1);
	assert_int_equal(folio_refs(folio), 0);
	assert_true(folio_test(folio, FOLIO_ANON));
	assert_true(folio_test(folio, FOLIO_EXCLUSIVE));
	assert_true(folio_test(folio, FOLIO_SWAPBACKED));
	assert_ptr_equal(folio->mapping, vma_of(f->mm, 2)->anon_vma);
	assert_int_equal(folio->index, AT(2) / PAGE);
	clear_pages(f->mm, 0, 4);
}

static void a_page_is_found_in_parent_and_child(void **state)
{
	struct fixture *f = *state;
	struct samara_mm *child;
	struct folio *parents, *childs;
	struct found found;

	map_pages(f->mm, 0, 4, RW, 0);
	parents = put_anon(f->mm, 1);
	assert_int_equal(samara_fork(f->mm, &child), 0);
	if (pte_none(pte_of(child, 1)))
		share(child, 1, parents);
	childs = put_anon(child, 3);
	found = walk(ram_of(child), parents, MM_GATE_LOOK);
	assert_int_equal(found.n, 2);
	assert_true(has(&found, f->mm, 1) && has(&found, child, 1));
	/* What the child wrote is looked for in the child only. */
	found = walk(ram_of(child), childs, MM_GATE_LOOK);
	assert_int_equal(found.n, 1);
	assert_true(has(&found, child, 3));
	clear_pages(child, 0, 4);
	samara_mm_exit(child);
	clear_pages(f->mm, 0, 4);
}

static void a_page_is_found_after_splits_merges_and_cuts(void **state)
{
	struct fixture *f = *state;
	struct folio *folio;
	struct found found;

	map_pages(f->mm, 0, 8, RW, 0);
	folio = put_anon(f->mm, 5);
	assert_int_equal(samara_mprotect(f->mm, AT(4), 2 * PAGE, PROT_READ), 0);
	found = walk(ram_of(f->mm), folio, MM_GATE_LOOK);
	assert_int_equal(found.n, 1);
	assert_true(has(&found, f->mm, 5));
	assert_int_equal(samara_munmap(f->mm, AT(0), 5 * PAGE), 0);
	found = walk(ram_of(f->mm), folio, MM_GATE_LOOK);
	assert_int_equal(found.n, 1);
	assert_true(has(&found, f->mm, 5));
	assert_int_equal(samara_mprotect(f->mm, AT(5), PAGE, RW), 0);
	assert_map(f->mm, "5-8 rw-p");
	found = walk(ram_of(f->mm), folio, MM_GATE_LOOK);
	assert_int_equal(found.n, 1);
	clear_pages(f->mm, 0, 8);
}

static void a_walk_can_be_stopped(void **state)
{
	struct fixture *f = *state;
	struct found found = { .stop_after = 1 };
	struct rmap_walk walk = { .ram = ram_of(f->mm), .one = note, .arg = &found };

	map_file(f, 0, 2, RW, MAP_SHARED, 0);
	map_file(f, 10, 12, RW, MAP_SHARED, 0);
	walk.folio = put_file(f->mm, 0, 0);
	hold(walk.folio);
	rmap_walk(&walk);
	let_go(walk.ram, walk.folio);
	assert_int_equal(found.n, 1);
	clear_pages(f->mm, 0, 12);
}

static void nobody_looks_into_what_is_half_built_or_dying(void **state)
{
	struct fixture *f = *state;
	struct folio *folio;

	map_pages(f->mm, 0, 2, RW, 0);
	folio = put_anon(f->mm, 0);
	f->mm->life.state = MM_BUILDING;
	assert_int_equal(walk(ram_of(f->mm), folio, MM_GATE_LOOK).n, 0);
	assert_int_equal(walk(ram_of(f->mm), folio, MM_GATE_REMOVE).n, 1);
	f->mm->life.state = MM_DYING;
	assert_int_equal(walk(ram_of(f->mm), folio, MM_GATE_LOOK).n, 0);
	assert_int_equal(walk(ram_of(f->mm), folio, MM_GATE_REMOVE).n, 0);
	f->mm->life.state = MM_LIVE;
	assert_int_equal(walk(ram_of(f->mm), folio, MM_GATE_LOOK).n, 1);
	clear_pages(f->mm, 0, 2);
}

static void a_page_that_nothing_maps_has_no_family(void **state)
{
	struct fixture *f = *state;
	struct folio *folio;

	map_pages(f->mm, 0, 2, RW, 0);
	folio = put_anon(f->mm, 0);
	folio_get(folio);
	clear_pages(f->mm, 0, 2);
	assert_int_equal(samara_munmap(f->mm, AT(0), 2 * PAGE), 0);
	/* folio->mapping points to what is gone; nobody follows it. */
	assert_int_equal(walk(f->machine->ram, folio, MM_GATE_LOOK).n, 0);
	folio_put(f->machine->ram, folio);
}

/* what is done to a folio --------------------------------------------------------- */

static void cleaning_reaches_every_shared_mapping(void **state)
{
	struct fixture *f = *state;
	struct folio *folio;
	struct ram *ram = ram_of(f->mm);

	map_file(f, 0, 4, RW, MAP_SHARED, 0);
	map_file(f, 10, 14, RW, MAP_SHARED, 0);
	map_file(f, 20, 24, RW, MAP_PRIVATE, 0);
	folio = put_file(f->mm, 2, PTE_WRITE | PTE_DIRTY);
	assert_ptr_equal(put_file(f->mm, 12, PTE_WRITE), folio);
	assert_ptr_equal(put_file(f->mm, 22, 0), folio);
	assert_int_equal(folio_maps(folio), 3);
	hold(folio);
	assert_true(folio_mkclean(ram, folio));
	assert_false(folio_mkclean(ram, folio));
	let_go(ram, folio);
	for (unsigned long page = 2; page <= 22; page += 10) {
		assert_false(pte_write(pte_of(f->mm, page)) || pte_dirty(pte_of(f->mm, page)));
		assert_true(pte_present(pte_of(f->mm, page)));
	}
	clear_pages(f->mm, 0, 24);
}

static void references_are_counted_once(void **state)
{
	struct fixture *f = *state;
	struct folio *folio;
	struct ram *ram = ram_of(f->mm);

	map_file(f, 0, 4, PROT_READ, MAP_SHARED, 0);
	map_file(f, 10, 14, PROT_READ, MAP_SHARED, 0);
	map_file(f, 20, 24, PROT_READ, MAP_SHARED, 0);
	assert_int_equal(samara_madvise(f->mm, AT(20), 4 * PAGE, MADV_SEQUENTIAL), 0);
	folio = put_file(f->mm, 2, 0);
	put_file(f->mm, 12, 0);
	put_file(f->mm, 22, 0); /* a reader who says he does not come again */
	hold(folio);
	assert_int_equal(folio_referenced(store_of(f->mm), folio), 2);
	assert_int_equal(folio_referenced(store_of(f->mm), folio), 0);
	set_pte(f->mm, 2, pte_with(pte_of(f->mm, 2), PTE_ACCESSED));
	assert_int_equal(folio_referenced(store_of(f->mm), folio), 1);
	let_go(ram, folio);
	clear_pages(f->mm, 0, 24);
}

static void a_files_page_leaves_every_table(void **state)
{
	struct fixture *f = *state;
	struct folio *folio;
	struct ram *ram = ram_of(f->mm);
	const long before = mm_rss_sum(f->mm, MM_SHMEMPAGES) + mm_rss_sum(f->mm, MM_FILEPAGES);

	map_file(f, 0, 4, RW, MAP_SHARED, 0);
	map_file(f, 10, 14, PROT_READ, MAP_SHARED, 0);
	folio = put_file(f->mm, 2, PTE_WRITE | PTE_DIRTY);
	put_file(f->mm, 12, 0);
	hold(folio);
	assert_int_equal(folio_unmap_all(store_of(f->mm), folio, (swp_entry_t){ 0 }), 0);
	assert_int_equal(folio_maps(folio), 0);
	assert_true(folio_test(folio, FOLIO_DIRTY));
	let_go(ram, folio);
	assert_true(pte_none(pte_of(f->mm, 2)) && pte_none(pte_of(f->mm, 12)));
	assert_int_equal(mm_rss_sum(f->mm, MM_SHMEMPAGES) + mm_rss_sum(f->mm, MM_FILEPAGES),
			 before);
}

struct swap_place {
	struct store_box box;
	struct samara_swap *area;
	struct swap_disk disk;
};

static void swap_up(struct swap_place *p, struct fixture *f)
{
	*p = (struct swap_place){ .box = { .store = f->machine->store, .ram = f->machine->ram } };
	p->area = swap_disk_on(&p->box, &p->disk, 64, 0);
}

/* folio, held, has a slot. */
static swp_entry_t give_slot(struct swap_place *p, struct folio *folio)
{
	assert_int_equal(swap_cache_add(p->box.store, folio), 0);
	return folio_swap(folio);
}

static unsigned long slot_count_of(struct swap_place *p, swp_entry_t slot)
{
	return swap_count(p->box.store, slot);
}

static void an_anonymous_page_leaves_swap_entries(void **state)
{
	struct fixture *f = *state;
	struct ram *ram = ram_of(f->mm);
	struct samara_mm *child;
	struct swap_place p;
	struct folio *folio;
	swp_entry_t slot;

	swap_up(&p, f);
	map_pages(f->mm, 0, 4, RW, 0);
	folio = put_anon(f->mm, 1);
	assert_int_equal(samara_fork(f->mm, &child), 0);
	if (pte_none(pte_of(child, 1)))
		share(child, 1, folio);
	folio_test_clear(folio, FOLIO_EXCLUSIVE);
	hold(folio);
	slot = give_slot(&p, folio);
	/* Its family is the slot's now: it is found all the same. */
	assert_int_equal(folio_referenced(store_of(f->mm), folio), 1);
	assert_int_equal(folio_unmap_all(store_of(f->mm), folio, slot), 0);
	let_go(ram, folio);
	assert_true(pte_same(pte_of(child, 1), mk_swap_pte(slot, 0)));
	assert_true(
		pte_same(swp_without(pte_of(f->mm, 1), SWP_WAS_EXCLUSIVE), mk_swap_pte(slot, 0)));
	assert_int_equal(slot_count_of(&p, slot), 2);
	assert_int_equal(mm_rss_sum(f->mm, MM_ANONPAGES), 0);
	assert_int_equal(mm_rss_sum(f->mm, MM_SWAPENTS), 1);
	clear_pages(child, 0, 4);
	samara_mm_exit(child);
	clear_pages(f->mm, 0, 4);
	/* One that is exclusive stays so in the slot's entry, and there only. */
	folio = put_anon(f->mm, 2);
	set_pte(f->mm, 2, pte_with(pte_of(f->mm, 2), PTE_UFFD_WP | PTE_SOFT_DIRTY));
	hold(folio);
	slot = give_slot(&p, folio);
	assert_int_equal(folio_unmap_all(store_of(f->mm), folio, slot), 0);
	assert_false(folio_test(folio, FOLIO_EXCLUSIVE));
	let_go(ram, folio);
	assert_true(pte_same(pte_of(f->mm, 2),
			     mk_swap_pte(slot, SWP_EXCLUSIVE | SWP_UFFD_WP | SWP_SOFT_DIRTY)));
	clear_pages(f->mm, 0, 4);
	swap_disk_off(p.area, &p.disk);
}

static void what_is_locked_or_pinned_stays(void **state)
{
	struct fixture *f = *state;
	struct ram *ram = ram_of(f->mm);
	struct folio *folio, *locked;
	struct swap_place p;
	swp_entry_t slot;

	swap_up(&p, f);
	map_pages(f->mm, 0, 2, RW, 0);
	folio = put_anon(f->mm, 0);
	__atomic_fetch_add(&folio->state, FOLIO_PIN_BIAS * FOLIO_REF_ONE, __ATOMIC_RELAXED);
	hold(folio);
	slot = give_slot(&p, folio);
	assert_int_equal(folio_unmap_all(store_of(f->mm), folio, slot), -EBUSY);
	assert_int_equal(slot_count_of(&p, slot), 0);
	assert_true(folio_test(folio, FOLIO_EXCLUSIVE));
	folio_put_many(ram, folio, FOLIO_PIN_BIAS);
#ifdef SAMARA_DEBUG
	/* Nor does one leave whose slot has as many entries as it can. */
	swap_count_max = 0;
	assert_int_equal(folio_unmap_all(store_of(f->mm), folio, slot), -EBUSY);
	swap_count_max = SWAP_COUNT_LIMIT;
#endif
	assert_true(folio_test(folio, FOLIO_EXCLUSIVE));
	assert_true(swap_cache_free(store_of(f->mm), folio));
	let_go(ram, folio);
	assert_int_equal(folio_maps(folio), 1);
	assert_true(pte_present(pte_of(f->mm, 0)));

	map_file(f, 10, 12, RW, MAP_SHARED, 0);
	locked = put_file(f->mm, 10, 0);
	vma_of(f->mm, 10)->vm_flags |= VM_LOCKED;
	hold(locked);
	assert_int_equal(folio_unmap_all(store_of(f->mm), locked, (swp_entry_t){ 0 }), -EBUSY);
	let_go(ram, locked);
	vma_of(f->mm, 10)->vm_flags &= ~VM_LOCKED;
	assert_true(pte_present(pte_of(f->mm, 10)));
	clear_pages(f->mm, 0, 12);
	swap_disk_off(p.area, &p.disk);
}

/* As a guest of userfaultfd is told: the page is gone, its write protection is not. */
static void a_files_page_leaves_its_write_protection(void **state)
{
	struct fixture *f = *state;
	struct ram *ram = ram_of(f->mm);
	struct folio *folio;

	map_file(f, 0, 2, RW, MAP_SHARED, 0);
	map_file(f, 10, 12, RW, MAP_SHARED, 0);
	vma_of(f->mm, 0)->vm_flags |= VM_UFFD_WP;
	folio = put_file(f->mm, 0, PTE_UFFD_WP);
	put_file(f->mm, 10, PTE_UFFD_WP); /* not registered any more */
	hold(folio);
	assert_int_equal(folio_unmap_all(store_of(f->mm), folio, (swp_entry_t){ 0 }), 0);
	let_go(ram, folio);
	assert_int_equal(pte_marker(pte_of(f->mm, 0)), MARKER_UFFD_WP);
	assert_true(pte_none(pte_of(f->mm, 10)));
	vma_of(f->mm, 0)->vm_flags &= ~VM_UFFD_WP;
	clear_pages(f->mm, 0, 12);
}

/* MADV_FREE: dropped without a copy, unless it was written to again. */
static void a_page_to_be_dropped_must_be_clean(void **state)
{
	struct fixture *f = *state;
	struct ram *ram = ram_of(f->mm);
	struct folio *folio;

	map_pages(f->mm, 0, 2, RW, 0);
	folio = put_anon(f->mm, 0);
	folio_test_clear(folio, FOLIO_SWAPBACKED);
	hold(folio);
	assert_int_equal(folio_unmap_all(store_of(f->mm), folio, (swp_entry_t){ 0 }), -EBUSY);
	assert_true(pte_dirty(pte_of(f->mm, 0)));
	assert_true(folio_test_clear(folio, FOLIO_SWAPBACKED));
	set_pte(f->mm, 0, pte_without(pte_of(f->mm, 0), PTE_DIRTY));
	assert_int_equal(folio_unmap_all(store_of(f->mm), folio, (swp_entry_t){ 0 }), 0);
	let_go(ram, folio);
	assert_true(pte_none(pte_of(f->mm, 0)));
	assert_int_equal(mm_rss_sum(f->mm, MM_ANONPAGES), 0);
}

/* page_cache_find() had the folio in hand when it was still a file's. */
static void a_new_page_may_be_held_by_a_mistaken_lookup(void **state)
{
	struct fixture *f = *state;
	struct ram *ram = ram_of(f->mm);
	struct folio *folio = folio_alloc(ram, 0, FOLIO_ZEROED);

	map_pages(f->mm, 0, 1, RW, 0);
	assert_non_null(folio);
	assert_true(folio_try_get(folio));
	mmap_read_lock(f->mm);
	assert_int_equal(anon_vma_prepare(vma_of(f->mm, 0)), 0);
	mmap_read_unlock(f->mm);
	folio_add_new_anon(folio, vma_of(f->mm, 0), AT(0));
	assert_int_equal(samara_warnings(), 0);
	assert_int_equal(folio_refs(folio), 1);
	folio_put(ram, folio);
	assert_int_equal(folio_maps(folio), 1);
	folio_unmap(ram, folio);
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_new_anonymous_page_is_exclusive),
		test(a_page_is_found_in_parent_and_child),
		test(a_page_is_found_after_splits_merges_and_cuts),
		test(a_walk_can_be_stopped),
		test(nobody_looks_into_what_is_half_built_or_dying),
		test(a_page_that_nothing_maps_has_no_family),
		test(cleaning_reaches_every_shared_mapping),
		test(references_are_counted_once),
		test(a_files_page_leaves_every_table),
		test(an_anonymous_page_leaves_swap_entries),
		test(what_is_locked_or_pinned_stays),
		test(a_files_page_leaves_its_write_protection),
		test(a_new_page_may_be_held_by_a_mistaken_lookup),
		test(a_page_to_be_dropped_must_be_clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
