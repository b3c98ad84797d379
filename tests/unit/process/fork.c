/* SPDX-License-Identifier: MIT */
/*
 * What a child has of its parent's pages, and what becomes of them when either writes.
 */
#include <string.h>

#include "family.h"

MEM_FIXTURE(m, 16 << 20);

static void gone(struct samara_mm *child)
{
	const struct mem c = other(&m, child);

	mem_check(&c);
	samara_mm_exit(child);
}

static void anonymous_pages_are_one_until_either_writes(void **state)
{
	const unsigned long a = mem_map(&m, 4, RW, MAP_PRIVATE, NULL);
	unsigned long was[3];
	struct samara_mm *child;
	struct mem c;

	(void)state;
	for (unsigned long i = 0; i < 3; i++) {
		put(m.mm, a + i * MEM_PAGE, 100 + i);
		was[i] = pfn_of(&m, a + i * MEM_PAGE);
	}
	child = forked(&m);
	c = other(&m, child);
	for (unsigned long i = 0; i < 3; i++) {
		assert_int_equal(pfn_of(&c, a + i * MEM_PAGE), was[i]);
		assert_int_equal(get(child, a + i * MEM_PAGE), 100 + i);
	}
	assert_false(there(&c, a + 3 * MEM_PAGE));
	/* The parent writes to page 0 first, the child to page 1: who comes second is alone. */
	put(m.mm, a, 200);
	put(child, a + MEM_PAGE, 301);
	assert_int_not_equal(pfn_of(&m, a), was[0]);
	assert_int_equal(pfn_of(&c, a), was[0]);
	assert_int_not_equal(pfn_of(&c, a + MEM_PAGE), was[1]);
	assert_int_equal(pfn_of(&m, a + MEM_PAGE), was[1]);
	assert_int_equal(get(child, a), 100);
	assert_int_equal(get(m.mm, a + MEM_PAGE), 101);
	put(child, a, 300);
	put(m.mm, a + MEM_PAGE, 201);
	assert_int_equal(pfn_of(&c, a), was[0]);
	assert_int_equal(pfn_of(&m, a + MEM_PAGE), was[1]);
	assert_int_equal(get(m.mm, a), 200);
	assert_int_equal(get(child, a + MEM_PAGE), 301);
	assert_int_equal(get(child, a + 2 * MEM_PAGE), 102);
	/* 3 in each, one of them common. */
	assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), 3);
	assert_int_equal(mm_rss_sum(child, MM_ANONPAGES), 3);
	assert_int_equal(mem_frames(&m), 5);
	gone(child);
	assert_int_equal(mem_frames(&m), 3);
	put(m.mm, a + 2 * MEM_PAGE, 202);
	assert_int_equal(pfn_of(&m, a + 2 * MEM_PAGE), was[2]);
}

static void private_copies_of_a_file_are_inherited_and_the_file_is_not_written(void **state)
{
	struct samara_file *file = mem_file(&m, 3);
	const unsigned long a = mem_map(&m, 3, RW, MAP_PRIVATE, file);
	struct samara_mm *child;
	unsigned long copy, cache, word = 0;
	struct mem c;

	(void)state;
	put(m.mm, a, 7);
	get(m.mm, a + MEM_PAGE);
	copy = pfn_of(&m, a);
	cache = pfn_of(&m, a + MEM_PAGE);
	child = forked(&m);
	c = other(&m, child);
	assert_int_equal(get(child, a), 7);
	assert_int_equal(pfn_of(&c, a), copy);
	assert_int_equal(get(child, a + MEM_PAGE), 0x0202020202020202);
	assert_int_equal(pfn_of(&c, a + MEM_PAGE), cache);
	put(child, a, 8);
	put(child, a + MEM_PAGE, 9);
	assert_int_equal(get(m.mm, a), 7);
	assert_int_equal(get(m.mm, a + MEM_PAGE), 0x0202020202020202);
	assert_int_equal(mm_rss_sum(child, MM_ANONPAGES), 2);
	assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), 1);
	assert_int_equal(samara_file_pread(file, &word, 8, 0), 8);
	assert_int_equal(word, 0x0101010101010101);
	gone(child);
	samara_file_put(file);
}

