/* SPDX-License-Identifier: MIT */
/*
 * First accesses to pages of files and shared memory.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "store/file.h"
#include "support/cmocka_all.h"
#include "support/mem.h"

#define RW (PROT_READ | PROT_WRITE)
#define PAGES 64UL

static struct mem m;
static struct samara_file *file;

static int set_up(void **state)
{
	(void)state;
	mem_open(&m, 1 << 20);
	file = mem_file(&m, PAGES);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	mem_check(&m);
	samara_file_put(file);
	mem_close(&m);
	return 0;
}

/* A fixed place, so that windows and leaves lie where the tests say. */
static void map_at(unsigned long addr, unsigned long pages, int prot, int flags,
		   unsigned long pgoff)
{
	assert_int_equal(samara_mmap(m.mm, addr, pages * MEM_PAGE, prot, flags | MAP_FIXED, file,
				     pgoff * MEM_PAGE),
			 addr);
}

/* Exactly pages [first, end) from base on are there. */
static void assert_window(unsigned long base, unsigned long first, unsigned long end)
{
	for (unsigned long i = 0; i < PAGES; i++)
		assert_int_equal(pte_present(mem_pte(&m, base + i * MEM_PAGE)),
				 i >= first && i < end);
}

static void reading_maps_what_is_cached_around(void **state)
{
	const unsigned long base = 1UL << 30;
	const struct folio *folio;

	(void)state;
	map_at(base, PAGES, RW, MAP_PRIVATE, 0);
	assert_int_equal(mem_fault(&m, base + 21 * MEM_PAGE, 0), 0);
	assert_window(base, 16, 32);
	folio = mem_folio(&m, base + 21 * MEM_PAGE);
	assert_int_equal(mem_bytes(&m, base + 21 * MEM_PAGE)[9], 22);
	assert_int_equal(mem_bytes(&m, base + 31 * MEM_PAGE)[9], 32);
	assert_false(pte_write(mem_pte(&m, base + 21 * MEM_PAGE)));
	assert_int_equal(folio_maps(folio), 1);
	assert_int_equal(mm_rss_sum(m.mm, MM_SHMEMPAGES), 16);
	assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), 0);
}

static void the_window_moves_on_where_the_mapping_begins_late(void **state)
{
	const unsigned long base = 1UL << 30;

	(void)state;
	/* As Linux: 16 pages from the mapping's start, though the aligned window ends before. */
	map_at(base + 21 * MEM_PAGE, 30, RW, MAP_PRIVATE, 21);
	assert_int_equal(mem_fault(&m, base + 24 * MEM_PAGE, 0), 0);
	assert_window(base, 21, 37);
	assert_int_equal(mem_fault(&m, base + 50 * MEM_PAGE, 0), 0);
	assert_window(base + 48 * MEM_PAGE, 0, 3);
}

static void the_window_stays_in_its_leaf(void **state)
{
	const unsigned long base = (1UL << 30) - 5 * MEM_PAGE;

	(void)state;
	map_at(base, 40, RW, MAP_PRIVATE, 0);
	assert_int_equal(mem_fault(&m, base + 2 * MEM_PAGE, 0), 0);
	assert_window(base, 0, 5);
	assert_int_equal(mem_fault(&m, base + 6 * MEM_PAGE, 0), 0);
	assert_window(base, 0, 21);
}

static void locked_pages_and_pages_not_cached_are_passed_over(void **state)
{
	const unsigned long base = 1UL << 30;
	struct samara_file *sparse;
	struct folio *locked;

	(void)state;
	map_at(base, PAGES, RW, MAP_PRIVATE, 0);
	locked = page_cache_find(file->inode, 3);
	folio_set(locked, FOLIO_LOCKED); /* as another thread would */
	assert_int_equal(mem_fault(&m, base, 0), 0);
	folio_test_clear(locked, FOLIO_LOCKED);
	folio_put(m.machine->ram, locked);
	assert_false(pte_present(mem_pte(&m, base + 3 * MEM_PAGE)));
	assert_true(pte_present(mem_pte(&m, base + 4 * MEM_PAGE)));
	assert_int_equal(mem_fault(&m, base + 3 * MEM_PAGE, 0), 0);
	assert_int_equal(mem_bytes(&m, base + 3 * MEM_PAGE)[0], 4);

	assert_int_equal(samara_file_memfd(m.machine, "sparse", 16 * MEM_PAGE, &sparse), 0);
	assert_int_equal(samara_file_pwrite(sparse, "x", 1, 5 * MEM_PAGE), 1);
	assert_int_equal(samara_mmap(m.mm, base, 16 * MEM_PAGE, RW, MAP_SHARED | MAP_FIXED, sparse,
				     0),
			 base);
	assert_int_equal(mem_fault(&m, base + 7 * MEM_PAGE, 0), 0);
	for (unsigned long i = 0; i < 16; i++)
		assert_int_equal(pte_present(mem_pte(&m, base + i * MEM_PAGE)), i == 5 || i == 7);
	samara_file_put(sparse);
}

