/* SPDX-License-Identifier: MIT */
/*
 * Userfaultfds: the handshake, and which memory can be registered. The answers are those that
 * tools/uffd_facts got of Linux 6.18.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <samara/inject.h>
#include <samara/uffd.h>

#include "support/cmocka_all.h"

#include "support/mm_shape.h"

#define DROPPABLE 0x08 /* MAP_DROPPABLE, which older headers lack */
#define MISSING UFFDIO_REGISTER_MODE_MISSING
#define WP UFFDIO_REGISTER_MODE_WP
#define MINOR UFFDIO_REGISTER_MODE_MINOR
#define UFFD_FLAGS (SAMARA_VM_UFFD_MISSING | SAMARA_VM_UFFD_WP | SAMARA_VM_UFFD_MINOR)

static struct samara_uffd *open_with(struct samara_mm *mm, unsigned long long features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	struct samara_uffd *uffd;

	assert_int_equal(samara_uffd_create(mm, O_NONBLOCK, &uffd), 0);
	assert_int_equal(samara_uffd_ioctl(uffd, UFFDIO_API, &api), 0);
	return uffd;
}

static int do_register(struct samara_uffd *uffd, unsigned long from, unsigned long to,
		       unsigned long long mode, unsigned long long *ioctls)
{
	struct uffdio_register reg = {
		.range = { .start = AT(from), .len = (to - from) * PAGE },
		.mode = mode,
		.ioctls = 99,
	};
	const int err = samara_uffd_ioctl(uffd, UFFDIO_REGISTER, &reg);

	if (ioctls)
		*ioctls = reg.ioctls;
	return err;
}

static int do_unregister(struct samara_uffd *uffd, unsigned long from, unsigned long to)
{
	struct uffdio_range range = { .start = AT(from), .len = (to - from) * PAGE };

	return samara_uffd_ioctl(uffd, UFFDIO_UNREGISTER, &range);
}

static void assert_flags(struct samara_mm *mm, unsigned long n, const char *letters)
{
	char text[64];

	assert_true(samara_vm_flags_text(flags_at(mm, n) & UFFD_FLAGS, text, sizeof(text)) >= 0);
	assert_string_equal(text, letters);
}

static void nothing_works_before_the_handshake(void **state)
{
	struct fixture *f = *state;
	struct uffdio_range range = { AT(0), PAGE };
	struct samara_uffd *uffd;

	map_pages(f->mm, 0, 4, RW, 0);
	assert_int_equal(samara_uffd_create(f->mm, 1 << 30, &uffd), -EINVAL);
	assert_int_equal(samara_uffd_create(f->mm, 0, &uffd), 0);
	assert_int_equal(samara_uffd_ioctl(uffd, UFFDIO_UNREGISTER, &range), -EINVAL);
	assert_int_equal(do_register(uffd, 0, 1, MISSING, NULL), -EINVAL);
	assert_int_equal(samara_uffd_ioctl(uffd, UFFDIO_API, NULL), -EFAULT);
	samara_uffd_put(uffd);
}

static void a_handshake_that_is_refused_clears_what_it_was_given(void **state)
{
	static const struct uffdio_api wrong[] = {
		{ .api = 1 },
		{ .api = UFFD_API, .features = 1ULL << 40 },
		{ .api = UFFD_API, .features = UFFD_FEATURE_MISSING_HUGETLBFS },
	};
	struct fixture *f = *state;
	struct uffdio_api api;
	struct samara_uffd *uffd;

	assert_int_equal(samara_uffd_create(f->mm, 0, &uffd), 0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		api = wrong[i];
		api.ioctls = 99;
		assert_int_equal(samara_uffd_ioctl(uffd, UFFDIO_API, &api), -EINVAL);
		assert_true(!api.api && !api.features && !api.ioctls);
	}
	api = (struct uffdio_api){ .api = UFFD_API };
	assert_int_equal(samara_uffd_ioctl(uffd, UFFDIO_API, &api), 0);
	/* All but those of hugetlb pages, also where none was asked for. */
	assert_int_equal(api.features, 0x1ffff & ~(UFFD_FEATURE_MISSING_HUGETLBFS |
						   UFFD_FEATURE_MINOR_HUGETLBFS));
	assert_int_equal(api.ioctls, 0x8000000000000003);
	assert_int_equal(samara_uffd_ioctl(uffd, UFFDIO_API, &api), -EINVAL);
	assert_int_equal(samara_uffd_ioctl(uffd, 0x12345, &api), -EINVAL);
	assert_int_equal(samara_uffd_ioctl(uffd, UFFDIO_REGISTER, NULL), -EFAULT);
	samara_uffd_put(uffd);
}

