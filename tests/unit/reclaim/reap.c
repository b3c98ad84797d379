/* SPDX-License-Identifier: MIT */
/*
 * The OOM reaper: what it takes and what it leaves, once; and that no access finds zeros, or a
 * file's bytes, where it has taken what was written.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include <samara/notifier.h>
#include <samara/reclaim.h>

#include "../process/family.h"
#include "core/mms.h"
#include "process/exit.h"
#include "reclaim/reclaim.h"
#include "vma/unmap.h"

MEM_FIXTURE(m, 16 << 20);

#define PAGES 600UL /* over a leaf table's end, more than one batch of a gather */

static unsigned long nth(unsigned long mapping, unsigned long i)
{
	return mapping + i * MEM_PAGE;
}

static unsigned long map_written(unsigned long pages)
{
	const unsigned long a = mem_map(&m, pages, RW, MAP_PRIVATE, NULL);

	for (unsigned long i = 0; i < pages; i++)
		put(m.mm, nth(a, i), i + 1);
	return a;
}

static unsigned int state_of(struct samara_mm *mm)
{
	return mm_oom(mm);
}

static void private_memory_is_free_at_once(void **state)
{
	const unsigned long a = map_written(PAGES);

	(void)state;
	assert_int_equal(mem_frames(&m), PAGES);
	assert_int_equal(oom_reap(m.mm), 0);
	assert_int_equal(mem_frames(&m), 0);
	assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), 0);
	assert_int_equal(state_of(m.mm), MM_UNSTABLE | MM_OOM_SKIP);
	assert_int_equal(m.mm->count.total_vm, PAGES); /* the map is as it was */
	assert_signal(m.mm, a, SIGBUS, BUS_ADRERR);
}

static void locked_memory_goes_too(void **state)
{
	const unsigned long a = map_written(4);

	(void)state;
	assert_int_equal(samara_mlock(m.mm, a, 4 * MEM_PAGE), 0);
	assert_int_equal(oom_reap(m.mm), 0);
	assert_int_equal(mem_frames(&m), 0);
}

static void shared_memory_stays_and_can_be_touched(void **state)
{
	const unsigned long a = mem_map(&m, 2, RW, MAP_SHARED, NULL);

	(void)state;
	put(m.mm, a, 7);
	assert_int_equal(oom_reap(m.mm), 0);
	assert_true(there(&m, a));
	assert_int_equal(get(m.mm, a), 7);
	put(m.mm, nth(a, 1), 8);
	assert_int_equal(get(m.mm, nth(a, 1)), 8);
}

/* Also where nothing was written: it cannot be told any more. */
static void no_access_of_private_memory_finds_zeros(void **state)
{
	const unsigned long a = map_written(2);
	const unsigned long fresh = mem_map(&m, 2, RW, MAP_PRIVATE, NULL);
	struct samara_fault fault = { 0 };
	struct samara_pin pin;
	char byte = 1;

	(void)state;
	assert_int_equal(oom_reap(m.mm), 0);
	assert_signal(m.mm, a, SIGBUS, BUS_ADRERR);
	assert_signal(m.mm, fresh, SIGBUS, BUS_ADRERR);
	assert_int_equal(samara_write(m.mm, nth(a, 1), &byte, 1, &fault), 0);
	assert_int_equal(fault.signo, SIGBUS);
	assert_int_equal(samara_pin_pages(m.mm, a, 1, 0, &pin), -EFAULT);
	assert_int_equal(samara_madvise(m.mm, a, MEM_PAGE, MADV_POPULATE_READ), -EFAULT);
	assert_int_equal(mem_frames(&m), 0);
}

