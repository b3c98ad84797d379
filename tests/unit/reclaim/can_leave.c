/* SPDX-License-Identifier: MIT */
/* Pages that nothing needs in memory leave it, whatever happened to them before. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <samara/reclaim.h>

#include "../process/family.h"
#include "reclaim/reclaim.h"
#include "support/store_box.h"

#define PAGES 32UL

static struct mem m;
static struct samara_swap *swap;

static int set_up(void **state)
{
	(void)state;
	mem_open(&m, 4 << 20);
	ram_watch(m.machine->ram, NULL, NULL);
	samara_set_caps(m.mm, SAMARA_CAP_IPC_LOCK);
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

static unsigned long filled(unsigned char byte)
{
	const unsigned long at = mem_map(&m, PAGES, RW, MAP_PRIVATE, NULL);

	for (unsigned long i = 0; i < PAGES; i++)
		put(m.mm, at + i * MEM_PAGE, byte);
	return at;
}

/* The parent's mapping is locked, but it has copies of its own. */
static void a_locked_mapping_keeps_only_what_it_maps(void **state)
{
	const unsigned long at = filled(1);
	struct samara_mm *child;

	(void)state;
	assert_int_equal(samara_mlock(m.mm, at, PAGES * MEM_PAGE), 0);
	child = forked(&m);
	for (unsigned long i = 0; i < PAGES; i++)
		put(m.mm, at + i * MEM_PAGE, 2);
	assert_int_equal(samara_reclaim(m.machine, PAGES), PAGES);
	assert_int_equal(mm_rss_sum(child, MM_SWAPENTS), PAGES);
	assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), PAGES);
	assert_int_equal(get(child, at), 1);
	samara_mm_exit(child);
}

static bool disk_is_broken;
static char disk[2 * PAGES][MEM_PAGE];

static int disk_read(void *priv, unsigned long slot, void *page)
{
	(void)priv;
	memcpy(page, disk[slot], MEM_PAGE);
	return 0;
}

static int disk_write(void *priv, unsigned long slot, const void *page)
{
	(void)priv;
	if (disk_is_broken)
		return -EIO;
	memcpy(disk[slot], page, MEM_PAGE);
	return 0;
}

static const struct samara_swap_ops disk_ops = {
	.size = sizeof(disk_ops),
	.read = disk_read,
	.write = disk_write,
};

/* The slots that could not be written are given up; there are as many others. */
static void a_page_whose_slot_was_bad_leaves_to_another_one(void **state)
{
	struct samara_machine_memory memory = { .size = sizeof(memory) };
	struct samara_mm *child;
	unsigned long at;

	(void)state;
	assert_int_equal(samara_swapoff(swap), 0);
	assert_int_equal(samara_swapon_ops(m.machine, &disk_ops, NULL, 2 * PAGES, 0, &swap), 0);
	at = filled(1);
	child = forked(&m);
	disk_is_broken = true;
	assert_int_equal(samara_reclaim(m.machine, PAGES), 0);
	disk_is_broken = false;
	for (unsigned long i = 0; i < PAGES; i++) {
		assert_int_equal(get(m.mm, at + i * MEM_PAGE), 1);
		assert_int_equal(get(child, at + i * MEM_PAGE), 1);
	}
	assert_int_equal(samara_machine_memory(m.machine, &memory), 0);
	assert_int_equal(memory.swap_total, PAGES);
	assert_int_equal(samara_reclaim(m.machine, PAGES), PAGES);
	assert_int_equal(mm_rss_sum(child, MM_SWAPENTS), PAGES);
	assert_int_equal(get(m.mm, at), 1);
	samara_mm_exit(child);
}

/* Another program has made the file shorter, and no process can reach the pages any more. */
static void behind_the_end_of(int fd)
{
	struct samara_file *file;
	unsigned long at;
	char byte;

	assert_int_equal(samara_file_from_fd(m.machine, fd, &file), 0);
	at = mem_map(&m, PAGES, RW, MAP_SHARED, file);
	for (unsigned long i = 0; i < PAGES; i++)
		(void)get(m.mm, at + i * MEM_PAGE);
	put(m.mm, at + 2 * MEM_PAGE, 7);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(samara_file_pread(file, &byte, 1, 0), 0);
	assert_int_equal(samara_reclaim(m.machine, PAGES), PAGES);
	assert_signal(m.mm, at + MEM_PAGE, SIGBUS, BUS_ADRERR);
	assert_signal(m.mm, at + 2 * MEM_PAGE, SIGBUS, BUS_ADRERR);
	samara_file_put(file);
	assert_int_equal(lseek(fd, 0, SEEK_END), 0);
	close(fd);
}

static void pages_behind_the_end_that_the_host_moved_leave(void **state)
{
	(void)state;
	behind_the_end_of(box_host_file(PAGES * MEM_PAGE));
}

/* Stores behind the end stay, but only on the page that has the end. */
static void so_do_those_of_a_file_in_the_hosts_memory(void **state)
{
	const int fd = memfd_create("host", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(fd, PAGES * MEM_PAGE), 0);
	behind_the_end_of(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_locked_mapping_keeps_only_what_it_maps, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_page_whose_slot_was_bad_leaves_to_another_one,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(pages_behind_the_end_that_the_host_moved_leave,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(so_do_those_of_a_file_in_the_hosts_memory, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
