/* SPDX-License-Identifier: MIT */
/*
 * Where files end: lengths, tails, holes, and what they cost.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "support/cmocka_all.h"

#include "support/store_box.h"

static int set_length(struct samara_file *file, unsigned long long length)
{
	int err;

	down_write(&file->inode->lock);
	err = inode_set_length(file->inode, length);
	up_write(&file->inode->lock);
	return err;
}

static void truncated_pages_leave_dirty_or_not(void **state)
{
	struct store_box *box = *state;
	const int fd = box_host_file(10 * BOX_PAGE);
	struct samara_file *file = box_open(box, fd);
	struct folio *held = box_page(file, 5);

	for (unsigned long i = 0; i < 10; i++)
		box_poke(box, file, i * BOX_PAGE, 200);
	page_cache_truncate(file->inode, 3, 6);
	assert_int_equal(file->inode->pages.nr, 6);
	assert_null(page_cache_find(file->inode, 3));
	/* Whoever holds one keeps its bytes, but it is nobody's page any more. */
	assert_null(held->mapping);
	assert_false(folio_test(held, FOLIO_DIRTY));
	assert_int_equal(folio_count(held), 1);
	assert_int_equal(box_bytes(box, held)[0], 200);
	folio_put(box->ram, held);
	assert_int_equal(box_peek(box, file, 5 * BOX_PAGE), box_byte(5 * BOX_PAGE));
	page_cache_truncate(file->inode, 20, ULONG_MAX);
	page_cache_truncate(file->inode, 9, ULONG_MAX);
	assert_int_equal(file->inode->pages.nr, 6);
	box_check(file);
	file_put(file);
	close(fd);
}

static void the_tail_of_the_last_page_becomes_zeros(void **state)
{
	struct store_box *box = *state;
	struct samara_file *file = box_memfd(box, 2 * BOX_PAGE);

	box_poke(box, file, BOX_PAGE + 9, 1);
	box_poke(box, file, BOX_PAGE + 10, 2);
	box_poke(box, file, 2 * BOX_PAGE - 1, 3);
	page_cache_zero_tail(file->inode, BOX_PAGE + 10);
	assert_int_equal(box_peek(box, file, BOX_PAGE + 9), 1);
	assert_int_equal(box_peek(box, file, BOX_PAGE + 10), 0);
	assert_int_equal(box_peek(box, file, 2 * BOX_PAGE - 1), 0);
	/* Nothing where the end is a page's, or the page is not here. */
	page_cache_zero_tail(file->inode, BOX_PAGE);
	page_cache_zero_tail(file->inode, 5);
	assert_int_equal(box_peek(box, file, BOX_PAGE + 9), 1);
	assert_int_equal(file->inode->pages.nr, 1);
	file_put(file);
}

static void a_host_file_gets_the_length_too(void **state)
{
	struct store_box *box = *state;
	const int fd = box_host_file(100), reader_fd = box_reopen(fd, O_RDONLY);
	struct samara_file *reader = box_open(box, reader_fd), *file;
	struct rlimit old, small;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = (struct rlimit){ .rlim_cur = 100, .rlim_max = old.rlim_max };
	/* Nobody has it open for writing yet. */
	assert_int_equal(set_length(reader, 50), -EINVAL);
	assert_int_equal(lseek(fd, 0, SEEK_END), 100);
	file = box_open(box, fd);
	assert_int_equal(set_length(file, 3 * BOX_PAGE), 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), 3 * BOX_PAGE);
	assert_int_equal(box_page_error(reader, 2), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(set_length(file, 4 * BOX_PAGE), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(inode_pages(file->inode), 3);
	assert_int_equal(set_length(file, 10), 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), 10);
	page_cache_truncate(file->inode, 1, ULONG_MAX);
	box_check(file);
	file_put(file);
	file_put(reader);
	close(fd);
	close(reader_fd);
}

static void what_lay_beyond_the_end_shows_only_in_shared_memory(void **state)
{
	struct store_box *box = *state;
	const int fd = box_host_file(100);
	struct samara_file *host = box_open(box, fd), *shmem = box_memfd(box, 100);

	box_poke(box, host, 200, 7);
	box_poke(box, shmem, 200, 7);
	assert_int_equal(set_length(host, BOX_PAGE), 0);
	assert_int_equal(set_length(shmem, BOX_PAGE), 0);
	assert_int_equal(box_peek(box, host, 200), 0);
	assert_int_equal(box_peek(box, shmem, 200), 7);
	file_put(host);
	file_put(shmem);
	close(fd);
}

