/* SPDX-License-Identifier: MIT */
/*
 * UFFDIO_MOVE of each kind of page, and what it is at its new place. The answers are those that
 * tools/uffd_facts got of Linux 6.18.
 */
#include <samara/reclaim.h>

#include "mmu/entry.h"
#include "range/range.h"
#include "unit/uffd/move_scene.h"

static void a_shared_page_is_busy(void **state)
{
	const unsigned long src = filled(3, 1);
	struct samara_mm *child;
	struct samara_pin pin;

	(void)state;
	assert_int_equal(samara_fork(m.mm, &child), 0);
	moves(ASK(dst, 3, 0), src, -EBUSY, -EBUSY);
	samara_mm_exit(child);
	/* Nobody shares it any more, but that is not known before the next write. */
	moves(ASK(dst, 1, 0), src, -EBUSY, -EBUSY);
	paged_put(m.mm, src, 1);
	paged_put(m.mm, src + P, 2);
	assert_int_equal(samara_pin_pages(m.mm, src + P, 1, SAMARA_PIN_WRITE, &pin), 1);
	moves(ASK(dst, 3, 0), src, -EAGAIN, P);
	moves(ASK(dst + P, 1, 0), src + P, -EBUSY, -EBUSY);
	samara_unpin_pages(&pin, 1, 1);
	moves(ASK(dst + P, 1, 0), src + P, 0, P);
	assert_int_equal(paged_get(m.mm, dst + P), 2);
}

static void markers_do_not_move(void **state)
{
	const unsigned long src = filled(4, 1);

	(void)state;
	uffd_register_at(uffd, src, 4 * P, WP);
	assert_int_equal(samara_madvise(m.mm, src, P, GUARD_INSTALL), 0);
	moves(ASK(dst, 1, HOLES), src, -EFAULT, -EFAULT);
	for (unsigned int marker = MARKER_UFFD_WP; marker <= MARKER_POISON; marker++) {
		assert_int_equal(samara_madvise(m.mm, src + P, P, MADV_DONTNEED), 0);
		mem_mark(&m, src + P, marker);
		moves(ASK(dst, 1, HOLES), src + P, -EFAULT, -EFAULT);
		assert_int_equal(samara_munmap(m.mm, src + P, P), 0);
		assert_false(SAMARA_IS_ERR_VALUE(samara_mmap(
			m.mm, src + P, P, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0)));
		mem_mark(&m, dst + marker * P, marker);
		moves(ASK(dst + marker * P, 1, 0), src + 2 * P, -EEXIST, -EEXIST);
	}
}

static void the_zero_frame_moves(void **state)
{
	const unsigned long src = map(2, RW);

	(void)state;
	assert_int_equal(paged_get(m.mm, src), 0);
	moves(ASK(dst, 1, 0), src, 0, P);
	assert_true(pte_special(mem_pte(&m, dst)) && pte_none(mem_pte(&m, src)));
	assert_int_equal(paged_get(m.mm, dst), 0);
	paged_put(m.mm, dst, 3);
	assert_int_equal(paged_get(m.mm, src), 0);
}

static void protect(unsigned long at, unsigned long pages)
{
	struct uffdio_writeprotect wp = { { at, pages * P }, UFFDIO_WRITEPROTECT_MODE_WP };

	uffd_register_at(uffd, at, pages * P, WP);
	assert_int_equal(samara_uffd_ioctl(uffd, UFFDIO_WRITEPROTECT, &wp), 0);
}

/*
 * Write protection goes with a page that is out, and not with one that is there; also to where no
 * page is protected.
 */
static void write_protection_goes_with_swap_entries(void **state)
{
	const unsigned long src = filled(3, 1), unprotected = map(1, RW);

	(void)state;
	protect(src, 3);
	assert_int_equal(page_out(&p, src + P, PAGED_DROP), 0);
	assert_int_equal(page_out(&p, src + 2 * P, PAGED_DROP), 0);
	moves(ASK(dst, 2, 0), src, 0, 2 * P);
	assert_false(pte_any_uffd_wp(mem_pte(&m, dst)));
	assert_true(pte_write(mem_pte(&m, dst)));
	assert_true(pte_any_uffd_wp(mem_pte(&m, dst + P)));
	uffd_register_at(uffd, unprotected, P, MISSING);
	moves(ASK(unprotected, 1, 0), src + 2 * P, 0, P);
	assert_true(pte_any_uffd_wp(mem_pte(&m, unprotected)));
	paged_put(m.mm, unprotected, 9);
}

static void a_page_that_is_out_moves(void **state)
{
	const enum paged_how hows[] = { PAGED_DROP, PAGED_KEEP };
	unsigned long src;

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		src = filled(1, 5);
		assert_int_equal(page_out(&p, src, hows[i]), 0);
		moves(ASK(dst + i * P, 1, 0), src, 0, P);
		assert_int_equal(paged_swap_ents(m.mm), 1);
		assert_int_equal(paged_get(m.mm, dst + i * P), 5);
		assert_ptr_equal(mem_folio(&m, dst + i * P)->index, mem_vma(&m, dst)->vm_pgoff + i);
		/* It is found there by what takes it out. */
		assert_int_equal(page_out(&p, dst + i * P, PAGED_DROP), 0);
		assert_int_equal(paged_get(m.mm, dst + i * P), 5);
		assert_int_equal(paged_swap_ents(m.mm), 0);
	}
}

