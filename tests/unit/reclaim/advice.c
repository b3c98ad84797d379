/* SPDX-License-Identifier: MIT */
/* MADV_PAGEOUT, MADV_COLD, MADV_FREE, MAP_DROPPABLE and samara_reclaim(). */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <samara/reclaim.h>

#include "frame/vm_event.h"
#include "range/range.h"
#include "reclaim/reclaim.h"
#include "store/file.h"
#include "support/advice.h"
#include "support/cmocka_all.h"
#include "support/mem.h"

#define RW (PROT_READ | PROT_WRITE)
#define PAGES 64UL
#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 8
#endif
#define COLD 20
#define PAGEOUT 21

static struct mem m;
static struct samara_swap *swap;
static unsigned long at;

static int set_up(void **state)
{
	(void)state;
	mem_open(&m, 4 << 20);
	ram_watch(m.machine->ram, NULL, NULL);
	assert_int_equal(samara_swapon_compressed(m.machine, 8 << 20, "lz4", &swap), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	mem_check(&m);
	mem_close(&m);
	return 0;
}

static unsigned char load(unsigned long page)
{
	struct samara_fault fault;
	unsigned char byte = 0;

	assert_int_equal(samara_read(m.mm, at + page * MEM_PAGE, &byte, 1, &fault), 1);
	return byte;
}

static void store(unsigned long page, unsigned char byte)
{
	struct samara_fault fault;

	assert_int_equal(samara_write(m.mm, at + page * MEM_PAGE, &byte, 1, &fault), 1);
}

static void map_anon(int flags)
{
	at = mem_map(&m, PAGES, RW, MAP_PRIVATE | flags, NULL);
	for (unsigned long i = 0; i < PAGES; i++)
		store(i, (unsigned char)(i + 1));
}

static void advise(unsigned long page, unsigned long pages, int advice)
{
	assert_int_equal(samara_madvise(m.mm, at + page * MEM_PAGE, pages * MEM_PAGE, advice), 0);
}

static long rss(enum mm_rss which)
{
	return mm_rss_sum(m.mm, which);
}

static void pageout_takes_anonymous_pages_at_once(void **state)
{
	(void)state;
	map_anon(0);
	advise(0, PAGES, PAGEOUT);
	assert_int_equal(rss(MM_ANONPAGES), 0);
	assert_int_equal(rss(MM_SWAPENTS), PAGES);
	assert_int_equal(mem_frames(&m), 0);
	assert_int_equal(vm_event_sum(m.machine->ram, PSWPOUT), PAGES);
	for (unsigned long i = 0; i < PAGES; i++)
		assert_int_equal(load(i), i + 1);
	assert_int_equal(rss(MM_SWAPENTS), 0);
	advise(3, 2, PAGEOUT);
	assert_int_equal(rss(MM_SWAPENTS), 2);
	store(3, 77);
	assert_int_equal(load(3), 77);
	assert_int_equal(load(4), 5);
}

static void pageout_leaves_what_others_map_too(void **state)
{
	struct samara_mm *child;

	(void)state;
	map_anon(0);
	assert_int_equal(samara_fork(m.mm, &child), 0);
	advise(0, PAGES, PAGEOUT);
	assert_int_equal(rss(MM_SWAPENTS), 0);
	samara_mm_exit(child);
	advise(0, PAGES, PAGEOUT);
	assert_int_equal(rss(MM_SWAPENTS), PAGES);
	assert_int_equal(load(9), 10);
}

static void pageout_and_cold_refuse_locked_memory(void **state)
{
	(void)state;
	samara_set_caps(m.mm, SAMARA_CAP_IPC_LOCK);
	map_anon(0);
	assert_int_equal(samara_mlock(m.mm, at, MEM_PAGE), 0);
	assert_int_equal(samara_madvise(m.mm, at, MEM_PAGE, PAGEOUT), -EINVAL);
	assert_int_equal(samara_madvise(m.mm, at, MEM_PAGE, COLD), -EINVAL);
	reclaim_direct(m.machine, 1000);
	reclaim_direct(m.machine, 1000);
	assert_int_equal(rss(MM_ANONPAGES), 1);
	assert_int_equal(rss(MM_SWAPENTS), PAGES - 1);
}

static void cold_pages_leave_before_others(void **state)
{
	unsigned long swapped = 0;

	(void)state;
	map_anon(0);
	/* Used twice: active; then the second half is made cold. */
	for (int round = 0; round < 3; round++) {
		assert_int_equal(reclaim_direct(m.machine, 0), 0);
		for (unsigned long i = 0; i < PAGES; i++)
			(void)load(i);
	}
	advise(PAGES / 2, PAGES / 2, COLD);
	for (unsigned long i = 0; i < PAGES / 2; i++)
		(void)load(i);
	assert_int_equal(rss(MM_ANONPAGES), PAGES);
	assert_int_equal(reclaim_direct(m.machine, PAGES / 2), PAGES / 2);
	for (unsigned long i = PAGES / 2; i < PAGES; i++)
		swapped += !pte_present(mem_pte(&m, at + i * MEM_PAGE));
	assert_int_equal(swapped, PAGES / 2);
}

static void freed_pages_are_dropped_if_they_stay_clean(void **state)
{
	(void)state;
	map_anon(0);
	advise(0, PAGES, MADV_FREE);
	store(5, 99);
	assert_true(reclaim_direct(m.machine, PAGES) >= PAGES - 1);
	for (unsigned long i = 0; i < PAGES; i++)
		assert_int_equal(load(i), i == 5 ? 99 : 0);
	assert_true(vm_event_sum(m.machine->ram, PSWPOUT) <= 1);
}

static void droppable_pages_are_dropped_dirty(void **state)
{
	(void)state;
	at = samara_mmap(m.mm, 0, PAGES * MEM_PAGE, RW, MAP_DROPPABLE | MAP_ANONYMOUS, NULL, 0);
	assert_false(SAMARA_IS_ERR_VALUE(at));
	for (unsigned long i = 0; i < PAGES; i++)
		store(i, 7);
	reclaim_direct(m.machine, PAGES);
	assert_int_equal(rss(MM_ANONPAGES), 0);
	assert_int_equal(rss(MM_SWAPENTS), 0);
	assert_int_equal(load(0), 0);
}

static void memory_larger_than_ram_keeps_its_contents(void **state)
{
	const unsigned long pages = 2048; /* twice the machine's */
	struct samara_fault fault;
	uint64_t value;

	(void)state;
	at = mem_map(&m, pages, RW, MAP_PRIVATE, NULL);
	for (uint64_t i = 0; i < pages; i++)
		assert_int_equal(
			samara_write(m.mm, at + i * MEM_PAGE + 8 * (i % 512), &i, 8, &fault), 8);
	for (uint64_t i = 0; i < pages; i++) {
		assert_int_equal(
			samara_read(m.mm, at + i * MEM_PAGE + 8 * (i % 512), &value, 8, &fault), 8);
		assert_int_equal(value, i);
	}
	assert_int_equal(rss(MM_ANONPAGES) + rss(MM_SWAPENTS), pages);
	assert_true(rss(MM_SWAPENTS) >= 1024);
}

/* What smaps says of the mapping at addr. */
static struct range_look look_at(unsigned long addr)
{
	struct range_look look;
	struct vma *vma;

	mmap_read_lock(m.mm);
	vma = mt_find(&m.mm->mt, &addr, addr);
	assert_non_null(vma);
	range_look(vma, vma->vm_start, vma->vm_end, &look);
	mmap_read_unlock(m.mm);
	return look;
}

static void shared_memory_leaves_and_comes_back(void **state)
{
	struct samara_file *file = mem_file(&m, PAGES);
	unsigned long other, own;

	(void)state;
	own = at = mem_map(&m, PAGES, RW, MAP_PRIVATE, file);
	store(3, 33);
	at = mem_map(&m, PAGES, RW, MAP_SHARED, file);
	other = mem_map(&m, PAGES, RW, MAP_SHARED, file);
	for (unsigned long i = 0; i < PAGES; i++)
		assert_int_equal(load(i), i + 1);
	store(7, 99);
	/* Written by calls: used once, and by the mapping. */
	for (int round = 0; round < 4 && mem_frames(&m); round++)
		reclaim_direct(m.machine, PAGES);
	assert_int_equal(mem_frames(&m), 0);
	assert_int_equal(rss(MM_SHMEMPAGES), 0);
	assert_int_equal(look_at(at).swapped, PAGES);
	assert_int_equal(look_at(other).swapped, PAGES);
	assert_int_equal(look_at(other).swap_pss, 0);
	/* Its own copy hides the file's page. */
	assert_int_equal(look_at(own).swapped + look_at(own).rss, PAGES);
	assert_int_equal(samara_munmap(m.mm, own, PAGES * MEM_PAGE), 0);
	for (unsigned long i = 0; i < PAGES; i++)
		assert_int_equal(load(i), i == 7 ? 99 : i + 1);
	advise(0, PAGES, PAGEOUT);
	assert_int_equal(rss(MM_SHMEMPAGES), 0);
	at = other;
	assert_int_equal(load(7), 99);
	samara_file_put(file);
}

/* Without room in swap nothing changes: the access says -ENOMEM at once. */
static void a_full_swap_is_as_none(void **state)
{
	const unsigned long pages = 4096;
	struct samara_fault fault;
	unsigned long n = 0;

	(void)state;
	at = mem_map(&m, pages, RW, MAP_PRIVATE, NULL);
	while (n < pages && samara_write(m.mm, at + n * MEM_PAGE, &n, sizeof(n), &fault) > 0)
		n++;
	assert_in_range(n, 1024 + 2048 - 64, 1024 + 2048);
	assert_int_equal(fault.code, -ENOMEM);
	for (unsigned long i = 0; i < n; i += 97) {
		unsigned long value = 0;

		if (samara_read(m.mm, at + i * MEM_PAGE, &value, sizeof(value), &fault) > 0)
			assert_int_equal(value, i);
	}
}

static unsigned long host_blocks(void)
{
	struct stat st;
	char path[64];
	unsigned long blocks = 0;

	/* The memfd's descriptor is closed: what is resident of the mapping counts. */
	(void)path, (void)st;
	for (unsigned long pfn = 0; pfn < ram_view(m.machine->ram)->nr_frames; pfn++) {
		unsigned char in = 0;

		assert_int_equal(mincore(pfn_to_virt(m.machine->ram, pfn), MEM_PAGE, &in), 0);
		blocks += in & 1;
	}
	return blocks;
}

static void reclaim_gives_host_memory_back(void **state)
{
	unsigned long before;

	(void)state;
	at = mem_map(&m, 512, RW, MAP_PRIVATE, NULL);
	for (unsigned long i = 0; i < 512; i++)
		store(i, 1);
	before = host_blocks();
	assert_true(before >= 512);
	assert_int_equal(samara_munmap(m.mm, at, 512 * MEM_PAGE), 0);
	assert_int_equal(samara_reclaim(m.machine, 0), 0);
	assert_true(host_blocks() <= before - 512);
	/* What comes from there is zeros. */
	at = mem_map(&m, 512, RW, MAP_PRIVATE, NULL);
	for (unsigned long i = 0; i < 512; i++) {
		store(i, 1);
		assert_int_equal(mem_bytes(&m, at + i * MEM_PAGE)[1], 0);
		assert_int_equal(mem_bytes(&m, at + i * MEM_PAGE)[MEM_PAGE - 1], 0);
	}
	mem_check(&m);
	assert_int_equal(samara_reclaim(m.machine, 100), 100);
	assert_int_equal(rss(MM_SWAPENTS), 100);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		test(pageout_takes_anonymous_pages_at_once),
		test(pageout_leaves_what_others_map_too),
		test(pageout_and_cold_refuse_locked_memory),
		test(cold_pages_leave_before_others),
		test(freed_pages_are_dropped_if_they_stay_clean),
		test(droppable_pages_are_dropped_dirty),
		test(memory_larger_than_ram_keeps_its_contents),
		test(shared_memory_leaves_and_comes_back),
		test(a_full_swap_is_as_none),
		test(reclaim_gives_host_memory_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
