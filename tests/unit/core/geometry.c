/* SPDX-License-Identifier: MIT */
/*
 * Geometries, and where addresses begin.
 */
#include <errno.h>

#include "support/cmocka_all.h"

#include <samara/mm.h>

#include "core/mm.h"

static void known_geometries_are_possible(void **state)
{
	(void)state;
	assert_int_equal(samara_geometry_check(samara_geometry_x86_64()), 0);
	assert_int_equal(samara_geometry_check(samara_geometry_x86_64_la57()), 0);
}

static void impossible_geometries_are_refused(void **state)
{
	const struct samara_geometry good = *samara_geometry_x86_64();
	struct samara_geometry bad[] = {
		good, good, good, good, good, good, good, good, good, good, good, good
	};
	struct samara_machine_config cfg = SAMARA_MACHINE_CONFIG_INIT;
	struct samara_machine *machine;

	(void)state;
	bad[0].size = 8;
	bad[1].page_shift = 3;
	bad[2].task_size += 1;
	bad[3].map_window = good.task_size + 4096;
	bad[4].low_end = 0;
	bad[5].gate_start = 4096;
	bad[6].table_ceiling = good.task_size - 4096;
	bad[7].level_bits = 10;
	bad[8].level_bits = 0;
	bad[9].levels = 7; /* of so few bits that an address has room for them */
	bad[9].level_bits = 7;
	bad[10].levels = 6; /* 66 bits of address */
	bad[11].levels = 3; /* too few for the task size */
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(samara_geometry_check(&bad[i]), -EINVAL);
		cfg.geometry = &bad[i];
		assert_int_equal(samara_machine_create(&cfg, &machine), -EINVAL);
	}
}

/* All of it on borders of 128 KiB, so that any page size will do. */
static struct samara_geometry round_geometry(void)
{
	struct samara_geometry geo = *samara_geometry_x86_64();

	geo.task_size = geo.map_window = geo.gate_start = 1UL << 46;
	geo.gate_end = geo.gate_start + (1UL << 20);
	geo.map_min_addr = geo.stack_gap = geo.low_start = 1UL << 20;
	geo.low_end = 1UL << 31;
	return geo;
}

#define EXPECT(err, ...) \
	do { \
		struct samara_geometry g = round_geometry(); \
		__VA_ARGS__; \
		assert_int_equal(samara_geometry_check(&g), err); \
	} while (0)
#define GOOD(...) EXPECT(0, __VA_ARGS__)
#define BAD(...) EXPECT(-EINVAL, __VA_ARGS__)

static void a_geometry_may_have_this_shape_and_no_other(void **state)
{
	(void)state;
	GOOD();
	BAD(g.page_shift = 11);
	GOOD(g.page_shift = 12);
	GOOD(g.page_shift = 16);
	BAD(g.page_shift = 17);
	BAD(g.huge_shift = 12);
	GOOD(g.huge_shift = 13);
	GOOD(g.huge_shift = 40);
	BAD(g.huge_shift = 41);
	/* The top table's last address is the last that there may be. */
	GOOD(g.levels = 1, g.level_bits = 9, g.page_shift = 15, g.low_end = g.low_start,
	     g.task_size = g.map_window = 1UL << 24);
	GOOD(g.levels = 6, g.level_bits = 6, g.task_size = 1UL << 48, g.gate_start = 0,
	     g.gate_end = 0);
	BAD(g.levels = 6, g.level_bits = 6, g.task_size = (1UL << 48) + 4096, g.gate_start = 0,
	    g.gate_end = 0);
	GOOD(g.levels = 6, g.level_bits = 1, g.task_size = g.map_window = 1UL << 18,
	     g.map_min_addr = 4096, g.low_end = g.low_start = 0);
	BAD(g.levels = 7, g.level_bits = 5);
	BAD(g.levels = 0);
	BAD(g.level_bits = 0);
	BAD(g.level_bits = 10);
	/* 63 bits of address, and 64. */
	GOOD(g.page_shift = 15, g.levels = 6, g.level_bits = 8, g.gate_start = 0, g.gate_end = 0,
	     g.task_size = 1UL << 63);
	BAD(g.page_shift = 16, g.levels = 6, g.level_bits = 8);
}