/* A private copy that was taken must not show what the file has; nor may its neighbours. */
static void no_access_of_a_private_file_mapping_finds_the_files_bytes(void **state)
{
	struct samara_file *file = mem_file(&m, 8);
	const unsigned long a = mem_map(&m, 8, RW, MAP_PRIVATE, file);
	const unsigned long beyond = mem_map(&m, 16, RW, MAP_PRIVATE, file);
	const unsigned long shared = mem_map(&m, 8, RW, MAP_SHARED, file);
	struct samara_fault fault;
	char byte = 1;

	(void)state;
	put(m.mm, nth(a, 3), 1);
	assert_int_equal(oom_reap(m.mm), 0);
	for (unsigned long i = 0; i < 8; i++)
		assert_signal(m.mm, nth(a, i), SIGBUS, BUS_ADRERR);
	assert_int_equal(samara_write(m.mm, nth(a, 4), &byte, 1, &fault), 0);
	/* Beyond the end of the file, where a fault looks around before it notices. */
	assert_signal(m.mm, nth(beyond, 8), SIGBUS, BUS_ADRERR);
	for (unsigned long i = 0; i < 8; i++) {
		assert_false(there(&m, nth(a, i)));
		assert_false(there(&m, nth(beyond, i)));
	}
	assert_int_equal(samara_read(m.mm, shared, &byte, 1, NULL), 1);
	assert_int_equal(byte, 1);
	samara_file_put(file);
}

static void guards_stay(void **state)
{
	const unsigned long a = map_written(3);

	(void)state;
	assert_int_equal(samara_madvise(m.mm, nth(a, 1), MEM_PAGE, MADV_GUARD_INSTALL), 0);
	assert_int_equal(oom_reap(m.mm), 0);
	assert_signal(m.mm, nth(a, 1), SIGSEGV, SEGV_MAPERR);
}

static void what_a_child_has_stays_the_childs(void **state)
{
	const unsigned long a = map_written(4);
	struct samara_mm *child = forked(&m);

	(void)state;
	assert_int_equal(oom_reap(m.mm), 0);
	assert_int_equal(mem_frames(&m), 4);
	put(child, a, 9);
	assert_int_equal(get(child, nth(a, 3)), 4);
	assert_int_equal(state_of(child), 0);
	samara_mm_exit(child);
	assert_int_equal(mem_frames(&m), 0);
}

static void what_is_lost_is_not_zeros_in_a_child(void **state)
{
	struct samara_mm *child = NULL;

	(void)state;
	map_written(1);
	assert_int_equal(oom_reap(m.mm), 0);
	assert_int_equal(samara_fork(m.mm, &child), -ENOMEM);
	assert_null(child);
}

static void it_is_not_done_twice(void **state)
{
	const unsigned long a = mem_map(&m, 2, RW, MAP_SHARED, NULL);

	(void)state;
	mm_oom_set(m.mm, MM_OOM_SKIP);
	map_written(1);
	assert_int_equal(oom_reap(m.mm), 0);
	assert_int_equal(mem_frames(&m), 1);
	assert_int_equal(state_of(m.mm), MM_OOM_SKIP); /* so accesses go on */
	put(m.mm, a, 1);
}

/* Another thread has set MM_UNSTABLE, and is at it. */
static void the_second_of_two_waits_for_the_first(void **state)
{
	(void)state;
	map_written(1);
	mm_oom_set(m.mm, MM_UNSTABLE);
	assert_int_equal(oom_reap(m.mm), -EAGAIN);
	assert_int_equal(mem_frames(&m), 1);
}

static void it_waits_for_no_writer(void **state)
{
	(void)state;
	map_written(1);
	mmap_write_lock(m.mm);
	assert_int_equal(oom_reap(m.mm), -EAGAIN);
	mmap_write_unlock(m.mm);
	assert_int_equal(state_of(m.mm), 0);
	mmap_read_lock(m.mm);
	mmap_read_unlock(m.mm);
	assert_int_equal(oom_reap(m.mm), 0);
}

static void it_needs_no_memory(void **state)
{
	const unsigned long a = map_written(PAGES);

	(void)state;
	samara_inject_from(1);
	assert_int_equal(oom_reap(m.mm), 0);
	samara_inject_from(0);
	assert_int_equal(mem_frames(&m), 0);
	assert_signal(m.mm, a, SIGBUS, BUS_ADRERR);
}

static void an_mm_without_pages_has_none_to_give(void **state)
{
	(void)state;
	mem_map(&m, 4, RW, MAP_PRIVATE, NULL);
	assert_int_equal(oom_reap(m.mm), 0);
	assert_int_equal(state_of(m.mm), MM_UNSTABLE | MM_OOM_SKIP);
}

