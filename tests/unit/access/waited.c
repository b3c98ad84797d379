/* SPDX-License-Identifier: MIT */
/*
 * An access that has to wait for the map: it looks for its mapping when it has got the lock, and
 * takes no more of a lock than it needs.
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "core/vma_lock.h"
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
	struct vma_dead dead = { NULL };

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

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(what_was_unmapped_meanwhile_is_not_found),
		TEST(an_access_below_a_mapping_does_not_wait_for_readers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