static void parts_of_a_geometry_lie_inside_each_other(void **state)
{
	const unsigned long page = 4096;

	(void)state;
	BAD(g.task_size = g.map_window = g.map_min_addr = g.low_start = g.low_end = 0);
	BAD(g.map_window += page);
	GOOD(g.map_window -= page);
	GOOD(g.map_min_addr = g.map_window - page);
	BAD(g.map_min_addr = g.map_window);
	GOOD(g.first_user_addr = g.map_min_addr);
	BAD(g.first_user_addr = g.map_min_addr + page);
	GOOD(g.low_start = g.low_end);
	BAD(g.low_start = g.low_end + page);
	GOOD(g.low_end = g.task_size);
	BAD(g.low_end = g.task_size + page);
	GOOD(g.table_ceiling = 0);
	GOOD(g.table_ceiling = g.task_size);
	GOOD(g.table_ceiling = g.task_size + page);
	BAD(g.table_ceiling = g.task_size - page);
	GOOD(g.gate_start = g.gate_end = 0);
	GOOD(g.gate_start = g.gate_end = page);
	BAD(g.gate_start -= page);
	GOOD(g.gate_end = g.gate_start + page);
	BAD(g.gate_end = g.gate_start - page);
}

static void each_address_of_a_geometry_is_on_a_page(void **state)
{
	(void)state;
	BAD(g.task_size++);
	BAD(g.map_window--);
	BAD(g.map_min_addr++);
	BAD(g.first_user_addr = 1);
	BAD(g.table_ceiling = g.task_size + 1);
	BAD(g.stack_gap++);
	BAD(g.low_start++);
	BAD(g.low_end++);
	BAD(g.gate_start++);
	BAD(g.gate_end++);
	/* On pages of the smallest size, but not of its own. */
	GOOD(g.page_shift = 14, g.map_min_addr = 1 << 14);
	BAD(g.page_shift = 14, g.map_min_addr = 1 << 13);
}

static void the_base_leaves_room_for_the_stack(void **state)
{
	const struct samara_geometry *geo = samara_geometry_x86_64();

	(void)state;
	/* As /proc/PID/maps shows without randomisation. */
	assert_int_equal(samara_mmap_base(geo, 8UL << 20, 0), 0x7ffff7fff000);
	assert_int_equal(samara_mmap_base(geo, 1UL << 30, 0), 0x7fffbfeff000);
	assert_int_equal(samara_mmap_base(geo, ~0UL, 0), 0x155555556000);
}

/* With randomisation the stack may begin 16 GiB lower, so that gap is left too. */
static void the_base_leaves_room_for_a_stack_that_is_moved(void **state)
{
	const struct samara_geometry *geo = samara_geometry_x86_64();
	const unsigned long gib = 1UL << 30, moved = 0x3fffff000, guard = 1UL << 20;

	(void)state;
	assert_int_equal(samara_mmap_base(geo, 8UL << 20, gib),
			 0x7ffffffff000 - (8UL << 20) - guard - moved - gib);
	assert_int_equal(samara_mmap_base(geo, gib, gib),
			 0x7ffffffff000 - gib - guard - moved - gib);
}

/* Linux for i386 has 3 GiB, less 128 MiB and the random part; smaller spaces keep a sixth. */
static void the_base_of_small_spaces_lies_inside_them(void **state)
{
	struct samara_geometry geo = *samara_geometry_x86_64();
	const unsigned long mib = 1UL << 20;

	(void)state;
	geo.task_size = geo.map_window = 3UL << 30;
	assert_int_equal(samara_mmap_base(&geo, 8 * mib, 0), 0xb8000000);
	assert_int_equal(samara_mmap_base(&geo, 8 * mib, mib), 0xb7f00000);
	assert_int_equal(samara_mmap_base(&geo, ~0UL, mib), 0x1ff00000);
	for (unsigned int shift = 20; shift < 47; shift++) {
		geo.task_size = geo.map_window = 1UL << shift;
		for (unsigned int rnd = 12; rnd < 60; rnd++) {
			const unsigned long base = samara_mmap_base(&geo, 8 * mib, 1UL << rnd);

			assert_true(base >= geo.map_min_addr && base < geo.map_window);
			assert_int_equal(base % 4096, 0);
		}
	}
}

