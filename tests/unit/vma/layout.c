/* SPDX-License-Identifier: MIT */
/*
 * Addresses that the kernel chooses.
 */
#include <errno.h>

#include "support/cmocka_all.h"

#include "support/mm_shape.h"

#define TOP 0x7ffff7fff000UL /* mmap_base without randomisation, 8 MiB of stack */
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define HUGE (2UL << 20)

static unsigned long map(struct samara_mm *mm, unsigned long hint, unsigned long len, int flags)
{
	return samara_mmap(mm, hint, len, RW, flags, NULL, 0);
}

static void addresses_go_down_from_the_base(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(map(f->mm, 0, 2 * PAGE, ANON), TOP - 2 * PAGE);
	assert_int_equal(map(f->mm, 0, 3 * PAGE, ANON), TOP - 5 * PAGE);
	assert_int_equal(samara_munmap(f->mm, TOP - 2 * PAGE, PAGE), 0);
	/* The highest gap that is large enough. */
	assert_int_equal(map(f->mm, 0, 2 * PAGE, ANON), TOP - 7 * PAGE);
	assert_int_equal(map(f->mm, 0, PAGE, ANON), TOP - 2 * PAGE);
}

static void a_free_hint_is_taken_and_a_taken_one_is_not(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(map(f->mm, AT(3) + 5, PAGE, ANON), AT(3));
	assert_int_equal(map(f->mm, AT(2), 2 * PAGE, ANON), TOP - 2 * PAGE);
	/* Too low a hint is raised to the lowest address. */
	assert_int_equal(map(f->mm, PAGE, PAGE, ANON), 65536);
}

static void noreplace_is_not_a_hint(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 2, RW, 0);
	assert_int_equal(map(f->mm, AT(1), PAGE, ANON | MAP_FIXED_NOREPLACE),
			 (unsigned long)-EEXIST);
	assert_int_equal(map(f->mm, AT(2), PAGE, ANON | MAP_FIXED_NOREPLACE), AT(2));
	assert_int_equal(map(f->mm, AT(4) + 1, PAGE, ANON | MAP_FIXED_NOREPLACE),
			 (unsigned long)-EINVAL);
}

static void the_first_pages_need_a_capability(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(map(f->mm, 0, PAGE, ANON | MAP_FIXED), (unsigned long)-EPERM);
	samara_set_caps(f->mm, SAMARA_CAP_SYS_RAWIO);
	assert_int_equal(map(f->mm, 0, PAGE, ANON | MAP_FIXED), 0);
}

static void large_anonymous_memory_begins_on_a_huge_page(void **state)
{
	struct fixture *f = *state;
	unsigned long addr = map(f->mm, 0, HUGE, ANON);

	assert_int_equal(addr % HUGE, 0);
	assert_int_equal(addr, (TOP - HUGE) / HUGE * HUGE);
	/* Not when it is no multiple, and not with a hint that is taken. */
	assert_int_equal(map(f->mm, 0, HUGE + PAGE, ANON), addr - HUGE - PAGE);
	assert_int_equal(map(f->mm, AT(1), HUGE, ANON), AT(1));
	/* Nor does it matter which page of its family the first one is. */
	map(f->mm, AT(1) + HUGE, PAGE, ANON);
	assert_int_equal(samara_mremap(f->mm, AT(1), HUGE, 2 * HUGE, MREMAP_MAYMOVE, 0) % HUGE, 0);
}

static struct samara_file *huge_aligned_file(struct fixture *f)
{
	const struct samara_file_identity id = {
		.size = sizeof(id),
		.name = "/big",
		.ino = 3,
		.flags = SAMARA_FILE_HUGE_ALIGN,
	};
	struct samara_file *file;

	assert_int_equal(samara_file_named(f->machine, &id, &file), 0);
	return file;
}

static void files_of_such_file_systems_are_placed_by_offset(void **state)
{
	struct fixture *f = *state;
	struct samara_file *file = huge_aligned_file(f);
	unsigned long addr;

	addr = samara_mmap(f->mm, 0, 2 * HUGE, PROT_READ, MAP_PRIVATE, file, 5 * PAGE);
	assert_int_equal((addr - 5 * PAGE) % HUGE, 0);
	/* Less than one huge page of the file: as anything else. */
	assert_int_equal(samara_mmap(f->mm, 0, 3 * PAGE, PROT_READ, MAP_PRIVATE, file, 0),
			 TOP - 3 * PAGE);
	samara_file_put(file);
}

