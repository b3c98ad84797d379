/* SPDX-License-Identifier: MIT */
/*
 * Access rights of pages that are there.
 */
#include "support/cmocka_all.h"

#include "support/page_world.h"

static unsigned long protect(struct vma *vma, unsigned long from, unsigned long to,
			     unsigned long flags)
{
	vma->vm_flags = flags;
	return change_protection(vma, PG(from), PG(to), flags);
}

#define VM_NOTHING (VM_RW & ~(VM_READ | VM_WRITE))

static void prot_none_keeps_the_page_and_stops_the_cpu(void **state)
{
	struct world *w = *state;
	struct vma *vma = world_vma(w, 0, 8, VM_RW, NULL);
	struct folio *folio = put_anon(vma, 1, 1);
	pte_t pte;

	assert_int_equal(protect(vma, 0, 8, VM_NOTHING), 1);
	pte = pte_of(w->mm[0], 1);
	assert_true(pte_present(pte));
	assert_false(pte_accessible(pte) || pte_write(pte));
	assert_true(pte_dirty(pte) && pte_young(pte));
	assert_ptr_equal(folio_of(w->mm[0], 1), folio);
	assert_int_equal(protect(vma, 0, 8, VM_RW), 1);
	pte = pte_of(w->mm[0], 1);
	assert_true(pte_accessible(pte) && pte_write(pte));
	assert_false(pte_exec(pte));
	assert_world(w);
}

static void only_exclusive_private_pages_become_writable(void **state)
{
	struct world *w = *state;
	struct vma *vma = world_vma(w, 0, 8, VM_RW, NULL);

	put_anon(vma, 1, 1);
	assert_int_equal(copy_page_range(world_fork(w, world_mm(w), vma), vma, NULL), 0);
	put_anon(vma, 2, 1);
	put_zero(vma, 3);
	protect(vma, 0, 8, VM_RO);
	assert_false(pte_write(pte_of(w->mm[0], 2)));
	protect(vma, 0, 8, VM_RW);
	assert_false(pte_write(pte_of(w->mm[0], 1)));
	assert_true(pte_write(pte_of(w->mm[0], 2)));
	assert_false(pte_write(pte_of(w->mm[0], 3)));
	assert_world(w);
}

static void a_file_hears_of_the_first_write_to_a_clean_page(void **state)
{
	struct world *w = *state;
	struct vma *host = world_vma(w, 0, 8, VM_RO | VM_SHARED_BITS, &w->host);
	struct vma *shmem = world_vma(w, 8, 16, VM_RO | VM_SHARED_BITS, &w->shmem);
	struct vma *private = world_vma(w, 16, 24, VM_RO, &w->shmem);

	put_file(host, 1, 0);
	put_file(host, 2, PTE_DIRTY);
	put_file(shmem, 9, 0);
	put_file(private, 17, 0);
	protect(host, 0, 8, VM_RW | VM_SHARED_BITS);
	protect(shmem, 8, 16, VM_RW | VM_SHARED_BITS);
	protect(private, 16, 24, VM_RW);
	assert_false(pte_write(pte_of(w->mm[0], 1)));
	assert_true(pte_write(pte_of(w->mm[0], 2)));
	assert_true(pte_write(pte_of(w->mm[0], 9)));
	assert_false(pte_write(pte_of(w->mm[0], 17)));
}

static void pages_watched_by_userfaultfd_stay_protected(void **state)
{
	struct world *w = *state;
	struct vma *vma = world_vma(w, 0, 8, VM_RO | VM_UFFD_WP, NULL);
	struct table *leaf;
	pte_t *at;

	put_anon(vma, 1, 1);
	leaf = table_find(w->mm[0], PG(1));
	at = table_pte(w->mm[0], leaf, PG(1));
	pte_set(at, pte_with(pte_read(at), PTE_UFFD_WP));
	protect(vma, 0, 8, VM_RW | VM_UFFD_WP);
	assert_false(pte_write(pte_of(w->mm[0], 1)));
	assert_true(pte_uffd_wp(pte_of(w->mm[0], 1)));
}

static void markers_and_empty_entries_are_left_alone(void **state)
{
	struct world *w = *state;
	struct vma *vma = world_vma(w, 0, 8, VM_RW, &w->shmem);

	put_marker(vma, 1, MARKER_GUARD);
	put_marker(vma, 2, MARKER_POISON);
	put_marker(vma, 3, MARKER_UFFD_WP);
	assert_int_equal(protect(vma, 0, 8, VM_NOTHING), 0);
	assert_int_equal(pte_marker(pte_of(w->mm[0], 1)), MARKER_GUARD);
	assert_int_equal(pte_marker(pte_of(w->mm[0], 2)), MARKER_POISON);
	assert_int_equal(pte_marker(pte_of(w->mm[0], 3)), MARKER_UFFD_WP);
	assert_true(pte_none(pte_of(w->mm[0], 4)));
}

static void execution_is_a_right_of_its_own(void **state)
{
	struct world *w = *state;
	struct vma *vma = world_vma(w, 0, 1024, VM_RO | VM_EXEC, NULL);

	put_anon(vma, 511, 1);
	put_anon(vma, 512, 1);
	assert_true(pte_exec(pte_of(w->mm[0], 511)));
	assert_int_equal(protect(vma, 512, 1024, VM_RO), 1);
	assert_true(pte_exec(pte_of(w->mm[0], 511)));
	assert_false(pte_exec(pte_of(w->mm[0], 512)));
	/* Nothing to change is nothing changed. */
	assert_int_equal(protect(vma, 512, 1024, VM_RO), 0);
}

static void what_a_cpu_remembers_is_flushed_when_rights_are_lost(void **state)
{
	struct world *w = *state;
	struct vma *vma = world_vma(w, 0, 8, VM_RW, NULL);
	struct samara_cpu *cpu;
	struct table *leaf;

	put_anon(vma, 1, 1);
	assert_int_equal(samara_cpu_create(&w->machine, &cpu), 0);
	samara_cpu_run(cpu, w->mm[0]);
	leaf = table_find(w->mm[0], PG(1));
	table_lock(leaf);
	tlb_fill(cpu, w->mm[0], PG(1), pte_of(w->mm[0], 1));
	table_unlock(leaf);
	assert_non_null(samara_cpu_lookup(cpu, PG(1), SAMARA_ACCESS_WRITE));
	protect(vma, 0, 8, VM_RW | VM_EXEC); /* more: nothing to flush */
	assert_non_null(samara_cpu_lookup(cpu, PG(1), SAMARA_ACCESS_WRITE));
	protect(vma, 0, 8, VM_RO);
	assert_null(samara_cpu_lookup(cpu, PG(1), SAMARA_ACCESS_WRITE));
	samara_cpu_destroy(cpu);
}

#define test(name) cmocka_unit_test_setup_teardown(name, world_up, world_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(prot_none_keeps_the_page_and_stops_the_cpu),
		test(only_exclusive_private_pages_become_writable),
		test(a_file_hears_of_the_first_write_to_a_clean_page),
		test(pages_watched_by_userfaultfd_stay_protected),
		test(markers_and_empty_entries_are_left_alone),
		test(execution_is_a_right_of_its_own),
		test(what_a_cpu_remembers_is_flushed_when_rights_are_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