/* As getrlimit(2) tells in a shell of Debian's, but for what the machine's size decides. */
static void check_limits(const struct samara_mm *mm)
{
	for (int i = 0; i < MM_RLIMITS; i++) {
		const unsigned long most = i == MM_RLIMIT_MEMLOCK ? 8UL << 20 : ~0UL;

		assert_int_equal(mm->limits.rlim[i], i == MM_RLIMIT_STACK ? 8UL << 20 : most);
		assert_int_equal(mm->limits.rlim_max[i], most);
	}
}

/* The legacy layout begins at a third of the space, rounded up to a page. */
static void a_new_mm_has_the_layout_of_its_geometry(void **state)
{
	struct samara_geometry geo[] = { *samara_geometry_x86_64(), *samara_geometry_x86_64(),
					 *samara_geometry_x86_64_la57() };
	static const unsigned long third[] = { 0x2aaaaaaab000, 0x40000000, 0x2aaaaaaab000 };
	struct samara_machine_config cfg = SAMARA_MACHINE_CONFIG_INIT;

	(void)state;
	geo[1].task_size = geo[1].map_window = 3UL << 30;
	geo[1].gate_start = geo[1].gate_end = 0;
	for (size_t i = 0; i < sizeof(geo) / sizeof(geo[0]); i++) {
		struct samara_machine *machine;
		struct samara_layout layout;
		struct samara_mm *mm;

		cfg.geometry = &geo[i];
		assert_int_equal(samara_machine_create(&cfg, &machine), 0);
		assert_int_equal(samara_mm_create(machine, &mm), 0);
		assert_int_equal(samara_get_layout(mm, &layout), 0);
		assert_int_equal(layout.task_size, geo[i].task_size);
		assert_int_equal(layout.mmap_base, samara_mmap_base(&geo[i], 8UL << 20, 0));
		assert_int_equal(layout.legacy_base, third[i]);
		check_limits(mm);
		samara_mm_exit(mm);
		samara_machine_destroy(machine);
	}
}

static void another_page_size_works_throughout(void **state)
{
	struct samara_geometry geo = *samara_geometry_x86_64();
	struct samara_machine_config cfg = SAMARA_MACHINE_CONFIG_INIT;
	struct samara_machine *machine;
	struct samara_mm *mm;
	unsigned long addr;

	(void)state;
	geo.page_shift = 14;
	geo.huge_shift = 25;
	geo.task_size = geo.map_window = 1UL << 46;
	geo.gate_start = geo.gate_end = 0;
	cfg.geometry = &geo;
	assert_int_equal(samara_machine_create(&cfg, &machine), 0);
	assert_int_equal(samara_mm_create(machine, &mm), 0);
	addr = samara_mmap(mm, 0, 1, 3, 0x22, NULL, 0);
	assert_int_equal(addr % (1 << 14), 0);
	assert_int_equal(samara_munmap(mm, addr + 4096, 4096), -EINVAL);
	assert_int_equal(samara_munmap(mm, addr, 4096), 0);
	samara_mm_exit(mm);
	samara_machine_destroy(machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_geometries_are_possible),
		cmocka_unit_test(impossible_geometries_are_refused),
		cmocka_unit_test(a_geometry_may_have_this_shape_and_no_other),
		cmocka_unit_test(parts_of_a_geometry_lie_inside_each_other),
		cmocka_unit_test(each_address_of_a_geometry_is_on_a_page),
		cmocka_unit_test(the_base_leaves_room_for_the_stack),
		cmocka_unit_test(the_base_leaves_room_for_a_stack_that_is_moved),
		cmocka_unit_test(the_base_of_small_spaces_lies_inside_them),
		cmocka_unit_test(a_new_mm_has_the_layout_of_its_geometry),
		cmocka_unit_test(another_page_size_works_throughout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
