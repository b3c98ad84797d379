/* SPDX-License-Identifier: MIT */
/*
 * The descriptor of a RAM's memfd: when there is one, and what lies behind it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "support/forked.h"

static int descriptor_of_next_open(void)
{
	const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_int_equal(close(fd), 0);
	return fd;
}

/* The first user who has no rights. */
#define NOBODY 65534

/* A descriptor costs one from the first question on, where the host opens the memfd again. */
static void a_descriptor_is_there_once_it_is_asked_for(void **state)
{
	const int before = descriptor_of_next_open();
	struct ram *ram = ram_of(64);
	int fd;

	(void)state;
	if (!geteuid())
		assert_int_equal(descriptor_of_next_open(), before);
	fd = ram_fd(ram);
	assert_int_equal(fd, before);
	assert_int_equal(ram_fd(ram), fd);
	assert_true(descriptor_of_next_open() != before);
	ram_destroy(ram);
	assert_int_equal(descriptor_of_next_open(), before);
}

/* Without rights it is kept, as long as descriptors are many. */
static void use_rams_without_rights(void *arg)
{
	const struct rlimit few = { 16, 16 };
	struct ram *first, *second;
	struct stat st;

	(void)arg;
	if (!geteuid() && setuid(NOBODY))
		_exit(1);
	first = ram_of(64);
	if (ram_fd(first) < 0 || fstat(ram_fd(first), &st) || st.st_size != 64 * PAGE)
		_exit(2);
	if (setrlimit(RLIMIT_NOFILE, &few))
		_exit(3);
	second = ram_of(64);
	if (ram_fd(second) != -EMFILE)
		_exit(4);
	ram_destroy(second);
	ram_destroy(first);
	_exit(0);
}

static void without_rights_a_descriptor_is_kept(void **state)
{
	struct forked child;

	(void)state;
	run_forked(use_rams_without_rights, NULL, &child);
	assert_int_equal(child.signal, 0);
	assert_int_equal(child.status, 0);
}

/* A child closes what is kept, but for what was asked for. */
static void look_in_child(void *arg)
{
	const int *fd = arg;
	struct stat st;

	_exit(fstat(*fd, &st) ? 1 : 2);
}

static void a_child_has_the_descriptor_that_was_asked_for(void **state)
{
	struct ram *ram = ram_of(64);
	struct forked child;
	int fd = ram_fd(ram);

	(void)state;
	ram->fd_given = false; /* as one that was kept */
	run_forked(look_in_child, &fd, &child);
	assert_int_equal(child.status, 1);
	assert_int_equal(ram_fd(ram), fd);
	run_forked(look_in_child, &fd, &child);
	assert_int_equal(child.status, 2);
	ram_destroy(ram);
}

static void the_memfd_holds_the_frames(void **state)
{
	const int before = descriptor_of_next_open();
	const struct ram_config config = {
		.bytes = 64 * PAGE,
		.page_shift = 12,
	};
	struct folio *folio;
	struct ram *ram;
	char *other;

	assert_int_equal(ram_create(&config, &ram), 0);
	assert_true(ram_fd(ram) >= 0);
	folio = must_alloc(ram, 0, FOLIO_ZEROED);
	other = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, ram_fd(ram),
		     (off_t)(folio_pfn(ram, folio) * PAGE));
	assert_ptr_not_equal(other, MAP_FAILED);
	strncpy(folio_virt(ram, folio), "from inside", PAGE);
	assert_string_equal(other, "from inside");
	other[0] = 'F';
	assert_string_equal(folio_virt(ram, folio), "From inside");
	munmap(other, PAGE);
	folio_put(ram, folio);
	ram_destroy(ram);
	assert_int_equal(descriptor_of_next_open(), before); /* the memfd is closed */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_descriptor_is_there_once_it_is_asked_for),
		cmocka_unit_test(without_rights_a_descriptor_is_kept),
		cmocka_unit_test(a_child_has_the_descriptor_that_was_asked_for),
		cmocka_unit_test(the_memfd_holds_the_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
