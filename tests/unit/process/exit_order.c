/* SPDX-License-Identifier: MIT */
/*
 * The order of an exit: pages are given up while the families they belong to are still
 * linked, so that a walk from a mapped folio finds its family alive.
 */
#include <pthread.h>
#include <sched.h>

#include "family.h"
#include "core/mms.h"
#include "process/exit.h"
#include "vma/unmap.h"

#define PAGES 600UL /* over two leaf tables, more than one batch */

MEM_FIXTURE(m, 16 << 20);

static void *exit_in_a_thread(void *mm)
{
	struct vma_dead dead = { 0 };

	exit_mmap(mm, &dead);
	vma_dead_release(&dead);
	return NULL;
}

/* A reader of the map holds the exit up where it is about to take VMAs out of their families. */
static void families_are_left_when_no_page_is_mapped_any_more(void **state)
{
	struct samara_file *file = mem_file(&m, 4);
	const unsigned long frames = mem_frames(&m);
	struct samara_mm *mm = forked(&m);
	const struct mem o = other(&m, mm);
	const unsigned long a = mem_map(&o, PAGES, RW, MAP_PRIVATE, NULL);
	const unsigned long f = mem_map(&o, 4, RW, MAP_SHARED, file);
	struct folio *shared;
	struct vma *vma;
	pthread_t thread;

	for (unsigned long i = 0; i < PAGES; i++)
		put(mm, a + i * MEM_PAGE, i);
	put(mm, f, 1);
	shared = mem_folio(&o, f);
	assert_int_equal(folio_maps(shared), 1);
	assert_int_equal(mem_frames(&m), frames + PAGES);
	mmap_read_lock(mm);
	assert_int_equal(pthread_create(&thread, NULL, exit_in_a_thread, mm), 0);
	while (!(READ_ONCE(mm->mmap_lock.sem.state) & RWSEM_WAITERS))
		sched_yield();
	assert_int_equal(mem_frames(&m), frames);
	assert_int_equal(folio_maps(shared), 0);
	vma = mtree_load(&mm->mt, a);
	assert_non_null(vma->anon_vma);
	assert_int_equal(vma->rmap.anon_links, 1);
	vma = mtree_load(&mm->mt, f);
	assert_non_null(vma->rmap.links);
	mmap_read_unlock(mm);
	pthread_join(thread, NULL);
	assert_true(mtree_empty(&mm->mt));
	mm_put(mm);
	samara_file_put(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(families_are_left_when_no_page_is_mapped_any_more,
						set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
