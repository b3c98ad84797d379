/* SPDX-License-Identifier: MIT */
/*
 * The page cache: what a page holds, where it comes from, and that nothing is
 * lost when there is no memory for it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "support/at_locks.h"
#include "support/cmocka_all.h"

#include <samara/inject.h>

#include "support/random.h"
#include "support/store_box.h"

static void assert_page(struct store_box *box, struct folio *folio, unsigned long index,
			unsigned long inside)
{
	const unsigned char *bytes = box_bytes(box, folio);

	for (unsigned long i = 0; i < BOX_PAGE; i++) {
		const unsigned char want = i < inside ? box_byte(index * BOX_PAGE + i) : 0;

		if (bytes[i] != want)
			fail_msg("byte %lu of page %lu is %u, not %u", i, index, bytes[i], want);
	}
}

static void a_host_page_is_read_once_and_zeros_follow_its_end(void **state)
{
	struct store_box *box = *state;
	const int fd = box_host_file(2 * BOX_PAGE + 100);
	struct samara_file *file = box_open(box, fd);

	close(fd);
	assert_null(page_cache_find(file->inode, 2));
	for (unsigned long i = 0; i < 3; i++) {
		struct folio *folio, *again;
		bool major = false;

		assert_int_equal(page_cache_get(file->inode, i, &folio, &major), 0);
		assert_true(major);
		assert_false(folio_trylock(folio));
		assert_true(folio_test(folio, FOLIO_UPTODATE));
		assert_page(box, folio, i, i < 2 ? BOX_PAGE : 100);
		folio_unlock(folio);
		major = false;
		assert_int_equal(page_cache_get(file->inode, i, &again, &major), 0);
		assert_ptr_equal(again, folio);
		assert_false(major);
		folio_unlock(folio);
		/* The cache's, and our two. */
		assert_int_equal(folio_refs(folio), 3);
		folio_put_many(box->ram, folio, 2);
	}
	assert_int_equal(box_page_error(file, 3), -EFAULT);
	assert_int_equal(box_page_error(file, ULONG_MAX), -EFAULT);
	assert_int_equal(file->inode->pages.nr, 3);
	assert_int_equal(box_frames(box), 3);
	box_check(file);
	file_put(file);
}

static void shared_memory_begins_as_zeros(void **state)
{
	struct store_box *box = *state;
	struct samara_file *file = box_memfd(box, 5 * BOX_PAGE - 1);
	struct folio *folio = box_page(file, 4);

	assert_page(box, folio, 4, 0);
	assert_true(folio_test(folio, FOLIO_SWAPBACKED));
	folio_put(box->ram, folio);
	assert_int_equal(box_page_error(file, 5), -EFAULT);
	box_poke(box, file, 3 * BOX_PAGE + 5, 77);
	assert_int_equal(box_peek(box, file, 3 * BOX_PAGE + 5), 77);
	box_check(file);
	file_put(file);
}

static void a_file_known_by_name_is_zeros_without_end(void **state)
{
	struct store_box *box = *state;
	struct samara_file_identity id = { .name = "/gone", .flags = SAMARA_FILE_READ };
	struct samara_file *file, *sized;

	assert_int_equal(file_create(box->store, &id, &file), 0);
	assert_int_equal(box_peek(box, file, 1UL << 50), 0);
	id.length = 1;
	assert_int_equal(file_create(box->store, &id, &sized), 0);
	assert_int_equal(box_peek(box, sized, 0), 0);
	assert_int_equal(box_page_error(sized, 1), -EFAULT);
	file_put(file);
	file_put(sized);
}

static void an_empty_file_has_no_page(void **state)
{
	struct store_box *box = *state;
	const int fd = box_host_file(0);
	struct samara_file *host = box_open(box, fd), *shmem = box_memfd(box, 0);

	assert_int_equal(box_page_error(host, 0), -EFAULT);
	assert_int_equal(box_page_error(shmem, 0), -EFAULT);
	file_put(host);
	file_put(shmem);
	close(fd);
}

static void files_of_one_host_file_share_its_pages(void **state)
{
	struct store_box *box = *state;
	const int fd = box_host_file(BOX_PAGE), other_fd = box_host_file(BOX_PAGE);
	const int reader_fd = box_reopen(fd, O_RDONLY);
	struct samara_file *reader = box_open(box, reader_fd), *writer = box_open(box, fd);
	struct samara_file *other = box_open(box, other_fd);
	char byte;

	assert_ptr_equal(reader->inode, writer->inode);
	assert_ptr_not_equal(reader->inode, other->inode);
	assert_false(file_is(reader, SAMARA_FILE_WRITE));
	box_poke(box, writer, 9, 99);
	assert_int_equal(box_peek(box, reader, 9), 99);
	/* The one that may write has gone; what it wrote still finds its way. */
	file_put(writer);
	file_put(reader);
	assert_int_equal(pread(fd, &byte, 1, 9), 1);
	assert_int_equal(byte, 99);
	file_put(other);
	close(fd);
	close(reader_fd);
	close(other_fd);
}

