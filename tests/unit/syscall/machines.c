/* SPDX-License-Identifier: MIT */
/*
 * Machines beside each other: what is of one is refused by the address spaces of another, and a
 * machine lives as long as anything of it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <samara/access.h>
#include <samara/inject.h>

#include "support/cmocka_all.h"

#include "support/mm_shape.h"

static int no_fault(void *priv, struct samara_vmf *vmf)
{
	(void)priv;
	(void)vmf;
	return -EIO;
}
static const struct samara_file_ops device = { .size = sizeof(device), .fault = no_fault };

#define KINDS 5

/* One of each kind of file. */
static void open_all(struct samara_machine *machine, struct samara_file **files)
{
	const struct samara_file_identity identity = { .size = sizeof(identity), .name = "/a" };
	FILE *f = tmpfile();

	assert_non_null(f);
	assert_int_equal(samara_file_from_fd(machine, fileno(f), &files[0]), 0);
	fclose(f);
	assert_int_equal(samara_file_memfd(machine, "a", PAGE, &files[1]), 0);
	assert_int_equal(samara_file_named(machine, &identity, &files[2]), 0);
	assert_int_equal(samara_file_sysv(machine, 1, 1, PAGE, &files[3]), 0);
	assert_int_equal(samara_file_device(machine, &device, NULL, &files[4]), 0);
}

static void a_file_of_another_machine_is_refused(void **state)
{
	struct fixture *f = *state;
	struct samara_machine *other;
	struct samara_file *files[KINDS];
	char byte;

	assert_int_equal(samara_machine_create(NULL, &other), 0);
	open_all(other, files);
	map_pages(f->mm, 0, 1, RW, 0);
	for (int i = 0; i < KINDS; i++) {
		const struct samara_mapping mapping = {
			.start = AT(8),
			.end = AT(9),
			.prot = RW,
			.flags = MAP_SHARED,
			.file = files[i],
		};
		const struct samara_layout layout = {
			.size = sizeof(layout),
			.special = &mapping,
			.nr_special = 1,
		};

		for (int flags = MAP_SHARED; flags <= MAP_PRIVATE; flags++) {
			assert_int_equal(samara_mmap(f->mm, 0, PAGE, RW, flags, files[i], 0),
					 -EINVAL);
			assert_int_equal(samara_mmap(f->mm, AT(0), PAGE, RW, flags | MAP_FIXED,
						     files[i], 0),
					 -EINVAL);
		}
		assert_int_equal(samara_mm_install(f->mm, &mapping), -EINVAL);
		assert_int_equal(samara_set_layout(f->mm, &layout), -EINVAL);
		/* Without a file none is looked at. */
		assert_int_equal(samara_mmap(f->mm, AT(4), PAGE, RW,
					     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, files[i], 0),
				 AT(4));
		assert_int_equal(samara_munmap(f->mm, AT(4), PAGE), 0);
		samara_file_put(files[i]);
	}
	assert_map(f->mm, "0-1 rw-p");
	assert_int_equal(samara_read(f->mm, AT(0), &byte, 1, NULL), 1);
	samara_machine_destroy(other);
}

static void a_file_works_when_its_machine_was_given_up(void **state)
{
	struct fixture *f = *state;
	const unsigned long live = samara_live_objects();
	struct samara_machine *other;
	struct samara_file *files[KINDS];
	char byte = 7;

	(void)f;
	assert_int_equal(samara_machine_create(NULL, &other), 0);
	open_all(other, files);
	samara_machine_destroy(other);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(samara_file_pwrite(files[i], &byte, 1, 5), 1);
		assert_int_equal(samara_file_pread(files[i], &byte, 1, 5), 1);
		assert_int_equal(byte, 7);
		assert_int_equal(samara_file_set_length(files[i], 2), 0);
	}
	for (int i = 0; i < KINDS; i++)
		samara_file_put(files[i]);
	assert_int_equal(samara_live_objects(), live);
}

/* Pins of two machines in one array, given back at once, the last thing of both. */
static void a_pinned_page_keeps_its_machine(void **state)
{
	const unsigned long live = samara_live_objects();
	struct samara_pin pin[6];

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct samara_machine *machine;
		struct samara_mm *mm;

		assert_int_equal(samara_machine_create(NULL, &machine), 0);
		assert_int_equal(samara_mm_create(machine, &mm), 0);
		map_pages(mm, 0, 3, RW, 0);
		/* The last one is the page of zeros. */
		assert_int_equal(samara_pin_pages(mm, AT(0), 2, SAMARA_PIN_WRITE, &pin[3 * i]), 2);
		assert_int_equal(samara_pin_pages(mm, AT(2), 2, 0, &pin[3 * i + 2]), 1);
		samara_mm_exit(mm);
		samara_machine_destroy(machine);
	}
	for (int i = 0; i < 6; i++)
		if (i % 3 < 2)
			memset(pin[i].host, i, PAGE);
	assert_int_equal(*(unsigned char *)pin[2].host, 0);
	samara_unpin_pages(pin, 1, 1);
	assert_int_equal(*(unsigned char *)pin[1].host, 1);
	samara_unpin_pages(&pin[1], 5, 1);
	assert_int_equal(samara_live_objects(), live);
}

/* Frames are for pages; tables and other memory of the library are not among them. */
static void a_machine_has_as_many_pages_as_it_was_given(void **state)
{
	static const unsigned long sizes[] = { 1,         PAGE,       2 * PAGE, 5 * PAGE + 7,
					       64 * PAGE, 1000 * PAGE };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct samara_machine_config cfg = SAMARA_MACHINE_CONFIG_INIT;
		struct samara_machine *machine;
		struct samara_fault fault;
		unsigned long n = 0;
		struct samara_mm *mm;

		cfg.ram_bytes = sizes[i];
		cfg.overcommit = SAMARA_OVERCOMMIT_ALWAYS;
		assert_int_equal(samara_machine_create(&cfg, &machine), 0);
		assert_int_equal(samara_mm_create(machine, &mm), 0);
		map_pages(mm, 0, 2000, RW, 0);
		while (samara_write(mm, AT(n), "x", 1, &fault) == 1)
			n++;
		assert_int_equal(fault.code, -ENOMEM);
		assert_int_equal(n, sizes[i] < PAGE ? 1 : sizes[i] / PAGE);
		samara_mm_exit(mm);
		samara_machine_destroy(machine);
	}
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_file_of_another_machine_is_refused),
		test(a_file_works_when_its_machine_was_given_up),
		test(a_machine_has_as_many_pages_as_it_was_given),
		test(a_pinned_page_keeps_its_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
