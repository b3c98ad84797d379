/* SPDX-License-Identifier: MIT */
/*
 * What is left of an address space that exits: nothing, and what was written to files is there.
 */
#include <errno.h>
#include <unistd.h>

#include <samara/notifier.h>

#include "family.h"
#include "core/mms.h"
#include "process/exit.h"
#include "rmap/rmap.h"
#include "support/store_box.h"
#include "vma/unmap.h"

MEM_FIXTURE(m, 16 << 20);

/* samara_mm_exit() up to where mm is freed: it can still be looked at. */
static void exit_of(struct samara_mm *mm)
{
	struct vma_dead dead = { 0 };

	exit_mmap(mm, &dead);
	vma_dead_release(&dead);
}

static void freed(struct samara_mm *mm)
{
	mm_put(mm);
}

static void pages_tables_and_vmas_go(void **state)
{
	struct samara_mm *mm = forked(&m);
	const struct mem o = other(&m, mm);
	struct samara_file *file = mem_file(&m, 4);
	const unsigned long frames = mem_frames(&m);
	unsigned long a, f;

	(void)state;
	a = mem_map(&o, 1200, RW, MAP_PRIVATE, NULL);
	f = mem_map(&o, 4, RW, MAP_PRIVATE, file);
	mem_map(&o, 4, RW, MAP_SHARED, file);
	for (unsigned long i = 0; i < 1200; i += 7)
		put(mm, a + i * MEM_PAGE, i);
	put(mm, f, 1);
	get(mm, f + MEM_PAGE);
	get(mm, a + MEM_PAGE);
	assert_int_equal(samara_madvise(mm, a + 2 * MEM_PAGE, MEM_PAGE, MADV_GUARD_INSTALL), 0);
	assert_true(mm->tables.nr >= 3 + 3); /* 1200 pages lie in 3 leaves at least */
	exit_of(mm);
	assert_int_equal(mm->life.state, MM_DYING);
	assert_int_equal(mm->tables.nr, 0);
	assert_null(mm->tables.pgd);
	assert_int_equal(mm->count.map_count, 0);
	assert_int_equal(mm->count.total_vm, 0);
	for (enum mm_rss i = 0; i < MM_RSS; i++)
		assert_int_equal(mm_rss_sum(mm, i), 0);
	assert_true(mtree_empty(&mm->mt));
	assert_int_equal(mem_frames(&m), frames);
	assert_int_equal(samara_committed_pages(m.machine), 4); /* the file */
	freed(mm);
	samara_file_put(file);
}

/* An address space that never had a page costs no table, and exits as well. */
static void without_pages(void **state)
{
	struct samara_mm *mm = forked(&m);
	const struct mem o = other(&m, mm);

	(void)state;
	mem_map(&o, 4, RW, MAP_PRIVATE, NULL);
	assert_int_equal(mm->tables.nr, 0);
	exit_of(mm);
	assert_int_equal(mm->count.map_count, 0);
	freed(mm);
}

struct heard {
	unsigned int start, end, release, open;
	bool after_release;
};

static void on_start(const struct samara_notifier_range *range, void *priv)
{
	struct heard *heard = priv;

	(void)range;
	heard->start++;
	heard->open++;
	heard->after_release |= heard->release;
}

static void on_end(const struct samara_notifier_range *range, void *priv)
{
	struct heard *heard = priv;

	(void)range;
	heard->end++;
	heard->open--;
}

static void on_release(struct samara_mm *mm, void *priv)
{
	struct heard *heard = priv;

	assert_int_equal(mm->life.state, MM_DYING);
	assert_int_equal(heard->open, 0);
	heard->release++;
}

static void notifiers_are_released_once_and_hear_nothing_more(void **state)
{
	static const struct samara_notifier_ops ops = { on_start, on_end, on_release };
	struct samara_mm *mm = forked(&m);
	const struct mem o = other(&m, mm);
	const unsigned long a = mem_map(&o, 4, RW, MAP_PRIVATE, NULL);
	struct heard heard = { 0 };
	struct samara_notifier *notifier;
	struct samara_mm *child;

	(void)state;
	assert_int_equal(samara_notifier_register(mm, &ops, &heard, &notifier), 0);
	put(mm, a, 1);
	assert_int_equal(samara_fork(mm, &child), 0);
	assert_int_equal(heard.start, 1);
	assert_int_equal(heard.end, 1);
	samara_mm_exit(child);
	assert_int_equal(heard.release, 0);
	exit_of(mm);
	assert_int_equal(heard.release, 1);
	assert_false(heard.after_release);
	assert_null(mm->watch.notifiers);
	freed(mm);
}

