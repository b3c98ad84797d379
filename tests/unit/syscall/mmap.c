/* SPDX-License-Identifier: MIT */
/*
 * mmap's flags and errors, file mappings, MAP_FIXED over what is there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/cmocka_all.h"

#include "support/mm_shape.h"

#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define DROPPABLE 0x08

static int map(struct fixture *f, int prot, int flags, struct samara_file *file, unsigned long off)
{
	const unsigned long ret =
		samara_mmap(f->mm, AT(0), PAGE, prot, flags | MAP_FIXED, file, off);

	return SAMARA_IS_ERR_VALUE(ret) ? (int)ret : 0;
}

static void the_type_must_be_one_that_exists(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(map(f, RW, MAP_ANONYMOUS, NULL, 0), -EINVAL);
	assert_int_equal(map(f, RW, MAP_ANONYMOUS | MAP_SHARED_VALIDATE, NULL, 0), -EINVAL);
	assert_int_equal(map(f, RW, 0, f->file, 0), -EINVAL);
	assert_int_equal(map(f, RW, DROPPABLE, f->file, 0), -EINVAL);
	assert_int_equal(map(f, RW, MAP_PRIVATE, NULL, 0), -EBADF);
	assert_int_equal(map(f, RW, MAP_PRIVATE, f->file, 1), -EINVAL);
	assert_int_equal(map(f, RW, MAP_PRIVATE, f->file, 0UL - PAGE), -EOVERFLOW);
}

static void unknown_flags_matter_to_shared_validate_only(void **state)
{
	struct fixture *f = *state;
	const int unknown = 0x40000000 | 0x200;

	assert_int_equal(map(f, RW, MAP_PRIVATE | unknown, f->file, 0), 0);
	assert_int_equal(map(f, RW, MAP_SHARED | 0x200, f->file, 0), 0);
	assert_int_equal(map(f, RW, MAP_SHARED_VALIDATE | 0x200, f->file, 0), -EOPNOTSUPP);
	assert_int_equal(map(f, RW, MAP_SHARED_VALIDATE, f->file, 0), 0);
	assert_map(f->mm, "0-1 rw-s @0");
}

static struct samara_file *file_with(struct fixture *f, unsigned int flags)
{
	const struct samara_file_identity id = {
		.size = sizeof(id),
		.name = "/x",
		.ino = 9,
		.flags = flags,
		.length = 1 << 20,
	};
	struct samara_file *file;

	assert_int_equal(samara_file_named(f->machine, &id, &file), 0);
	return file;
}

static void rights_of_the_file_decide(void **state)
{
	struct fixture *f = *state;
	struct samara_file *r = file_with(f, SAMARA_FILE_READ);
	struct samara_file *w = file_with(f, SAMARA_FILE_WRITE);
	struct samara_file *noexec = file_with(f, SAMARA_FILE_NOEXEC);
	struct samara_file *append = file_with(f, SAMARA_FILE_APPEND);
	struct samara_file *pipe = file_with(f, SAMARA_FILE_NOMAP);

	assert_int_equal(map(f, RW, MAP_SHARED, r, 0), -EACCES);
	assert_int_equal(map(f, RW, MAP_PRIVATE, r, 0), 0);
	assert_int_equal(map(f, PROT_READ, MAP_SHARED, w, 0), -EACCES);
	assert_int_equal(map(f, PROT_READ, MAP_SHARED, append, 0), -EACCES);
	assert_int_equal(map(f, PROT_EXEC, MAP_PRIVATE, noexec, 0), -EPERM);
	assert_int_equal(map(f, PROT_READ, MAP_PRIVATE, pipe, 0), -ENODEV);
	/* Shared without the right to write: shown as shared, can never be written. */
	assert_int_equal(map(f, PROT_READ, MAP_SHARED, r, 0), 0);
	assert_map(f->mm, "0-1 r--s @0");
	assert_false(flags_at(f->mm, 0) & (SAMARA_VM_SHARED | SAMARA_VM_MAYWRITE));
	assert_int_equal(samara_mprotect(f->mm, AT(0), PAGE, RW), -EACCES);
	assert_int_equal(map(f, PROT_READ, MAP_PRIVATE, noexec, 0), 0);
	assert_int_equal(samara_mprotect(f->mm, AT(0), PAGE, PROT_EXEC), -EACCES);
	samara_file_put(r);
	samara_file_put(w);
	samara_file_put(noexec);
	samara_file_put(append);
	samara_file_put(pipe);
}

