/* SPDX-License-Identifier: MIT */
/* Programs that were compiled with an older or newer header of the library. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include <samara/access.h>
#include <samara/file.h>

#include "support/cmocka_all.h"
#include "support/mem.h"

/* A public struct as a later header may have it. */
#define NEWER(type) \
	struct { \
		type s; \
		long more[2]; \
	}

static void machines_of_older_and_newer_programs(void **state)
{
	NEWER(struct samara_machine_config) newer = { .s.size = sizeof(newer) };
	NEWER(struct samara_geometry) geo = { .s = *samara_geometry_x86_64() };
	struct samara_machine_config older = {
		.size = offsetof(struct samara_machine_config, overcommit),
		.overcommit = (enum samara_overcommit)77, /* behind its end */
	};
	struct samara_machine *machine;

	(void)state;
	assert_int_equal(samara_machine_create(&older, &machine), 0);
	samara_machine_destroy(machine);
	geo.s.size = sizeof(geo);
	newer.s.geometry = &geo.s;
	assert_int_equal(samara_machine_create(&newer.s, &machine), 0);
	samara_machine_destroy(machine);
	geo.more[1] = 1;
	assert_int_equal(samara_machine_create(&newer.s, &machine), -E2BIG);
	assert_int_equal(samara_geometry_check(&geo.s), -E2BIG);
	geo.more[1] = 0;
	newer.more[0] = 1;
	assert_int_equal(samara_machine_create(&newer.s, &machine), -E2BIG);
	newer.s.size = 0;
	assert_int_equal(samara_machine_create(&newer.s, &machine), -EINVAL);
}

static int show_nothing(void *priv, struct samara_vmf *vmf)
{
	return priv == vmf ? 0 : -EFAULT;
}

static void a_driver_without_the_later_operations(void **state)
{
	struct samara_file_ops older = {
		.size = offsetof(struct samara_file_ops, fault) + sizeof(older.fault),
		.fault = show_nothing,
	};
	NEWER(struct samara_file_ops) newer = { .s.size = sizeof(newer), .more = { 1 } };
	struct samara_machine *machine;
	struct samara_fault fault;
	struct samara_file *file;
	struct samara_mm *mm;
	unsigned long addr;
	char byte;

	(void)state;
	assert_int_equal(samara_machine_create(NULL, &machine), 0);
	assert_int_equal(samara_mm_create(machine, &mm), 0);
	assert_int_equal(samara_file_device(machine, &newer.s, NULL, &file), -E2BIG);
	/* Behind its end there may be anything. */
	older.release = (void (*)(void *))1;
	assert_int_equal(samara_file_device(machine, &older, NULL, &file), 0);
	memset(&older, 0xff, sizeof(older)); /* it was copied */
	addr = samara_mmap(mm, 0, MEM_PAGE, PROT_READ, MAP_SHARED, file, 0);
	assert_false(SAMARA_IS_ERR_VALUE(addr));
	assert_int_equal(samara_read(mm, addr, &byte, 1, &fault), 0);
	assert_int_equal(fault.signo, SIGBUS);
	samara_mm_exit(mm);
	samara_file_put(file);
	samara_machine_destroy(machine);
}

static void totals_for_older_and_newer_programs(void **state)
{
	struct samara_mm_stats older = {
		.size = offsetof(struct samara_mm_stats, locked_vm),
		.locked_vm = 77,
	};
	NEWER(struct samara_mm_memory) newer = { .s.size = sizeof(newer), .more = { 5, 5 } };
	struct samara_machine *machine;
	struct samara_mm *mm;
	unsigned long addr;

	(void)state;
	assert_int_equal(samara_machine_create(NULL, &machine), 0);
	assert_int_equal(samara_mm_create(machine, &mm), 0);
	addr = samara_mmap(mm, 0, 3 * MEM_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   NULL, 0);
	assert_int_equal(samara_write(mm, addr, "x", 1, NULL), 1);
	assert_int_equal(samara_mm_stats(mm, &older), 0);
	assert_int_equal(older.total_vm, 3);
	assert_int_equal(older.locked_vm, 77);
	assert_int_equal(samara_mm_memory(mm, &newer.s), 0);
	assert_int_equal(newer.s.rss_anon, 1);
	assert_int_equal(newer.more[0] | newer.more[1], 0);
	older.size = 0;
	assert_int_equal(samara_mm_stats(mm, &older), -EINVAL);
	samara_mm_exit(mm);
	samara_machine_destroy(machine);
}

/* Callers of these two never had to set a size: what stands there is not taken for one. */
static void layouts_and_identities_need_no_size(void **state)
{
	struct samara_file_identity identity;
	struct samara_machine *machine;
	struct samara_layout layout;
	struct samara_file *file;
	struct samara_mm *mm;

	(void)state;
	assert_int_equal(samara_machine_create(NULL, &machine), 0);
	assert_int_equal(samara_mm_create(machine, &mm), 0);
	assert_int_equal(samara_file_memfd(machine, "a", MEM_PAGE, &file), 0);
	memset(&layout, 0xa5, sizeof(layout));
	assert_int_equal(samara_get_layout(mm, &layout), 0);
	assert_int_equal(layout.size, sizeof(layout));
	assert_true(layout.mmap_base);
	assert_null(layout.special);
	assert_int_equal(layout.nr_special, 0);
	memset(&identity, 0xa5, sizeof(identity));
	samara_file_identify(file, &identity);
	assert_int_equal(identity.size, sizeof(identity));
	assert_string_equal(identity.name, "/memfd:a (deleted)");
	assert_int_equal(identity.length, MEM_PAGE);
	samara_file_put(file);
	samara_mm_exit(mm);
	samara_machine_destroy(machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(machines_of_older_and_newer_programs),
		cmocka_unit_test(a_driver_without_the_later_operations),
		cmocka_unit_test(totals_for_older_and_newer_programs),
		cmocka_unit_test(layouts_and_identities_need_no_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
