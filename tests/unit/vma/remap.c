/* SPDX-License-Identifier: MIT */
/*
 * mremap: in place, elsewhere, over others, and what it refuses.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "support/advice.h"
#include "support/cmocka_all.h"

#include <samara/inject.h>

#include "support/mm_shape.h"
#include "support/random.h"

#define MOVE MREMAP_MAYMOVE
#define TO (MREMAP_MAYMOVE | MREMAP_FIXED)
#define KEEP (MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)

#define TASK_END 0x7ffffffff000UL

static unsigned long remap(struct fixture *f, unsigned long from, unsigned long n,
			   unsigned long new_n, int flags, unsigned long to)
{
	return samara_mremap(f->mm, AT(from), n * PAGE, new_n * PAGE, flags, AT(to));
}

static void shrinking_unmaps_the_rest(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 8, RW, 0);
	assert_int_equal(remap(f, 1, 5, 2, 0, 0), AT(1));
	assert_map(f->mm, "0-3 rw-p, 6-8 rw-p");
}

static void growing_in_place_needs_the_vmas_end_and_room(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 4, RW, 0);
	map_pages(f->mm, 8, 9, PROT_READ, 0);
	assert_int_equal(remap(f, 2, 2, 6, 0, 0), AT(2));
	assert_map(f->mm, "0-8 rw-p, 8-9 r--p");
	assert_int_equal(remap(f, 2, 6, 7, 0, 0), (unsigned long)-ENOMEM);
	assert_int_equal(remap(f, 2, 2, 3, 0, 0), (unsigned long)-ENOMEM);
}

static void growing_joins_the_neighbour_it_reaches(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 2, RW, 0);
	map_pages(f->mm, 4, 6, RW, 0);
	assert_int_equal(remap(f, 0, 2, 4, 0, 0), AT(0));
	assert_map(f->mm, "0-6 rw-p");
}

static void moving_untouched_memory_lets_it_merge_there(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 2, RW, 0);
	map_pages(f->mm, 10, 12, RW, 0);
	assert_int_equal(remap(f, 0, 2, 2, TO, 12), AT(12));
	assert_map(f->mm, "10-14 rw-p");
}

static void moving_written_memory_keeps_it_apart(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 2, RW, 0);
	write_pages(f->mm, 0, 2);
	map_pages(f->mm, 10, 12, RW, 0);
	assert_int_equal(remap(f, 0, 2, 2, TO, 12), AT(12));
	assert_map(f->mm, "10-12 rw-p, 12-14 rw-p");
	/* Back where it was it fits again. */
	map_pages(f->mm, 2, 4, RW, 0);
	assert_int_equal(remap(f, 12, 2, 2, TO, 0), AT(0));
	assert_map(f->mm, "0-4 rw-p, 10-12 rw-p");
}

static void moving_into_its_own_neighbourhood(void **state)
{
	struct fixture *f = *state;

	/* The upper part goes right behind the lower part's own VMA, and grows it. */
	map_pages(f->mm, 0, 4, RW, 0);
	assert_int_equal(remap(f, 2, 2, 2, TO, 4), AT(4));
	assert_map(f->mm, "0-2 rw-p, 4-6 rw-p");
	map_pages(f->mm, 20, 24, RW, 0);
	assert_int_equal(remap(f, 20, 2, 2, TO, 18), AT(18));
	assert_map(f->mm, "0-2 rw-p, 4-6 rw-p, 18-20 rw-p, 22-24 rw-p");
}

static void a_fixed_destination_is_unmapped_first(void **state)
{
	struct fixture *f = *state;

	map_file(f, 0, 4, PROT_READ, MAP_PRIVATE, 0);
	map_pages(f->mm, 8, 16, RW, 0);
	assert_int_equal(remap(f, 0, 4, 4, TO, 10), AT(10));
	assert_map(f->mm, "8-10 rw-p, 10-14 r--p @0, 14-16 rw-p");
	assert_int_equal(remap(f, 10, 4, 4, TO, 12), (unsigned long)-EINVAL); /* overlap */
}

static void several_mappings_move_together(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 2, RW, 0);
	map_pages(f->mm, 2, 4, PROT_READ, 0);
	map_pages(f->mm, 6, 8, RW, 0);
	assert_int_equal(remap(f, 0, 8, 8, TO, 100), AT(100));
	assert_map(f->mm, "100-102 rw-p, 102-104 r--p, 106-108 rw-p");
	/* Not when the size changes. */
	assert_int_equal(remap(f, 100, 8, 4, TO, 200), (unsigned long)-EFAULT);
}

