/* SPDX-License-Identifier: MIT */
/*
 * read(2) and write(2) through the page cache, against a real file to which the same
 * is done.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/io.h"

#include "support/cmocka_all.h"

#include <samara/inject.h>

#include "support/random.h"
#include "support/store_box.h"

#define MOST (9 * BOX_PAGE)

static unsigned char a[MOST], b[MOST];

static void stores_and_reads_meet(void **state)
{
	struct store_box *box = *state;
	struct samara_file *file = box_memfd(box, 2 * BOX_PAGE);

	assert_int_equal(file_write(file, "hello", 5, BOX_PAGE - 2), 5);
	assert_int_equal(box_peek(box, file, BOX_PAGE), 'l');
	box_poke(box, file, BOX_PAGE, 'L');
	assert_int_equal(file_read(file, a, 5, BOX_PAGE - 2), 5);
	assert_memory_equal(a, "heLlo", 5);
	/* Holes are read without being filled. */
	page_cache_truncate(file->inode, 0, 1);
	assert_int_equal(file_read(file, a, 5, BOX_PAGE - 2), 5);
	assert_memory_equal(a, "\0\0\0\0\0", 5);
	assert_int_equal(box_frames(box), 0);
	file_put(file);
}

static void the_end_stops_reads_and_moves_with_writes(void **state)
{
	struct store_box *box = *state;
	const int fd = box_host_file(BOX_PAGE + 3);
	struct samara_file *file = box_open(box, fd);

	assert_int_equal(file_read(file, a, 100, BOX_PAGE), 3);
	assert_int_equal(file_read(file, a, 100, BOX_PAGE + 3), 0);
	assert_int_equal(file_read(file, a, 100, 1UL << 40), 0);
	assert_int_equal(file_read(file, a, 0, 0), 0);
	box_poke(box, file, BOX_PAGE + 50, 9);
	assert_int_equal(file_write(file, "x", 1, BOX_PAGE + 100), 1);
	assert_int_equal(lseek(fd, 0, SEEK_END), BOX_PAGE + 101);
	assert_int_equal(box_peek(box, file, BOX_PAGE + 50), 0);
	assert_int_equal(file_write(file, "y", 1, 5 * BOX_PAGE), 1);
	assert_int_equal(file_read(file, a, MOST, 0), 5 * BOX_PAGE + 1);
	assert_int_equal(a[5 * BOX_PAGE], 'y');
	assert_int_equal(a[3 * BOX_PAGE], 0);
	assert_int_equal(a[BOX_PAGE + 1], box_byte(BOX_PAGE + 1));
	box_check(file);
	file_put(file);
	close(fd);
}

static void what_may_not_be_done_is_refused(void **state)
{
	struct store_box *box = *state;
	const int fd = box_host_file(10);
	const int reads = box_reopen(fd, O_RDONLY), writes = box_reopen(fd, O_WRONLY);
	struct samara_file *reader = box_open(box, reads), *writer = box_open(box, writes),
			   *pipe_end;
	int fds[2];

	assert_int_equal(file_write(reader, "x", 1, 0), -EBADF);
	assert_int_equal(file_read(writer, a, 1, 0), -EBADF);
	assert_int_equal(file_read(reader, a, 1, 1ULL << 63), -EINVAL);
	assert_int_equal(file_write(writer, a, 1, 1ULL << 63), -EINVAL);
	assert_int_equal(file_write(writer, a, 1, (1ULL << 63) - 1), -EFBIG);
	assert_int_equal(file_write(writer, "xyz", 3, 5), 3);
	assert_int_equal(file_read(reader, a, 10, 0), 10);
	assert_memory_equal(a + 5, "xyz", 3);
	assert_int_equal(pipe(fds), 0);
	pipe_end = box_open(box, fds[0]);
	assert_int_equal(file_read(pipe_end, a, 1, 0), -EINVAL);
	file_put(pipe_end);
	file_put(reader);
	file_put(writer);
	close(fd);
	close(reads);
	close(writes);
	close(fds[0]);
	close(fds[1]);
}

