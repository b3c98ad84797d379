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
} host = { .fd = -1, .no_statfs = -1 };

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
	if (fd != host.no_statfs)
		return (int)syscall(SYS_fstatfs, fd, fs);
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

#define test(name) cmocka_unit_test_setup_teardown(name, store_box_up, store_box_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_file_with_the_attribute_only_grows),
		test(a_file_with_others_does_not),
		test(a_host_that_gives_no_answer_is_not_asked_what_it_was),
		test(a_file_system_that_gives_no_answer_is_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
