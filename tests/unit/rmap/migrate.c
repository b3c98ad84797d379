/* SPDX-License-Identifier: MIT */
/*
 * A folio moves to another frame: its entries, counts, flags and place in the cache come along,
 * whatever maps it; or nothing has changed.
 */
#include <errno.h>
#include <string.h>

#include "frame/vm_event.h"
#include "rmap/rmap_walk.h"
#include "space.h"

/* Off the lists, as its caller has it, and a frame to move to. */
static struct folio *new_frame(struct samara_mm *mm, struct folio *folio)
{
	struct folio *to = folio_alloc(ram_of(mm), 0, FOLIO_RAW);

	assert_non_null(to);
	folio_get(folio);
	lru_del(ram_of(mm), folio);
	return to;
}

/* The caller's references go. */
static void give(struct samara_mm *mm, struct folio *folio, struct folio *to)
{
	folio_put(ram_of(mm), folio);
	folio_put(ram_of(mm), to);
}

/* It moves; the new folio, which the entries hold. */
static struct folio *moves(struct samara_mm *mm, struct folio *folio)
{
	struct folio *to = new_frame(mm, folio);
	const unsigned long maps = folio_maps(folio);

	memset(folio_virt(ram_of(mm), folio), 0x5a, PAGE);
	assert_int_equal(folio_migrate(store_of(mm), folio, to), 0);
	assert_int_equal(folio_maps(folio), 0);
	assert_int_equal(folio_maps(to), maps);
	assert_int_equal(folio_refs(folio), 1);
	assert_null(folio->mapping);
	assert_false(folio_flags(folio));
	assert_int_equal(*(unsigned char *)folio_virt(ram_of(mm), to), 0x5a);
	assert_memory_equal(folio_virt(ram_of(mm), to), folio_virt(ram_of(mm), folio), PAGE);
	give(mm, folio, to);
	return to;
}

/* It does not, and all is as it was. */
static void stays(struct samara_mm *mm, struct folio *folio)
{
	struct folio *to = new_frame(mm, folio);
	const uint64_t state = folio_state(folio);

	assert_int_equal(folio_migrate(store_of(mm), folio, to), -EBUSY);
	assert_true(folio_state(folio) == state);
	assert_int_equal(folio_refs(to), 1);
	assert_int_equal(folio_maps(to), 0);
	give(mm, folio, to);
}

/* An entry as it is, but for the frame. */
static void assert_moved(struct samara_mm *mm, unsigned long page, pte_t was,
			 const struct folio *to)
{
	const pte_t now = pte_of(mm, page);

	assert_int_equal(pte_pfn(now), folio_pfn(ram_of(mm), to));
	assert_true((now.v & ~PTE_PFN_MASK) == (was.v & ~PTE_PFN_MASK));
}

static void an_anonymous_page_stays_exclusive_and_writable(void **state)
{
	struct fixture *f = *state;
	struct folio *folio, *to;
	pte_t was;

	map_pages(f->mm, 0, 4, RW, 0);
	folio = put_anon(f->mm, 1);
	folio_set(folio, FOLIO_ACTIVE | FOLIO_WORKINGSET);
	was = pte_of(f->mm, 1);
	to = moves(f->mm, folio);
	assert_moved(f->mm, 1, was, to);
	assert_int_equal(folio_flags(to), FOLIO_ANON | FOLIO_EXCLUSIVE | FOLIO_UPTODATE |
						  FOLIO_SWAPBACKED | FOLIO_ACTIVE |
						  FOLIO_WORKINGSET);
	assert_ptr_equal(to->mapping, vma_of(f->mm, 1)->anon_vma);
	assert_int_equal(to->index, AT(1) / PAGE);
	assert_int_equal(mm_rss_sum(f->mm, MM_ANONPAGES), 1);
	/* And once more, from there. */
	assert_moved(f->mm, 1, was, moves(f->mm, to));
	clear_pages(f->mm, 0, 4);
}

