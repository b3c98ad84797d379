/* SPDX-License-Identifier: MIT */
/*
 * A frame is bad: what it held can be read again, or each touch of it says that it is lost; and it
 * is never used again. The kernel that runs this test is not asked: it would lose memory of its
 * own.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <samara/reclaim.h>

#include "frame/pfn.h"
#include "support/cmocka_all.h"
#include "support/mem.h"
#include "support/store_box.h"

#define RW (PROT_READ | PROT_WRITE)
#define HWPOISON 100
#define SOFT_OFFLINE 101

MEM_FIXTURE(m, 1UL << 20);

static unsigned long bad_frames(void)
{
	struct ram_stats stats;

	ram_stats(m.machine->ram, &stats);
	return stats.poisoned;
}

static void set(struct samara_mm *mm, unsigned long addr, unsigned long value)
{
	assert_int_equal(samara_write(mm, addr, &value, sizeof(value), NULL), sizeof(value));
}

static unsigned long word(struct samara_mm *mm, unsigned long addr)
{
	unsigned long value = 0;

	assert_int_equal(samara_read(mm, addr, &value, sizeof(value), NULL), sizeof(value));
	return value;
}

static void assert_lost(struct samara_mm *mm, unsigned long addr)
{
	struct samara_fault fault;
	char c = 0;

	assert_int_equal(samara_read(mm, addr + 5, &c, 1, &fault), 0);
	assert_int_equal(fault.signo, SIGBUS);
	assert_int_equal(fault.code, BUS_MCEERR_AR);
	assert_int_equal(fault.addr, addr + 5);
	assert_int_equal(fault.lsb, 12);
	assert_int_equal(samara_write(mm, addr + 5, &c, 1, &fault), 0);
	assert_int_equal(fault.code, BUS_MCEERR_AR);
}

static int fails(unsigned long addr)
{
	return samara_memory_failure(m.machine, pte_pfn(mem_pte(&m, addr)), 0);
}

static void a_free_frame_is_not_used_again(void **state)
{
	const unsigned long frames = ram_view(m.machine->ram)->nr_frames;

	(void)state;
	assert_int_equal(samara_memory_failure(m.machine, 40, 0), 0);
	assert_int_equal(samara_memory_failure(m.machine, 40, 0), -EHWPOISON);
	assert_int_equal(samara_memory_failure(m.machine, 40, 1), -EINVAL);
	assert_int_equal(samara_memory_failure(m.machine, 0, 0), -ENXIO);
	assert_int_equal(samara_memory_failure(m.machine, frames, 0), -ENXIO);
	assert_int_equal(samara_memory_failure(m.machine, frames - 1, 0), 0);
	assert_int_equal(bad_frames(), 2);
	assert_null(folio_get_pfn(m.machine->ram, 40));
}

static void an_anonymous_page_is_lost_in_all_processes(void **state)
{
	const unsigned long a = mem_map(&m, 2, RW, MAP_PRIVATE, NULL);
	struct samara_mm *child, *later;
	unsigned long pfn;

	(void)state;
	set(m.mm, a, 1);
	set(m.mm, a + MEM_PAGE, 2);
	assert_int_equal(samara_fork(m.mm, &child), 0);
	pfn = pte_pfn(mem_pte(&m, a));
	assert_int_equal(fails(a), 0);
	assert_true(ram_is_poisoned(m.machine->ram, pfn));
	assert_lost(m.mm, a);
	assert_lost(child, a);
	assert_int_equal(word(m.mm, a + MEM_PAGE), 2);
	assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), 1);
	assert_int_equal(samara_fork(child, &later), 0);
	assert_lost(later, a);
	assert_int_equal(samara_memory_failure(m.machine, pfn, 0), -EHWPOISON);
	samara_mm_exit(later);
	samara_mm_exit(child);
	/* New memory in its place. */
	assert_int_equal(samara_madvise(m.mm, a, MEM_PAGE, MADV_DONTNEED), 0);
	assert_int_equal(word(m.mm, a), 0);
	assert_int_equal(bad_frames(), 1);
}