static void shared_memory_stays_shared(void **state)
{
	struct samara_file *file = mem_file(&m, 2);
	const unsigned long a = mem_map(&m, 2, RW, MAP_SHARED, file);
	const unsigned long b = mem_map(&m, 2, RW, MAP_SHARED, NULL);
	struct samara_mm *child;
	struct mem c;

	(void)state;
	put(m.mm, a, 1);
	put(m.mm, b, 2);
	child = forked(&m);
	c = other(&m, child);
	put(child, a, 3);
	put(child, b, 4);
	put(child, b + MEM_PAGE, 5);
	assert_int_equal(get(m.mm, a), 3);
	assert_int_equal(get(m.mm, b), 4);
	assert_int_equal(get(m.mm, b + MEM_PAGE), 5);
	assert_int_equal(pfn_of(&c, a), pfn_of(&m, a));
	assert_int_equal(pfn_of(&c, b + MEM_PAGE), pfn_of(&m, b + MEM_PAGE));
	assert_int_equal(mm_rss_sum(child, MM_ANONPAGES), 0);
	gone(child);
	samara_file_put(file);
}

static void the_zero_frame_is_inherited_and_counts_nothing(void **state)
{
	const unsigned long a = mem_map(&m, 2, RW, MAP_PRIVATE, NULL);
	struct samara_mm *child;
	struct mem c;

	(void)state;
	put(m.mm, a + MEM_PAGE, 1); /* so that the VMA's pages are copied at all */
	assert_int_equal(get(m.mm, a), 0);
	child = forked(&m);
	c = other(&m, child);
	assert_int_equal(pfn_of(&c, a), ZERO_FRAME);
	assert_int_equal(mm_rss_sum(child, MM_ANONPAGES), 1);
	put(child, a, 5);
	assert_int_equal(get(m.mm, a), 0);
	assert_int_equal(pfn_of(&m, a), ZERO_FRAME);
	assert_int_equal(mm_rss_sum(child, MM_ANONPAGES), 2);
	gone(child);
}

static void guards_are_inherited(void **state)
{
	struct samara_file *file = mem_file(&m, 2);
	const unsigned long a = mem_map(&m, 2, RW, MAP_PRIVATE, NULL);
	const unsigned long f = mem_map(&m, 2, PROT_READ, MAP_PRIVATE, file);
	struct samara_mm *child;

	(void)state;
	assert_int_equal(samara_madvise(m.mm, a, MEM_PAGE, MADV_GUARD_INSTALL), 0);
	assert_int_equal(samara_madvise(m.mm, f, MEM_PAGE, MADV_GUARD_INSTALL), 0);
	child = forked(&m);
	assert_signal(child, a, SIGSEGV, SEGV_MAPERR);
	assert_signal(child, f, SIGSEGV, SEGV_MAPERR);
	assert_int_equal(get(child, a + MEM_PAGE), 0);
	assert_int_equal(get(child, f + MEM_PAGE), 0x0202020202020202);
	gone(child);
	samara_file_put(file);
}

static void what_is_not_to_be_forked_is_not_there_and_what_is_to_be_wiped_is_zero(void **state)
{
	const unsigned long a = mem_map(&m, 6, RW, MAP_PRIVATE, NULL);
	struct samara_mm *child;
	unsigned long frames;

	(void)state;
	for (unsigned long i = 0; i < 6; i++)
		put(m.mm, a + i * MEM_PAGE, i + 1);
	assert_int_equal(samara_madvise(m.mm, a, 2 * MEM_PAGE, MADV_DONTFORK), 0);
	assert_int_equal(samara_madvise(m.mm, a + 2 * MEM_PAGE, 2 * MEM_PAGE, MADV_WIPEONFORK), 0);
	frames = mem_frames(&m);
	child = forked(&m);
	assert_int_equal(mem_frames(&m), frames);
	assert_int_equal(mm_rss_sum(child, MM_ANONPAGES), 2);
	assert_signal(child, a + MEM_PAGE, SIGSEGV, SEGV_MAPERR);
	assert_int_equal(get(child, a + 2 * MEM_PAGE), 0);
	assert_int_equal(get(child, a + 4 * MEM_PAGE), 5);
	put(child, a + 3 * MEM_PAGE, 99);
	for (unsigned long i = 0; i < 6; i++)
		assert_int_equal(get(m.mm, a + i * MEM_PAGE), i + 1);
	gone(child);
}

