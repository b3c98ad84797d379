/* SPDX-License-Identifier: MIT */
/*
 * Single properties of areas: parking, the budget, fork, and what an error leaves.
 */
#include <sys/uio.h>

#include "unit/cli/run_world.h"

static unsigned long addr_of(unsigned long page)
{
	return WINDOW + page * PAGE;
}

static struct area own(unsigned long page, unsigned long pages)
{
	return (struct area){ .start = addr_of(page),
			      .end = addr_of(page + pages),
			      .kind = AREA_OWN,
			      .prot = PROT_READ | PROT_WRITE,
			      .first = page };
}

static void more_than_sixty_four_parked_areas_are_unmapped(void **state)
{
	struct world w;
	struct areas *areas = &w.areas;
	unsigned long left = 0;
	struct area as;

	(void)state;
	world_start(&w);
	for (unsigned long i = 0; i < 100; i++) {
		as = own(2 * i, 1);
		w.ram[as.first * PAGE] = 1;
		assert_int_equal(areas_fresh(areas, &as), 0);
		assert_int_equal(areas_park(areas, as.start, as.end), 0);
		assert_true(areas->parked <= AREAS_PARKED_MOST);
		assert_null(areas_validate(areas));
	}
	assert_int_equal(areas->parked, AREAS_PARKED_MOST);
	for (unsigned long i = 0; i < 100; i++) {
		char byte;
		const struct iovec to = { &byte, 1 };
		const struct iovec from = { (void *)addr_of(2 * i), 1 }; // NOLINT
		struct uffdio_continue cont = { .range = { addr_of(2 * i), PAGE } };
		const bool is = areas_find(areas, addr_of(2 * i), &as);

		/* Where there is no area there is no VMA either. */
		assert_int_equal(ioctl(w.agent[0].uffd, UFFDIO_CONTINUE, &cont), is ? 0 : -1);
		assert_int_equal(process_vm_readv(w.pid[0], &to, 1, &from, 1, 0), is ? 1 : -1);
		left += is;
	}
	assert_int_equal(left, AREAS_PARKED_MOST);
	world_end(&w);
}

static void the_budget_is_of_host_vmas(void **state)
{
	struct areas areas;
	struct area as;

	(void)state;
	areas_init(&areas, NULL, AREAS_SPARE + 10);
	for (unsigned long i = 0; i < 6; i++) {
		as = own(2 * i, 1);
		assert_int_equal(areas_enter(&areas, &as), 0);
	}
	assert_int_equal(areas_pieces(&areas, addr_of(0)), 6);
	assert_int_equal(areas_reserve(&areas, 5), -ENOMEM);
	assert_int_equal(areas_reserve(&areas, 4), 0);
	assert_int_equal(areas_reserve(&areas, 1), -ENOMEM);
	areas_unreserve(&areas, 4);
	for (unsigned long i = 0; i < 5; i++) { /* the gaps: all are one host VMA then */
		as = own(2 * i + 1, 1);
		assert_int_equal(areas_enter(&areas, &as), 0);
	}
	assert_int_equal(areas.vmas, 1);
	assert_int_equal(areas_pieces(&areas, addr_of(0)), 1);
	assert_int_equal(areas_reserve(&areas, 9), 0);
	assert_int_equal(areas_reserve(&areas, ~0UL), -ENOMEM);
	assert_null(areas_validate(&areas));
	areas_destroy(&areas);
}

static void a_forks_child_has_the_parents_areas_but_the_stub(void **state)
{
	struct areas parent, child;
	struct area as = own(0, 4), stub = own(8, 3), is;

	(void)state;
	areas_init(&parent, NULL, 65530);
	areas_init(&child, NULL, 65530);
	assert_int_equal(areas_enter(&parent, &as), 0);
	stub.kind = AREA_STUB;
	assert_int_equal(areas_enter(&parent, &stub), 0);
	assert_int_equal(areas_dup(&child, &parent), 0);
	assert_true(areas_next(&child, 0, &is));
	assert_int_equal(is.start, as.start);
	assert_int_equal(is.end, as.end);
	assert_int_equal(is.kind, AREA_OWN);
	assert_int_equal(is.first, as.first);
	assert_false(areas_next(&child, is.end, &is));
	assert_int_equal(child.vmas, 1);
	assert_null(areas_validate(&child));
	assert_true(areas_find(&parent, stub.start, &is));
	areas_destroy(&child);
	areas_destroy(&parent);
}

static void without_its_agent_a_map_stays_as_it_was(void **state)
{
	struct world w;
	struct areas *areas = &w.areas;
	struct area as = own(0, 8), is;

	(void)state;
	world_start(&w);
	assert_int_equal(areas_fresh(areas, &as), 0);
	agent_kill(&w.agent[0]);
	assert_int_equal(areas_unmap(areas, as.start, as.end), -ESRCH);
	assert_int_equal(areas_protect(areas, addr_of(2), addr_of(3), PROT_READ), -ESRCH);
	assert_int_equal(areas_zap(areas, as.start, as.end), -ESRCH);
	as = own(20, 1);
	assert_int_equal(areas_fresh(areas, &as), -ESRCH);
	as = own(3, 1);
	as.first = 50;
	assert_int_equal(areas_replace(areas, &as), -ESRCH);
	assert_true(areas_find(areas, addr_of(3), &is));
	assert_int_equal(is.start, addr_of(0));
	assert_int_equal(is.end, addr_of(8));
	assert_int_equal(is.first, 0);
	assert_null(areas_validate(areas));
	world_end(&w);
}

static void bad_ranges_are_refused(void **state)
{
	struct areas areas;
	struct area as = own(0, 1);

	(void)state;
	areas_init(&areas, NULL, 65530);
	as.end = as.start;
	assert_int_equal(areas_fresh(&areas, &as), -EINVAL);
	as.end = as.start + 1;
	assert_int_equal(areas_replace(&areas, &as), -EINVAL);
	as = own(0, 1);
	as.kind = AREA_HOST;
	assert_int_equal(areas_fresh(&areas, &as), -EINVAL);
	assert_int_equal(areas_unmap(&areas, PAGE, PAGE), -EINVAL);
	assert_int_equal(areas_protect(&areas, 1, PAGE, 0), -EINVAL);
	assert_int_equal(areas_park(&areas, 2 * PAGE, PAGE), -EINVAL);
	areas_destroy(&areas);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(more_than_sixty_four_parked_areas_are_unmapped),
		cmocka_unit_test(the_budget_is_of_host_vmas),
		cmocka_unit_test(a_forks_child_has_the_parents_areas_but_the_stub),
		cmocka_unit_test(without_its_agent_a_map_stays_as_it_was),
		cmocka_unit_test(bad_ranges_are_refused),
	};

	guest_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
