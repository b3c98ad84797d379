/* SPDX-License-Identifier: MIT */
/*
 * A bad frame whose page is in the swap cache. If its slot has the bytes it is read again. If not,
 * the page is lost, wherever it is looked for, until it is given up; the frame is not used again.
 */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>

#include <samara/reclaim.h>

#include "frame/pfn.h"
#include "reclaim/reclaim.h"
#include "store/file.h"
#include "store/pages.h"
#include "support/cmocka_all.h"
#include "support/paged_out.h"

#define SHM_PAGES 3UL

PAGED_FIXTURE(m, p, 1 << 20, 16);

enum slot_has { SLOT_HAS_NOTHING, SLOT_HAS_BYTES };

static unsigned long bad_frames(void)
{
	struct ram_stats stats;

	ram_stats(p.box.ram, &stats);
	return stats.poisoned;
}

static void assert_lost(struct samara_mm *mm, unsigned long addr)
{
	struct samara_fault fault;
	char c = 0;

	assert_int_equal(samara_read(mm, addr, &c, 1, &fault), 0);
	assert_int_equal(fault.signo, SIGBUS);
	assert_int_equal(fault.code, BUS_MCEERR_AR);
	assert_int_equal(fault.lsb, 12);
	assert_int_equal(samara_write(mm, addr, &c, 1, &fault), 0);
	assert_int_equal(fault.code, BUS_MCEERR_AR);
}

/* shared memory ------------------------------------------------------------------ */

static struct samara_file *shm;
static unsigned long mapping;

/* Page 0 has 7 in it, 1 and 2 have 8 and 9. */
static void make_shm(void)
{
	assert_int_equal(samara_file_shmem(m.machine, SHM_PAGES * MEM_PAGE, &shm), 0);
	mapping = mem_map(&m, SHM_PAGES, PROT_READ | PROT_WRITE, MAP_SHARED, shm);
	for (unsigned char i = 0; i < SHM_PAGES; i++)
		paged_put(m.mm, mapping + i * MEM_PAGE, (unsigned char)(7 + i));
}

/* Page 0 is in the swap cache, and its frame is bad. */
static void page_0_fails(enum slot_has has)
{
	struct folio *folio = page_cache_find_locked(shm->inode, 0);

	assert_int_equal(folio_unmap_all(p.box.store, folio, (swp_entry_t){ 0 }), 0);
	assert_int_equal(shmem_swap_out(shm->inode, folio), 0);
	if (has == SLOT_HAS_BYTES)
		assert_int_equal(swap_write(p.box.store, folio), 0);
	folio_unlock_cached(p.box.store, folio);
	assert_int_equal(samara_memory_failure(m.machine, folio_pfn(p.box.ram, folio), 0), 0);
	folio_put(p.box.ram, folio);
}

/* Nothing but page 0 is lost; without it no slot is used, and its frame is the bad one. */
static void give_up_shm(void)
{
	assert_int_equal(paged_get(m.mm, mapping + MEM_PAGE), 8);
	assert_int_equal(paged_get(m.mm, mapping + 2 * MEM_PAGE), 9);
	assert_int_equal(samara_file_punch_hole(shm, 0, MEM_PAGE), 0);
	assert_int_equal(paged_get(m.mm, mapping), 0);
	paged_put(m.mm, mapping, 3);
	assert_int_equal(paged_get(m.mm, mapping), 3);
	assert_int_equal(paged_used(&p), 0);
	assert_int_equal(bad_frames(), 1);
	samara_file_put(shm);
}

static void shm_is_lost(void)
{
	char c;

	assert_lost(m.mm, mapping);
	assert_int_equal(samara_file_pread(shm, &c, 1, 0), -EIO);
	assert_int_equal(samara_file_pwrite(shm, &c, 1, 0), -EIO);
	assert_lost(m.mm, mapping);
}

static void a_dirty_page_of_shared_memory_is_lost_when_it_is_touched(void **state)
{
	(void)state;
	make_shm();
	page_0_fails(SLOT_HAS_NOTHING);
	shm_is_lost();
	give_up_shm();
}

static void a_dirty_page_of_shared_memory_is_lost_when_it_is_read(void **state)
{
	char c;

	(void)state;
	make_shm();
	page_0_fails(SLOT_HAS_NOTHING);
	assert_int_equal(samara_file_pread(shm, &c, 1, 0), -EIO);
	shm_is_lost();
	give_up_shm();
}