static void nothing_is_placed_in_a_stacks_guard_gap(void **state)
{
	struct fixture *f = *state;
	const unsigned long stack = TOP - 64 * PAGE;

	assert_int_equal(map(f->mm, stack, 64 * PAGE, ANON | MAP_FIXED | MAP_GROWSDOWN), stack);
	assert_int_equal(map(f->mm, 0, PAGE, ANON), stack - 257 * PAGE);
	/* A hint that reaches into it is not taken either. */
	assert_int_equal(map(f->mm, stack - 10 * PAGE, PAGE, ANON), stack - 258 * PAGE);
}

/* A gap that ends where the stack's guard begins will do, and a page more will not. */
static void nothing_is_placed_there_bottom_up_either(void **state)
{
	struct fixture *f = *state;
	struct samara_layout layout = SAMARA_LAYOUT_INIT;

	layout.legacy_base = BASE;
	layout.flags = SAMARA_LAYOUT_BOTTOM_UP;
	assert_int_equal(samara_set_layout(f->mm, &layout), 0);
	for (unsigned long n = 1; n <= 3; n++) {
		for (unsigned long room = 0; room <= 4; room++) {
			const unsigned long stack = AT(room + 256), end = stack + 2 * PAGE;

			assert_int_equal(map(f->mm, stack, 2 * PAGE,
					     ANON | MAP_FIXED | MAP_GROWSDOWN),
					 stack);
			assert_int_equal(map(f->mm, 0, n * PAGE, ANON), n <= room ? BASE : end);
			assert_int_equal(samara_munmap(f->mm, BASE, 300 * PAGE), 0);
		}
	}
}

/*
 * The search asks for a huge page more, so that it can align. If there is no such gap, the exact
 * length is tried.
 */
static void without_room_for_a_huge_page_more_any_place_will_do(void **state)
{
	struct fixture *f = *state;
	struct samara_layout layout = SAMARA_LAYOUT_INIT;
	const unsigned long top = 65536 + 2 * HUGE + 16 * PAGE;
	const unsigned long places[] = { top - 2 * HUGE, 0x7ffffffff000 - 2 * HUGE, -ENOMEM };
	struct samara_file *file = huge_aligned_file(f);

	layout.mmap_base = top;
	layout.legacy_base = 0x7ffffffff000 - 2 * HUGE;
	assert_int_equal(samara_set_layout(f->mm, &layout), 0);
	for (int of_file = 0; of_file < 2; of_file++) {
		for (int i = 0; i < 3; i++)
			assert_int_equal(samara_mmap(f->mm, 0, 2 * HUGE, PROT_READ,
						     MAP_PRIVATE | (of_file ? 0 : MAP_ANONYMOUS),
						     of_file ? file : NULL, 5 * PAGE * of_file),
					 places[i]);
		for (int i = 0; i < 2; i++)
			assert_int_equal(samara_munmap(f->mm, places[i], 2 * HUGE), 0);
	}
	samara_file_put(file);
}

static void the_other_direction_is_tried_when_one_is_full(void **state)
{
	struct fixture *f = *state;
	struct samara_layout layout = SAMARA_LAYOUT_INIT;

	layout.mmap_base = 1UL << 20;
	layout.legacy_base = BASE;
	assert_int_equal(samara_set_layout(f->mm, &layout), 0);
	assert_int_equal(map(f->mm, 0, HUGE + PAGE, ANON), BASE);
	assert_int_equal(map(f->mm, 0, PAGE, ANON), (1UL << 20) - PAGE);
}

static void the_legacy_layout_goes_up(void **state)
{
	struct fixture *f = *state;
	struct samara_layout layout = SAMARA_LAYOUT_INIT;

	layout.flags = SAMARA_LAYOUT_BOTTOM_UP;
	assert_int_equal(samara_set_layout(f->mm, &layout), 0);
	assert_int_equal(map(f->mm, 0, PAGE, ANON), 0x2aaaaaaab000);
	assert_int_equal(map(f->mm, 0, PAGE, ANON), 0x2aaaaaaac000);
}

static void low_memory_on_request(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(map(f->mm, 0, PAGE, ANON | MAP_32BIT), 0x40000000);
	assert_int_equal(map(f->mm, 0, PAGE, ANON | MAP_32BIT), 0x40001000);
	assert_int_equal(map(f->mm, 0, 1UL << 30, ANON | MAP_32BIT), (unsigned long)-ENOMEM);
}