static void a_pinned_page_stays_the_parents_own(void **state)
{
	const unsigned long a = mem_map(&m, 3, RW, MAP_PRIVATE, NULL);
	struct samara_mm *child;
	struct samara_pin pin;
	struct mem c;

	(void)state;
	for (unsigned long i = 0; i < 3; i++)
		put(m.mm, a + i * MEM_PAGE, i + 1);
	assert_int_equal(samara_pin_pages(m.mm, a + MEM_PAGE, 1, SAMARA_PIN_WRITE, &pin), 1);
	child = forked(&m);
	c = other(&m, child);
	assert_int_equal(pfn_of(&m, a + MEM_PAGE), pin.pfn);
	assert_int_not_equal(pfn_of(&c, a + MEM_PAGE), pin.pfn);
	assert_int_equal(pfn_of(&c, a), pfn_of(&m, a));
	assert_int_equal(get(child, a + MEM_PAGE), 2);
	put(m.mm, a + MEM_PAGE, 20);
	assert_int_equal(pfn_of(&m, a + MEM_PAGE), pin.pfn);
	assert_int_equal(*(unsigned long *)pin.host, 20);
	*(unsigned long *)pin.host = 21;
	assert_int_equal(get(m.mm, a + MEM_PAGE), 21);
	assert_int_equal(get(child, a + MEM_PAGE), 2);
	/* The child's needs no copy either. */
	{
		const unsigned long own = pfn_of(&c, a + MEM_PAGE);

		put(child, a + MEM_PAGE, 30);
		assert_int_equal(pfn_of(&c, a + MEM_PAGE), own);
	}
	assert_int_equal(mm_rss_sum(child, MM_ANONPAGES), 3);
	gone(child);
	samara_unpin_pages(&pin, 1, 1);
}

static void locks_are_not_inherited(void **state)
{
	struct samara_mm_stats stats = { .size = sizeof(stats) };
	const unsigned long a = mem_map(&m, 4, RW, MAP_PRIVATE, NULL);
	struct samara_mm *child;
	struct mem c;

	(void)state;
	assert_int_equal(samara_mlock(m.mm, a, 4 * MEM_PAGE), 0);
	assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), 4);
	child = forked(&m);
	c = other(&m, child);
	assert_int_equal(samara_mm_stats(child, &stats), 0);
	assert_int_equal(stats.locked_vm, 0);
	assert_false(mem_vma(&c, a)->vm_flags & VM_LOCKED_MASK);
	assert_true(mem_vma(&m, a)->vm_flags & VM_LOCKED);
	gone(child);
}

/* A CPU that may write to a page by its TLB faults after the fork. */
static void cpus_forget_what_they_may_write_to(void **state)
{
	const unsigned long a = mem_map(&m, 1, RW, MAP_PRIVATE, NULL);
	struct samara_fault fault;
	struct samara_mm *child;
	struct samara_cpu *cpu;
	unsigned long *p;

	(void)state;
	assert_int_equal(samara_cpu_create(m.machine, &cpu), 0);
	samara_cpu_run(cpu, m.mm);
	samara_cpu_enter(cpu);
	p = samara_cpu_miss(cpu, a, SAMARA_ACCESS_WRITE, &fault);
	assert_non_null(p);
	*p = 1;
	samara_cpu_exit(cpu);
	child = forked(&m);
	samara_cpu_enter(cpu);
	assert_null(samara_cpu_lookup(cpu, a, SAMARA_ACCESS_WRITE));
	p = samara_cpu_miss(cpu, a, SAMARA_ACCESS_WRITE, &fault);
	assert_non_null(p);
	*p = 2;
	samara_cpu_exit(cpu);
	assert_int_equal(get(child, a), 1);
	assert_int_equal(get(m.mm, a), 2);
	samara_cpu_run(cpu, NULL);
	samara_cpu_destroy(cpu);
	gone(child);
}

