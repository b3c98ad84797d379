/* SPDX-License-Identifier: MIT */
/*
 * UFFDIO_MOVE: where pages may go, in which order, and what is refused. The answers are those that
 * tools/uffd_facts got of Linux 6.18.
 */
#include <samara/cpu.h>
#include <samara/inject.h>

#include "unit/uffd/move_scene.h"

static void a_page_moves_and_is_not_copied(void **state)
{
	const unsigned long src = filled(2, 7);
	struct folio *folio = mem_folio(&m, src);
	const unsigned long frames = mem_frames(&m);
	pte_t pte;

	(void)state;
	moves(ASK(dst + 3 * P, 1, 0), src, 0, P);
	assert_ptr_equal(mem_folio(&m, dst + 3 * P), folio);
	assert_true(pte_none(mem_pte(&m, src)));
	assert_int_equal(mem_frames(&m), frames);
	assert_ptr_equal(folio->mapping, mem_vma(&m, dst)->anon_vma);
	pte = mem_pte(&m, dst + 3 * P);
	assert_true(pte_write(pte) && pte_dirty(pte) && (pte.v & PTE_SOFT_DIRTY));
	assert_true(folio_test(folio, FOLIO_EXCLUSIVE));
	assert_int_equal(paged_get(m.mm, dst + 3 * P), 7);
	assert_int_equal(paged_get(m.mm, src + P), 8);
	paged_put(m.mm, dst + 3 * P, 9);
	assert_int_equal(paged_get(m.mm, dst + 3 * P), 9);
}

