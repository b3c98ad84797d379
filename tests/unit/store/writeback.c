/* SPDX-License-Identifier: MIT */
/*
 * What goes back to the host file, in which order, and what stays when it can't.
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

static unsigned char host_byte(int fd, unsigned long at)
{
	unsigned char byte = 0;

	assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
	return byte;
}

static int write_back(struct samara_file *file, unsigned long start, unsigned long last)
{
	const struct writeback wb = { .inode = file->inode, .start = start, .last = last };

	return inode_writeback(&wb);
}

static void dirty_pages_of_the_range_are_written_once(void **state)
{
	struct store_box *box = *state;
	const int fd = box_host_file(5 * BOX_PAGE);
	struct samara_file *file = box_open(box, fd);

	for (unsigned long i = 0; i < 5; i++)
		box_poke(box, file, i * BOX_PAGE, 200);
	assert_int_equal(write_back(file, 1, 2), 0);
	for (unsigned long i = 0; i < 5; i++)
		assert_int_equal(host_byte(fd, i * BOX_PAGE),
				 i == 1 || i == 2 ? 200 : box_byte(i * BOX_PAGE));
	/* Clean now: what the host has is left alone. */
	assert_int_equal(pwrite(fd, "x", 1, BOX_PAGE), 1);
	assert_int_equal(write_back(file, 0, ULONG_MAX), 0);
	assert_int_equal(host_byte(fd, BOX_PAGE), 'x');
	assert_int_equal(host_byte(fd, 4 * BOX_PAGE), 200);
	file_put(file);
	close(fd);
}

static void nothing_is_written_beyond_the_end(void **state)
{
	struct store_box *box = *state;
	const int fd = box_host_file(BOX_PAGE + 10);
	struct samara_file *file = box_open(box, fd);

	box_poke(box, file, BOX_PAGE + 9, 1);
	box_poke(box, file, BOX_PAGE + 11, 2);
	assert_int_equal(write_back(file, 0, ULONG_MAX), 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), BOX_PAGE + 10);
	assert_int_equal(host_byte(fd, BOX_PAGE + 9), 1);
	/*
	 * Cut by somebody else: what is beyond stays where it is, the file does not grow again.
	 */
	box_poke(box, file, BOX_PAGE + 5, 3);
	box_poke(box, file, 7, 4);
	assert_int_equal(ftruncate(fd, 8), 0);
	assert_int_equal(write_back(file, 0, ULONG_MAX), 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), 8);
	assert_int_equal(host_byte(fd, 7), 4);
	file_put(file);
	assert_int_equal(lseek(fd, 0, SEEK_END), 8);
	close(fd);
}

struct cleaner {
	struct inode *inode;
	unsigned long seen[8];
	unsigned int n;
	unsigned long dirty; /* bit by page */
};

/* As rmap's: page tables know that some pages are dirty. */
static bool clean(struct folio *folio, void *arg)
{
	struct cleaner *c = arg;

	assert_false(folio_trylock(folio));
	assert_ptr_equal(folio->mapping, c->inode);
	c->seen[c->n++] = folio->index;
	return c->dirty >> folio->index & 1;
}

static void mapped_pages_are_asked_for_in_the_order_of_the_file(void **state)
{
	struct store_box *box = *state;
	const int fd = box_host_file(6 * BOX_PAGE);
	struct samara_file *file = box_open(box, fd);
	struct cleaner c = { .inode = file->inode, .dirty = 1 << 3 };
	const struct writeback wb = {
		.inode = file->inode, .last = ULONG_MAX, .clean = clean, .arg = &c
	};
	struct folio *mapped[3];

	for (unsigned int i = 0; i < 3; i++) {
		mapped[i] = box_page(file, 5 - 2 * i); /* 5, 3, 1 */
		assert_true(folio_try_map(mapped[i]));
		box_bytes(box, mapped[i])[0] = 200;
	}
	box_poke(box, file, 5 * BOX_PAGE + 1, 201);
	assert_int_equal(inode_writeback(&wb), 0);
	assert_int_equal(c.n, 3);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(c.seen[i], 2 * i + 1);
		folio_unmap(box->ram, mapped[i]);
		folio_put(box->ram, mapped[i]);
	}
	assert_int_equal(host_byte(fd, BOX_PAGE), box_byte(BOX_PAGE));
	assert_int_equal(host_byte(fd, 3 * BOX_PAGE), 200);
	assert_int_equal(host_byte(fd, 5 * BOX_PAGE), 200);
	assert_int_equal(host_byte(fd, 5 * BOX_PAGE + 1), 201);
	file_put(file);
	close(fd);
}

/* As an unmapping that comes before it: what the entries knew is the folio's now. */
static bool clean_after_unmap(struct folio *folio, void *arg)
{
	++*(unsigned int *)arg;
	folio_set(folio, FOLIO_DIRTY);
	return false;
}