/* Mapped, and its slot is kept: the family that the slot remembers changes. */
static void a_page_in_the_swap_cache_moves(void **state)
{
	const unsigned long src = filled(1, 5);
	struct folio *folio = mem_folio(&m, src);

	(void)state;
	folio_get(folio);
	folio_lock(folio);
	assert_int_equal(swap_cache_add(p.box.store, folio), 0);
	folio_unlock_cached(p.box.store, folio);
	moves(ASK(dst, 1, 0), src, 0, P);
	assert_true(folio_test(folio, FOLIO_SWAPCACHE));
	assert_ptr_equal(swap_family(p.box.store, folio), mem_vma(&m, dst)->anon_vma);
	assert_int_equal(folio_out(&p, folio, PAGED_DROP), 0);
	folio_put(p.box.ram, folio);
	assert_false(swp_none(pte_swap_entry(mem_pte(&m, dst))));
	assert_int_equal(paged_get(m.mm, dst), 5);
}

static void a_shared_page_that_is_out_is_busy(void **state)
{
	const unsigned long src = filled(1, 5);
	struct samara_mm *child;

	(void)state;
	assert_int_equal(page_out(&p, src, PAGED_DROP), 0);
	assert_int_equal(samara_fork(m.mm, &child), 0);
	moves(ASK(dst, 1, 0), src, -EBUSY, -EBUSY);
	samara_mm_exit(child);
	moves(ASK(dst, 1, 0), src, -EBUSY, -EBUSY);
}

/* Of page number i of dst: what smaps would say. */
static struct range_look look_at(unsigned long i)
{
	struct vma *vma = mem_vma(&m, dst);
	struct range_look look;

	mmap_read_lock(m.mm);
	range_look(vma, dst + i * P, dst + (i + 1) * P, &look);
	mmap_read_unlock(m.mm);
	return look;
}

/* What MADV_FREE gave to reclaim may be dropped at its new place, until it is written to there. */
static void a_page_that_may_be_dropped_stays_so(void **state)
{
	const unsigned long src = filled(2, 5);

	(void)state;
	assert_int_equal(samara_madvise(m.mm, src, 2 * P, MADV_FREE), 0);
	moves(ASK(dst, 2, 0), src, 0, 2 * P);
	paged_put(m.mm, dst + P, 7);
	for (unsigned long i = 0; i < 2; i++) {
		assert_int_equal(look_at(i).dirty, i);
		assert_int_equal(look_at(i).lazyfree, 1 - i);
	}
	assert_true(samara_reclaim(m.machine, 100) >= 0);
	assert_true(pte_none(mem_pte(&m, dst)));
	assert_int_equal(paged_get(m.mm, dst + P), 7);
}

static void a_page_that_was_written_to_stays_so(void **state)
{
	const unsigned long src = filled(1, 5);

	(void)state;
	moves(ASK(dst, 1, 0), src, 0, P);
	assert_int_equal(look_at(0).dirty, 1);
	assert_int_equal(look_at(0).lazyfree, 0);
	assert_true(samara_reclaim(m.machine, 100) >= 0);
	assert_int_equal(paged_get(m.mm, dst), 5);
}

static void what_follows_treats_it_as_its_own(void **state)
{
	const unsigned long src = filled(2, 1);
	struct samara_mm *child;

	(void)state;
	moves(ASK(dst + P, 2, 0), src, 0, 2 * P);
	assert_int_equal(samara_fork(m.mm, &child), 0);
	paged_put(m.mm, dst + P, 9);
	assert_int_equal(paged_get(child, dst + P), 1);
	assert_int_equal(page_out(&p, dst + 2 * P, PAGED_DROP), 0);
	assert_int_equal(paged_get(child, dst + 2 * P), 2);
	samara_mm_exit(child);
	/* Its own place, within the mapping that it came to. */
	assert_int_equal(samara_munmap(m.mm, dst, P), 0);
	mem_check(&m);
	assert_int_equal(page_out(&p, dst + P, PAGED_DROP), 0);
	assert_int_equal(paged_get(m.mm, dst + P), 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		MOVE_TEST(a_shared_page_is_busy),
		MOVE_TEST(markers_do_not_move),
		MOVE_TEST(the_zero_frame_moves),
		MOVE_TEST(write_protection_goes_with_swap_entries),
		MOVE_TEST(a_page_that_is_out_moves),
		MOVE_TEST(a_page_in_the_swap_cache_moves),
		MOVE_TEST(a_shared_page_that_is_out_is_busy),
		MOVE_TEST(a_page_that_may_be_dropped_stays_so),
		MOVE_TEST(a_page_that_was_written_to_stays_so),
		MOVE_TEST(what_follows_treats_it_as_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