/* Only memory that keeps its contents can be mapped so. The host says what its file allows. */
static void memory_that_is_always_in_sync_is_refused_where_it_is_not(void **state)
{
	static const int types[] = { MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE };
	struct fixture *f = *state;
	struct samara_file *known =
		file_with(f, SAMARA_FILE_READ | SAMARA_FILE_SYNC | SAMARA_FILE_NO_SYNC);
	struct samara_file *unknown = file_with(f, SAMARA_FILE_READ);
	char name[] = "/tmp/samara-sync-XXXXXX";
	const int fd = mkstemp(name);
	struct samara_file *host;

	assert_true(fd >= 0);
	assert_int_equal(unlink(name), 0);
	assert_int_equal(ftruncate(fd, PAGE), 0);
	assert_int_equal(samara_file_from_fd(f->machine, fd, &host), 0);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		void *there = mmap(NULL, PAGE, PROT_READ, types[i] | MAP_SYNC, fd, 0);
		const int err = there == MAP_FAILED ? -errno : 0;

		if (!err)
			munmap(there, PAGE);
		assert_int_equal(map(f, PROT_READ, types[i] | MAP_SYNC, host, 0), err);
		assert_int_equal(map(f, PROT_READ, types[i] | MAP_SYNC, known, 0), -EOPNOTSUPP);
		assert_int_equal(map(f, PROT_READ, types[i] | MAP_SYNC, unknown, 0),
				 types[i] == MAP_SHARED_VALIDATE ? -EOPNOTSUPP : 0);
		assert_int_equal(map(f, PROT_READ, types[i], known, 0), 0);
	}
	samara_file_put(host);
	samara_file_put(known);
	samara_file_put(unknown);
	close(fd);
}

static void flags_show_in_vmflags(void **state)
{
	struct fixture *f = *state;
	const unsigned long usual = SAMARA_VM_READ | SAMARA_VM_WRITE | SAMARA_VM_MAYREAD |
				    SAMARA_VM_MAYWRITE | SAMARA_VM_MAYEXEC;
	const unsigned long shared = SAMARA_VM_SHARED | SAMARA_VM_MAYSHARE;
	const unsigned long droppable = SAMARA_VM_DROPPABLE | SAMARA_VM_NORESERVE |
					SAMARA_VM_WIPEONFORK | SAMARA_VM_DONTDUMP;
	const struct {
		int flags;
		unsigned long extra;
	} cases[] = {
		{ ANON, SAMARA_VM_ACCOUNT },
		{ ANON | MAP_NORESERVE, SAMARA_VM_NORESERVE },
		{ ANON | MAP_GROWSDOWN, SAMARA_VM_ACCOUNT | SAMARA_VM_GROWSDOWN },
		{ ANON | MAP_LOCKED, SAMARA_VM_ACCOUNT | SAMARA_VM_LOCKED },
		{ ANON | MAP_STACK, SAMARA_VM_ACCOUNT | SAMARA_VM_NOHUGEPAGE },
		{ ANON | MAP_POPULATE, SAMARA_VM_ACCOUNT },
		{ ANON | MAP_DENYWRITE | MAP_EXECUTABLE, SAMARA_VM_ACCOUNT },
		{ MAP_SHARED | MAP_ANONYMOUS, shared },
		{ DROPPABLE | MAP_ANONYMOUS, droppable },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(map(f, RW, cases[i].flags, NULL, 0), 0);
		assert_int_equal(flags_at(f->mm, 0), usual | cases[i].extra);
	}
	assert_int_equal(map(f, RW, DROPPABLE | MAP_ANONYMOUS | MAP_LOCKED, NULL, 0), -EINVAL);
	assert_int_equal(map(f, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN, NULL, 0), -EINVAL);
	assert_int_equal(map(f, RW, MAP_PRIVATE | MAP_GROWSDOWN, f->file, 0), -EINVAL);
	assert_int_equal(map(f, RW, ANON | MAP_HUGETLB, NULL, 0), -ENOMEM);
	assert_int_equal(map(f, RW, ANON | MAP_HUGETLB | (17 << 26), NULL, 0), -EINVAL);
}

static void pages_of_a_gibibyte_need_a_cpu_that_has_them(void **state)
{
	struct samara_machine_config cfg = SAMARA_MACHINE_CONFIG_INIT;
	const int gibibyte = ANON | MAP_HUGETLB | (30 << 26);
	struct fixture *f = *state, none = { 0 };

	assert_int_equal(map(f, RW, gibibyte, NULL, 0), -ENOMEM);
	cfg.flags = SAMARA_MACHINE_NO_1G_PAGES;
	assert_int_equal(samara_machine_create(&cfg, &none.machine), 0);
	assert_int_equal(samara_mm_create(none.machine, &none.mm), 0);
	assert_int_equal(map(&none, RW, gibibyte, NULL, 0), -EINVAL);
	assert_int_equal(map(&none, RW, ANON | MAP_HUGETLB | (21 << 26), NULL, 0), -ENOMEM);
	samara_mm_exit(none.mm);
	samara_machine_destroy(none.machine);
}

