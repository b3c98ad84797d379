/* SPDX-License-Identifier: MIT */
/*
 * samara_clear_refs(), and which mappings are soft-dirty.
 */
#include <errno.h>
#include <string.h>

#include <samara/notifier.h>

#include "range/range.h"
#include "support/soft_dirty.h"

static int without(void **state)
{
	(void)state;
	mem_open(&m, 4 << 20);
	return 0;
}

/* "sd" in VmFlags. */
static bool vma_dirty(unsigned long addr)
{
	struct samara_vma_info info;
	char text[128];

	assert_int_equal(samara_vma_next(m.mm, addr, &info), 0);
	assert_true(samara_vm_flags_text(info.flags, text, sizeof(text)) > 0);
	return strstr(text, "sd ");
}

static unsigned long mappings(void)
{
	struct samara_mm_stats stats = { .size = sizeof(stats) };

	assert_int_equal(samara_mm_stats(m.mm, &stats), 0);
	return stats.map_count;
}

/* the call ------------------------------------------------------------------------ */

static void numbers_are_those_of_the_file(void **state)
{
	(void)state;
	assert_int_equal(samara_clear_refs(m.mm, 0), -EINVAL);
	assert_int_equal(samara_clear_refs(m.mm, 6), -EINVAL);
	assert_int_equal(samara_clear_refs(m.mm, -1), -EINVAL);
	for (int what = 1; what <= 5; what++)
		assert_int_equal(samara_clear_refs(m.mm, what), 0);
}

static unsigned long referenced(unsigned long addr)
{
	struct range_look look;
	struct vma *vma = mem_vma(&m, addr);

	mmap_read_lock(m.mm);
	range_look(vma, vma->vm_start, vma->vm_end, &look);
	mmap_read_unlock(m.mm);
	return look.referenced;
}

static void referenced_pages_are_forgotten_by_what_is_behind(void **state)
{
	struct samara_file *file = mem_file(&m, 2);
	const unsigned long anon = map(2, MAP_PRIVATE);
	const unsigned long mapped = mem_map(&m, 2, RW, MAP_PRIVATE, file);

	(void)state;
	for (int what = 1; what <= 3; what++) {
		put(m.mm, anon);
		put(m.mm, mapped);
		assert_int_equal(referenced(anon), 1);
		assert_int_equal(referenced(mapped) >= 1, 1);
		assert_int_equal(samara_clear_refs(m.mm, what), 0);
		assert_int_equal(referenced(anon), what == 3);
		assert_int_equal(referenced(mapped) >= 1, what == 2);
		assert_true(dirty(anon));
	}
	samara_file_put(file);
}

/* What a CPU has in its TLB is used through the page tables again. */
static void use_through_a_tlb_is_seen_again(void **state)
{
	const unsigned long a = map(1, MAP_PRIVATE);
	struct samara_cpu *cpu;

	(void)state;
	put(m.mm, a);
	assert_int_equal(samara_cpu_create(m.machine, &cpu), 0);
	samara_cpu_run(cpu, m.mm);
	assert_false(in_tlb(cpu, a, SAMARA_ACCESS_READ));
	assert_true(in_tlb(cpu, a, SAMARA_ACCESS_READ));
	assert_int_equal(samara_clear_refs(m.mm, 1), 0);
	assert_int_equal(referenced(a), 0);
	assert_false(in_tlb(cpu, a, SAMARA_ACCESS_READ));
	assert_int_equal(referenced(a), 1);
	samara_cpu_destroy(cpu);
}

static void a_machine_without_shows_nothing_and_keeps_no_write_from_its_page(void **state)
{
	const unsigned long a = map(2, MAP_PRIVATE);
	pte_t before;

	(void)state;
	put(m.mm, a);
	assert_false(dirty(a));
	assert_false(vma_dirty(a));
	before = mem_pte(&m, a);
	forget(m.mm);
	assert_true(pte_same(mem_pte(&m, a), before));
	assert_int_equal(samara_mremap(m.mm, a, MEM_PAGE, MEM_PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
				       a + (16 << 20)),
			 a + (16 << 20));
	assert_false(dirty(a + (16 << 20)));
}

/* mappings ------------------------------------------------------------------------- */

static void new_memory_counts_as_written_to(void **state)
{
	const unsigned long a = map(4, MAP_PRIVATE);

	(void)state;
	assert_true(vma_dirty(a));
	assert_true(dirty(a) && dirty(a + 3 * MEM_PAGE));
	assert_false(dirty(a + 4 * MEM_PAGE));
	get(m.mm, a);
	assert_true(dirty(a));
	forget(m.mm);
	assert_false(vma_dirty(a));
	assert_false(dirty(a) || dirty(a + 3 * MEM_PAGE));
}