static void no_page_is_lost_when_memory_is_refused(void **state)
{
	struct store_box *box = *state;
	const int fd = box_host_file(300 * BOX_PAGE);
	struct samara_file *file[] = { box_open(box, fd), box_memfd(box, 300 * BOX_PAGE) };
	unsigned long refused = 0;

	for (int f = 0; f < 2; f++) {
		for (unsigned long i = 0; i < 300; i++) {
			const unsigned long index = i * 7 % 300, before = box_frames(box);
			int err = -ENOMEM;

			for (unsigned long nth = 1; err; nth++) {
				samara_inject_nth(nth);
				err = box_page_error(file[f], index);
				samara_inject_nth(0);
				if (!err)
					break;
				refused++;
				assert_int_equal(err, -ENOMEM);
				assert_int_equal(box_frames(box), before);
				assert_null(page_cache_find(file[f]->inode, index));
				box_check(file[f]);
			}
		}
		assert_int_equal(file[f]->inode->pages.nr, 300);
		file_put(file[f]);
	}
	/* Frames and nodes of the tree. */
	assert_true(refused > 600);
	close(fd);
}

static void files_come_to_be_whole_or_not_at_all(void **state)
{
	struct store_box *box = *state;
	const int fd = box_host_file(1);
	unsigned long nth = 0;
	int err = -ENOMEM;

	while (err) {
		const unsigned long live = samara_live_objects();
		struct samara_file *file;

		samara_inject_nth(++nth);
		err = file_from_fd(box->store, fd, &file);
		samara_inject_nth(0);
		if (!err)
			file_put(file);
		assert_int_equal(samara_live_objects(), live);
		assert_true(!err || err == -ENOMEM);
	}
	assert_int_equal(nth, 3); /* the file, its inode */
	close(fd);
}

static void a_page_that_cannot_be_read_is_tried_again(void **state)
{
	struct store_box *box = *state;
	const int fd = box_host_file(BOX_PAGE);
	struct samara_file *file = box_open(box, fd);
	const int blind = open("/proc/self/exe", O_PATH | O_CLOEXEC),
		  own = dup(file->inode->host.fd);

	assert_true(blind >= 0);
	assert_true(dup2(blind, file->inode->host.fd) >= 0);
	WRITE_ONCE(file->inode->length, BOX_PAGE);
	/* Whatever the other file's length is, its bytes cannot be had. */
	assert_int_equal(box_page_error(file, 0), -EIO);
	assert_null(page_cache_find(file->inode, 0));
	assert_int_equal(box_frames(box), 0);
	assert_true(dup2(own, file->inode->host.fd) >= 0);
	assert_int_equal(box_peek(box, file, 1), box_byte(1));
	file_put(file);
	close(blind);
	close(own);
	close(fd);
}

static void the_host_is_asked_where_its_file_ends(void **state)
{
	struct store_box *box = *state;
	const int fd = box_host_file(BOX_PAGE + 10);
	struct samara_file *file = box_open(box, fd);

	assert_int_equal(box_peek(box, file, BOX_PAGE + 20), 0);
	assert_int_equal(box_page_error(file, 2), -EFAULT);
	/* Somebody appends: to the page that is here, and one more. */
	assert_int_equal(pwrite(fd, "abc", 3, BOX_PAGE + 20), 3);
	assert_int_equal(pwrite(fd, "z", 1, 2 * BOX_PAGE), 1);
	assert_int_equal(box_peek(box, file, 2 * BOX_PAGE), 'z');
	assert_int_equal(box_peek(box, file, BOX_PAGE + 20), 'a');
	/* Somebody cuts it: noticed with the next page that is not here, or by write-back. */
	assert_int_equal(ftruncate(fd, 5), 0);
	assert_int_equal(box_page_error(file, 3), -EFAULT);
	assert_int_equal(box_page_error(file, 2), -EFAULT);
	box_poke(box, file, 0, 'A');
	box_check(file);
	file_put(file);
	assert_int_equal(lseek(fd, 0, SEEK_END), 5);
	close(fd);
}