static void a_write_that_runs_out_of_memory_is_short(void **state)
{
	struct store_box *box = *state;
	struct samara_file *file = box_memfd(box, 0);

	memset(a, 5, MOST);
	assert_int_equal(samara_inject_site("frame", 4), 0);
	assert_int_equal(file_write(file, a, MOST, 10), 3 * BOX_PAGE - 10);
	assert_int_equal(file->inode->length, 3 * BOX_PAGE);
	box_check(file);
	box->store->commit.mode = SAMARA_OVERCOMMIT_NEVER;
	box->store->commit.limit = 4;
	assert_int_equal(file_write(file, a, 10, 7 * BOX_PAGE), -ENOSPC);
	assert_int_equal(file->inode->length, 3 * BOX_PAGE);
	box_check(file);
	file_put(file);
}

/*
 * One step on our file and on the real one; what a file is like afterwards is compared by the
 * caller.
 */
static void random_step(struct rng *rng, struct samara_file *file, int fd)
{
	const unsigned long at = rng_below(rng, MOST), room = MOST - at;
	const unsigned long len =
		rng_one_in(rng, 2) ? rng_below(rng, room + 1) : min(room, rng_below(rng, 300));
	struct inode *inode = file->inode;

	switch (rng_below(rng, 4)) {
	case 0:
		for (unsigned long i = 0; i < len; i++)
			a[i] = (unsigned char)rng_next(rng);
		assert_int_equal(file_write(file, a, len, at), len);
		assert_int_equal(pwrite(fd, a, len, (off_t)at), len);
		break;
	case 1:
		if (rng_one_in(rng, 2))
			break;
		down_write(&inode->lock);
		assert_int_equal(inode_set_length(inode, at), 0);
		page_cache_truncate(inode, inode_pages(inode), ULONG_MAX);
		page_cache_zero_tail(inode, at);
		up_write(&inode->lock);
		assert_int_equal(ftruncate(fd, (off_t)at), 0);
		break;
	case 2: {
		const struct writeback wb = {
			.inode = inode,
			.start = at / BOX_PAGE,
			.last = (at + len) / BOX_PAGE,
		};

		assert_int_equal(inode_writeback(&wb), 0);
		break;
	}
	default: {
		const ssize_t n = pread(fd, b, len, (off_t)at);

		assert_true(n >= 0);
		assert_int_equal(file_read(file, a, len, at), n);
		assert_memory_equal(a, b, n);
	}
	}
}

static void random_steps_leave_what_the_host_has(void **state)
{
	struct store_box *box = *state;
	const uint64_t seed = test_seed();
	const int ours = box_host_file(3 * BOX_PAGE), theirs = box_host_file(3 * BOX_PAGE);
	const int kind_fd[2] = { ours, -1 };
	struct rng rng;

	rng_init(&rng, seed);
	test_replay(seed);
	for (int kind = 0; kind < 2; kind++) {
		struct samara_file *file =
			kind_fd[kind] >= 0 ? box_open(box, ours) : box_memfd(box, 0);

		if (kind == 1)
			assert_int_equal(ftruncate(theirs, 0), 0);
		for (int i = 0; i < 1500; i++) {
			random_step(&rng, file, theirs);
			box_check(file);
		}
		file_put(file);
		if (kind == 0) {
			const ssize_t n = pread(theirs, b, MOST, 0);

			assert_int_equal(pread(ours, a, MOST, 0), n);
			assert_memory_equal(a, b, n);
		}
	}
	close(ours);
	close(theirs);
}

#define test(name) cmocka_unit_test_setup_teardown(name, store_box_up, store_box_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(stores_and_reads_meet),
		test(the_end_stops_reads_and_moves_with_writes),
		test(what_may_not_be_done_is_refused),
		test(a_write_that_runs_out_of_memory_is_short),
		test(random_steps_leave_what_the_host_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