static void a_mapping_of_dev_zero_moves_alone(void **state)
{
	struct fixture *f = *state;
	const int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	struct samara_file *zero;

	assert_true(fd >= 0);
	assert_int_equal(samara_file_from_fd(f->machine, fd, &zero), 0);
	close(fd);
	map_pages(f->mm, 0, 2, RW, 0);
	assert_int_equal(samara_mmap(f->mm, AT(2), 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED,
				     zero, 0),
			 AT(2));
	map_pages(f->mm, 4, 6, RW, 0);
	assert_int_equal(remap(f, 2, 4, 4, TO, 20), (unsigned long)-EFAULT);
	assert_map(f->mm, "0-2 rw-p, 2-4 r--p @0, 4-6 rw-p");
	assert_int_equal(remap(f, 0, 6, 6, TO, 20), (unsigned long)-EFAULT);
	assert_map(f->mm, "2-4 r--p @0, 4-6 rw-p, 20-22 rw-p");
	assert_int_equal(remap(f, 2, 2, 2, TO, 30), AT(30));
	samara_file_put(zero);
}

static void dontunmap_leaves_an_empty_mapping(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 4, RW, 0);
	write_pages(f->mm, 0, 4);
	assert_int_equal(remap(f, 0, 4, 4, KEEP, 10), AT(10));
	assert_map(f->mm, "0-4 rw-p, 10-14 rw-p");
	assert_int_equal(remap(f, 0, 4, 5, KEEP, 20), (unsigned long)-EINVAL);
}

static void dontunmap_leaves_locked_pages_counted_as_linux_does(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 4, RW, MAP_LOCKED);
	assert_int_equal(remap(f, 0, 4, 4, KEEP, 10), AT(10));
	assert_false(flags_at(f->mm, 0) & SAMARA_VM_LOCKED);
	assert_true(flags_at(f->mm, 10) & SAMARA_VM_LOCKED);
	assert_int_equal(stats_of(f->mm).locked_vm, 8);
	assert_map(f->mm, "0-4 rw-p, 10-14 rw-p");
}

static void old_length_zero_maps_shared_pages_a_second_time(void **state)
{
	struct fixture *f = *state;

	map_file(f, 0, 4, RW, MAP_SHARED, 10);
	assert_int_equal(remap(f, 1, 0, 2, TO, 20), AT(20));
	assert_map(f->mm, "0-4 rw-s @10, 20-22 rw-s @11");
	map_pages(f->mm, 30, 32, RW, 0);
	assert_int_equal(remap(f, 30, 0, 2, MOVE, 0), (unsigned long)-EINVAL);
}

static void bad_arguments_in_linuxs_order(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 4, RW, 0);
	assert_int_equal(remap(f, 0, 4, 4, 8, 0), (unsigned long)-EINVAL);
	assert_int_equal(remap(f, 0, 4, 0, MOVE, 0), (unsigned long)-EINVAL);
	assert_int_equal(remap(f, 0, 4, 4, MREMAP_FIXED, 10), (unsigned long)-EINVAL);
	assert_int_equal(remap(f, 0, 4, 4, TO, 3), (unsigned long)-EINVAL);
	assert_int_equal(remap(f, 0, 4, 5, KEEP, 20), (unsigned long)-EINVAL);
	assert_int_equal(samara_mremap(f->mm, AT(0) + 1, PAGE, PAGE, MOVE, 0),
			 (unsigned long)-EINVAL);
	assert_int_equal(samara_mremap(f->mm, AT(0), PAGE, PAGE, TO, AT(20) + 1),
			 (unsigned long)-EINVAL);
	assert_int_equal(samara_mremap(f->mm, AT(0), PAGE, TASK_END + 1, MOVE, 0),
			 (unsigned long)-EINVAL);
	assert_int_equal(samara_mremap(f->mm, AT(0), PAGE, TASK_END, MOVE, 0),
			 (unsigned long)-ENOMEM);
	assert_int_equal(samara_mremap(f->mm, AT(0), PAGE, 2 * PAGE, TO, TASK_END - PAGE),
			 (unsigned long)-EINVAL);
	assert_int_equal(samara_mremap(f->mm, AT(0), PAGE, 2 * PAGE, TO, TASK_END),
			 (unsigned long)-EINVAL);
	assert_int_equal(samara_mremap(f->mm, AT(0), PAGE, 2 * PAGE, TO, ~(PAGE - 1)),
			 (unsigned long)-EINVAL);
	assert_int_equal(remap(f, 9, 4, 5, MOVE, 0), (unsigned long)-EFAULT);
	assert_int_equal(remap(f, 2, 4, 5, MOVE, 0), (unsigned long)-EFAULT);
	assert_int_equal(remap(f, 9, 4, 4, TO, 20), (unsigned long)-EFAULT);
	assert_int_equal(samara_mseal(f->mm, AT(0), 4 * PAGE, 0), 0);
	assert_int_equal(remap(f, 0, 4, 2, 0, 0), (unsigned long)-EPERM);
	assert_map(f->mm, "0-4 rw-p");
}

static void a_target_may_end_where_the_space_does(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 4, RW, 0);
	assert_int_equal(samara_mremap(f->mm, AT(0), PAGE, 2 * PAGE, TO, TASK_END - 2 * PAGE),
			 TASK_END - 2 * PAGE);
	assert_map(f->mm, "1-4 rw-p");
}

