/* SPDX-License-Identifier: MIT */
/*
 * Files: who they are, how they are counted, what they cost.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "support/cmocka_all.h"

#include "support/mm_shape.h"

static void a_host_file_is_who_fstat_says(void **state)
{
	struct fixture *f = *state;
	struct samara_file_identity id;
	struct samara_file *file;
	struct stat st;
	const int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(samara_file_from_fd(f->machine, fd, &file), 0);
	close(fd);
	samara_file_identify(file, &id);
	assert_int_equal(id.ino, st.st_ino);
	assert_int_equal(id.dev_major, major(st.st_dev));
	assert_int_equal(id.dev_minor, minor(st.st_dev));
	assert_int_equal(id.length, st.st_size);
	assert_true(id.name[0] == '/' && strstr(id.name, "file"));
	assert_true(id.flags & SAMARA_FILE_READ);
	assert_false(id.flags & SAMARA_FILE_WRITE);
	samara_file_put(file);
	assert_int_equal(samara_file_from_fd(f->machine, -1, &file), -EBADF);
}

static void what_cannot_be_mapped_is_known(void **state)
{
	struct fixture *f = *state;
	struct samara_file_identity id;
	struct samara_file *file;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(samara_file_from_fd(f->machine, fds[0], &file), 0);
	samara_file_identify(file, &id);
	assert_true(id.flags & SAMARA_FILE_NOMAP);
	assert_int_equal(samara_mmap(f->mm, 0, PAGE, PROT_READ, MAP_PRIVATE, file, 0),
			 (unsigned long)-ENODEV);
	samara_file_put(file);
	close(fds[0]);
	close(fds[1]);
}

static void shared_memory_has_the_kernels_names(void **state)
{
	struct fixture *f = *state;
	struct samara_file_identity zero, memfd, sysv;
	struct samara_file *a, *b, *c;

	assert_int_equal(samara_file_shmem(f->machine, 5 * PAGE, &a), 0);
	assert_int_equal(samara_file_memfd(f->machine, "a b", 0, &b), 0);
	assert_int_equal(samara_file_sysv(f->machine, 0x123, 65538, PAGE + 1, &c), 0);
	samara_file_identify(a, &zero);
	samara_file_identify(b, &memfd);
	samara_file_identify(c, &sysv);
	assert_string_equal(zero.name, "/dev/zero (deleted)");
	assert_string_equal(memfd.name, "/memfd:a b (deleted)");
	assert_string_equal(sysv.name, "/SYSV00000123 (deleted)");
	assert_int_equal(sysv.ino, 65538);
	assert_true(zero.ino != memfd.ino);
	assert_int_equal(zero.dev_minor, 1);
	/* A memfd is promised as it is filled, the others whole. */
	assert_int_equal(samara_committed_pages(f->machine), 5 + 2);
	samara_file_put(a);
	samara_file_put(b);
	samara_file_put(c);
	assert_int_equal(samara_committed_pages(f->machine), 0);
	assert_int_equal(samara_file_shmem(f->machine, 0, &a), -EINVAL);
	assert_int_equal(samara_file_shmem(f->machine, 1UL << 63, &a), -EINVAL);
	assert_int_equal(samara_file_shmem(f->machine, 1UL << 50, &a), -ENOMEM);
}

static void names_have_a_limit(void **state)
{
	struct fixture *f = *state;
	struct samara_file_identity id = { .size = sizeof(id) };
	struct samara_file *file;
	char name[5000];

	assert_int_equal(samara_file_named(f->machine, &id, &file), -EINVAL);
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	id.name = name;
	assert_int_equal(samara_file_named(f->machine, &id, &file), -ENAMETOOLONG);
	assert_int_equal(samara_file_memfd(f->machine, name, 0, &file), -EINVAL);
	id.size = 4;
	assert_int_equal(samara_file_named(f->machine, &id, &file), -EINVAL);
}

static void a_mapping_keeps_its_file(void **state)
{
	struct fixture *f = *state;
	struct samara_vma_info info;
	struct samara_file *file;

	assert_int_equal(samara_file_memfd(f->machine, "kept", 8 * PAGE, &file), 0);
	assert_int_equal(samara_mmap(f->mm, AT(0), 8 * PAGE, RW, MAP_SHARED | MAP_FIXED, file, 0),
			 AT(0));
	samara_file_put(file);
	assert_int_equal(samara_munmap(f->mm, AT(2), 2 * PAGE), 0);
	assert_int_equal(samara_vma_next(f->mm, AT(4), &info), 0);
	assert_string_equal(info.name, "/memfd:kept (deleted)");
	samara_file_put(NULL);
}

static void a_memfd_is_promised_as_it_is_filled(void **state)
{
	struct fixture *f = *state;
	struct samara_file *file;
	char text[8] = "";

	assert_int_equal(samara_file_memfd(f->machine, "grows", 0, &file), 0);
	assert_int_equal(samara_file_pwrite(file, "hello", 5, 10 * PAGE - 2), 5);
	assert_int_equal(samara_committed_pages(f->machine), 2);
	assert_int_equal(samara_file_pread(file, text, 8, 10 * PAGE - 2), 5);
	assert_string_equal(text, "hello");
	samara_file_put(file);
	assert_int_equal(samara_committed_pages(f->machine), 0);
}

