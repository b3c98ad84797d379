/* SPDX-License-Identifier: MIT */
/*
 * Which descriptors a file of the host keeps, and that it gives them back; that one host
 * file is not taken for another.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/cmocka_all.h"

#include "support/store_box.h"

#define MANY 300 /* more than there are heads of the hash */

/* Open descriptors of this process, that of the listing included. */
static unsigned int descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static struct samara_file *open_as(struct store_box *box, int fd, int flags)
{
	const int other = box_reopen(fd, flags);
	struct samara_file *file = box_open(box, other);

	close(other);
	return file;
}

static void many_files_are_told_apart(void **state)
{
	struct store_box *box = *state;
	struct samara_file *file[MANY], *again[MANY];
	int fd[MANY];

	for (int i = 0; i < MANY; i++) {
		const unsigned char name[2] = { (unsigned char)i, (unsigned char)(i >> 8) };

		fd[i] = box_host_file(BOX_PAGE);
		assert_int_equal(pwrite(fd[i], name, sizeof(name), 0), sizeof(name));
		file[i] = box_open(box, fd[i]);
	}
	for (int i = MANY - 1; i >= 0; i--) {
		again[i] = box_open(box, fd[i]);
		assert_ptr_equal(again[i]->inode, file[i]->inode);
		assert_int_equal(box_peek(box, again[i], 0) | box_peek(box, again[i], 1) << 8, i);
	}
	/* In an order in which each chain loses its first, its last, and one between. */
	for (int i = 0; i < MANY; i++) {
		const int k = i * 7 % MANY;

		samara_file_put(file[k]);
		samara_file_put(again[k]);
		file[k] = NULL;
		for (int j = 0; j < MANY; j += 97) {
			if (!file[j])
				continue;
			again[j] = (samara_file_put(again[j]), box_open(box, fd[j]));
			assert_ptr_equal(again[j]->inode, file[j]->inode);
		}
		close(fd[k]);
	}
}

static void all_descriptors_are_given_back(void **state)
{
	static const int ways[][3] = {
		{ O_RDONLY, O_WRONLY, O_RDWR },
		{ O_WRONLY, O_RDONLY, O_RDWR },
		{ O_RDWR, O_RDONLY, O_WRONLY },
		{ O_RDONLY, O_RDWR, O_WRONLY },
	};
	struct store_box *box = *state;

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		const int fd = box_host_file(BOX_PAGE);
		const unsigned int before = descriptors();
		struct samara_file *file[6];

		for (int k = 0; k < 3; k++)
			file[k] = open_as(box, fd, ways[i][k]);
		assert_in_range(descriptors(), before + 1, before + 2);
		for (int k = 0; k < 3; k++) {
			const unsigned int now = descriptors();

			file[3 + k] = open_as(box, fd, ways[i][k]);
			assert_int_equal(descriptors(), now); /* it has what it takes */
		}
		box_poke(box, file[0], 3, 42);
		for (int k = 0; k < 6; k++)
			samara_file_put(file[k]);
		assert_int_equal(descriptors(), before);
		close(fd);
	}
}

/* Another opening of the same file, between a look at what the inode has and the duplicate. */
static struct {
	struct store_box *box;
	int fd;
	struct samara_file *file;
} meanwhile;

/* ThreadSanitizer has one of its own. */
#if !SAMARA_TSAN
int fcntl(int fd, int cmd, ...)
{
	struct store_box *box = meanwhile.box;
	va_list args;
	long arg;

	va_start(args, cmd);
	arg = va_arg(args, long);
	va_end(args);
	if (box && cmd == F_DUPFD_CLOEXEC) {
		meanwhile.box = NULL;
		meanwhile.file = box_open(box, meanwhile.fd);
	}
	return (int)syscall(SYS_fcntl, fd, cmd, arg);
}
#endif

static void of_two_that_open_at_once_each_keeps_what_the_other_lacks(void **state)
{
	static const struct {
		int first, second;
		unsigned int kept;
	} ways[] = {
		{ O_RDWR, O_RDWR, 1 },
		{ O_RDONLY, O_RDONLY, 1 },
		{ O_RDONLY, O_RDWR, 1 },
		{ O_RDWR, O_RDONLY, 2 },
	};
	struct store_box *box = *state;

	if (SAMARA_TSAN)
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		const int fd = box_host_file(BOX_PAGE), other = box_reopen(fd, ways[i].first);
		unsigned int before;
		struct samara_file *file;

		meanwhile.fd = box_reopen(fd, ways[i].second);
		before = descriptors();
		meanwhile.box = box;
		file = box_open(box, other);
		assert_null(meanwhile.box);
		assert_ptr_equal(meanwhile.file->inode, file->inode);
		assert_int_equal(descriptors(), before + ways[i].kept);
		assert_int_equal(box_peek(box, file, 5), box_byte(5));
		samara_file_put(file);
		samara_file_put(meanwhile.file);
		assert_int_equal(descriptors(), before);
		close(other);
		close(meanwhile.fd);
		close(fd);
	}
}

/* A program may have closed its standard input. */
static void descriptor_0_is_as_good_as_any(void **state)
{
	struct store_box *box = *state;
	const int input = dup(STDIN_FILENO), fd = box_host_file(BOX_PAGE);
	struct samara_file *file, *again, *writer, *second;
	unsigned int before;
	int only = box_reopen(fd, O_WRONLY | O_APPEND);

	close(STDIN_FILENO);
	before = descriptors();
	file = box_open(box, fd);
	assert_int_equal(file->inode->host.fd, 0);
	again = box_open(box, fd);
	assert_int_equal(descriptors(), before + 1);
	assert_int_equal(box_peek(box, again, 5), box_byte(5));
	box_poke(box, file, 5, 42);
	samara_file_put(file);
	samara_file_put(again);
	assert_int_equal(descriptors(), before);

	/* Opened anew, to be read as well: once, though it would append. */
	file = box_open(box, only);
	assert_int_equal(file->inode->host.fd, 0);
	assert_int_equal(descriptors(), before + 1);
	samara_file_put(file);
	assert_int_equal(descriptors(), before);
	close(only);

	assert_int_equal(open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
	file = open_as(box, fd, O_RDONLY);
	only = box_reopen(fd, O_WRONLY);
	before = descriptors();
	close(STDIN_FILENO);
	writer = box_open(box, only);
	second = box_open(box, only);
	assert_int_equal(file->inode->host.write_fd, 0);
	assert_int_equal(descriptors(), before); /* one for another */
	assert_int_equal(box_peek(box, file, 5), 42);
	box_poke(box, writer, 6, 43);
	samara_file_put(file);
	samara_file_put(writer);
	samara_file_put(second);
	assert_int_equal(descriptors(), before - 2);
	close(only);
	if (input >= 0) {
		dup2(input, STDIN_FILENO);
		close(input);
	}
	close(fd);
}

int main(void)
{
#define BOX(name) cmocka_unit_test_setup_teardown(name, store_box_up, store_box_down)
	const struct CMUnitTest tests[] = {
		BOX(many_files_are_told_apart),
		BOX(all_descriptors_are_given_back),
		BOX(of_two_that_open_at_once_each_keeps_what_the_other_lacks),
		BOX(descriptor_0_is_as_good_as_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