static void each_kind_of_memory_has_its_modes(void **state)
{
	struct fixture *f = *state;
	struct samara_uffd *uffd = open_with(f->mm, 0);
	unsigned long long ioctls;

	map_pages(f->mm, 0, 2, RW, 0);
	map_pages(f->mm, 4, 6, RW, MAP_SHARED);
	map_file(f, 8, 10, RW, MAP_PRIVATE, 0);
	for (unsigned long long mode = 1; mode <= (MISSING | WP | MINOR); mode++) {
		const unsigned long long works =
			0x13c | (mode & WP ? 0x40 : 0) | (mode & MINOR ? 0x80 : 0);

		assert_int_equal(do_register(uffd, 0, 2, mode, &ioctls),
				 mode & MINOR ? -EINVAL : 0);
		assert_int_equal(ioctls, mode & MINOR ? 99 : works);
		assert_int_equal(do_register(uffd, 4, 6, mode, &ioctls), 0);
		assert_int_equal(ioctls, works);
		assert_int_equal(do_register(uffd, 8, 10, mode, &ioctls), 0);
		assert_int_equal(ioctls, works);
		assert_int_equal(do_unregister(uffd, 0, 10), 0);
	}
	assert_map(f->mm, "0-2 rw-p, 4-6 rw-s @0, 8-10 rw-p @0");
	samara_uffd_put(uffd);
}

static void bad_ranges_and_modes_are_refused(void **state)
{
	struct fixture *f = *state;
	struct samara_uffd *uffd = open_with(f->mm, 0);
	struct {
		unsigned long long start, len, mode;
	} bad[] = {
		{ AT(0), PAGE, 0 },
		{ AT(0), PAGE, 1 << 5 },
		{ AT(0), 0, MISSING },
		{ AT(0) + 1, PAGE, MISSING },
		{ AT(0), PAGE + 1, MISSING },
		{ AT(0), -PAGE, MISSING },
		{ -PAGE, 2 * PAGE, MISSING },
		{ 1UL << 62, PAGE, MISSING },
		{ AT(0), 1UL << 62, MISSING },
		{ AT(100), PAGE, MISSING }, /* nothing mapped */
	};

	map_pages(f->mm, 0, 4, RW, 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct uffdio_register reg = { { bad[i].start, bad[i].len }, bad[i].mode, 99 };

		assert_int_equal(samara_uffd_ioctl(uffd, UFFDIO_REGISTER, &reg), -EINVAL);
		assert_int_equal(reg.ioctls, 99);
		if (bad[i].mode == MISSING)
			assert_int_equal(samara_uffd_ioctl(uffd, UFFDIO_UNREGISTER, &reg.range),
					 -EINVAL);
	}
	assert_map(f->mm, "0-4 rw-p");
	samara_uffd_put(uffd);
}

static void registered_parts_stay_apart_and_equal_ones_merge(void **state)
{
	struct fixture *f = *state;
	struct samara_uffd *one = open_with(f->mm, 0), *two = open_with(f->mm, 0);

	map_pages(f->mm, 0, 8, RW, 0);
	assert_int_equal(do_register(one, 2, 4, MISSING, NULL), 0);
	assert_map(f->mm, "0-2 rw-p, 2-4 rw-p, 4-8 rw-p");
	assert_int_equal(do_register(one, 4, 6, MISSING, NULL), 0);
	assert_map(f->mm, "0-2 rw-p, 2-6 rw-p, 6-8 rw-p");
	assert_int_equal(do_register(two, 6, 8, MISSING, NULL), 0);
	assert_map(f->mm, "0-2 rw-p, 2-6 rw-p, 6-8 rw-p");
	assert_int_equal(do_register(two, 5, 6, MISSING, NULL), -EBUSY);
	assert_int_equal(do_register(two, 0, 8, MISSING, NULL), -EBUSY);
	assert_int_equal(do_unregister(two, 2, 4), -EINVAL);
	/* New memory beside it is not registered. */
	map_pages(f->mm, 8, 10, RW, 0);
	assert_map(f->mm, "0-2 rw-p, 2-6 rw-p, 6-8 rw-p, 8-10 rw-p");
	assert_flags(f->mm, 8, "");
	samara_uffd_put(two);
	assert_map(f->mm, "0-2 rw-p, 2-6 rw-p, 6-10 rw-p");
	samara_uffd_put(one);
	assert_map(f->mm, "0-10 rw-p");
}

static void modes_are_replaced_unless_they_contain_the_new_ones(void **state)
{
	struct fixture *f = *state;
	struct samara_uffd *uffd = open_with(f->mm, 0);

	map_pages(f->mm, 0, 2, RW, 0);
	assert_int_equal(do_register(uffd, 0, 2, MISSING | WP, NULL), 0);
	assert_flags(f->mm, 0, "um uw ");
	assert_int_equal(do_register(uffd, 0, 2, WP, NULL), 0);
	assert_flags(f->mm, 0, "um uw ");
	assert_int_equal(do_unregister(uffd, 0, 2), 0);
	assert_int_equal(do_register(uffd, 0, 2, MISSING, NULL), 0);
	assert_int_equal(do_register(uffd, 0, 2, WP, NULL), 0);
	assert_flags(f->mm, 0, "uw ");
	samara_uffd_put(uffd);
}