static void a_clean_page_of_a_file_is_read_again(void **state)
{
	const int fd = box_host_file(2 * MEM_PAGE);
	const unsigned long value = 77;
	struct samara_file *file;
	unsigned long shared, private, pfn;

	(void)state;
	assert_int_equal(pwrite(fd, &value, sizeof(value), 0), sizeof(value));
	assert_int_equal(samara_file_from_fd(m.machine, fd, &file), 0);
	shared = mem_map(&m, 1, RW, MAP_SHARED, file);
	private = mem_map(&m, 1, RW, MAP_PRIVATE, file);
	assert_int_equal(word(m.mm, shared), 77);
	assert_int_equal(word(m.mm, private), 77);
	assert_int_equal(samara_mlock(m.mm, private, MEM_PAGE), 0);
	pfn = pte_pfn(mem_pte(&m, private));
	assert_int_equal(samara_memory_failure(m.machine, pte_pfn(mem_pte(&m, shared)), 0), 0);
	assert_int_equal(bad_frames(), 1);
	assert_int_equal(word(m.mm, shared), 77);
	assert_int_not_equal(pte_pfn(mem_pte(&m, shared)), pfn);
	assert_int_equal(samara_munmap(m.mm, shared, MEM_PAGE), 0);
	assert_int_equal(samara_munmap(m.mm, private, MEM_PAGE), 0);
	samara_file_put(file);
	close(fd);
}

/* Written through a mapping; of file, whose pages have their index + 1 in each byte. */
static void dirty_is_lost(struct samara_file *file)
{
	const unsigned long shared = mem_map(&m, 2, RW, MAP_SHARED, file);
	const unsigned long other = mem_map(&m, 2, RW, MAP_SHARED, file);
	const unsigned long private = mem_map(&m, 2, RW, MAP_PRIVATE, file);
	unsigned long value = 5;

	set(m.mm, shared, 1);
	set(m.mm, shared + MEM_PAGE, 2);
	assert_int_equal(fails(shared), 0);
	assert_lost(m.mm, shared);
	assert_lost(m.mm, other);
	assert_lost(m.mm, private);
	assert_int_equal(word(m.mm, other + MEM_PAGE), 2);
	assert_int_equal(word(m.mm, private + MEM_PAGE), 2);
	assert_int_equal(samara_file_pread(file, &value, 8, 16), -EIO);
	assert_int_equal(samara_file_pwrite(file, &value, 8, 16), -EIO);
	assert_int_equal(samara_file_sync(file), 0);
	assert_int_equal(bad_frames(), 0); /* the cache has it */
	assert_int_equal(samara_munmap(m.mm, shared, 2 * MEM_PAGE), 0);
	assert_int_equal(samara_munmap(m.mm, other, 2 * MEM_PAGE), 0);
	assert_int_equal(samara_munmap(m.mm, private, 2 * MEM_PAGE), 0);
	assert_lost(m.mm, mem_map(&m, 1, RW, MAP_SHARED, file));
	/* A hole: the page is another one. */
	assert_int_equal(samara_file_punch_hole(file, 0, MEM_PAGE), 0);
	assert_int_equal(bad_frames(), 1);
	assert_int_equal(word(m.mm, mem_map(&m, 1, RW, MAP_SHARED, file)), 0);
}

static void a_written_page_of_a_file_is_lost_until_it_is_truncated(void **state)
{
	const int fd = box_host_file(2 * MEM_PAGE);
	struct samara_file *file;
	unsigned long on_host = 9;

	(void)state;
	assert_int_equal(pwrite(fd, &on_host, sizeof(on_host), 0), sizeof(on_host));
	assert_int_equal(samara_file_from_fd(m.machine, fd, &file), 0);
	dirty_is_lost(file);
	samara_file_put(file);
	close(fd);
}

static void shared_memory_is_lost_until_it_is_truncated(void **state)
{
	struct samara_file *file;

	(void)state;
	assert_int_equal(samara_file_shmem(m.machine, 2 * MEM_PAGE, &file), 0);
	dirty_is_lost(file);
	samara_file_put(file);
}

static void a_pinned_page_goes_with_its_last_pin(void **state)
{
	const unsigned long a = mem_map(&m, 1, RW, MAP_PRIVATE, NULL);
	struct samara_pin pins[2];

	(void)state;
	set(m.mm, a, 7);
	for (int i = 0; i < 2; i++)
		assert_int_equal(samara_pin_pages(m.mm, a, 1, SAMARA_PIN_WRITE, &pins[i]), 1);
	assert_int_equal(fails(a), -EBUSY);
	assert_int_equal(fails(a), -EHWPOISON);
	assert_int_equal(word(m.mm, a), 7);
	samara_unpin_pages(&pins[0], 1, 1);
	assert_int_equal(word(m.mm, a), 7);
	samara_unpin_pages(&pins[1], 1, 1);
	assert_lost(m.mm, a);
	assert_int_equal(bad_frames(), 1);
}

