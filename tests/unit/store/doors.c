/* SPDX-License-Identifier: MIT */
/*
 * Truncation, holes and write-back as programs ask for them, the pages mapped.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <samara/access.h>

#include "support/cmocka_all.h"

#include "support/mm_shape.h"
#include "support/store_box.h"

static void map_at(struct fixture *f, unsigned long n, unsigned long pages, int flags,
		   struct samara_file *file)
{
	assert_int_equal(samara_mmap(f->mm, AT(n), pages * PAGE, RW, flags | MAP_FIXED, file, 0),
			 AT(n));
}

static void poke(struct fixture *f, unsigned long addr, unsigned char byte)
{
	assert_int_equal(samara_write(f->mm, addr, &byte, 1, NULL), 1);
}

static unsigned char peek(struct fixture *f, unsigned long addr)
{
	unsigned char byte = 0;

	assert_int_equal(samara_read(f->mm, addr, &byte, 1, NULL), 1);
	return byte;
}

static void assert_bus_error(struct fixture *f, unsigned long addr)
{
	struct samara_fault fault;
	char byte;

	assert_int_equal(samara_read(f->mm, addr, &byte, 1, &fault), 0);
	assert_int_equal(fault.signo, SIGBUS);
	assert_int_equal(fault.code, BUS_ADRERR);
	assert_int_equal(fault.addr, addr);
}

static void truncation_takes_pages_from_shared_and_private_mappings(void **state)
{
	struct fixture *f = *state;
	struct samara_file *file;

	assert_int_equal(samara_file_memfd(f->machine, "cut", 4 * PAGE, &file), 0);
	map_at(f, 0, 4, MAP_SHARED, file);
	map_at(f, 8, 4, MAP_PRIVATE, file);
	for (unsigned long i = 0; i < 4; i++) {
		poke(f, AT(i) + 5, 1);
		poke(f, AT(8 + i) + 5, 2);
	}
	assert_int_equal(samara_committed_pages(f->machine), 8);
	assert_int_equal(samara_file_set_length(file, 2 * PAGE + 5), 0);
	assert_int_equal(samara_committed_pages(f->machine), 7);
	assert_bus_error(f, AT(3));
	assert_bus_error(f, AT(11));
	/* The last page stays mapped, its tail is zeros; a private copy is its owner's. */
	assert_int_equal(peek(f, AT(2) + 5), 0);
	assert_int_equal(peek(f, AT(10) + 5), 2);
	assert_int_equal(peek(f, AT(1) + 5), 1);
	assert_int_equal(samara_file_set_length(file, 4 * PAGE), 0);
	assert_int_equal(peek(f, AT(3) + 5), 0);
	assert_int_equal(peek(f, AT(11) + 5), 0);
	box_check(file);
	samara_file_put(file);
}

static void a_hole_leaves_private_copies(void **state)
{
	struct fixture *f = *state;
	struct samara_file *file;

	assert_int_equal(samara_file_memfd(f->machine, "holes", 4 * PAGE, &file), 0);
	map_at(f, 0, 4, MAP_SHARED, file);
	map_at(f, 8, 4, MAP_PRIVATE, file);
	for (unsigned long i = 0; i < 4; i++)
		poke(f, AT(i), 1);
	poke(f, AT(9), 2);
	assert_int_equal(peek(f, AT(10)), 1);
	assert_int_equal(samara_file_punch_hole(file, PAGE, 2 * PAGE), 0);
	assert_int_equal(peek(f, AT(0)), 1);
	assert_int_equal(peek(f, AT(1)), 0);
	assert_int_equal(peek(f, AT(9)), 2);
	assert_int_equal(peek(f, AT(10)), 0);
	assert_int_equal(peek(f, AT(3)), 1);
	assert_int_equal(samara_file_punch_hole(file, 0, 0), -EINVAL);
	assert_int_equal(samara_file_punch_hole(file, 1, ~0ULL), -EINVAL);
	assert_int_equal(samara_file_punch_hole(file, ~0ULL >> 1, 5), -EFBIG);
	box_check(file);
	samara_file_put(file);
}