static void each_bit_of_an_entry_stays(void **state)
{
	static const uint64_t bits[] = { 0,           PTE_ACCESSED,   PTE_DIRTY,
					 PTE_UFFD_WP, PTE_SOFT_DIRTY, PTE_WAS_EXCLUSIVE };
	struct fixture *f = *state;
	struct folio *folio;

	map_pages(f->mm, 0, 4, RW, 0);
	folio = put_anon(f->mm, 1);
	for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
		const pte_t frame = mk_pte(folio_pfn(ram_of(f->mm), folio), VM_READ | VM_WRITE);
		const pte_t was = pte_with(pte_without(frame, PTE_ACCESSED), bits[i]);

		set_pte(f->mm, 1, was);
		folio = moves(f->mm, folio);
		assert_moved(f->mm, 1, was, folio);
		assert_true(folio_test(folio, FOLIO_EXCLUSIVE));
		assert_false(folio_test(folio, FOLIO_DIRTY));
	}
	folio_test_clear(folio, FOLIO_EXCLUSIVE);
	assert_false(folio_test(moves(f->mm, folio), FOLIO_EXCLUSIVE));
	clear_pages(f->mm, 0, 4);
}

static void memory_without_access_stays_so(void **state)
{
	struct fixture *f = *state;
	struct folio *folio;
	pte_t was;

	map_pages(f->mm, 0, 1, RW, 0);
	folio = put_anon(f->mm, 0);
	assert_int_equal(samara_mprotect(f->mm, AT(0), PAGE, PROT_NONE), 0);
	was = pte_of(f->mm, 0);
	assert_false(pte_accessible(was));
	assert_moved(f->mm, 0, was, moves(f->mm, folio));
	clear_pages(f->mm, 0, 1);
}

static void all_processes_of_a_shared_page_follow(void **state)
{
	struct fixture *f = *state;
	struct samara_mm *child;
	struct folio *folio, *to;
	pte_t was[2];

	map_pages(f->mm, 0, 4, RW, 0);
	folio = put_anon(f->mm, 1);
	assert_int_equal(samara_fork(f->mm, &child), 0);
	was[0] = pte_of(f->mm, 1);
	was[1] = pte_of(child, 1);
	assert_true(pte_present(was[1]));
	to = moves(f->mm, folio);
	assert_moved(f->mm, 1, was[0], to);
	assert_moved(child, 1, was[1], to);
	assert_int_equal(folio_maps(to), 2);
	assert_false(folio_test(to, FOLIO_EXCLUSIVE));
	samara_mm_exit(child);
	clear_pages(f->mm, 0, 4);
}

static void a_files_page_takes_its_place_in_the_cache(void **state)
{
	struct fixture *f = *state;
	struct samara_report report;
	struct folio *folio, *to;
	struct inode *inode;
	pte_t was[3];

	map_file(f, 0, 4, RW, MAP_SHARED, 0);
	map_file(f, 10, 14, PROT_READ, MAP_SHARED, 0);
	map_file(f, 20, 24, RW, MAP_PRIVATE, 0);
	folio = put_file(f->mm, 2, PTE_WRITE | PTE_DIRTY);
	put_file(f->mm, 12, 0);
	put_file(f->mm, 22, 0);
	put_file(f->mm, 3, 0);
	for (int i = 0; i < 3; i++)
		was[i] = pte_of(f->mm, 2 + 10 * (unsigned long)i);
	to = moves(f->mm, folio);
	for (int i = 0; i < 3; i++)
		assert_moved(f->mm, 2 + 10 * (unsigned long)i, was[i], to);
	inode = vma_of(f->mm, 2)->vm_file->inode;
	assert_ptr_equal(to->mapping, inode);
	assert_true(folio_test(to, FOLIO_DIRTY));
	assert_int_equal(folio_refs(to), 1);
	folio = page_cache_find(inode, 2);
	assert_ptr_equal(folio, to);
	folio_put(ram_of(f->mm), folio);
	assert_int_equal(inode_validate(inode, &report), 0);
	clear_pages(f->mm, 0, 24);
}

static void a_page_of_a_file_that_nothing_maps_moves(void **state)
{
	struct fixture *f = *state;
	struct folio *folio, *to;

	map_file(f, 0, 4, RW, MAP_SHARED, 0);
	folio = put_file(f->mm, 0, 0);
	clear_pages(f->mm, 0, 4);
	to = moves(f->mm, folio);
	assert_ptr_equal(put_file(f->mm, 0, 0), to);
	clear_pages(f->mm, 0, 4);
}

