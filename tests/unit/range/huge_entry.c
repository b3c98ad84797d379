/* SPDX-License-Identifier: MIT */
/*
 * What each walker does with a huge entry. No code makes one yet, so the tests make one by hand, in
 * the middle of an anonymous mapping whose other pages are ordinary ones.
 *
 *   [ leaf table | huge entry | leaf table ]     2 MiB each
 *
 * A walker that has no answer ends the process; it never reads the frame number as a table.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "support/advice.h"
#include "support/cmocka_all.h"
#include "support/forked.h"
#include "support/huge_entry.h"
#include "support/mem.h"

#include <samara/cpu.h>

#include "range/range.h"
#include "rmap/rmap.h"

#define HUGE (512 * MEM_PAGE)
#define RAM (64UL << 20)

struct world {
	struct mem m;
	unsigned long at; /* of the huge entry; an ordinary page before it, and one behind */
	struct folio *block;
	pte_t pte;
};

static void must_write(const struct world *w, unsigned long addr)
{
	assert_int_equal(samara_write(w->m.mm, addr, "x", 1, NULL), 1);
}

static void take_away(struct world *w)
{
	assert_true(pte_same(table_look(w->m.mm, w->at), w->pte));
	set_huge(w->m.mm, w->at, 1, pte_empty());
	folio_put(w->m.machine->ram, w->block);
}

static void up(struct world *w)
{
	unsigned long base;

	mem_open(&w->m, RAM);
	base = mem_map(&w->m, 5 * 512, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, NULL);
	w->at = (base + 2 * HUGE - 1) & ~(HUGE - 1);
	must_write(w, w->at - MEM_PAGE);
	must_write(w, w->at + HUGE);
	w->block = folio_alloc(w->m.machine->ram, 9, FOLIO_ZEROED);
	assert_non_null(w->block);
	w->pte = pte_with(mk_pte(folio_pfn(w->m.machine->ram, w->block), VM_READ | VM_WRITE),
			  PTE_HUGE | PTE_WRITE | PTE_DIRTY);
	set_huge(w->m.mm, w->at, 1, w->pte);
}

static void down(struct world *w)
{
	take_away(w);
	mem_check(&w->m);
	mem_close(&w->m);
}

/* answers ----------------------------------------------------------------------- */

static void an_access_that_would_split_it_runs_out_of_memory(void **state)
{
	struct samara_fault fault;
	struct samara_cpu *cpu;
	struct samara_pin pin;
	struct world w;
	char byte;

	(void)state;
	up(&w);
	assert_int_equal(samara_read(w.m.mm, w.at, &byte, 1, &fault), -ENOMEM);
	assert_int_equal(fault.signo, 0);
	assert_int_equal(samara_write(w.m.mm, w.at + 5 * MEM_PAGE, "y", 1, &fault), -ENOMEM);
	assert_int_equal(samara_pin_pages(w.m.mm, w.at, 1, 0, &pin), -ENOMEM);
	assert_int_equal(samara_madvise(w.m.mm, w.at, HUGE, MADV_POPULATE_WRITE), -ENOMEM);
	assert_int_equal(samara_cpu_create(w.m.machine, &cpu), 0);
	samara_cpu_run(cpu, w.m.mm);
	samara_cpu_enter(cpu);
	assert_null(samara_cpu_miss(cpu, w.at, SAMARA_ACCESS_READ, &fault));
	samara_cpu_exit(cpu);
	samara_cpu_destroy(cpu);
	/* Its neighbours are as they were. */
	assert_int_equal(samara_read(w.m.mm, w.at - MEM_PAGE, &byte, 1, NULL), 1);
	assert_int_equal(samara_read(w.m.mm, w.at + HUGE, &byte, 1, NULL), 1);
	down(&w);
}

static void a_fork_fails_and_leaves_the_parent_as_it_was(void **state)
{
	struct samara_mm *child;
	struct world w;

	(void)state;
	up(&w);
	assert_int_equal(samara_fork(w.m.mm, &child), -ENOMEM);
	assert_true(folio_test(mem_folio(&w.m, w.at - MEM_PAGE), FOLIO_EXCLUSIVE));
	assert_true(folio_test(mem_folio(&w.m, w.at + HUGE), FOLIO_EXCLUSIVE));
	down(&w);
}