static void a_page_that_an_unmapping_makes_dirty_meanwhile_is_written(void **state)
{
	struct store_box *box = *state;
	const int fd = box_host_file(2 * BOX_PAGE);
	struct samara_file *file = box_open(box, fd);
	struct folio *folio = box_page(file, 1);
	unsigned int asked = 0;
	const struct writeback wb = {
		.inode = file->inode, .last = ULONG_MAX, .clean = clean_after_unmap, .arg = &asked
	};

	assert_true(folio_try_map(folio));
	box_bytes(box, folio)[0] = 200;
	assert_int_equal(inode_writeback(&wb), 0);
	assert_int_equal(asked, 1);
	assert_int_equal(host_byte(fd, BOX_PAGE), 200);
	assert_false(folio_test(folio, FOLIO_DIRTY));
	folio_unmap(box->ram, folio);
	folio_put(box->ram, folio);
	file_put(file);
	close(fd);
}

/* The host writes no byte from limit on. */
static void set_limit(rlim_t limit)
{
	struct rlimit r;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &r), 0);
	r.rlim_cur = limit < r.rlim_max ? limit : r.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &r), 0);
}

static void what_cannot_be_written_stays_dirty(void **state)
{
	struct store_box *box = *state;
	const int fd = box_host_file(4 * BOX_PAGE);
	struct samara_file *file = box_open(box, fd);

	for (unsigned long i = 0; i < 4; i++) {
		box_poke(box, file, i * BOX_PAGE, 200);
		box_poke(box, file, i * BOX_PAGE + BOX_PAGE - 1, 201);
	}
	/* The second page is written in part, then refused; those after it, too. */
	set_limit(BOX_PAGE + 100);
	assert_int_equal(write_back(file, 0, ULONG_MAX), -EFBIG);
	assert_int_equal(host_byte(fd, 0), 200);
	assert_int_equal(host_byte(fd, BOX_PAGE), 200);
	assert_int_equal(host_byte(fd, 2 * BOX_PAGE - 1), box_byte(2 * BOX_PAGE - 1));
	set_limit(RLIM_INFINITY);
	/* What has become clean is not written again. */
	assert_int_equal(pwrite(fd, "x", 1, 0), 1);
	assert_int_equal(write_back(file, 0, ULONG_MAX), 0);
	assert_int_equal(host_byte(fd, 0), 'x');
	for (unsigned long i = 1; i < 4; i++)
		assert_int_equal(host_byte(fd, i * BOX_PAGE + BOX_PAGE - 1), 201);
	box_check(file);
	file_put(file);
	close(fd);
}

static void the_last_put_writes_or_lets_go(void **state)
{
	struct store_box *box = *state;
	const int fd = box_host_file(2 * BOX_PAGE);
	struct samara_file *file = box_open(box, fd), *second = box_open(box, fd);

	box_poke(box, file, 1, 200);
	file_put(file);
	/* Another file of it: it may wait. */
	assert_int_equal(host_byte(fd, 1), box_byte(1));
	file_put(second);
	assert_int_equal(host_byte(fd, 1), 200);
	file = box_open(box, fd);
	box_poke(box, file, 1, 100);
	box_poke(box, file, BOX_PAGE, 100);
	set_limit(BOX_PAGE);
	file_put(file);
	set_limit(RLIM_INFINITY);
	assert_int_equal(host_byte(fd, 1), 100);
	assert_int_equal(host_byte(fd, BOX_PAGE), box_byte(BOX_PAGE));
	close(fd);
}

static void descriptors_that_append_or_only_write_will_do(void **state)
{
	struct store_box *box = *state;
	const int fd = box_host_file(2 * BOX_PAGE);
	const int appends = box_reopen(fd, O_RDWR | O_APPEND), writes = box_reopen(fd, O_WRONLY);
	struct samara_file *file = box_open(box, appends);

	box_poke(box, file, 3, 200);
	file_put(file);
	assert_int_equal(lseek(fd, 0, SEEK_END), 2 * BOX_PAGE);
	assert_int_equal(host_byte(fd, 3), 200);
	file = box_open(box, writes);
	assert_false(file_is(file, SAMARA_FILE_READ));
	box_poke(box, file, BOX_PAGE, 201);
	file_put(file);
	assert_int_equal(host_byte(fd, BOX_PAGE), 201);
	assert_int_equal(host_byte(fd, BOX_PAGE + 1), box_byte(BOX_PAGE + 1));
	close(fd);
	close(appends);
	close(writes);
}

static void only_host_files_are_written(void **state)
{
	struct store_box *box = *state;
	struct samara_file *file = box_memfd(box, BOX_PAGE);
	struct cleaner c = { .inode = file->inode };
	const struct writeback wb = {
		.inode = file->inode, .last = ULONG_MAX, .clean = clean, .arg = &c
	};

	box_poke(box, file, 0, 5);
	assert_int_equal(inode_writeback(&wb), 0);
	assert_int_equal(inode_fsync(file->inode), 0);
	assert_int_equal(box_peek(box, file, 0), 5);
	file_put(file);
}

#define test(name) cmocka_unit_test_setup_teardown(name, store_box_up, store_box_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(dirty_pages_of_the_range_are_written_once),
		test(nothing_is_written_beyond_the_end),
		test(a_page_that_an_unmapping_makes_dirty_meanwhile_is_written),
		test(mapped_pages_are_asked_for_in_the_order_of_the_file),
		test(what_cannot_be_written_stays_dirty),
		test(the_last_put_writes_or_lets_go),
		test(descriptors_that_append_or_only_write_will_do),
		test(only_host_files_are_written),
	};

	signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