#define GENERATIONS 40

/* Each writes a page of its own and leaves the rest as it came. */
static void generations_see_what_their_ancestors_wrote(void **state)
{
	const unsigned long a = mem_map(&m, GENERATIONS, RW, MAP_PRIVATE, NULL);
	unsigned long families = 0;

	(void)state;
	for (unsigned long g = 0; g < GENERATIONS; g++) {
		struct samara_mm *child;

		for (unsigned long i = 0; i < GENERATIONS; i++)
			assert_int_equal(get(m.mm, a + i * MEM_PAGE), i < g ? i + 1000 : 0);
		put(m.mm, a + g * MEM_PAGE, g + 1000);
		child = forked(&m);
		samara_mm_exit(m.mm);
		m.mm = child;
		if (g == 3)
			families = live_at("anon_vma");
	}
	/* Those that nobody writes for any more are taken over. */
	assert_int_equal(live_at("anon_vma"), families);
	assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), GENERATIONS);
	assert_int_equal(mem_frames(&m), GENERATIONS);
	for (unsigned long i = 0; i < GENERATIONS; i++) {
		const unsigned long pfn = pfn_of(&m, a + i * MEM_PAGE);

		put(m.mm, a + i * MEM_PAGE, i);
		assert_int_equal(pfn_of(&m, a + i * MEM_PAGE), pfn);
	}
}

/* Three generations live at once: a page of the first is found in all. */
static void the_middle_generation_may_go(void **state)
{
	const unsigned long a = mem_map(&m, 2, RW, MAP_PRIVATE, NULL);
	struct samara_mm *child, *grandchild;
	struct mem c, g;

	(void)state;
	put(m.mm, a, 1);
	put(m.mm, a + MEM_PAGE, 2);
	child = forked(&m);
	c = other(&m, child);
	put(child, a + MEM_PAGE, 3);
	assert_int_equal(samara_fork(child, &grandchild), 0);
	g = other(&m, grandchild);
	assert_int_equal(folio_maps(mem_folio(&m, a)), 3);
	assert_int_equal(folio_maps(mem_folio(&m, a + MEM_PAGE)), 1);
	assert_int_equal(pfn_of(&g, a + MEM_PAGE), pfn_of(&c, a + MEM_PAGE));
	gone(child);
	assert_int_equal(folio_maps(mem_folio(&m, a)), 2);
	assert_int_equal(get(grandchild, a + MEM_PAGE), 3);
	put(grandchild, a, 4);
	put(grandchild, a + MEM_PAGE, 5);
	assert_int_equal(get(m.mm, a), 1);
	assert_int_equal(get(m.mm, a + MEM_PAGE), 2);
	gone(grandchild);
}

/* What the stack below this holds afterwards is no address. */
static __attribute__((noinline)) void dirty_the_stack(void)
{
	volatile unsigned char bytes[8192];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = 0xa5;
}

static void an_empty_map_has_an_empty_child(void **state)
{
	struct samara_mm_stats stats = { .size = sizeof(stats) };
	struct samara_mm *child;

	(void)state;
	dirty_the_stack();
	child = forked(&m);
	assert_int_equal(samara_mm_stats(child, &stats), 0);
	assert_int_equal(stats.map_count, 0);
	assert_int_equal(stats.accounted, 0);
	gone(child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(anonymous_pages_are_one_until_either_writes),
		TEST(private_copies_of_a_file_are_inherited_and_the_file_is_not_written),
		TEST(shared_memory_stays_shared),
		TEST(the_zero_frame_is_inherited_and_counts_nothing),
		TEST(guards_are_inherited),
		TEST(what_is_not_to_be_forked_is_not_there_and_what_is_to_be_wiped_is_zero),
		TEST(a_pinned_page_stays_the_parents_own),
		TEST(locks_are_not_inherited),
		TEST(cpus_forget_what_they_may_write_to),
		TEST(generations_see_what_their_ancestors_wrote),
		TEST(the_middle_generation_may_go),
		TEST(an_empty_map_has_an_empty_child),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