static void a_private_write_copies_at_once(void **state)
{
	const unsigned long base = 1UL << 30;
	struct folio *cached;

	(void)state;
	map_at(base, 4, RW, MAP_PRIVATE, 0);
	assert_int_equal(mem_fault(&m, base + MEM_PAGE, FAULT_WRITE), 0);
	assert_window(base, 1, 2);
	assert_true(folio_test(mem_folio(&m, base + MEM_PAGE), FOLIO_ANON));
	assert_int_equal(mem_bytes(&m, base + MEM_PAGE)[4095], 2);
	assert_true(pte_write(mem_pte(&m, base + MEM_PAGE)));
	cached = page_cache_find(file->inode, 1);
	assert_ptr_not_equal(cached, mem_folio(&m, base + MEM_PAGE));
	assert_int_equal(folio_count(cached), 2); /* the cache's and ours */
	folio_put(m.machine->ram, cached);
	assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), 1);
	assert_int_equal(mm_rss_sum(m.mm, MM_SHMEMPAGES), 0);
}

static void a_shared_write_dirties_the_files_page(void **state)
{
	const unsigned long base = 1UL << 30;
	struct folio *folio;

	(void)state;
	map_at(base, 4, RW, MAP_SHARED, 0);
	assert_int_equal(mem_fault(&m, base + MEM_PAGE, FAULT_WRITE), 0);
	folio = mem_folio(&m, base + MEM_PAGE);
	assert_false(folio_test(folio, FOLIO_ANON));
	assert_true(folio_test(folio, FOLIO_DIRTY));
	assert_true(pte_write(mem_pte(&m, base + MEM_PAGE)));
	assert_int_equal(mm_rss_sum(m.mm, MM_SHMEMPAGES), 1);
	assert_null(mem_vma(&m, base)->anon_vma);
}

static void shared_memory_is_writable_once_it_is_read(void **state)
{
	const unsigned long base = 1UL << 30;

	(void)state;
	map_at(base, 4, RW, MAP_SHARED, 0);
	assert_int_equal(mem_fault(&m, base, 0), 0);
	assert_true(pte_write(mem_pte(&m, base + 3 * MEM_PAGE)));
	assert_false(pte_dirty(mem_pte(&m, base + 3 * MEM_PAGE)));
	assert_int_equal(samara_mmap(m.mm, base, MEM_PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, file,
				     0),
			 base);
	assert_int_equal(mem_fault(&m, base, 0), 0);
	assert_false(pte_write(mem_pte(&m, base)));
}

static void a_host_files_page_is_read_only_until_it_is_written(void **state)
{
	const unsigned long base = 1UL << 30;
	struct samara_file *host;
	FILE *f = tmpfile();

	(void)state;
	assert_non_null(f);
	assert_int_equal(fwrite("host", 1, 4, f), 4);
	assert_int_equal(fflush(f), 0);
	assert_int_equal(samara_file_from_fd(m.machine, fileno(f), &host), 0);
	assert_int_equal(samara_mmap(m.mm, base, MEM_PAGE, RW, MAP_SHARED | MAP_FIXED, host, 0),
			 base);
	assert_int_equal(mem_fault(&m, base, 0), VM_FAULT_MAJOR);
	assert_memory_equal(mem_bytes(&m, base), "host", 5);
	assert_false(pte_write(mem_pte(&m, base)));
	assert_false(folio_test(mem_folio(&m, base), FOLIO_DIRTY));
	assert_int_equal(mem_fault(&m, base, FAULT_WRITE), 0);
	assert_true(pte_write(mem_pte(&m, base)) && pte_dirty(mem_pte(&m, base)));
	assert_true(folio_test(mem_folio(&m, base), FOLIO_DIRTY));
	assert_int_equal(mm_rss_sum(m.mm, MM_FILEPAGES), 1);
	samara_file_put(host);
	fclose(f);
}