static void an_empty_file_has_nothing_behind_it(void **state)
{
	struct fixture *f = *state;
	struct samara_file *file;

	assert_int_equal(samara_file_memfd(f->machine, "empty", 0, &file), 0);
	assert_int_equal(samara_mmap(f->mm, AT(0), PAGE, RW, MAP_SHARED | MAP_FIXED, file, 0),
			 AT(0));
	assert_int_equal(samara_touch(f->mm, AT(0), 1, PROT_READ), -EFAULT);
	assert_int_equal(samara_file_set_length(file, 1), 0);
	assert_int_equal(samara_touch(f->mm, AT(0), 1, PROT_READ), 0);
	samara_file_put(file);
}

static void lengths_and_holes_are_the_hosts_too(void **state)
{
	struct fixture *f = *state;
	struct samara_file_identity id;
	struct samara_file *file, *reader;
	char name[] = "/tmp/samara-file-XXXXXX", text[12] = "";
	const int fd = mkostemp(name, O_CLOEXEC), again = open(name, O_RDONLY | O_CLOEXEC);
	int punched;

	unlink(name);
	assert_int_equal(samara_file_from_fd(f->machine, fd, &file), 0);
	assert_int_equal(samara_file_from_fd(f->machine, again, &reader), 0);
	assert_int_equal(samara_file_pwrite(file, "0123456789", 10, 0), 10);
	assert_int_equal(samara_file_set_length(reader, 5), -EINVAL);
	assert_int_equal(samara_file_set_length(file, 1ULL << 63), -EINVAL);
	assert_int_equal(samara_file_set_length(file, 8), 0);
	assert_int_equal(samara_file_set_length(file, 9), 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), 9);
	assert_int_equal(samara_file_punch_hole(reader, 0, 1), -EBADF);
	assert_int_equal(samara_file_punch_hole(file, 0, 0), -EINVAL);
	assert_int_equal(samara_file_punch_hole(file, 1ULL << 62, (1ULL << 63) - 1), -EFBIG);
	punched = samara_file_punch_hole(file, 1, 2);
	assert_true(!punched || punched == -EOPNOTSUPP); /* not on every file system */
	assert_int_equal(samara_file_pread(reader, text, 12, 0), 9);
	assert_memory_equal(text, punched ? "012" : "0\0\0", 3);
	assert_memory_equal(text + 3, "34567\0", 6);
	assert_int_equal(samara_file_sync(reader), 0);
	assert_int_equal(pread(fd, text, 12, 0), 9);
	assert_memory_equal(text + 3, "34567\0", 6);
	samara_file_identify(reader, &id);
	assert_int_equal(id.length, 9);
	samara_file_put(file);
	samara_file_put(reader);
	close(fd);
	close(again);
}

static unsigned int releases;

static void count_release(void *priv)
{
	assert_ptr_equal(priv, &releases);
	releases++;
}

static void a_device_lives_as_long_as_its_mappings(void **state)
{
	struct fixture *f = *state;
	static const struct samara_file_ops ops = {
		.size = sizeof(ops),
		.name = "/dev/lamp",
		.release = count_release,
	};
	struct samara_file_ops wrong = ops;
	struct samara_vma_info info;
	struct samara_file *file;
	unsigned long frame;

	wrong.size = sizeof(wrong.size) - 1;
	assert_int_equal(samara_file_device(f->machine, &wrong, &releases, &file), -EINVAL);
	assert_int_equal(samara_file_device(f->machine, &ops, &releases, &file), 0);
	assert_int_equal(samara_device_alloc(file, 0, &frame), 0);
	assert_non_null(samara_device_bytes(file, frame));
	assert_null(samara_device_bytes(f->file, frame));
	assert_int_equal(samara_device_alloc(f->file, 0, &frame), -EINVAL);
	assert_int_equal(samara_mmap(f->mm, AT(0), PAGE, RW, MAP_SHARED | MAP_FIXED, file, 0),
			 AT(0));
	assert_int_equal(samara_file_set_length(file, PAGE), -EINVAL);
	samara_file_put(file);
	assert_int_equal(releases, 0);
	assert_int_equal(samara_vma_next(f->mm, 0, &info), 0);
	assert_string_equal(info.name, "/dev/lamp");
	assert_int_equal(samara_munmap(f->mm, AT(0), PAGE), 0);
	assert_int_equal(releases, 1);
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_host_file_is_who_fstat_says),
		test(what_cannot_be_mapped_is_known),
		test(shared_memory_has_the_kernels_names),
		test(names_have_a_limit),
		test(a_mapping_keeps_its_file),
		test(a_memfd_is_promised_as_it_is_filled),
		test(an_empty_file_has_nothing_behind_it),
		test(lengths_and_holes_are_the_hosts_too),
		test(a_device_lives_as_long_as_its_mappings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