static void promised_memory_is_promised_anew(void **state)
{
	struct store_box *box = *state;
	struct commit *commit = &box->store->commit;
	const struct shmem_desc desc = { .name = "seg", .length = 4 * BOX_PAGE, .charged = 4 };
	struct samara_file *file;

	commit->mode = SAMARA_OVERCOMMIT_NEVER;
	commit->limit = 10;
	assert_int_equal(commit_charge(commit, 4, (struct commit_who){ .admin = true }), 0);
	assert_int_equal(file_shmem(box->store, &desc, &file), 0);
	assert_int_equal(box_page_error(file, 1), 0);
	assert_int_equal(commit->pages, 4);
	assert_int_equal(set_length(file, 20 * BOX_PAGE), -ENOMEM);
	assert_int_equal(inode_pages(file->inode), 4);
	assert_int_equal(set_length(file, 6 * BOX_PAGE + 1), 0);
	assert_int_equal(commit->pages, 7);
	assert_int_equal(set_length(file, BOX_PAGE), 0);
	assert_int_equal(commit->pages, 1);
	page_cache_truncate(file->inode, 1, ULONG_MAX);
	file_put(file);
	assert_int_equal(commit->pages, 0);
}

/* A hole of [from, to); whole pages go at once, as nobody maps them. 0 or -errno. */
static int punch(struct samara_file *file, unsigned long from, unsigned long to)
{
	struct inode_hole hole = { .offset = from, .length = to - from };
	int err;

	down_write(&file->inode->lock);
	err = inode_punch(file->inode, &hole);
	if (!err && hole.first <= hole.last)
		page_cache_truncate(file->inode, hole.first, hole.last);
	up_write(&file->inode->lock);
	return err;
}

static void holes_are_zeros_and_nothing_else_is(void **state)
{
	struct store_box *box = *state;
	static const unsigned long holes[][2] = {
		{ 10, 20 },
		{ 0, BOX_PAGE },
		{ BOX_PAGE - 5, BOX_PAGE + 5 },
		{ BOX_PAGE - 5, 3 * BOX_PAGE },
		{ 100, 4 * BOX_PAGE - 100 },
		{ 3 * BOX_PAGE + 5, 3 * BOX_PAGE + 6 },
	};

	for (unsigned int h = 0; h < sizeof(holes) / sizeof(*holes); h++) {
		const unsigned long from = holes[h][0], to = holes[h][1];
		const int fd = box_host_file(4 * BOX_PAGE);
		struct samara_file *file = box_open(box, fd);
		unsigned char byte;
		int err;

		for (unsigned long i = 0; i < 4; i += 1 + h % 2)
			box_poke(box, file, i * BOX_PAGE, box_byte(i * BOX_PAGE));
		err = punch(file, from, to);
		if (err == -EOPNOTSUPP) { /* not on every file system */
			file_put(file);
			close(fd);
			skip();
		}
		assert_int_equal(err, 0);
		for (unsigned long i = 0; i < 4 * BOX_PAGE; i++) {
			const unsigned char want = i >= from && i < to ? 0 : box_byte(i);

			if (box_peek(box, file, i) != want)
				fail_msg("hole %u: byte %lu", h, i);
		}
		box_check(file);
		file_put(file);
		for (unsigned long i = 0; i < 4 * BOX_PAGE; i += 97) {
			assert_int_equal(pread(fd, &byte, 1, (off_t)i), 1);
			assert_int_equal(byte, i >= from && i < to ? 0 : box_byte(i));
		}
		close(fd);
	}
}

static void a_hole_in_shared_memory_gives_its_charge_back(void **state)
{
	struct store_box *box = *state;
	struct samara_file *file = box_memfd(box, 8 * BOX_PAGE);

	for (unsigned long i = 0; i < 8; i++)
		box_poke(box, file, i * BOX_PAGE, 1);
	assert_int_equal(box->store->commit.pages, 8);
	assert_int_equal(punch(file, 2 * BOX_PAGE, 5 * BOX_PAGE), 0);
	assert_int_equal(box->store->commit.pages, 5);
	assert_int_equal(box_peek(box, file, 3 * BOX_PAGE), 0);
	assert_int_equal(box_peek(box, file, 5 * BOX_PAGE), 1);
	box_check(file);
	file_put(file);
}

#define test(name) cmocka_unit_test_setup_teardown(name, store_box_up, store_box_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(truncated_pages_leave_dirty_or_not),
		test(the_tail_of_the_last_page_becomes_zeros),
		test(a_host_file_gets_the_length_too),
		test(what_lay_beyond_the_end_shows_only_in_shared_memory),
		test(promised_memory_is_promised_anew),
		test(holes_are_zeros_and_nothing_else_is),
		test(a_hole_in_shared_memory_gives_its_charge_back),
	};

	signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
