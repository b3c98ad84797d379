/* SPDX-License-Identifier: MIT */
/*
 * Swap areas in files of the host, with and without the header of mkswap(8).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <unistd.h>

#include <samara/inject.h>

#include "support/cmocka_all.h"

#include "support/swap_box.h"

static int file_of(unsigned long pages)
{
	const int fd = memfd_create("swap", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)(pages * BOX_PAGE)), 0);
	return fd;
}

struct header {
	uint32_t version, last, nr_bad;
	uint32_t bad[4];
	const char *magic;
};

static void put_number(int fd, off_t at, uint32_t n)
{
	assert_int_equal(pwrite(fd, &n, 4, at), 4);
}

static void put_header(int fd, const struct header *h)
{
	put_number(fd, 1024, h->version);
	put_number(fd, 1028, h->last);
	put_number(fd, 1032, h->nr_bad);
	for (unsigned int i = 0; i < 4; i++)
		put_number(fd, 1536 + i * 4, h->bad[i]);
	assert_int_equal(pwrite(fd, h->magic ? h->magic : "SWAPSPACE2", 10, BOX_PAGE - 10), 10);
}

static unsigned long total(struct store_box *box)
{
	struct swap_stats stats;

	swap_stats(box->store, &stats);
	return stats.total;
}

static void off(struct samara_swap *area)
{
	assert_int_equal(swap_area_stop(area), 0);
	assert_int_equal(swap_area_used(area), 0);
	swap_area_end(area);
}

static struct samara_swap *on(struct store_box *box, int fd)
{
	struct samara_swap *area;

	assert_int_equal(swap_on_file(box->store, fd, 0, &area), 0);
	return area;
}

static void fill_and_read_back(struct store_box *box)
{
	const unsigned long pages = total(box);
	swp_entry_t *entry = calloc(pages, sizeof(*entry));

	for (unsigned long i = 0; i < pages; i++) {
		entry[i] = swap_page_out(box, i % 5 ? i + 1 : 0);
		assert_int_not_equal(swp_slot(entry[i]), 0);
	}
	swap_check(box);
	for (unsigned long i = 0; i < pages; i++)
		assert_int_equal(swap_look(box, entry[i]), i % 5 ? i + 1 : 0);
	for (unsigned long i = 0; i < pages; i++)
		swap_put(box->store, entry[i]);
	free(entry);
}

static void a_file_without_a_header_is_used_but_for_its_first_page(void **state)
{
	struct store_box *box = *state;
	const int fd = file_of(300);
	struct samara_swap *area = on(box, fd);

	assert_int_equal(total(box), 299);
	close(fd); /* it keeps its own */
	fill_and_read_back(box);
	off(area);
}

static void the_header_says_how_many_pages_there_are(void **state)
{
	struct store_box *box = *state;
	const int fd = file_of(300);
	struct samara_swap *area;

	put_header(fd, &(struct header){ .version = 1, .last = 100 });
	area = on(box, fd);
	assert_int_equal(total(box), 100);
	fill_and_read_back(box);
	off(area);
	/* In the other byte order. */
	put_header(fd, &(struct header){ .version = 0x01000000, .last = 0x2a000000 });
	area = on(box, fd);
	assert_int_equal(total(box), 42);
	off(area);
	/* The header is still there. */
	area = on(box, fd);
	assert_int_equal(total(box), 42);
	off(area);
	close(fd);
}

static void headers_that_contradict_themselves_are_refused(void **state)
{
	static const struct header bad[] = {
		{ .version = 2, .last = 100 },
		{ .version = 0, .last = 100 },
		{ .version = 1, .last = 0 },
		{ .version = 1, .last = 300 },
		{ .version = 1, .last = 0xffffffff },
		{ .version = 1, .last = 100, .nr_bad = 1, .bad = { 5 } }, /* in a regular file */
		{ .version = 1, .last = 100, .nr_bad = 0x10000000 },
	};
	struct store_box *box = *state;
	struct samara_swap *area;

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const int fd = file_of(300);

		put_header(fd, &bad[i]);
		assert_int_equal(swap_on_file(box->store, fd, 0, &area), -EINVAL);
		assert_int_equal(total(box), 0);
		close(fd);
	}
}

static void what_cannot_be_an_area_is_refused(void **state)
{
	struct store_box *box = *state;
	struct samara_swap *area;
	int fd, other, pipes[2];

	assert_int_equal(swap_on_file(box->store, -1, 0, &area), -EBADF);
	fd = file_of(1);
	assert_int_equal(swap_on_file(box->store, fd, 0, &area), -EINVAL);
	close(fd);
	fd = file_of(10);
	other = box_reopen(fd, O_RDONLY);
	assert_int_equal(swap_on_file(box->store, other, 0, &area), -EBADF);
	close(other);
	other = box_reopen(fd, O_WRONLY);
	assert_int_equal(swap_on_file(box->store, other, 0, &area), -EBADF);
	close(other);
	close(fd);
	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_int_equal(swap_on_file(box->store, fd, 0, &area), -EINVAL);
	close(fd);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_int_equal(swap_on_file(box->store, pipes[0], 0, &area), -EBADF);
	close(pipes[0]);
	close(pipes[1]);
}

