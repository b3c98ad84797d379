/* SPDX-License-Identifier: MIT */
/*
 * What the host says about a file's attributes (FS_IOC_GETFLAGS) and its file system (fstatfs(2)).
 * The attribute needs a privilege, and no host refuses fstatfs(2) at will; so the test answers in
 * the host's place.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "support/cmocka_all.h"

#include "support/store_box.h"

static struct {
	int fd; /* the one that is answered for; -1: none */
	int attributes, err;
	unsigned int asked;
	int no_statfs; /* of this one; -1: none */
	int of_kind;   /* this one lies on a file system of that kind; -1: none */
	long kind, block;
} host = { .fd = -1, .no_statfs = -1, .of_kind = -1 };

int ioctl(int fd, unsigned long request, ...);
int ioctl(int fd, unsigned long request, ...)
{
	va_list list;
	void *arg;

	va_start(list, request);
	arg = va_arg(list, void *);
	va_end(list);
	if (fd != host.fd || request != FS_IOC_GETFLAGS)
		return (int)syscall(SYS_ioctl, fd, request, arg);
	host.asked++;
	*(int *)arg = host.attributes;
	errno = host.err;
	return host.err ? -1 : 0;
}

/* What is left behind where there is no answer is one for another file. */
int fstatfs(int fd, struct statfs *fs)
{
	int ret;

	if (fd != host.no_statfs) {
		ret = (int)syscall(SYS_fstatfs, fd, fs);
		if (fd == host.of_kind) {
			fs->f_type = host.kind;
			fs->f_bsize = host.block;
		}
		return ret;
	}
	fs->f_flags = ST_NOEXEC;
	fs->f_type = TMPFS_MAGIC;
	errno = EIO;
	return -1;
}

/* Whether a file of which the host says that is one that can only grow. */
static bool only_grows(struct store_box *box, int attributes, int err)
{
	const int fd = box_host_file(BOX_PAGE);
	struct samara_file *file;
	bool answer;

	host.fd = fd;
	host.attributes = attributes;
	host.err = err;
	host.asked = 0;
	file = box_open(box, fd);
	host.fd = -1;
	answer = file_is(file, SAMARA_FILE_APPEND);
	file_put(file);
	close(fd);
	assert_int_equal(host.asked, 1);
	return answer;
}

static void a_file_with_the_attribute_only_grows(void **state)
{
	assert_true(only_grows(*state, FS_APPEND_FL, 0));
	assert_true(only_grows(*state, FS_APPEND_FL | FS_NOATIME_FL, 0));
}

static void a_file_with_others_does_not(void **state)
{
	assert_false(only_grows(*state, 0, 0));
	assert_false(only_grows(*state, ~FS_APPEND_FL, 0));
}

static void a_host_that_gives_no_answer_is_not_asked_what_it_was(void **state)
{
	assert_false(only_grows(*state, FS_APPEND_FL, ENOTTY));
	assert_false(only_grows(*state, 0, ENOTTY));
}

static void a_file_system_that_gives_no_answer_is_any(void **state)
{
	struct store_box *box = *state;
	const int fd = box_host_file(BOX_PAGE);
	struct samara_file *file;

	host.no_statfs = fd;
	file = box_open(box, fd);
	host.no_statfs = -1;
	assert_false(file_is(file, SAMARA_FILE_NOEXEC | SAMARA_FILE_SHMEM));
	assert_true(file->max_length == LLONG_MAX);
	file_put(file);
	close(fd);
}

/* Blocks have numbers of 32 bits in ext4; elsewhere an offset is as large as off_t allows. */
static void the_file_system_says_how_far_a_file_reaches(void **state)
{
	static const unsigned int told =
		SAMARA_FILE_SHMEM | SAMARA_FILE_HUGE_ALIGN | SAMARA_FILE_SYNC | SAMARA_FILE_NO_SYNC;
	static const struct {
		long kind, block;
		unsigned int flags;
		unsigned long long length;
	} cases[] = {
		{ EXT4_SUPER_MAGIC, 4096,
		  SAMARA_FILE_HUGE_ALIGN | SAMARA_FILE_SYNC | SAMARA_FILE_NO_SYNC,
		  0xffffffffULL * 4096 },
		{ EXT4_SUPER_MAGIC, 1024,
		  SAMARA_FILE_HUGE_ALIGN | SAMARA_FILE_SYNC | SAMARA_FILE_NO_SYNC,
		  0xffffffffULL * 1024 },
		{ XFS_SUPER_MAGIC, 4096,
		  SAMARA_FILE_HUGE_ALIGN | SAMARA_FILE_SYNC | SAMARA_FILE_NO_SYNC, LLONG_MAX },
		{ BTRFS_SUPER_MAGIC, 4096, SAMARA_FILE_HUGE_ALIGN, LLONG_MAX },
		{ TMPFS_MAGIC, 4096, SAMARA_FILE_SHMEM, LLONG_MAX },
		{ NFS_SUPER_MAGIC, 4096, 0, LLONG_MAX },
	};
	struct store_box *box = *state;
	const int fd = box_host_file(BOX_PAGE);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct samara_file *file;

		host.kind = cases[i].kind;
		host.block = cases[i].block;
		host.of_kind = fd;
		file = box_open(box, fd);
		host.of_kind = -1;
		for (unsigned int bit = 1; bit <= told; bit <<= 1)
			if (told & bit)
				assert_int_equal(file_is(file, bit), !!(cases[i].flags & bit));
		assert_true(file->max_length == cases[i].length);
		file_put(file);
	}
	close(fd);
}

#define test(name) cmocka_unit_test_setup_teardown(name, store_box_up, store_box_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_file_with_the_attribute_only_grows),
		test(a_file_with_others_does_not),
		test(a_host_that_gives_no_answer_is_not_asked_what_it_was),
		test(a_file_system_that_gives_no_answer_is_any),
		test(the_file_system_says_how_far_a_file_reaches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