static void arguments_are_looked_at_first(void **state)
{
	const unsigned long src = filled(2, 7), top = m.mm->geo->task_size;
	const struct {
		unsigned long to, from, len;
		unsigned long long mode;
	} bad[] = {
		{ dst, src, 0, 0 },          { dst, src, P, 4 },
		{ dst, src, P, 1ULL << 63 }, { dst + 8, src, P, 0 },
		{ dst, src + 8, P, 0 },      { dst, src, P + 8, 0 },
		{ top, src, P, 0 },          { dst, top, P, 0 },
		{ top - P, src, 2 * P, 0 },  { dst, top - P, 2 * P, HOLES },
		{ dst, src, -P, 0 },         { -P, src, 2 * P, 0 },
		{ dst, -P, 2 * P, 0 },       { dst, src, 1UL << 63, HOLES },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		moves((struct ask){ bad[i].to, bad[i].len, bad[i].mode }, bad[i].from, -EINVAL,
		      NOT_WRITTEN);
}

static void ranges_may_overlap(void **state)
{
	const unsigned long src = filled(4, 1);

	(void)state;
	uffd_register_at(uffd, src, 4 * P, MISSING);
	/* To itself; and upwards, where the page above is in the way. */
	moves(ASK(src, 2, 0), src, -EEXIST, -EEXIST);
	moves(ASK(src + P, 2, 0), src, -EEXIST, -EEXIST);
	assert_int_equal(samara_madvise(m.mm, src, P, MADV_DONTNEED), 0);
	moves(ASK(src, 1, 0), src, -ENOENT, -ENOENT);
	/* Downwards: each place is free when its page comes. */
	moves(ASK(src, 3, 0), src + P, 0, 3 * P);
	for (int i = 0; i < 3; i++)
		assert_int_equal(paged_get(m.mm, src + (unsigned long)i * P), 2 + i);
	assert_true(pte_none(mem_pte(&m, src + 3 * P)));
	/* And upwards by one, with the last page's place free: the first is in the way. */
	moves(ASK(src + P, 3, 0), src, -EEXIST, -EEXIST);
}

static void holes_are_errors_unless_allowed(void **state)
{
	const unsigned long src = filled(4, 1);

	(void)state;
	assert_int_equal(samara_madvise(m.mm, src + P, P, MADV_DONTNEED), 0);
	moves(ASK(dst, 1, 0), src + P, -ENOENT, -ENOENT);
	moves(ASK(dst, 1, HOLES), src + P, 0, P);
	assert_true(pte_none(mem_pte(&m, dst)));
	moves(ASK(dst, 4, 0), src, -EAGAIN, P);
	moves(ASK(dst + P, 3, HOLES), src + P, 0, 3 * P);
	assert_true(pte_none(mem_pte(&m, dst + P)));
	assert_int_equal(paged_get(m.mm, dst + 3 * P), 4);
	/* Nothing was ever there: no table, no family. */
	moves(ASK(dst + 4 * P, 2, HOLES), map(4, RW), 0, 2 * P);
	moves(ASK(dst + 4 * P, 2, 0), map(4, RW), -ENOENT, -ENOENT);
}

/* The destination's page is -EEXIST before the source's hole, unless that has no table either. */
static void what_is_in_the_way_is_said_first(void **state)
{
	const unsigned long src = filled(2, 1);
	const unsigned long far = mem_map(&m, 2048, RW, MAP_PRIVATE | MAP_NORESERVE, NULL);
	const unsigned long bare = (far + (4UL << 20) - 1) & ~((2UL << 20) - 1);

	(void)state;
	assert_int_equal(samara_madvise(m.mm, src + P, P, MADV_DONTNEED), 0);
	moves(ASK(dst, 1, 0), src, 0, P);
	moves(ASK(dst, 1, 0), src, -EEXIST, -EEXIST);
	moves(ASK(dst, 1, HOLES), src, -EEXIST, -EEXIST);
	assert_null(table_find(m.mm, bare));
	moves(ASK(dst, 1, 0), bare, -ENOENT, -ENOENT);
	moves(ASK(dst, 1, HOLES), bare, -EEXIST, -EEXIST);
	moves(ASK(dst + P, 4, HOLES), bare, 0, 4 * P);
	mem_mark(&m, dst + 6 * P, MARKER_POISON);
	moves(ASK(dst + 5 * P, 2, HOLES), bare, -EAGAIN, P);
	assert_null(table_find(m.mm, bare));
}

static void both_mappings_are_anonymous_and_alike(void **state)
{
	const unsigned long src = filled(4, 1), other = map(4, RW), locked = filled(2, 5);
	struct samara_file *file = mem_file(&m, 4);
	const unsigned long shared = mem_map(&m, 4, RW, MAP_SHARED, file);
	const unsigned long private = mem_map(&m, 4, RW, MAP_PRIVATE, file);
	const unsigned long to_file = mem_map(&m, 4, RW, MAP_PRIVATE, file);

	(void)state;
	moves(ASK(dst, 1, 0), 1UL << 40, -ENOENT, -ENOENT);
	moves(ASK(1UL << 40, 1, 0), src, -ENOENT, -ENOENT);
	moves(ASK(other, 1, 0), src, -EINVAL, -EINVAL);
	moves(ASK(dst, 2, 0), src + 3 * P, -EINVAL, -EINVAL);
	moves(ASK(dst + 7 * P, 2, 0), src, -EINVAL, -EINVAL);
	paged_put(m.mm, private, 9);
	moves(ASK(dst, 1, 0), private, -EINVAL, -EINVAL);
	moves(ASK(dst, 1, 0), shared, -EINVAL, -EINVAL);
	uffd_register_at(uffd, to_file, 4 * P, MISSING);
	moves(ASK(to_file, 1, 0), src, -EINVAL, -EINVAL);
	uffd_register_at(uffd, shared, 4 * P, MISSING);
	moves(ASK(shared, 1, 0), src, -EINVAL, -EINVAL);
	assert_int_equal(samara_mlock(m.mm, locked, 2 * P), 0);
	moves(ASK(dst, 1, 0), locked, -EINVAL, -EINVAL);
	assert_int_equal(samara_mprotect(m.mm, src, P, PROT_READ), 0);
	moves(ASK(dst, 1, 0), src, -EINVAL, -EINVAL);
	assert_int_equal(samara_mprotect(m.mm, src, P, RW | PROT_EXEC), 0);
	moves(ASK(dst, 1, 0), src, -EINVAL, -EINVAL);
	assert_int_equal(samara_mprotect(m.mm, dst + 7 * P, P, PROT_READ), 0);
	moves(ASK(dst + 7 * P, 1, 0), src + P, -EINVAL, -EINVAL);
	/* Both locked is alike. */
	assert_int_equal(samara_mlock2(m.mm, dst, P, MLOCK_ONFAULT), 0);
	moves(ASK(dst, 1, 0), locked, 0, P);
	assert_int_equal(paged_get(m.mm, dst), 5);
	samara_file_put(file);
}

static void the_destination_is_registered_here(void **state)
{
	const unsigned long src = filled(4, 1), wp = map(2, RW), others = map(2, RW);
	struct samara_uffd *other = uffd_open(m.mm, O_NONBLOCK, 0);

	(void)state;
	uffd_register_at(uffd, wp, 2 * P, WP);
	uffd_register_at(other, others, 2 * P, MISSING);
	uffd_register_at(other, src + 2 * P, 2 * P, MISSING);
	moves(ASK(wp, 1, 0), src, 0, P);
	moves(ASK(others, 1, 0), src + P, -EINVAL, -EINVAL);
	/* Where the source is registered does not matter. */
	moves(ASK(dst, 1, 0), src + 2 * P, 0, P);
	assert_int_equal(paged_get(m.mm, dst), 3);
	samara_uffd_put(other);
}

static void look(struct samara_cpu *cpu, unsigned long addr)
{
	struct samara_fault fault;

	samara_cpu_enter(cpu);
	assert_non_null(samara_cpu_miss(cpu, addr, SAMARA_ACCESS_WRITE, &fault));
	samara_cpu_exit(cpu);
}

static void an_old_translation_is_flushed(void **state)
{
	const unsigned long src = filled(4, 1);
	struct samara_cpu *cpu;

	(void)state;
	assert_int_equal(samara_cpu_create(m.machine, &cpu), 0);
	samara_cpu_run(cpu, m.mm);
	for (unsigned long i = 0; i < 4; i++)
		look(cpu, src + i * P);
	/* Stops at the third: those before are flushed all the same. */
	mem_mark(&m, dst + 2 * P, MARKER_POISON);
	moves(ASK(dst, 4, 0), src, -EAGAIN, 2 * P);
	assert_null(samara_cpu_lookup(cpu, src, SAMARA_ACCESS_READ));
	assert_null(samara_cpu_lookup(cpu, src + P, SAMARA_ACCESS_READ));
	assert_non_null(samara_cpu_lookup(cpu, src + 3 * P, SAMARA_ACCESS_READ));
	samara_cpu_destroy(cpu);
}

/* 900 pages that lie differently in their tables, some of them holes. */
static void many_pages_over_several_tables(void **state)
{
	const unsigned long n = 900, src = map(n, RW), to = map(n + 100, RW) + 77 * P;

	(void)state;
	uffd_register_at(uffd, to, n * P, MISSING);
	for (unsigned long i = 0; i < n; i += 3)
		paged_put(m.mm, src + i * P, (unsigned char)(i % 251 + 1));
	moves(ASK(to, n, HOLES), src, 0, (long)(n * P));
	for (unsigned long i = 0; i < n; i++) {
		assert_true(pte_none(mem_pte(&m, src + i * P)));
		if (i % 3)
			assert_true(pte_none(mem_pte(&m, to + i * P)));
		else
			assert_int_equal(paged_get(m.mm, to + i * P), i % 251 + 1);
	}
}

/* A guest may map as much as it likes: what has no table is passed by, and gets none. */
static void huge_holes_cost_nothing(void **state)
{
	const unsigned long pages = 1UL << 33; /* 32 TiB */
	const unsigned long src = mem_map(&m, pages, RW, MAP_PRIVATE | MAP_NORESERVE, NULL);
	const unsigned long to = mem_map(&m, pages, RW, MAP_PRIVATE | MAP_NORESERVE, NULL);
	unsigned long tables;

	(void)state;
	/* The two have merged, and are registered apart. */
	uffd_register_at(uffd, to, pages * P, MISSING);
	paged_put(m.mm, src + (1UL << 32) * P, 1);
	paged_put(m.mm, src + (pages - 1) * P, 2);
	tables = m.mm->tables.nr;
	moves(ASK(to, pages, HOLES), src, 0, (long)(pages * P));
	assert_in_range(m.mm->tables.nr, tables, tables + 8);
	assert_int_equal(paged_get(m.mm, to + (1UL << 32) * P), 1);
	assert_int_equal(paged_get(m.mm, to + (pages - 1) * P), 2);
}

static void an_ended_space_has_no_pages(void **state)
{
	struct samara_uffd *of_child;
	struct samara_mm *child;

	(void)state;
	assert_int_equal(samara_fork(m.mm, &child), 0);
	of_child = uffd_open(child, O_NONBLOCK, 0);
	uffd_register_at(of_child, dst, 8 * P, MISSING);
	samara_mm_exit(child);
	moves(ASK(dst, 1, 0), dst, -ENOENT, -ENOENT);
	{
		long done;

		assert_int_equal(ask_move(of_child, ASK(dst, 1, 0), dst + P, &done), -ESRCH);
		assert_int_equal(done, NOT_WRITTEN);
	}
	samara_uffd_put(of_child);
}

/* The destination's first family and its tables: nothing moves where one is refused. */
static void no_memory_for_the_new_place(void **state)
{
	const unsigned long src = filled(2, 1), to = map(600, RW) + 599 * P;
	unsigned long n = 0;
	int err;

	(void)state;
	uffd_register_at(uffd, to, P, MISSING);
	do {
		assert_true(mem_vma(&m, to) && pte_none(mem_pte(&m, to)));
		samara_inject_nth(++n);
		err = ask_move(uffd, ASK(to, 1, 0), src, NULL);
		samara_inject_nth(0);
		mem_check(&m);
	} while (err == -ENOMEM && paged_get(m.mm, src) == 1);
	assert_int_equal(err, 0);
	assert_true(n > 2);
	assert_int_equal(paged_get(m.mm, to), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		MOVE_TEST(a_page_moves_and_is_not_copied),
		MOVE_TEST(arguments_are_looked_at_first),
		MOVE_TEST(ranges_may_overlap),
		MOVE_TEST(holes_are_errors_unless_allowed),
		MOVE_TEST(what_is_in_the_way_is_said_first),
		MOVE_TEST(both_mappings_are_anonymous_and_alike),
		MOVE_TEST(the_destination_is_registered_here),
		MOVE_TEST(an_old_translation_is_flushed),
		MOVE_TEST(many_pages_over_several_tables),
		MOVE_TEST(huge_holes_cost_nothing),
		MOVE_TEST(an_ended_space_has_no_pages),
		MOVE_TEST(no_memory_for_the_new_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
