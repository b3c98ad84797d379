/* SPDX-License-Identifier: MIT */
/* Pages of files leave memory when frames run out (reclaim/, store/). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "frame/vm_event.h"
#include "reclaim/reclaim.h"
#include "store/file.h"
#include "support/cmocka_all.h"
#include "support/mem.h"

#define RW (PROT_READ | PROT_WRITE)
#define RAM (4UL << 20)
#define FRAMES (RAM / MEM_PAGE)

static struct mem m;
static int host; /* the host's side of file */
static struct samara_file *file;

static unsigned char byte_of(unsigned long page)
{
	return (unsigned char)(page * 7 + 1);
}

/* A host file of that many pages, page i full of byte_of(i). */
static void open_file(unsigned long pages)
{
	unsigned char buf[MEM_PAGE];
	char name[] = "/var/tmp/samara-reclaim-XXXXXX";

	host = mkstemp(name);
	assert_true(host >= 0);
	unlink(name);
	for (unsigned long i = 0; i < pages; i++) {
		memset(buf, byte_of(i), sizeof(buf));
		assert_int_equal(pwrite(host, buf, sizeof(buf), (off_t)(i * MEM_PAGE)), MEM_PAGE);
	}
	assert_int_equal(samara_file_from_fd(m.machine, host, &file), 0);
}

/* A machine without a thread, so that only what the test does counts. */
static int set_up(void **state)
{
	(void)state;
	mem_open(&m, RAM);
	ram_watch(m.machine->ram, NULL, NULL);
	file = NULL;
	host = -1;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	samara_file_put(file);
	if (host >= 0)
		close(host);
	mem_check(&m);
	mem_close(&m);
	return 0;
}

static void read_page(unsigned long page)
{
	unsigned char buf[MEM_PAGE];

	assert_int_equal(samara_file_pread(file, buf, sizeof(buf), page * MEM_PAGE), MEM_PAGE);
	assert_int_equal(buf[0], byte_of(page));
	assert_int_equal(buf[MEM_PAGE - 1], byte_of(page));
}

static bool is_cached(unsigned long page)
{
	struct folio *folio = page_cache_find(file->inode, page);

	if (folio)
		folio_put(m.machine->ram, folio);
	return folio;
}

static unsigned long long events(enum vm_event event)
{
	return vm_event_sum(m.machine->ram, event);
}

static unsigned char load(unsigned long addr)
{
	struct samara_fault fault;
	unsigned char byte;

	assert_int_equal(samara_read(m.mm, addr, &byte, 1, &fault), 1);
	return byte;
}

static void store(unsigned long addr, unsigned char byte)
{
	struct samara_fault fault;

	assert_int_equal(samara_write(m.mm, addr, &byte, 1, &fault), 1);
}

static void a_file_larger_than_memory_is_read_to_its_end(void **state)
{
	const unsigned long pages = 4 * FRAMES;
	char *buf = malloc(pages * MEM_PAGE);

	(void)state;
	open_file(pages);
	assert_int_equal(samara_file_pread(file, buf, pages * MEM_PAGE, 0), pages * MEM_PAGE);
	for (unsigned long i = 0; i < pages; i++)
		assert_int_equal((unsigned char)buf[i * MEM_PAGE], byte_of(i));
	free(buf);
	assert_true(events(ALLOCSTALL) > 0);
	assert_true(events(PGSTEAL) >= pages - FRAMES);
	/* And memory is not full of it for good. */
	assert_true(mem_map(&m, FRAMES * 3 / 4, RW, MAP_PRIVATE | MAP_POPULATE, NULL) > 0);
}

static void mapped_pages_leave_and_come_back(void **state)
{
	const unsigned long pages = 3 * FRAMES;
	unsigned long addr;

	(void)state;
	open_file(pages);
	addr = mem_map(&m, pages, PROT_READ, MAP_SHARED, file);
	for (int round = 0; round < 2; round++) {
		for (unsigned long i = 0; i < pages; i++)
			assert_int_equal(load(addr + i * MEM_PAGE), byte_of(i));
	}
	assert_true(mm_rss_sum(m.mm, MM_FILEPAGES) <= (long)FRAMES);
}