static void cpus_are_taken_off(void **state)
{
	struct samara_mm *mm = forked(&m);
	const struct mem o = other(&m, mm);
	const unsigned long a = mem_map(&o, 1, RW, MAP_PRIVATE, NULL);
	struct samara_fault fault = { 0 };
	struct samara_cpu *cpu;

	(void)state;
	assert_int_equal(samara_cpu_create(m.machine, &cpu), 0);
	samara_cpu_run(cpu, mm);
	samara_cpu_enter(cpu);
	assert_non_null(samara_cpu_miss(cpu, a, SAMARA_ACCESS_WRITE, &fault));
	samara_cpu_exit(cpu);
	samara_mm_exit(mm);
	samara_cpu_enter(cpu);
	assert_null(samara_cpu_lookup(cpu, a, SAMARA_ACCESS_READ));
	assert_null(samara_cpu_lookup(cpu, a, SAMARA_ACCESS_WRITE));
	assert_null(samara_cpu_miss(cpu, a, SAMARA_ACCESS_READ, &fault));
	samara_cpu_exit(cpu);
	assert_int_equal(fault.signo, SIGSEGV);
	assert_int_equal(fault.code, SEGV_MAPERR);
	samara_cpu_run(cpu, NULL);
	samara_cpu_destroy(cpu);
}

/* Through samara_write() and through a CPU's TLB, whose dirty bit is in the entry only. */
static void dirty_shared_pages_reach_the_host_file(void **state)
{
	const int fd = box_host_file(3 * MEM_PAGE);
	struct samara_mm *mm = forked(&m);
	const struct mem o = other(&m, mm);
	struct samara_fault fault;
	struct samara_file *file;
	struct samara_cpu *cpu;
	unsigned long a, word = 0, *p;

	(void)state;
	assert_int_equal(samara_file_from_fd(m.machine, fd, &file), 0);
	a = mem_map(&o, 3, RW, MAP_SHARED, file);
	samara_file_put(file);
	put(mm, a, 41);
	assert_int_equal(samara_cpu_create(m.machine, &cpu), 0);
	samara_cpu_run(cpu, mm);
	samara_cpu_enter(cpu);
	p = samara_cpu_miss(cpu, a + MEM_PAGE, SAMARA_ACCESS_WRITE, &fault);
	assert_non_null(p);
	*p = 42;
	samara_cpu_exit(cpu);
	get(mm, a + 2 * MEM_PAGE);
	samara_mm_exit(mm);
	assert_int_equal(pread(fd, &word, 8, 0), 8);
	assert_int_equal(word, 41);
	assert_int_equal(pread(fd, &word, 8, MEM_PAGE), 8);
	assert_int_equal(word, 42);
	assert_int_equal(mem_frames(&m), 0);
	samara_cpu_run(cpu, NULL);
	samara_cpu_destroy(cpu);
	close(fd);
}

static void a_pinned_page_outlives_its_address_space(void **state)
{
	struct samara_mm *mm = forked(&m);
	const struct mem o = other(&m, mm);
	const unsigned long a = mem_map(&o, 2, RW, MAP_PRIVATE, NULL);
	struct samara_pin pin;

	(void)state;
	put(mm, a, 7);
	put(mm, a + MEM_PAGE, 8);
	assert_int_equal(samara_pin_pages(mm, a, 1, SAMARA_PIN_WRITE, &pin), 1);
	samara_mm_exit(mm);
	assert_int_equal(mem_frames(&m), 1);
	assert_int_equal(*(unsigned long *)pin.host, 7);
	samara_unpin_pages(&pin, 1, 1);
	assert_int_equal(mem_frames(&m), 0);
}

/* Nothing that exit does can be refused. */
static void exit_needs_no_memory(void **state)
{
	struct samara_file *file = mem_file(&m, 2);
	struct samara_mm *mm = forked(&m);
	const struct mem o = other(&m, mm);
	const unsigned long a = mem_map(&o, 900, RW, MAP_PRIVATE, NULL);
	const unsigned long f = mem_map(&o, 2, RW, MAP_SHARED, file);
	struct samara_mm *child;

	(void)state;
	for (unsigned long i = 0; i < 900; i++)
		put(mm, a + i * MEM_PAGE, i);
	put(mm, f, 1);
	assert_int_equal(samara_fork(mm, &child), 0);
	put(child, a, 1);
	samara_inject_from(1);
	samara_mm_exit(mm);
	samara_mm_exit(child);
	samara_inject_from(0);
	assert_int_equal(mem_frames(&m), 2);
	samara_file_put(file);
	assert_int_equal(mem_frames(&m), 0);
}

/* The family that the page belongs to was the one that exited first. */
static void a_page_that_two_share_is_the_survivors(void **state)
{
	const unsigned long a = mem_map(&m, 1, RW, MAP_PRIVATE, NULL);
	struct samara_mm *child;
	struct folio *folio;
	unsigned long pfn;
	struct mem c;

	(void)state;
	put(m.mm, a, 1);
	child = forked(&m);
	c = other(&m, child);
	folio = mem_folio(&c, a);
	folio_get(folio);
	samara_mm_exit(m.mm);
	m.mm = child;
	folio_lock(folio);
	assert_int_equal(folio_maps(folio), 1);
	folio_referenced(m.machine->store, folio);
	folio_unlock(folio);
	folio_put(m.machine->ram, folio);
	pfn = pfn_of(&m, a);
	put(m.mm, a, 2);
	assert_int_equal(pfn_of(&m, a), pfn);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(pages_tables_and_vmas_go),
		TEST(without_pages),
		TEST(notifiers_are_released_once_and_hear_nothing_more),
		TEST(cpus_are_taken_off),
		TEST(dirty_shared_pages_reach_the_host_file),
		TEST(a_pinned_page_outlives_its_address_space),
		TEST(exit_needs_no_memory),
		TEST(a_page_that_two_share_is_the_survivors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