/* Somebody else made it shorter: what is cached beyond the end is not mapped around any more. */
static void pages_beyond_the_end_are_not_mapped_around(void **state)
{
	const unsigned long base = 1UL << 30;
	struct samara_file *host;
	FILE *f = tmpfile();

	(void)state;
	assert_non_null(f);
	assert_int_equal(ftruncate(fileno(f), 3 * MEM_PAGE), 0);
	assert_int_equal(samara_file_from_fd(m.machine, fileno(f), &host), 0);
	assert_int_equal(samara_mmap(m.mm, base, 3 * MEM_PAGE, RW, MAP_SHARED | MAP_FIXED, host, 0),
			 base);
	assert_int_equal(samara_touch(m.mm, base, 3 * MEM_PAGE, PROT_READ), 0);
	assert_int_equal(samara_madvise(m.mm, base, 3 * MEM_PAGE, MADV_DONTNEED), 0);
	assert_int_equal(ftruncate(fileno(f), MEM_PAGE), 0);
	inode_refresh(host->inode);
	assert_int_equal(mem_fault(&m, base, 0), 0);
	assert_window(base, 0, 1);
	samara_file_put(host);
	fclose(f);
}

/* Not read first: the page is dirty from the first moment, and so is written back. */
static void a_write_to_a_host_file_makes_its_page_dirty(void **state)
{
	const unsigned long base = 1UL << 30;
	struct samara_file *host;
	FILE *f = tmpfile();
	char now[4];

	(void)state;
	assert_non_null(f);
	assert_int_equal(fwrite("host", 1, 4, f), 4);
	assert_int_equal(fflush(f), 0);
	assert_int_equal(samara_file_from_fd(m.machine, fileno(f), &host), 0);
	assert_int_equal(samara_mmap(m.mm, base, MEM_PAGE, RW, MAP_SHARED | MAP_FIXED, host, 0),
			 base);
	assert_int_equal(mem_fault(&m, base, FAULT_WRITE), VM_FAULT_MAJOR);
	assert_true(folio_test(mem_folio(&m, base), FOLIO_DIRTY));
	assert_int_equal(samara_write(m.mm, base, "mine", 4, NULL), 4);
	assert_int_equal(samara_msync(m.mm, base, MEM_PAGE, MS_SYNC), 0);
	assert_false(pte_write(mem_pte(&m, base)));
	rewind(f);
	assert_int_equal(fread(now, 1, 4, f), 4);
	assert_memory_equal(now, "mine", 4);
	samara_file_put(host);
	fclose(f);
}

static void beyond_the_end_is_a_bus_error(void **state)
{
	const unsigned long base = 1UL << 30;
	const unsigned int flags[] = { 0, FAULT_WRITE, FAULT_UNSHARE };

	(void)state;
	map_at(base, PAGES + 2, RW, MAP_PRIVATE, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(flags); i++) {
		assert_int_equal(mem_fault(&m, base + PAGES * MEM_PAGE, flags[i]), VM_FAULT_SIGBUS);
		assert_true(pte_none(mem_pte(&m, base + PAGES * MEM_PAGE)));
	}
	/* What was made ready for the copy stays, as in Linux. */
	assert_non_null(mem_vma(&m, base)->anon_vma);
	assert_int_equal(mem_fault(&m, base + (PAGES - 1) * MEM_PAGE, 0), 0);
	assert_window(base, PAGES - 16, PAGES);
}

static void a_file_that_became_shorter_ends_there(void **state)
{
	const unsigned long base = 1UL << 30;

	(void)state;
	map_at(base, PAGES, RW, MAP_SHARED, 0);
	assert_int_equal(mem_fault(&m, base, 0), 0);
	assert_window(base, 0, 16);
	assert_int_equal(samara_file_set_length(file, 2 * MEM_PAGE + 1), 0);
	assert_window(base, 0, 3);
	assert_int_equal(mem_fault(&m, base + 3 * MEM_PAGE, 0), VM_FAULT_SIGBUS);
	assert_int_equal(mem_fault(&m, base + 3 * MEM_PAGE, FAULT_WRITE), VM_FAULT_SIGBUS);
	assert_int_equal(mem_fault(&m, base + 2 * MEM_PAGE, FAULT_WRITE), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(reading_maps_what_is_cached_around),
		TEST(the_window_moves_on_where_the_mapping_begins_late),
		TEST(the_window_stays_in_its_leaf),
		TEST(locked_pages_and_pages_not_cached_are_passed_over),
		TEST(a_private_write_copies_at_once),
		TEST(a_shared_write_dirties_the_files_page),
		TEST(shared_memory_is_writable_once_it_is_read),
		TEST(a_host_files_page_is_read_only_until_it_is_written),
		TEST(pages_beyond_the_end_are_not_mapped_around),
		TEST(a_write_to_a_host_file_makes_its_page_dirty),
		TEST(beyond_the_end_is_a_bus_error),
		TEST(a_file_that_became_shorter_ends_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