static void dirty_pages_are_written_first(void **state)
{
	const unsigned long pages = 3 * FRAMES;
	unsigned char *on_host;
	unsigned long addr;

	(void)state;
	open_file(pages);
	addr = mem_map(&m, pages, RW, MAP_SHARED, file);
	for (unsigned long i = 0; i < pages; i++)
		store(addr + i * MEM_PAGE, (unsigned char)(byte_of(i) + 1));
	for (unsigned long i = 0; i < pages; i++) {
		assert_int_equal(load(addr + i * MEM_PAGE), (unsigned char)(byte_of(i) + 1));
		assert_int_equal(load(addr + i * MEM_PAGE + 1), byte_of(i));
	}
	on_host = mmap(NULL, pages * MEM_PAGE, PROT_READ, MAP_SHARED, host, 0);
	assert_ptr_not_equal(on_host, MAP_FAILED);
	for (unsigned long i = 0; i < pages; i++) {
		if (!is_cached(i))
			assert_int_equal(on_host[i * MEM_PAGE], (unsigned char)(byte_of(i) + 1));
	}
	munmap(on_host, pages * MEM_PAGE);
}

/* What the host does not take stays, dirty. */
static void what_cannot_be_written_stays(void **state)
{
	struct folio *folio;
	unsigned long addr;
	int full;

	(void)state;
	open_file(8);
	addr = mem_map(&m, 8, RW, MAP_SHARED, file);
	store(addr, 77);
	(void)load(addr + 7 * MEM_PAGE);
	/* It refuses each write. */
	full = file->inode->host.write_fd;
	file->inode->host.write_fd = open("/dev/full", O_RDWR);
	assert_true(file->inode->host.write_fd >= 0);
	assert_int_equal(reclaim_direct(m.machine, 1000), 1);
	folio = page_cache_find(file->inode, 0);
	assert_non_null(folio);
	assert_true(folio_test(folio, FOLIO_DIRTY));
	folio_put(m.machine->ram, folio);
	assert_int_equal(load(addr), 77);
	close(file->inode->host.write_fd);
	file->inode->host.write_fd = full;
	assert_int_equal(reclaim_direct(m.machine, 1000), 1);
	assert_false(is_cached(0));
	assert_int_equal(load(addr), 77);
}

static void a_page_beyond_the_end_is_not_written(void **state)
{
	unsigned long addr;

	(void)state;
	open_file(8);
	addr = mem_map(&m, 8, RW, MAP_SHARED, file);
	for (unsigned long i = 0; i < 8; i++)
		store(addr + i * MEM_PAGE, 9);
	assert_int_equal(ftruncate(host, 4 * MEM_PAGE), 0);
	reclaim_direct(m.machine, 1000);
	reclaim_direct(m.machine, 1000);
	assert_int_equal(lseek(host, 0, SEEK_END), 4 * MEM_PAGE);
	inode_refresh(file->inode);
	reclaim_direct(m.machine, 1000);
	reclaim_direct(m.machine, 1000);
	assert_int_equal(lseek(host, 0, SEEK_END), 4 * MEM_PAGE);
	assert_false(is_cached(0));
	assert_false(is_cached(5));
}

static void pinned_pages_and_others_at_work_stay(void **state)
{
	struct folio *folio;

	(void)state;
	open_file(4);
	for (unsigned long i = 0; i < 4; i++)
		read_page(i);
	folio = page_cache_find(file->inode, 1);
	assert_true(folio_try_pin(folio));
	folio_put(m.machine->ram, folio);
	assert_non_null(page_cache_find(file->inode, 2)); /* a lookup */
	reclaim_direct(m.machine, 1000);
	assert_false(is_cached(0));
	assert_true(is_cached(1));
	assert_true(is_cached(2));
	assert_false(is_cached(3));
	folio_put_many(m.machine->ram, folio, FOLIO_PIN_BIAS);
	folio = page_cache_find(file->inode, 2);
	folio_put_many(m.machine->ram, folio, 2);
}

