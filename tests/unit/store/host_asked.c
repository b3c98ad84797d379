/* SPDX-License-Identifier: MIT */
/*
 * A file of which only the host knows what can be mapped (a special one): each mapping is tried
 * there. The test answers in the host's place, as no file does all of it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <samara/file.h>

#include "support/cmocka_all.h"

#include "support/mm_shape.h"
#include "store/file.h"

static struct {
	bool answers; /* for mappings of files */
	int err;
	unsigned int asked;
} host;

/* ThreadSanitizer has an mmap() of its own, which must see every mapping. */
#if !SAMARA_TSAN
void *mmap(void *addr, size_t size, int prot, int flags, int fd, off_t offset)
{
	if (host.answers && fd >= 0) {
		host.asked++;
		errno = host.err;
		return MAP_FAILED;
	}
	return (void *)syscall(SYS_mmap, addr, size, prot, flags, fd, offset);
}
#endif

static int unnamed; /* why the host does not say what a descriptor is called; 0: it does */

ssize_t readlink(const char *path, char *buf, size_t size)
{
	if (unnamed) {
		errno = unnamed;
		return -1;
	}
	return syscall(SYS_readlink, path, buf, size);
}

static struct samara_file *special_file(struct fixture *f)
{
	const int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct samara_file *file;

	assert_true(fd >= 0);
	host.answers = true;
	host.err = EINVAL; /* not of this length, or not with these rights */
	assert_int_equal(samara_file_from_fd(f->machine, fd, &file), 0);
	close(fd);
	assert_true(file->inode->host.asks);
	/* /dev/zero is another one. */
	assert_false(file_is(file, SAMARA_FILE_ZERO));
	assert_true(file_is(file, SAMARA_FILE_NO_FALLOCATE));
	return file;
}

/* What mmap says when the host says err. */
static long mapped(struct fixture *f, struct samara_file *file, int err)
{
	long ret;

	host.err = err;
	host.asked = 0;
	ret = (long)samara_mmap(f->mm, AT(0), PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, file, 0);
	assert_int_equal(host.asked, 1);
	return ret;
}

static void the_host_says_what_may_be_mapped(void **state)
{
	struct fixture *f = *state;
	struct samara_file *file;

	if (SAMARA_TSAN)
		skip();
	file = special_file(f);
	assert_int_equal(mapped(f, file, EINVAL), -EINVAL);
	assert_int_equal(mapped(f, file, EPERM), -EPERM);
	assert_int_equal(mapped(f, file, ENODEV), -ENODEV);
	assert_map(f->mm, "");
	/* No room in this process says nothing of the file. */
	assert_int_equal(mapped(f, file, ENOMEM), AT(0));
	assert_int_equal(mapped(f, file, EAGAIN), AT(0));
	host.answers = false;
	assert_int_equal(samara_munmap(f->mm, AT(0), PAGE), 0);
	samara_file_put(file);
}

/* /proc is not mounted, or the name is too long for it. */
static void a_file_without_a_name_is_refused(void **state)
{
	const int why[] = { ENOENT, ENAMETOOLONG };
	struct fixture *f = *state;
	const int fd = memfd_create("unnamed", MFD_CLOEXEC);
	struct samara_file *file = NULL;

	for (size_t i = 0; i < sizeof(why) / sizeof(why[0]); i++) {
		unnamed = why[i];
		assert_int_equal(samara_file_from_fd(f->machine, fd, &file), -why[i]);
		unnamed = 0;
		assert_null(file);
	}
	assert_int_equal(samara_file_from_fd(f->machine, fd, &file), 0);
	assert_string_equal(file->name, "/memfd:unnamed (deleted)");
	samara_file_put(file);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_file_without_a_name_is_refused, fixture_up,
						fixture_down),
		cmocka_unit_test_setup_teardown(the_host_says_what_may_be_mapped, fixture_up,
						fixture_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
