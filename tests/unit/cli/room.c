/* SPDX-License-Identifier: MIT */
/*
 * The model of the room in a map, by which overlapping calls are put in order.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "support/cmocka_all.h"

#include "replay/room.h"

#define PAGE 4096UL
#define BASE 0x100000UL

static struct room room;

static int setup(void **state)
{
	(void)state;
	room = (struct room){ .base = BASE };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	room_free(&room);
	return 0;
}

static int map(unsigned long nr_pages, unsigned long answer)
{
	struct call c = { .kind = CALL_MMAP, .len = nr_pages * PAGE, .flags = MAP_PRIVATE };

	return room_call(&room, &c, answer);
}

static int map_anonymous(unsigned long len, unsigned long answer)
{
	struct call c = { .kind = CALL_MMAP, .len = len, .flags = MAP_PRIVATE | MAP_ANONYMOUS };

	return room_call(&room, &c, answer);
}

static int unmap(unsigned long addr, unsigned long nr_pages)
{
	struct call c = { .kind = CALL_MUNMAP, .addr = addr, .len = nr_pages * PAGE };

	return room_call(&room, &c, 0);
}

static int grow(unsigned long addr, unsigned long from, unsigned long to, unsigned long answer)
{
	struct call c = { .kind = CALL_MREMAP,
			  .addr = addr,
			  .len = from * PAGE,
			  .to.len = to * PAGE,
			  .flags = MREMAP_MAYMOVE };

	return room_call(&room, &c, answer);
}

static void the_highest_room_is_taken(void **state)
{
	(void)state;
	assert_int_equal(map(1, BASE - 2 * PAGE), 0);
	assert_int_equal(map(1, BASE - PAGE), 1);
	assert_int_equal(map(1, BASE - PAGE), 0);
	assert_int_equal(map(2, BASE - 3 * PAGE), 1);
	assert_int_equal(map(1, BASE - 4 * PAGE), 1);
	assert_int_equal(unmap(BASE - 3 * PAGE, 2), 1);
	assert_int_equal(map(3, BASE - 7 * PAGE), 1); /* the hole of two is too small */
	assert_int_equal(map(2, BASE - 3 * PAGE), 1);
}

static void unmapping_cuts_areas(void **state)
{
	(void)state;
	assert_int_equal(map(8, BASE - 8 * PAGE), 1);
	assert_int_equal(unmap(BASE - 6 * PAGE, 2), 1); /* two pieces */
	assert_int_equal(room.nr, 2);
	assert_int_equal(unmap(BASE - 9 * PAGE, 2), 1); /* a head */
	assert_int_equal(unmap(BASE - PAGE, 5), 1);     /* a tail */
	assert_int_equal(room.nr, 2);
	assert_int_equal(room.taken[0].start, BASE - 7 * PAGE);
	assert_int_equal(room.taken[0].end, BASE - 6 * PAGE);
	assert_int_equal(room.taken[1].start, BASE - 4 * PAGE);
	assert_int_equal(room.taken[1].end, BASE - PAGE);
	assert_int_equal(unmap(0, BASE / PAGE), 1);
	assert_int_equal(room.nr, 0);
}

static void growing_stays_if_it_can(void **state)
{
	(void)state;
	assert_int_equal(map(4, BASE - 4 * PAGE), 1);
	assert_int_equal(unmap(BASE - 3 * PAGE, 1), 1);
	assert_int_equal(grow(BASE - 4 * PAGE, 1, 2, BASE - 6 * PAGE), 0);
	assert_int_equal(grow(BASE - 4 * PAGE, 1, 2, BASE - 4 * PAGE), 1);
	assert_int_equal(grow(BASE - 4 * PAGE, 2, 3, BASE - 4 * PAGE), 0);
	assert_int_equal(grow(BASE - 4 * PAGE, 2, 3, BASE - 7 * PAGE), 1);
	assert_int_equal(map(2, BASE - 4 * PAGE), 1);                        /* where it was */
	assert_int_equal(grow(BASE - 20 * PAGE, 1, 2, BASE - 22 * PAGE), 0); /* nothing there */
}

#define MIB (1UL << 20)

static void big_anonymous_memory_is_placed_for_huge_pages(void **state)
{
	(void)state;
	room.base = 64 * MIB;
	assert_int_equal(map_anonymous(8 * MIB, 56 * MIB), 1);
	assert_int_equal(map_anonymous(PAGE, 56 * MIB - PAGE), 1);
	assert_int_equal(map_anonymous(8 * MIB, 48 * MIB - PAGE), 0);
	assert_int_equal(map_anonymous(8 * MIB, 48 * MIB), 0);
	assert_int_equal(map_anonymous(8 * MIB, 46 * MIB), 1);
	/* no multiple of 2 MiB: where it fits best */
	assert_int_equal(map_anonymous(8 * MIB + PAGE, 36 * MIB), 0);
	assert_int_equal(map_anonymous(8 * MIB + PAGE, 38 * MIB - PAGE), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_highest_room_is_taken),
		TEST(unmapping_cuts_areas),
		TEST(growing_stays_if_it_can),
		TEST(big_anonymous_memory_is_placed_for_huge_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