static void mlocked_pages_are_put_aside(void **state)
{
	unsigned long long scanned;
	struct ram_stats stats;
	unsigned long addr;

	(void)state;
	samara_set_caps(m.mm, SAMARA_CAP_IPC_LOCK);
	open_file(64);
	addr = mem_map(&m, 64, PROT_READ, MAP_SHARED, file);
	assert_int_equal(samara_mlock(m.mm, addr, 32 * MEM_PAGE), 0);
	for (unsigned long i = 32; i < 64; i++)
		(void)load(addr + i * MEM_PAGE);
	assert_int_equal(reclaim_direct(m.machine, 1000), 32);
	ram_stats(m.machine->ram, &stats);
	assert_int_equal(stats.lru[LRU_UNEVICTABLE], 32);
	scanned = events(PGSCAN);
	assert_int_equal(reclaim_direct(m.machine, 1000), 0);
	assert_int_equal(events(PGSCAN), scanned);
	/* Unlocked, they leave. */
	assert_int_equal(samara_munlock(m.mm, addr, 16 * MEM_PAGE), 0);
	ram_stats(m.machine->ram, &stats);
	assert_int_equal(stats.lru[LRU_UNEVICTABLE], 16);
	assert_int_equal(reclaim_direct(m.machine, 1000), 16);
	/* Unmapped, they are in the page cache like others. */
	assert_int_equal(samara_munmap(m.mm, addr, 64 * MEM_PAGE), 0);
	ram_stats(m.machine->ram, &stats);
	assert_int_equal(stats.lru[LRU_UNEVICTABLE], 0);
	assert_int_equal(reclaim_direct(m.machine, 1000), 16);
}

/* One pass over a file that is far larger than memory does not push out what is used. */
static void a_sequential_pass_leaves_the_working_set(void **state)
{
	const unsigned long set = FRAMES / 4, pages = 8 * FRAMES;
	unsigned long left = 0;

	(void)state;
	open_file(pages);
	for (int round = 0; round < 3; round++)
		for (unsigned long i = 0; i < set; i++)
			read_page(i);
	for (unsigned long i = set; i < pages; i++)
		read_page(i);
	for (unsigned long i = 0; i < set; i++)
		left += is_cached(i);
	assert_int_equal(left, set);
}

/* A set larger than the inactive list comes back soon, and then stays. */
static void what_comes_back_soon_becomes_active(void **state)
{
	const unsigned long stale = FRAMES / 3, set = FRAMES * 3 / 4;
	unsigned long long before;

	(void)state;
	open_file(2 * FRAMES);
	for (int round = 0; round < 2; round++)
		for (unsigned long i = 0; i < stale; i++)
			read_page(i);
	for (int round = 0; round < 8; round++)
		for (unsigned long i = stale; i < stale + set; i++)
			read_page(i);
	assert_true(events(REFAULT) > 0);
	before = events(PGSTEAL);
	for (unsigned long i = stale; i < stale + set; i++)
		read_page(i);
	assert_in_range(events(PGSTEAL) - before, 0, set / 8);
}

static void memory_without_anything_to_free_says_so_at_once(void **state)
{
	struct samara_fault fault;
	unsigned long addr, n = 0;
	unsigned char byte = 1;

	(void)state;
	addr = mem_map(&m, 2 * FRAMES, RW, MAP_PRIVATE, NULL);
	while (samara_write(m.mm, addr + n * MEM_PAGE, &byte, 1, &fault) == 1)
		n++;
	assert_int_equal(n, FRAMES);
	assert_int_equal(events(PGSCAN), 0);
	assert_int_equal(samara_write(m.mm, addr + n * MEM_PAGE, &byte, 1, &fault), -ENOMEM);
}

/* Files outlive their machine, and go on reclaiming. */
static void a_file_without_its_machine_reads_on(void **state)
{
	const unsigned long pages = 3 * FRAMES;
	char *buf = malloc(pages * MEM_PAGE);

	(void)state;
	open_file(pages);
	samara_mm_exit(m.mm);
	samara_machine_destroy(m.machine);
	assert_int_equal(samara_file_pread(file, buf, pages * MEM_PAGE, 0), pages * MEM_PAGE);
	for (unsigned long i = 0; i < pages; i++)
		assert_int_equal((unsigned char)buf[i * MEM_PAGE], byte_of(i));
	free(buf);
	samara_file_put(file);
	file = NULL;
	set_up(NULL); /* for tear_down() */
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		test(a_file_larger_than_memory_is_read_to_its_end),
		test(mapped_pages_leave_and_come_back),
		test(dirty_pages_are_written_first),
		test(what_cannot_be_written_stays),
		test(a_page_beyond_the_end_is_not_written),
		test(pinned_pages_and_others_at_work_stay),
		test(mlocked_pages_are_put_aside),
		test(a_sequential_pass_leaves_the_working_set),
		test(what_comes_back_soon_becomes_active),
		test(memory_without_anything_to_free_says_so_at_once),
		test(a_file_without_its_machine_reads_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