static void a_memfd_is_charged_page_by_page(void **state)
{
	struct store_box *box = *state;
	struct samara_file *file = box_memfd(box, 1000 * BOX_PAGE);
	struct commit *commit = &box->store->commit;

	commit->mode = SAMARA_OVERCOMMIT_NEVER;
	commit->limit = 4;
	for (unsigned long i = 0; i < 3; i++)
		assert_int_equal(box_page_error(file, 10 * i), 0);
	assert_int_equal(commit->pages, 3);
	assert_int_equal(box_page_error(file, 1), -ENOSPC);
	assert_int_equal(box_page_error(file, 10), 0);
	assert_int_equal(box_frames(box), 3);
	page_cache_truncate(file->inode, 5, 15);
	assert_int_equal(commit->pages, 2);
	assert_int_equal(box_page_error(file, 1), 0);
	box_check(file);
	file_put(file);
	assert_int_equal(commit->pages, 0);
}

/* Pages come, are found, are cut off, and the rest goes. */
static void pages_are_counted_under_the_lock_of_their_tree(void **state)
{
	struct store_box *box = *state;
	struct samara_file *file;
	struct inode *inode;

	if (!at_locks_available())
		skip();
	file = box_memfd(box, 9 * BOX_PAGE);
	inode = file->inode;
	guard_add(&inode->pages.lock.lock, &inode->pages.nr, sizeof(inode->pages.nr), "nr");
	guard_add(&inode->pages.lock.lock, &inode->pages.charged, sizeof(inode->pages.charged),
		  "charged");
	for (unsigned long i = 0; i < 9; i++)
		folio_put(box->ram, box_page(file, i));
	folio_put(box->ram, box_page(file, 8));
	assert_int_equal(samara_file_set_length(file, 4 * BOX_PAGE), 0);
	assert_int_equal(samara_file_punch_hole(file, BOX_PAGE, BOX_PAGE), 0);
	assert_int_equal(inode->pages.nr, 3);
	assert_int_equal(inode->pages.charged, 3);
	guard_end();
	samara_file_put(file);
}

static void no_frame_is_left(void **state)
{
	struct store_box *box = *state;
	struct samara_file *file = box_memfd(box, 2 * BOX_FRAMES * BOX_PAGE);
	unsigned long i = 0;
	int err;

	while (!(err = box_page_error(file, i)))
		i++;
	assert_int_equal(err, -ENOMEM);
	assert_in_range(i, BOX_FRAMES / 2, BOX_FRAMES - 1);
	box_check(file);
	page_cache_truncate(file->inode, 0, ULONG_MAX);
	assert_int_equal(file->inode->pages.nr, 0);
	assert_int_equal(box_page_error(file, i), 0);
	file_put(file);
}

static void the_validator_sees_what_is_wrong(void **state)
{
	struct store_box *box = *state;
	struct samara_file *file = box_memfd(box, 8 * BOX_PAGE);
	struct folio *folio = box_page(file, 7);
	struct samara_report report = { 0 };

	folio->index = 6;
	assert_int_equal(inode_validate(file->inode, &report), -EUCLEAN);
	assert_string_equal(report.invariant, "page_index");
	folio->index = 7;
	report = (struct samara_report){ 0 };
	file->inode->pages.nr++;
	assert_int_equal(inode_validate(file->inode, &report), -EUCLEAN);
	assert_string_equal(report.invariant, "page_count");
	file->inode->pages.nr--;
	report = (struct samara_report){ 0 };
	WRITE_ONCE(file->inode->length, 7 * BOX_PAGE);
	assert_int_equal(inode_validate(file->inode, &report), -EUCLEAN);
	assert_string_equal(report.invariant, "page_beyond");
	WRITE_ONCE(file->inode->length, 8 * BOX_PAGE);
	box_check(file);
	folio_put(box->ram, folio);
	file_put(file);
}

#define test(name) cmocka_unit_test_setup_teardown(name, store_box_up, store_box_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_host_page_is_read_once_and_zeros_follow_its_end),
		test(shared_memory_begins_as_zeros),
		test(a_file_known_by_name_is_zeros_without_end),
		test(an_empty_file_has_no_page),
		test(files_of_one_host_file_share_its_pages),
		test(no_page_is_lost_when_memory_is_refused),
		test(files_come_to_be_whole_or_not_at_all),
		test(a_page_that_cannot_be_read_is_tried_again),
		test(the_host_is_asked_where_its_file_ends),
		test(a_memfd_is_charged_page_by_page),
		test(pages_are_counted_under_the_lock_of_their_tree),
		test(no_frame_is_left),
		test(the_validator_sees_what_is_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