static void sizes_that_cannot_be(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(map(f->mm, 0, 0, ANON), (unsigned long)-EINVAL);
	assert_int_equal(map(f->mm, 0, ~0UL, ANON), (unsigned long)-ENOMEM);
	assert_int_equal(map(f->mm, 0, 1UL << 47, ANON), (unsigned long)-ENOMEM);
	assert_int_equal(map(f->mm, 0x7ffffffff000, PAGE, ANON | MAP_FIXED),
			 (unsigned long)-ENOMEM);
}

/* 0x80: MAP_ABOVE4G, newer than some headers. */
static void above_4_gib_on_request(void **state)
{
	struct fixture *f = *state;
	struct samara_layout layout = SAMARA_LAYOUT_INIT;
	const unsigned long four = 1UL << 32;

	layout.legacy_base = four - 4 * PAGE;
	layout.mmap_base = four + 2 * PAGE;
	assert_int_equal(samara_set_layout(f->mm, &layout), 0);
	assert_int_equal(map(f->mm, 0, 2 * PAGE, ANON | 0x80), four);
	assert_int_equal(map(f->mm, 0, PAGE, ANON), four - PAGE);
	/* Below is room; the other direction finds some above. */
	assert_int_equal(map(f->mm, 0, PAGE, ANON | 0x80), four + 2 * PAGE);
	layout.flags = SAMARA_LAYOUT_BOTTOM_UP;
	assert_int_equal(samara_set_layout(f->mm, &layout), 0);
	assert_int_equal(map(f->mm, 0, PAGE, ANON), four - 4 * PAGE);
	assert_int_equal(map(f->mm, 0, PAGE, ANON | 0x80), four + 3 * PAGE);
	/* A hint is not asked, and low memory is stronger. */
	assert_int_equal(map(f->mm, four - 9 * PAGE, PAGE, ANON | 0x80), four - 9 * PAGE);
	assert_int_equal(map(f->mm, 0, PAGE, ANON | 0x80 | MAP_32BIT), 1UL << 30);
}

/*
 * Five levels of tables: a hint above the window asks for all of the space, one at its end does
 * not.
 */
static void only_a_hint_above_the_window_leaves_it(void **state)
{
	struct samara_machine_config cfg = SAMARA_MACHINE_CONFIG_INIT;
	const struct samara_geometry *geo = samara_geometry_x86_64_la57();
	const unsigned long window = geo->map_window;
	struct samara_layout layout = SAMARA_LAYOUT_INIT;
	struct samara_machine *machine;
	struct samara_mm *mm;

	(void)state;
	cfg.geometry = geo;
	assert_int_equal(samara_machine_create(&cfg, &machine), 0);
	assert_int_equal(samara_mm_create(machine, &mm), 0);
	assert_true(window < geo->task_size);
	assert_true(map(mm, 0, PAGE, ANON) < window);
	assert_int_equal(map(mm, window - PAGE, PAGE, ANON), window - PAGE);
	assert_true(map(mm, window - PAGE, 2 * PAGE, ANON) < window - PAGE);
	assert_true(map(mm, window, PAGE, ANON) < window - PAGE);
	assert_int_equal(map(mm, window + PAGE, PAGE, ANON), window + PAGE);
	/* What is taken there is looked for elsewhere above. */
	assert_true(map(mm, window + PAGE, PAGE, ANON) > window);
	samara_get_layout(mm, &layout);
	layout.flags |= SAMARA_LAYOUT_BOTTOM_UP;
	assert_int_equal(samara_set_layout(mm, &layout), 0);
	assert_true(map(mm, window, PAGE, ANON) < window - PAGE);
	assert_int_equal(map(mm, window + 2 * PAGE, PAGE, ANON), window + 2 * PAGE);
	samara_mm_exit(mm);
	samara_machine_destroy(machine);
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(addresses_go_down_from_the_base),
		test(a_free_hint_is_taken_and_a_taken_one_is_not),
		test(noreplace_is_not_a_hint),
		test(the_first_pages_need_a_capability),
		test(large_anonymous_memory_begins_on_a_huge_page),
		test(files_of_such_file_systems_are_placed_by_offset),
		test(nothing_is_placed_in_a_stacks_guard_gap),
		test(nothing_is_placed_there_bottom_up_either),
		test(without_room_for_a_huge_page_more_any_place_will_do),
		test(the_other_direction_is_tried_when_one_is_full),
		test(the_legacy_layout_goes_up),
		test(low_memory_on_request),
		test(sizes_that_cannot_be),
		test(above_4_gib_on_request),
		cmocka_unit_test(only_a_hint_above_the_window_leaves_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