static void a_pinned_page_is_its_holders(void **state)
{
	const unsigned long a = map_written(2);
	struct samara_pin pin;

	(void)state;
	assert_int_equal(samara_pin_pages(m.mm, a, 1, SAMARA_PIN_WRITE, &pin), 1);
	assert_int_equal(oom_reap(m.mm), 0);
	assert_int_equal(mem_frames(&m), 1);
	assert_int_equal(*(unsigned long *)pin.host, 1);
	samara_unpin_pages(&pin, 1, 1);
	assert_int_equal(mem_frames(&m), 0);
}

static void a_cpu_finds_nothing_of_it_in_its_tlb(void **state)
{
	const unsigned long a = map_written(1);
	struct samara_fault fault = { 0 };
	struct samara_cpu *cpu;

	(void)state;
	assert_int_equal(samara_cpu_create(m.machine, &cpu), 0);
	samara_cpu_run(cpu, m.mm);
	samara_cpu_enter(cpu);
	assert_non_null(samara_cpu_miss(cpu, a, SAMARA_ACCESS_WRITE, &fault));
	samara_cpu_exit(cpu);
	assert_int_equal(oom_reap(m.mm), 0);
	samara_cpu_enter(cpu);
	assert_null(samara_cpu_lookup(cpu, a, SAMARA_ACCESS_READ));
	assert_null(samara_cpu_miss(cpu, a, SAMARA_ACCESS_READ, &fault));
	samara_cpu_exit(cpu);
	assert_int_equal(fault.signo, SIGBUS);
	samara_cpu_destroy(cpu);
}

struct heard {
	unsigned long start, end;
	unsigned int pairs, open;
};

static void on_start(const struct samara_notifier_range *range, void *priv)
{
	struct heard *heard = priv;

	assert_int_equal(range->why, SAMARA_NOTIFY_CLEAR);
	heard->start = range->start;
	heard->end = range->end;
	heard->pairs++;
	heard->open++;
}

static void on_end(const struct samara_notifier_range *range, void *priv)
{
	struct heard *heard = priv;

	(void)range;
	heard->open--;
}

static void notifiers_are_told(void **state)
{
	static const struct samara_notifier_ops ops = { on_start, on_end, NULL };
	const unsigned long a = map_written(3);
	struct samara_notifier *notifier;
	struct heard heard = { 0 };

	(void)state;
	mem_map(&m, 1, RW, MAP_SHARED, NULL);
	assert_int_equal(samara_notifier_register(m.mm, &ops, &heard, &notifier), 0);
	assert_int_equal(oom_reap(m.mm), 0);
	samara_notifier_unregister(notifier);
	assert_int_equal(heard.pairs, 1);
	assert_int_equal(heard.open, 0);
	assert_int_equal(heard.start, a);
	assert_int_equal(heard.end, nth(a, 3));
}

/* The page table of an mm that has exited is not there any more. */
static void what_has_exited_is_left_alone(void **state)
{
	struct vma_dead dead = { 0 };
	struct samara_mm *mm = forked(&m);

	(void)state;
	exit_mmap(mm, &dead);
	vma_dead_release(&dead);
	assert_int_equal(state_of(mm), MM_OOM_SKIP);
	assert_int_equal(oom_reap(mm), 0);
	assert_int_equal(state_of(mm), MM_OOM_SKIP);
	mm_put(mm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(private_memory_is_free_at_once),
		TEST(locked_memory_goes_too),
		TEST(shared_memory_stays_and_can_be_touched),
		TEST(no_access_of_private_memory_finds_zeros),
		TEST(no_access_of_a_private_file_mapping_finds_the_files_bytes),
		TEST(guards_stay),
		TEST(what_a_child_has_stays_the_childs),
		TEST(what_is_lost_is_not_zeros_in_a_child),
		TEST(it_is_not_done_twice),
		TEST(the_second_of_two_waits_for_the_first),
		TEST(it_waits_for_no_writer),
		TEST(it_needs_no_memory),
		TEST(an_mm_without_pages_has_none_to_give),
		TEST(a_pinned_page_is_its_holders),
		TEST(a_cpu_finds_nothing_of_it_in_its_tlb),
		TEST(notifiers_are_told),
		TEST(what_has_exited_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