static void holes_are_passed_by_where_something_is_mapped(void **state)
{
	struct fixture *f = *state;
	struct samara_uffd *uffd = open_with(f->mm, 0);

	map_pages(f->mm, 2, 4, RW, 0);
	map_pages(f->mm, 6, 8, PROT_NONE, 0);
	assert_int_equal(do_register(uffd, 0, 10, MISSING, NULL), 0);
	assert_flags(f->mm, 2, "um ");
	assert_flags(f->mm, 6, "um ");
	assert_int_equal(do_unregister(uffd, 0, 10), 0);
	assert_flags(f->mm, 2, "");
	assert_int_equal(do_unregister(uffd, 0, 2), -EINVAL);
	samara_uffd_put(uffd);
}

static void one_that_cannot_keeps_all_as_they_were(void **state)
{
	struct fixture *f = *state;
	struct samara_uffd *uffd = open_with(f->mm, 0);

	map_pages(f->mm, 0, 2, RW, 0);
	assert_int_equal(samara_mmap(f->mm, AT(2), 2 * PAGE, RW,
				     DROPPABLE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0),
			 AT(2));
	assert_int_equal(do_register(uffd, 0, 4, MISSING, NULL), -EINVAL);
	assert_flags(f->mm, 0, "");
	samara_uffd_put(uffd);
}

static void asynchronous_protection_alone_works_on_all_memory(void **state)
{
	struct fixture *f = *state;
	struct samara_uffd *uffd = open_with(f->mm, UFFD_FEATURE_WP_ASYNC);
	const int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct samara_file *file;

	assert_int_equal(samara_file_from_fd(f->machine, fd, &file), 0);
	close(fd);
	assert_int_equal(samara_mmap(f->mm, AT(0), 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED,
				     file, 0),
			 AT(0));
	samara_file_put(file);
	assert_int_equal(do_register(uffd, 0, 2, MISSING | WP, NULL), -EINVAL);
	assert_int_equal(do_register(uffd, 0, 2, WP, NULL), 0);
	assert_flags(f->mm, 0, "uw ");
	assert_int_equal(do_unregister(uffd, 0, 2), 0);
	samara_uffd_put(uffd);
}

static void a_forked_child_and_a_copy_in_place_are_as_linux_has_them(void **state)
{
	struct fixture *f = *state;
	struct samara_uffd *uffd = open_with(f->mm, 0);
	struct samara_mm *child;

	map_pages(f->mm, 0, 4, RW, 0);
	assert_int_equal(do_register(uffd, 0, 4, MISSING, NULL), 0);
	assert_int_equal(samara_fork(f->mm, &child), 0);
	assert_flags(child, 0, "");
	samara_mm_exit(child);
	assert_flags(f->mm, 0, "um ");
	samara_uffd_put(uffd);
	assert_flags(f->mm, 0, "");
}

static void an_ended_address_space_is_told_apart(void **state)
{
	struct fixture *f = *state;
	struct uffdio_range range = { AT(0), PAGE };
	struct samara_uffd *uffd;
	struct samara_mm *mm;

	assert_int_equal(samara_mm_create(f->machine, &mm), 0);
	map_pages(mm, 0, 4, RW, 0);
	uffd = open_with(mm, 0);
	assert_int_equal(do_register(uffd, 0, 4, MISSING, NULL), 0);
	samara_mm_exit(mm);
	assert_int_equal(do_register(uffd, 0, 4, MISSING, NULL), -ENOMEM);
	assert_int_equal(samara_uffd_ioctl(uffd, UFFDIO_UNREGISTER, &range), -ENOMEM);
	samara_uffd_put(uffd);
}

/* Refused memory: the answer is -ENOMEM, earlier VMAs stay registered, and close cleans up. */
static void refused_memory_leaves_a_whole_map(void **state)
{
	struct fixture *f = *state;
	int err = -ENOMEM;

	for (unsigned long nth = 1; err; nth++) {
		struct samara_uffd *uffd = open_with(f->mm, 0);

		map_pages(f->mm, 0, 8, RW, 0);
		map_pages(f->mm, 8, 12, PROT_READ, 0);
		samara_inject_nth(nth);
		err = do_register(uffd, 2, 10, MISSING, NULL);
		samara_inject_nth(0);
		assert_true(!err || err == -ENOMEM);
		samara_inject_from(1);
		samara_uffd_put(uffd);
		samara_inject_nth(0);
		for (unsigned long n = 0; n < 12; n++)
			assert_flags(f->mm, n, "");
		assert_int_equal(samara_munmap(f->mm, AT(0), 12 * PAGE), 0);
		assert_map(f->mm, "");
	}
}

#define T(test) cmocka_unit_test_setup_teardown(test, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(nothing_works_before_the_handshake),
		T(a_handshake_that_is_refused_clears_what_it_was_given),
		T(each_kind_of_memory_has_its_modes),
		T(bad_ranges_and_modes_are_refused),
		T(registered_parts_stay_apart_and_equal_ones_merge),
		T(modes_are_replaced_unless_they_contain_the_new_ones),
		T(holes_are_passed_by_where_something_is_mapped),
		T(one_that_cannot_keeps_all_as_they_were),
		T(asynchronous_protection_alone_works_on_all_memory),
		T(a_forked_child_and_a_copy_in_place_are_as_linux_has_them),
		T(an_ended_address_space_is_told_apart),
		T(refused_memory_leaves_a_whole_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