static void a_bad_page_is_not_moved(void **state)
{
	const unsigned long a = mem_map(&m, 1, RW, MAP_PRIVATE, NULL);
	struct samara_pin pin;

	(void)state;
	set(m.mm, a, 7);
	assert_int_equal(samara_pin_pages(m.mm, a, 1, SAMARA_PIN_WRITE, &pin), 1);
	assert_int_equal(fails(a), -EBUSY);
	assert_int_equal(samara_migrate_pages(m.mm, a, 1), 0);
	samara_unpin_pages(&pin, 1, 1);
}

/* madvise ---------------------------------------------------------------------------- */

static void advice_needs_the_right(void **state)
{
	const unsigned long a = mem_map(&m, 2, RW, MAP_PRIVATE, NULL);

	(void)state;
	set(m.mm, a, 7);
	for (int advice = HWPOISON; advice <= SOFT_OFFLINE; advice++) {
		assert_int_equal(samara_madvise(m.mm, a, MEM_PAGE, advice), -EPERM);
		assert_int_equal(samara_madvise(m.mm, a, 0, advice), 0);
		assert_int_equal(samara_madvise(m.mm, a + 1, MEM_PAGE, advice), -EINVAL);
	}
	assert_int_equal(word(m.mm, a), 7);
	samara_set_caps(m.mm, SAMARA_CAP_SYS_ADMIN);
	assert_int_equal(samara_madvise(m.mm, a, 0, HWPOISON), 0);
	assert_int_equal(samara_madvise(m.mm, a + 1, MEM_PAGE, HWPOISON), -EINVAL);
	assert_int_equal(bad_frames(), 0);
}

static void hwpoison_loses_pages(void **state)
{
	const unsigned long a = mem_map(&m, 3, RW, MAP_PRIVATE, NULL);

	(void)state;
	samara_set_caps(m.mm, SAMARA_CAP_SYS_ADMIN);
	for (unsigned long i = 0; i < 3; i++)
		set(m.mm, a + i * MEM_PAGE, 7);
	assert_int_equal(samara_madvise(m.mm, a, 2 * MEM_PAGE, HWPOISON), 0);
	assert_lost(m.mm, a);
	assert_lost(m.mm, a + MEM_PAGE);
	assert_int_equal(word(m.mm, a + 2 * MEM_PAGE), 7);
	assert_int_equal(bad_frames(), 2);
	/* What cannot be read is not poisoned. */
	assert_int_equal(samara_madvise(m.mm, a, MEM_PAGE, HWPOISON), -EFAULT);
	assert_int_equal(samara_mprotect(m.mm, a + 2 * MEM_PAGE, MEM_PAGE, PROT_NONE), 0);
	assert_int_equal(samara_madvise(m.mm, a + 2 * MEM_PAGE, MEM_PAGE, HWPOISON), -EFAULT);
	assert_int_equal(samara_munmap(m.mm, a, 3 * MEM_PAGE), 0);
	assert_int_equal(samara_madvise(m.mm, a, MEM_PAGE, HWPOISON), -EFAULT);
}

static void soft_offline_loses_nothing(void **state)
{
	const unsigned long a = mem_map(&m, 2, RW, MAP_PRIVATE, NULL);
	struct samara_pin pin;
	unsigned long pfn;

	(void)state;
	samara_set_caps(m.mm, SAMARA_CAP_SYS_ADMIN);
	set(m.mm, a, 7);
	set(m.mm, a + MEM_PAGE, 8);
	pfn = pte_pfn(mem_pte(&m, a));
	assert_int_equal(samara_madvise(m.mm, a, 2 * MEM_PAGE, SOFT_OFFLINE), 0);
	assert_int_equal(word(m.mm, a), 7);
	assert_int_equal(word(m.mm, a + MEM_PAGE), 8);
	assert_true(ram_is_poisoned(m.machine->ram, pfn));
	assert_int_equal(bad_frames(), 2);
	assert_int_equal(samara_pin_pages(m.mm, a, 1, SAMARA_PIN_WRITE, &pin), 1);
	assert_int_equal(samara_madvise(m.mm, a, MEM_PAGE, SOFT_OFFLINE), -EBUSY);
	assert_int_equal(word(m.mm, a), 7);
	samara_unpin_pages(&pin, 1, 1);
	assert_int_equal(bad_frames(), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(a_free_frame_is_not_used_again),
		TEST(an_anonymous_page_is_lost_in_all_processes),
		TEST(a_clean_page_of_a_file_is_read_again),
		TEST(a_written_page_of_a_file_is_lost_until_it_is_truncated),
		TEST(shared_memory_is_lost_until_it_is_truncated),
		TEST(a_pinned_page_goes_with_its_last_pin),
		TEST(a_bad_page_is_not_moved),
		TEST(advice_needs_the_right),
		TEST(hwpoison_loses_pages),
		TEST(soft_offline_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