static void guards_and_moves_over_it_are_refused(void **state)
{
	struct world w;

	(void)state;
	up(&w);
	assert_int_equal(samara_madvise(w.m.mm, w.at - MEM_PAGE, HUGE, MADV_GUARD_INSTALL),
			 -ENOMEM);
	assert_int_equal(samara_madvise(w.m.mm, w.at - MEM_PAGE, 2 * HUGE, MADV_GUARD_REMOVE), 0);
	assert_int_equal(samara_mremap(w.m.mm, w.at - HUGE, 3 * HUGE, 4 * HUGE, MREMAP_MAYMOVE, 0),
			 -ENOMEM);
	assert_non_null(mem_folio(&w.m, w.at - MEM_PAGE));
	down(&w);
}

static void mincore_counts_its_pages_as_there(void **state)
{
	unsigned char vec[514];
	struct world w;

	(void)state;
	up(&w);
	memset(vec, 7, sizeof(vec));
	assert_int_equal(samara_mincore(w.m.mm, w.at - MEM_PAGE, HUGE + 2 * MEM_PAGE, vec), 0);
	for (int i = 0; i < 514; i++)
		assert_int_equal(vec[i], 1);
	down(&w);
}

/* refusals ---------------------------------------------------------------------- */

static void zap(struct world *w)
{
	(void)!samara_munmap(w->m.mm, w->at - HUGE, 3 * HUGE);
}

static void throw_away(struct world *w)
{
	(void)!samara_madvise(w->m.mm, w->at, HUGE, MADV_DONTNEED);
}

static void end(struct world *w)
{
	samara_mm_exit(w->m.mm);
}

static void protect(struct world *w)
{
	(void)!samara_mprotect(w->m.mm, w->at - HUGE, 3 * HUGE, PROT_READ);
}

static void free_lazily(struct world *w)
{
	(void)!samara_madvise(w->m.mm, w->at - HUGE, 3 * HUGE, MADV_FREE);
}

static void smaps(struct world *w)
{
	(void)!samara_print_smaps(w->m.mm, 1);
}

static void pagemap(struct world *w)
{
	unsigned long long entry;

	(void)!samara_pagemap(w->m.mm, w->at + MEM_PAGE, 1, &entry);
}

/* As if the first page of the block were a folio of this mapping. */
static void reverse(struct world *w)
{
	struct vma *vma = mem_vma(&w->m, w->at);

	folio_get(w->block);
	folio_add_new_anon(w->block, vma, w->at);
	folio_lock(w->block);
	folio_referenced(w->m.machine->store, w->block);
}

static const struct {
	const char *name, *file;
	void (*walk)(struct world *w);
} refusals[] = {
	{ "munmap", "range/leaf.h", zap },
	{ "MADV_DONTNEED", "range/leaf.h", throw_away },
	{ "exit", "range/leaf.h", end },
	{ "mprotect", "range/leaf.h", protect },
	{ "MADV_FREE", "range/leaf.h", free_lazily },
	{ "smaps", "range/leaf.h", smaps },
	{ "pagemap", "mmu/table.c", pagemap },
	{ "a reverse mapping", "mmu/table.c", reverse },
};

static void walk_in_child(void *arg)
{
	struct world w;

	up(&w);
	(*(void (**)(struct world *))arg)(&w);
}

static void walkers_without_an_answer_end_the_process(void **state)
{
	struct forked result;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(refusals); i++) {
		void (*walk)(struct world *) = refusals[i].walk;

		run_forked(walk_in_child, &walk, &result);
		if (!strstr(result.text, "BUG") || !strstr(result.text, refusals[i].file))
			fail_msg("%s: status %d, %s", refusals[i].name, result.status, result.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_access_that_would_split_it_runs_out_of_memory),
		cmocka_unit_test(a_fork_fails_and_leaves_the_parent_as_it_was),
		cmocka_unit_test(guards_and_moves_over_it_are_refused),
		cmocka_unit_test(mincore_counts_its_pages_as_there),
		cmocka_unit_test(walkers_without_an_answer_end_the_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