static void an_offset_counts_whole_huge_pages(void **state)
{
	struct fixture *f = *state;
	const int huge = ANON | MAP_HUGETLB;

	assert_int_equal(map(f, RW, huge, NULL, PAGE), -EINVAL);
	assert_int_equal(map(f, RW, huge, NULL, 256 * PAGE), -EINVAL);
	assert_int_equal(map(f, RW, huge, NULL, 512 * PAGE), -ENOMEM);
	assert_int_equal(map(f, RW, huge, NULL, 513 * PAGE), -EINVAL);
}

static void fixed_replaces_what_is_there(void **state)
{
	struct fixture *f = *state;

	for (unsigned long i = 0; i < 10; i++)
		map_pages(f->mm, i * 2, i * 2 + 2, i % 2 ? RW : PROT_READ, 0);
	map_pages(f->mm, 3, 17, PROT_NONE, 0);
	assert_map(f->mm, "0-2 r--p, 2-3 rw-p, 3-17 ---p, 17-18 r--p, 18-20 rw-p");
	/* Into the middle of one, the same and another. */
	map_pages(f->mm, 5, 6, PROT_NONE, 0);
	map_pages(f->mm, 8, 9, RW, 0);
	assert_map(f->mm,
		   "0-2 r--p, 2-3 rw-p, 3-8 ---p, 8-9 rw-p, 9-17 ---p, 17-18 r--p, 18-20 rw-p");
}

static void fixed_over_a_sealed_mapping_is_refused(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 2, 4, RW, 0);
	assert_int_equal(samara_mseal(f->mm, AT(2), 2 * PAGE, 0), 0);
	assert_int_equal(samara_mmap(f->mm, AT(0), 8 * PAGE, RW, ANON | MAP_FIXED, NULL, 0),
			 (unsigned long)-EPERM);
	assert_map(f->mm, "2-4 rw-p");
}

static void dev_zero_is_anonymous_memory_with_a_name(void **state)
{
	struct fixture *f = *state;
	struct samara_vma_info info;
	struct samara_file *zero;
	const int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(samara_file_from_fd(f->machine, fd, &zero), 0);
	close(fd);
	assert_int_equal(map(f, RW, MAP_PRIVATE, zero, 0), 0);
	assert_int_equal(samara_vma_next(f->mm, AT(0), &info), 0);
	assert_string_equal(info.name, "/dev/zero");
	assert_int_equal(samara_madvise(f->mm, AT(0), PAGE, MADV_FREE), 0);
	assert_int_equal(map(f, RW, MAP_SHARED, zero, 0), 0);
	assert_int_equal(samara_vma_next(f->mm, AT(0), &info), 0);
	assert_string_equal(info.name, "/dev/zero (deleted)");
	samara_file_put(zero);
}

static void holes_end_where_files_must(void **state)
{
	struct fixture *f = *state;
	const unsigned long end = 1UL << 63;
	struct samara_file *zero;
	const int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(samara_file_from_fd(f->machine, fd, &zero), 0);
	close(fd);
	assert_int_equal(map(f, RW, MAP_SHARED, zero, end - 2 * PAGE), 0);
	assert_int_equal(samara_madvise(f->mm, AT(0), PAGE, MADV_REMOVE), 0);
	assert_int_equal(map(f, RW, MAP_SHARED, zero, end - PAGE), 0);
	assert_int_equal(samara_madvise(f->mm, AT(0), PAGE, MADV_REMOVE), -EFBIG);
	assert_int_equal(map(f, RW, MAP_SHARED, zero, end), 0);
	assert_int_equal(samara_madvise(f->mm, AT(0), PAGE, MADV_REMOVE), -EINVAL);
	samara_file_put(zero);
}

static void read_implies_exec_where_the_personality_says_so(void **state)
{
	struct fixture *f = *state;
	struct samara_layout layout = SAMARA_LAYOUT_INIT;

	layout.flags = SAMARA_LAYOUT_READ_EXEC;
	assert_int_equal(samara_set_layout(f->mm, &layout), 0);
	map_pages(f->mm, 0, 2, PROT_READ, 0);
	map_pages(f->mm, 4, 6, PROT_NONE, 0);
	assert_int_equal(samara_mprotect(f->mm, AT(4), 2 * PAGE, RW), 0);
	assert_map(f->mm, "0-2 r-xp, 4-6 rwxp");
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(the_type_must_be_one_that_exists),
		test(unknown_flags_matter_to_shared_validate_only),
		test(rights_of_the_file_decide),
		test(memory_that_is_always_in_sync_is_refused_where_it_is_not),
		test(flags_show_in_vmflags),
		test(pages_of_a_gibibyte_need_a_cpu_that_has_them),
		test(an_offset_counts_whole_huge_pages),
		test(fixed_replaces_what_is_there),
		test(fixed_over_a_sealed_mapping_is_refused),
		test(dev_zero_is_anonymous_memory_with_a_name),
		test(holes_end_where_files_must),
		test(read_implies_exec_where_the_personality_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