/* who holds it back ----------------------------------------------------------------- */

static void what_is_pinned_or_looked_at_stays(void **state)
{
	struct fixture *f = *state;
	struct ram *ram = ram_of(f->mm);
	struct folio *folio;
	pte_t was;

	map_pages(f->mm, 0, 2, RW, 0);
	folio = put_anon(f->mm, 0);
	was = pte_of(f->mm, 0);
	assert_true(folio_try_pin(folio));
	stays(f->mm, folio);
	folio_put_many(ram, folio, FOLIO_PIN_BIAS);
	folio_get(folio);
	stays(f->mm, folio);
	folio_put(ram, folio);
	assert_true(pte_same(pte_of(f->mm, 0), was));
	folio_lock(folio);
	stays(f->mm, folio);
	folio_unlock(folio);
	moves(f->mm, folio);
	clear_pages(f->mm, 0, 2);
}

static void a_page_of_an_mm_that_is_not_live_stays(void **state)
{
	struct fixture *f = *state;
	struct samara_mm *child;
	struct folio *folio;
	pte_t was[2];

	map_pages(f->mm, 0, 2, RW, 0);
	folio = put_anon(f->mm, 0);
	assert_int_equal(samara_fork(f->mm, &child), 0);
	was[0] = pte_of(f->mm, 0);
	was[1] = pte_of(child, 0);
	for (enum mm_state s = MM_BUILDING; s <= MM_DYING; s++) {
		if (s == MM_LIVE)
			continue;
		child->life.state = s;
		stays(f->mm, folio);
		assert_true(pte_same(pte_of(f->mm, 0), was[0]));
		assert_true(pte_same(pte_of(child, 0), was[1]));
	}
	child->life.state = MM_LIVE;
	moves(f->mm, folio);
	samara_mm_exit(child);
	clear_pages(f->mm, 0, 2);
}

/* As a gather has it that has not flushed yet: no entry any more, but a TLB may. */
static void a_page_that_a_gather_holds_stays(void **state)
{
	struct fixture *f = *state;
	struct folio *folio;

	map_file(f, 0, 2, RW, MAP_SHARED, 0);
	folio = put_file(f->mm, 0, 0);
	assert_true(folio_try_map(folio));
	stays(f->mm, folio);
	folio_unmap(ram_of(f->mm), folio);
	moves(f->mm, folio);
	clear_pages(f->mm, 0, 2);
}

static void a_devices_page_stays(void **state)
{
	struct fixture *f = *state;
	struct folio *folio = folio_alloc(f->machine->ram, 0, FOLIO_ZEROED);

	folio_set(folio, FOLIO_UPTODATE);
	stays(f->mm, folio);
	folio_put(f->machine->ram, folio);
}

static void moves_are_counted(void **state)
{
	struct fixture *f = *state;
	struct ram *ram = ram_of(f->mm);
	struct folio *folio;

	map_pages(f->mm, 0, 2, RW, 0);
	folio = put_anon(f->mm, 0);
	folio = moves(f->mm, folio);
	folio_get(folio);
	stays(f->mm, folio);
	folio_put(ram, folio);
	assert_int_equal(vm_event_sum(ram, MIGRATE_SUCCESS), 1);
	assert_int_equal(vm_event_sum(ram, MIGRATE_FAIL), 1);
	clear_pages(f->mm, 0, 2);
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(an_anonymous_page_stays_exclusive_and_writable),
		test(each_bit_of_an_entry_stays),
		test(memory_without_access_stays_so),
		test(all_processes_of_a_shared_page_follow),
		test(a_files_page_takes_its_place_in_the_cache),
		test(a_page_of_a_file_that_nothing_maps_moves),
		test(what_is_pinned_or_looked_at_stays),
		test(a_page_of_an_mm_that_is_not_live_stays),
		test(a_page_that_a_gather_holds_stays),
		test(a_devices_page_stays),
		test(moves_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