/* Else a tracker would take memory that came in its place for what it knows. */
static void memory_in_the_place_of_other_counts_as_written_to(void **state)
{
	const unsigned long a = map(8, MAP_PRIVATE);
	const unsigned long count = mappings();

	(void)state;
	put(m.mm, a + 2 * MEM_PAGE);
	forget(m.mm);
	assert_int_equal(samara_munmap(m.mm, a + 2 * MEM_PAGE, MEM_PAGE), 0);
	assert_int_equal(samara_mmap(m.mm, a + 2 * MEM_PAGE, MEM_PAGE, RW,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0),
			 a + 2 * MEM_PAGE);
	assert_true(dirty(a + 2 * MEM_PAGE));
	/* It keeps nothing from merging, and what merges is soft-dirty. */
	assert_int_equal(mappings(), count);
	assert_true(dirty(a + 7 * MEM_PAGE));
}

static void a_cut_keeps_it_and_a_merge_too(void **state)
{
	const unsigned long a = map(8, MAP_PRIVATE);
	const unsigned long count = mappings();

	(void)state;
	forget(m.mm);
	assert_int_equal(samara_mprotect(m.mm, a + 4 * MEM_PAGE, 4 * MEM_PAGE, PROT_READ), 0);
	assert_false(dirty(a) || dirty(a + 4 * MEM_PAGE));
	assert_int_equal(samara_munmap(m.mm, a, 4 * MEM_PAGE), 0);
	assert_int_equal(samara_mmap(m.mm, a, 4 * MEM_PAGE, RW,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0),
			 a);
	assert_true(dirty(a));
	assert_false(dirty(a + 4 * MEM_PAGE));
	/* The upper part is taken in by the lower one, and the other way round. */
	assert_int_equal(samara_mprotect(m.mm, a + 4 * MEM_PAGE, 4 * MEM_PAGE, RW), 0);
	assert_int_equal(mappings(), count);
	assert_true(dirty(a + 7 * MEM_PAGE));
	forget(m.mm);
	assert_int_equal(samara_mprotect(m.mm, a, 4 * MEM_PAGE, PROT_READ), 0);
	assert_int_equal(samara_munmap(m.mm, a + 4 * MEM_PAGE, 4 * MEM_PAGE), 0);
	assert_int_equal(samara_mmap(m.mm, a + 4 * MEM_PAGE, 4 * MEM_PAGE, RW,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0),
			 a + 4 * MEM_PAGE);
	assert_int_equal(samara_mprotect(m.mm, a, 4 * MEM_PAGE, RW), 0);
	assert_int_equal(mappings(), count);
	assert_true(dirty(a) && dirty(a + 7 * MEM_PAGE));
}

static void the_heap_and_what_is_installed_begin_so(void **state)
{
	struct samara_layout layout = SAMARA_LAYOUT_INIT;
	struct samara_mapping vdso = {
		.start = 0x700000000000, .end = 0x700000002000, .prot = PROT_READ, .name = "[vdso]"
	};

	(void)state;
	layout.start_brk = layout.brk = 0x10000000;
	assert_int_equal(samara_set_layout(m.mm, &layout), 0);
	assert_int_equal(samara_mm_install(m.mm, &vdso), 0);
	assert_true(dirty(vdso.start));
	assert_int_equal(samara_brk(m.mm, 0x10002000), 0x10002000);
	assert_true(dirty(0x10000000));
	forget(m.mm);
	assert_false(dirty(0x10000000) || dirty(vdso.start));
	assert_int_equal(samara_brk(m.mm, 0x10003000), 0x10003000);
	assert_true(dirty(0x10002000));
	assert_int_equal(samara_mlockall(m.mm, MCL_FUTURE), 0);
	assert_true(dirty(map(1, MAP_PRIVATE)));
	assert_int_equal(samara_munlockall(m.mm), 0);
	assert_true(dirty(map(1, MAP_PRIVATE)));
}

/* notifiers ------------------------------------------------------------------------- */

static unsigned int starts, ends;

static void start(const struct samara_notifier_range *range, void *priv)
{
	const unsigned long *addr = priv;

	assert_int_equal(range->why, SAMARA_NOTIFY_PROTECT);
	assert_true(range->start <= *addr && *addr < range->end);
	starts++;
}

static void end(const struct samara_notifier_range *range, void *priv)
{
	(void)range, (void)priv;
	ends++;
}

static void notifiers_are_told(void **state)
{
	static const struct samara_notifier_ops ops = { .start = start, .end = end };
	struct samara_notifier *notifier;
	unsigned long a = map(1, MAP_PRIVATE);

	(void)state;
	put(m.mm, a);
	starts = ends = 0;
	assert_int_equal(samara_notifier_register(m.mm, &ops, &a, &notifier), 0);
	forget(m.mm);
	assert_int_equal(starts, 1);
	assert_int_equal(ends, 1);
	samara_notifier_unregister(notifier);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(numbers_are_those_of_the_file),
		TEST(referenced_pages_are_forgotten_by_what_is_behind),
		TEST(use_through_a_tlb_is_seen_again),
		cmocka_unit_test_setup_teardown(
			a_machine_without_shows_nothing_and_keeps_no_write_from_its_page, without,
			tear_down),
		TEST(new_memory_counts_as_written_to),
		TEST(memory_in_the_place_of_other_counts_as_written_to),
		TEST(a_cut_keeps_it_and_a_merge_too),
		TEST(the_heap_and_what_is_installed_begin_so),
		TEST(notifiers_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
