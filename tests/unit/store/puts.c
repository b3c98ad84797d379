/* SPDX-License-Identifier: MIT */
/* Files that are put by several threads at once count each once. Writes that store nothing. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "support/cmocka_all.h"

#include "store/io.h"
#include "support/store_box.h"

#define THREADS 3
#define PUTS 1000000UL

static void *put_many(void *arg)
{
	for (unsigned long i = 0; i < PUTS; i++)
		inode_put(arg);
	return NULL;
}

static void puts_of_several_threads_count_once_each(void **state)
{
	struct store_box *box = *state;
	struct samara_file *file = box_memfd(box, BOX_PAGE);
	pthread_t thread[THREADS];
	unsigned long left;

	refcount_set(&file->inode->refs, 1 + THREADS * PUTS);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, put_many, file->inode), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	left = refcount_read(&file->inode->refs);
	refcount_set(&file->inode->refs, 1);
	assert_int_equal(left, 1);
	file_put(file);
}

static void a_write_of_no_bytes_is_none_wherever_it_is(void **state)
{
	struct store_box *box = *state;
	const int fd = box_host_file(BOX_PAGE);
	struct samara_file *file = box_open(box, fd);

	assert_int_equal(pwrite(fd, "", 0, INT64_MAX), 0); /* as the host has it */
	assert_int_equal(file_write(file, "", 0, INT64_MAX), 0);
	assert_int_equal(file_write(file, "", 0, 0), 0);
	assert_int_equal(file->inode->length, BOX_PAGE);
	file_put(file);
	close(fd);
}

static void what_is_written_to_dev_zero_is_nowhere(void **state)
{
	struct store_box *box = *state;
	const int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	struct samara_file *file = box_open(box, fd);

	assert_int_equal(pwrite(fd, "abc", 3, 5), 3);
	assert_int_equal(file_write(file, "abc", 3, 5), 3);
	assert_int_equal(file->inode->pages.nr, 0);
	file_put(file);
	close(fd);
}

#define test(name) cmocka_unit_test_setup_teardown(name, store_box_up, store_box_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(puts_of_several_threads_count_once_each),
		test(a_write_of_no_bytes_is_none_wherever_it_is),
		test(what_is_written_to_dev_zero_is_nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