static void one_file_is_an_area_once(void **state)
{
	struct store_box *box = *state;
	const int fd = file_of(10), again = box_reopen(fd, O_RDWR);
	struct samara_swap *area = on(box, fd), *other;
	swp_entry_t entry = swap_page_out(box, 7);

	/* Nor does a discard touch what it holds. */
	assert_int_equal(swap_on_file(box->store, again, SWAP_FLAG_DISCARD, &other), -EBUSY);
	assert_int_equal(swap_look(box, entry), 7);
	swap_put(box->store, entry);
	off(area);
	area = on(box, again);
	off(area);
	close(fd);
	close(again);
}

static unsigned long blocks(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (unsigned long)st.st_blocks * 512 / BOX_PAGE;
}

static void discard_gives_the_files_blocks_back(void **state)
{
	struct store_box *box = *state;
	const int fd = file_of(1025);
	static swp_entry_t entry[1024];
	struct samara_swap *area;

	assert_int_equal(swap_on_file(box->store, fd, SWAP_FLAG_DISCARD, &area), 0);
	for (unsigned int i = 0; i < 1024; i++)
		entry[i] = swap_page_out(box, i + 1);
	assert_true(blocks(fd) >= 1000);
	for (unsigned int i = 0; i < 1024; i++)
		swap_put(box->store, entry[i]);
	off(area);
	/* All clusters but those that had bad slots, or were a thread's. */
	assert_true(blocks(fd) <= 600);
	close(fd);
}

static void a_file_that_became_shorter_is_a_read_that_fails(void **state)
{
	struct store_box *box = *state;
	const int fd = file_of(20);
	struct samara_swap *area = on(box, fd);
	swp_entry_t entry[12];

	for (unsigned int i = 0; i < 12; i++)
		entry[i] = swap_page_out(box, i + 1);
	assert_int_equal(ftruncate(fd, 4 * BOX_PAGE), 0);
	for (unsigned int i = 0; i < 12; i++) {
		if (swp_slot(entry[i]) < 4)
			assert_int_equal(swap_look(box, entry[i]), i + 1);
		else
			assert_int_equal(swap_try_read(box, entry[i]), -EIO);
		swap_put(box->store, entry[i]);
	}
	swap_check(box);
	off(area);
	close(fd);
}

static void refused_memory_leaves_no_area(void **state)
{
	struct store_box *box = *state;
	const unsigned long live = samara_live_objects();
	const int fd = file_of(20);
	struct samara_swap *area;
	unsigned long nth = 0;
	int err;

	do {
		samara_inject_nth(++nth);
		err = swap_on_file(box->store, fd, 0, &area);
		samara_inject_nth(0);
		if (err) {
			assert_int_equal(err, -ENOMEM);
			assert_int_equal(samara_live_objects(), live);
		}
	} while (err);
	assert_int_equal(nth, 4);
	off(area);
	close(fd);
}

static void what_mkswap_wrote_is_understood(void **state)
{
	struct store_box *box = *state;
	char command[256];
	struct samara_swap *area;
	int fd;

	if (system("command -v mkswap >/dev/null 2>&1 || test -x /sbin/mkswap"))
		skip();
	fd = box_host_file(64 * BOX_PAGE);
	assert_int_equal(fchmod(fd, 0600), 0);
	snprintf(command, sizeof(command),
		 "PATH=$PATH:/sbin:/usr/sbin mkswap -p 4096 -L a /proc/%d/fd/%d >/dev/null 2>&1",
		 getpid(), fd);
	assert_int_equal(system(command), 0);
	area = on(box, fd);
	assert_int_equal(total(box), 63);
	fill_and_read_back(box);
	off(area);
	close(fd);
}

static void proc_swaps_shows_areas_by_priority(void **state)
{
	static const char head[] = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
	struct store_box *box = *state;
	const int fd = file_of(20), out = memfd_create("out", MFD_CLOEXEC);
	struct samara_swap *area = on(box, fd), *high;
	swp_entry_t entry = swap_page_out(box, 3);
	struct swap_disk disk;
	char text[4096] = "", want[4096];

	high = swap_disk_on(box, &disk, 3, SWAP_FLAG_PREFER | 7);
	assert_int_equal(swap_print(box->store, out), 0);
	assert_true(pread(out, text, sizeof(text) - 1, 0) > 0);
	snprintf(want, sizeof(want),
		 "%sops                                     file\t\t12\t\t0\t\t7\n"
		 "/memfd:swap\\040(deleted)                file\t\t76\t\t4\t\t-2\n",
		 head);
	assert_string_equal(text, want);
	swap_put(box->store, entry);
	swap_disk_off(high, &disk);
	off(area);
	assert_int_equal(swap_print(box->store, -1), -EBADF);
	close(fd);
	close(out);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, store_box_up, store_box_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_file_without_a_header_is_used_but_for_its_first_page),
		TEST(the_header_says_how_many_pages_there_are),
		TEST(headers_that_contradict_themselves_are_refused),
		TEST(what_cannot_be_an_area_is_refused),
		TEST(one_file_is_an_area_once),
		TEST(discard_gives_the_files_blocks_back),
		TEST(a_file_that_became_shorter_is_a_read_that_fails),
		TEST(refused_memory_leaves_no_area),
		TEST(what_mkswap_wrote_is_understood),
		TEST(proc_swaps_shows_areas_by_priority),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
