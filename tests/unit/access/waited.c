/* SPDX-License-Identifier: MIT */
/*
 * An access that has to wait for the map: it looks for its mapping when it has got the lock, and
 * takes no more of a lock than it needs.
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "core/vma_lock.h"
#include "support/at_locks.h"
#include "support/cmocka_all.h"
#include "support/mem.h"
#include "support/waits.h"
#include "vma/find.h"
#include "vma/unmap.h"

#define RW (PROT_READ | PROT_WRITE)
#define PAGES 4UL

MEM_FIXTURE(m, 16 << 20);

struct look {
	unsigned long addr;
	struct samara_fault fault;
	ssize_t n;
};

static void call_read(void *arg)
{
	struct look *look = arg;
	char byte;

	look->n = samara_read(m.mm, look->addr, &byte, 1, &look->fault);
}

static void assert_not_mapped(const struct look *look)
{
	assert_int_equal(look->n, 0);
	assert_int_equal(look->fault.signo, SIGSEGV);
	assert_int_equal(look->fault.code, SEGV_MAPERR);
	assert_int_equal(look->fault.addr, look->addr);
}

static void what_was_unmapped_meanwhile_is_not_found(void **state)
{
	const unsigned long a = mem_map(&m, PAGES, RW, MAP_PRIVATE, NULL);
	struct look look = { .addr = a + MEM_PAGE };
	struct waiting_call c = { .call = call_read, .arg = &look };
	struct vma_dead dead = { 0 };

	(void)state;
	mmap_write_lock(m.mm);
	vma_start_write(vma_lookup(m.mm, a));
	assert_true(waits_for(&c, &m.mm->mmap_lock.sem));
	assert_int_equal(unmap_range(m.mm, a, a + PAGES * MEM_PAGE, &dead), 0);
	mmap_write_unlock(m.mm);
	call_returns(&c);
	assert_not_mapped(&look);
	vma_dead_release(&dead);
	assert_int_equal(mem_frames(&m), 0);
}

/* Only a stack changes the map; other faults are content to read it. */
static void an_access_below_a_mapping_does_not_wait_for_readers(void **state)
{
	const unsigned long a = mem_map(&m, PAGES, RW, MAP_PRIVATE, NULL);
	struct look look = { .addr = a };
	struct waiting_call c = { .call = call_read, .arg = &look };

	(void)state;
	assert_int_equal(samara_munmap(m.mm, a, MEM_PAGE), 0);
	mmap_read_lock(m.mm);
	assert_false(waits_for(&c, &m.mm->mmap_lock.sem));
	mmap_read_unlock(m.mm);
	call_returns(&c);
	assert_not_mapped(&look);
}

/* The stack above addr as it is when the access has got the lock for writing. */
static void map_there(void *arg)
{
	const unsigned long *addr = arg;

	assert_int_equal(samara_mmap(m.mm, *addr, MEM_PAGE, RW,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0),
			 *addr);
}

static void grow_there(void *arg)
{
	const unsigned long *addr = arg;
	char byte = 1;

	assert_int_equal(samara_write(m.mm, *addr, &byte, 1, NULL), 1);
}

static void unmap_above(void *arg)
{
	const unsigned long *addr = arg;

	assert_int_equal(samara_munmap(m.mm, *addr + MEM_PAGE, PAGES * MEM_PAGE), 0);
}

/* An access below a stack looks for it again when it has changed one lock for the other. */
static void what_came_below_a_stack_meanwhile_is_found(void **state)
{
	static const struct {
		void (*meanwhile)(void *arg);
		ssize_t n;
	} rows[] = { { map_there, 1 }, { grow_there, 1 }, { unmap_above, 0 } };
	unsigned long at = 1UL << 40;

	(void)state;
	if (!at_locks_available())
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++, at += 1UL << 30) {
		struct look look = { .addr = at };

		assert_int_equal(samara_mmap(m.mm, at + MEM_PAGE, PAGES * MEM_PAGE, RW,
					     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED |
						     MAP_GROWSDOWN,
					     NULL, 0),
				 at + MEM_PAGE);
		meet_at(&m.mm->mmap_lock.sem, 2, rows[i].meanwhile, &at);
		call_read(&look);
		assert_true(meet_end());
		assert_int_equal(look.n, rows[i].n);
		if (!look.n)
			assert_not_mapped(&look);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(what_was_unmapped_meanwhile_is_not_found),
		TEST(an_access_below_a_mapping_does_not_wait_for_readers),
		TEST(what_came_below_a_stack_meanwhile_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