/* The seal comes after the library has opened the file. */
static void a_hole_that_the_host_refuses_is_none(void **state)
{
	struct fixture *f = *state;
	const int fd = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct samara_file *file;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 2 * PAGE), 0);
	assert_int_equal(pwrite(fd, "seal", 4, PAGE), 4);
	assert_int_equal(samara_file_from_fd(f->machine, fd, &file), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(samara_file_punch_hole(file, PAGE, PAGE), -EPERM);
	assert_int_equal(samara_mmap(f->mm, AT(0), 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED,
				     file, 0),
			 AT(0));
	assert_int_equal(peek(f, AT(1)), 's');
	samara_file_put(file);
	close(fd);
}

static void msync_brings_stores_home(void **state)
{
	struct fixture *f = *state;
	const int fd = box_host_file(3 * PAGE);
	struct samara_file *file;
	unsigned char byte = 0;

	assert_int_equal(samara_file_from_fd(f->machine, fd, &file), 0);
	map_at(f, 0, 3, MAP_SHARED, file);
	map_at(f, 8, 3, MAP_PRIVATE, file);
	poke(f, AT(8) + 1, 77);
	for (int round = 1; round <= 3; round++) {
		poke(f, AT(1) + 9, (unsigned char)round);
		poke(f, AT(2) + 9, (unsigned char)round);
		assert_int_equal(samara_msync(f->mm, AT(1), PAGE, MS_SYNC), 0);
		assert_int_equal(pread(fd, &byte, 1, PAGE + 9), 1);
		assert_int_equal(byte, round);
		assert_int_equal(pread(fd, &byte, 1, 2 * PAGE + 9), 1);
		assert_int_equal(byte, box_byte(2 * PAGE + 9));
	}
	assert_int_equal(samara_msync(f->mm, AT(1), 9 * PAGE, MS_SYNC), -ENOMEM);
	assert_int_equal(pread(fd, &byte, 1, 2 * PAGE + 9), 1);
	assert_int_equal(byte, 3);
	/* What a private mapping stored is nobody else's. */
	assert_int_equal(pread(fd, &byte, 1, 1), 1);
	assert_int_equal(byte, box_byte(1));
	/* Files and mappings see the same; and the last page goes home with the last reference. */
	assert_int_equal(samara_file_pwrite(file, "x", 1, 5), 1);
	assert_int_equal(peek(f, AT(0) + 5), 'x');
	poke(f, AT(0) + 6, 'y');
	assert_int_equal(samara_file_pread(file, &byte, 1, 6), 1);
	assert_int_equal(byte, 'y');
	samara_file_put(file);
	assert_int_equal(samara_munmap(f->mm, AT(0), 16 * PAGE), 0);
	assert_int_equal(pread(fd, &byte, 1, 6), 1);
	assert_int_equal(byte, 'y');
	close(fd);
}

static void a_host_file_that_others_cut_gives_bus_errors(void **state)
{
	struct fixture *f = *state;
	const int fd = box_host_file(4 * PAGE);
	struct samara_file *file;

	assert_int_equal(samara_file_from_fd(f->machine, fd, &file), 0);
	map_at(f, 0, 6, MAP_SHARED, file);
	assert_int_equal(peek(f, AT(0)), box_byte(0));
	assert_bus_error(f, AT(4));
	assert_int_equal(ftruncate(fd, PAGE), 0);
	assert_bus_error(f, AT(2));
	assert_int_equal(ftruncate(fd, 6 * PAGE), 0);
	assert_int_equal(peek(f, AT(5)), 0);
	assert_int_equal(samara_file_sync(file), 0);
	samara_file_put(file);
	close(fd);
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(truncation_takes_pages_from_shared_and_private_mappings),
		test(a_hole_leaves_private_copies),
		test(a_hole_that_the_host_refuses_is_none),
		test(msync_brings_stores_home),
		test(a_host_file_that_others_cut_gives_bus_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