/* Every step of a move over others draws on one reserve: it suffices in a large map too. */
static void a_move_in_a_large_map_needs_no_memory_beyond_its_reserve(void **state)
{
	struct fixture *f = *state;
	unsigned long ret = (unsigned long)-ENOMEM;
	unsigned int nth;

	for (unsigned long i = 0; i < 20000; i++)
		map_pages(f->mm, 8 * i, 8 * i + 6, i % 2 ? RW : PROT_READ, 0);
	for (nth = 1; ret == (unsigned long)-ENOMEM && nth < 200; nth++) {
		samara_inject_from(nth);
		ret = remap(f, 8 * 9999 + 1, 4, 2, TO, 8 * 5001 + 2);
		samara_inject_from(0);
		assert_int_equal(samara_mm_validate(f->mm, NULL), 0);
		if (ret == (unsigned long)-ENOMEM)
			assert_int_equal(stats_of(f->mm).map_count, 20000);
	}
	assert_int_equal(ret, AT(8 * 5001 + 2));
	assert_true(nth > 2);
}

/* What stands at the destination, around the source, and what is asked. */
struct shape {
	unsigned long step, there, below, above, len; /* pages; VMAs; pages of the source */
	unsigned long old, new, to;                   /* mremap of all of it but its ends */
};

static void pick_shape(struct rng *rng, struct shape *s)
{
	s->step = 2 + rng_below(rng, 3);
	s->there = 20 * (1 + rng_below(rng, 10));
	s->below = rng_below(rng, 60);
	s->above = rng_below(rng, 60);
	s->len = 50 + rng_below(rng, 800);
	s->old = s->len - 2;
	/* From inside a VMA of the source's rights to inside another such: it merges with both. */
	s->new = 2 * s->step *(1 + rng_below(rng, s->old / (2 * s->step)));
	s->to = s->step * (2 * rng_below(rng, s->there / 6 + 1) + 1) + 1;
}

/*
 * Neighbours of other rights, now and then with a hole between, so that the tree has an entry for
 * each. Returns the source.
 */
static unsigned long map_shape(struct fixture *f, const struct shape *s, struct rng *rng)
{
	const unsigned long low = 5000, src = low + s->step * s->below;
	unsigned long i;

	for (i = 0; i < s->there; i++)
		map_pages(f->mm, s->step * i, s->step * (i + 1) - rng_below(rng, 2),
			  i % 2 ? RW : PROT_READ, 0);
	for (i = 0; i < s->below; i++)
		map_pages(f->mm, low + s->step * i, low + s->step * (i + 1), i % 2 ? RW : PROT_READ,
			  0);
	for (i = 0; i < s->above; i++)
		map_pages(f->mm, src + s->len + s->step * i, src + s->len + s->step * (i + 1),
			  i % 2 ? RW : PROT_READ, 0);
	map_pages(f->mm, src, src + s->len, RW, 0);
	return src;
}

/*
 * A part of one VMA goes over many, from leaves of the tree that are full into others that are: a
 * step that has begun needs no more than what was set aside, and before it nothing has changed.
 */
static void a_refused_move_over_many_mappings_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct rng rng;
	struct shape s;

	rng_init(&rng, test_seed());
	for (unsigned int round = 0; round < 300 / test_slowdown(); round++) {
		unsigned long ret = (unsigned long)-ENOMEM, src, before;

		pick_shape(&rng, &s);
		src = map_shape(f, &s, &rng);
		before = stats_of(f->mm).map_count;
		for (unsigned int nth = 1; ret == (unsigned long)-ENOMEM && nth < 500; nth++) {
			samara_inject_from(nth);
			ret = remap(f, src + 1, s.old, s.new, TO, s.to);
			samara_inject_from(0);
			if (ret == (unsigned long)-ENOMEM && stats_of(f->mm).map_count != before)
				break;
		}
		if (ret != AT(s.to))
			test_replay(test_seed());
		assert_int_equal(ret, AT(s.to));
		assert_int_equal(samara_mm_validate(f->mm, NULL), 0);
		assert_int_equal(samara_munmap(f->mm, AT(0), 20000 * PAGE), 0);
	}
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(shrinking_unmaps_the_rest),
		test(growing_in_place_needs_the_vmas_end_and_room),
		test(growing_joins_the_neighbour_it_reaches),
		test(moving_untouched_memory_lets_it_merge_there),
		test(moving_written_memory_keeps_it_apart),
		test(moving_into_its_own_neighbourhood),
		test(a_fixed_destination_is_unmapped_first),
		test(several_mappings_move_together),
		test(a_mapping_of_dev_zero_moves_alone),
		test(dontunmap_leaves_an_empty_mapping),
		test(dontunmap_leaves_locked_pages_counted_as_linux_does),
		test(old_length_zero_maps_shared_pages_a_second_time),
		test(bad_arguments_in_linuxs_order),
		test(a_target_may_end_where_the_space_does),
		test(a_move_in_a_large_map_needs_no_memory_beyond_its_reserve),
		test(a_refused_move_over_many_mappings_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