static void a_dirty_page_of_shared_memory_goes_with_its_file(void **state)
{
	(void)state;
	make_shm();
	page_0_fails(SLOT_HAS_NOTHING);
	give_up_shm();
}

/* Reclaim finds it on its lists, and leaves it where it is. */
static void a_dirty_page_of_shared_memory_is_not_written(void **state)
{
	const unsigned long writes = p.disk.writes;

	(void)state;
	make_shm();
	page_0_fails(SLOT_HAS_NOTHING);
	reclaim_direct(m.machine, 100);
	assert_int_equal(p.disk.writes - writes, SHM_PAGES - 1);
	shm_is_lost();
	give_up_shm();
}

static void a_dirty_page_of_shared_memory_is_lost_behind_swapoff(void **state)
{
	struct samara_swap *other;

	(void)state;
	make_shm();
	page_0_fails(SLOT_HAS_NOTHING);
	assert_int_equal(samara_swapon_compressed(m.machine, 1 << 20, "lz4", &other), 0);
	assert_int_equal(samara_swapoff(p.area), 0);
	swap_disk_free(&p.disk);
	p.area = other;
	shm_is_lost();
	give_up_shm();
	assert_int_equal(samara_swapoff(other), 0);
	p.area = swap_disk_on(&p.box, &p.disk, 16, 0);
}

static void a_clean_page_of_shared_memory_is_read_again(void **state)
{
	(void)state;
	make_shm();
	page_0_fails(SLOT_HAS_BYTES);
	assert_int_equal(bad_frames(), 1);
	assert_int_equal(paged_get(m.mm, mapping), 7);
	give_up_shm();
}

/* anonymous ------------------------------------------------------------------------ */

/* A page with 7 in it, which the parent and a child have as swap entries; its frame is bad. */
static unsigned long anon_fails(enum slot_has has, struct samara_mm **child)
{
	const unsigned long addr = paged_new(&p, 7);
	struct folio *folio = mem_folio(&m, addr);

	folio_get(folio);
	folio_lock(folio);
	assert_int_equal(swap_cache_add(p.box.store, folio), 0);
	assert_int_equal(folio_unmap_all(p.box.store, folio, folio_swap(folio)), 0);
	if (has == SLOT_HAS_BYTES)
		assert_int_equal(swap_write(p.box.store, folio), 0);
	folio_unlock_cached(p.box.store, folio);
	assert_int_equal(samara_fork(m.mm, child), 0);
	assert_int_equal(samara_memory_failure(m.machine, folio_pfn(p.box.ram, folio), 0), 0);
	folio_put(p.box.ram, folio);
	return addr;
}

static void a_dirty_private_page_is_lost_in_both_processes(void **state)
{
	struct samara_mm *child;
	const unsigned long addr = anon_fails(SLOT_HAS_NOTHING, &child);

	(void)state;
	assert_lost(m.mm, addr);
	assert_lost(child, addr);
	assert_int_equal(samara_madvise(m.mm, addr, MEM_PAGE, MADV_DONTNEED), 0);
	assert_int_equal(paged_get(m.mm, addr), 0);
	assert_lost(child, addr);
	samara_mm_exit(child);
	assert_int_equal(paged_used(&p), 0);
	assert_int_equal(bad_frames(), 1);
}

static void a_clean_private_page_is_read_again(void **state)
{
	struct samara_mm *child;
	const unsigned long addr = anon_fails(SLOT_HAS_BYTES, &child);

	(void)state;
	assert_int_equal(paged_get(child, addr), 7);
	assert_int_equal(paged_get(m.mm, addr), 7);
	assert_int_equal(bad_frames(), 1);
	samara_mm_exit(child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(a_dirty_page_of_shared_memory_is_lost_when_it_is_touched),
		TEST(a_dirty_page_of_shared_memory_is_lost_when_it_is_read),
		TEST(a_dirty_page_of_shared_memory_goes_with_its_file),
		TEST(a_dirty_page_of_shared_memory_is_not_written),
		TEST(a_dirty_page_of_shared_memory_is_lost_behind_swapoff),
		TEST(a_clean_page_of_shared_memory_is_read_again),
		TEST(a_dirty_private_page_is_lost_in_both_processes),
		TEST(a_clean_private_page_is_read_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
