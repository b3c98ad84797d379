/* SPDX-License-Identifier: MIT */
/*
 * The store that may not be lost: a CPU writes through a stale TLB entry after its
 * page's entry was cleared, and before it is flushed.
 *
 *   unmapping thread                     the CPU                 write-back
 *   clears the entry, folio dirty        inside a section, has
 *                                        looked the page up
 *   (delayed) flush: waits for the CPU   stores, leaves
 *   drops the table's lock                                       finds no entry, cleans, writes
 *
 *   clears the entry, folio dirty        inside a section
 *   (no delay) drops the table's lock                            finds no entry, cleans, writes
 *                                        stores, leaves
 *   flush                                                        not known to be dirty: lost
 *
 * The CPU stores as late as it can: when it sees its own TLB entry taken away, somebody is
 * flushing and waits for it; when zapping is over and the entry is still there, it lets write-back
 * pass first. So both ends are certain, not a matter of luck.
 */
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "support/cmocka_all.h"

#include "support/page_world.h"

#define OLD 0x11
#define NEW 0x22

struct race {
	struct world *w;
	struct vma *vma;
	struct folio *folio;
	struct samara_cpu *cpu;
	char disk[WORLD_PAGE];
	/* hand-over, all atomic */
	bool looked_up, zapped, wants_writeback, written, stored;
};

static void set(bool *flag)
{
	__atomic_store_n(flag, true, __ATOMIC_RELEASE);
}

static bool is_set(bool *flag)
{
	return __atomic_load_n(flag, __ATOMIC_ACQUIRE);
}

static void await(bool *flag)
{
	while (!is_set(flag))
		sched_yield();
}

/* What inode_writeback() does for one page, with memory for a disk. */
static void write_back(struct race *r)
{
	folio_lock(r->folio);
	if (folio_mkclean(r->w->ram, r->folio))
		folio_set(r->folio, FOLIO_DIRTY);
	if (folio_test_clear(r->folio, FOLIO_DIRTY))
		memcpy(r->disk, folio_virt(r->w->ram, r->folio), WORLD_PAGE);
	folio_unlock(r->folio);
}

static void fill_tlb(struct race *r)
{
	struct table *leaf = table_find(r->vma->vm_mm, PG(0));

	table_lock(leaf);
	tlb_fill(r->cpu, r->vma->vm_mm, PG(0), pte_of(r->vma->vm_mm, 0));
	table_unlock(leaf);
}

static void *the_cpu(void *arg)
{
	struct race *r = arg;
	char *byte;

	samara_cpu_run(r->cpu, r->vma->vm_mm);
	fill_tlb(r);
	samara_cpu_enter(r->cpu);
	byte = samara_cpu_lookup(r->cpu, PG(0), SAMARA_ACCESS_WRITE);
	set(&r->looked_up);
	while (samara_cpu_lookup(r->cpu, PG(0), SAMARA_ACCESS_WRITE) && !is_set(&r->zapped))
		sched_yield();
	if (is_set(&r->zapped)) {
		set(&r->wants_writeback);
		await(&r->written);
	}
	if (byte)
		__atomic_store_n(byte, NEW, __ATOMIC_RELAXED);
	samara_cpu_exit(r->cpu);
	set(&r->stored);
	return byte;
}

static void unmap_beside_the_cpu(struct race *r)
{
	struct mmu_gather tlb;

	await(&r->looked_up);
	tlb_gather_mmu(&tlb, r->vma->vm_mm, GATHER_RANGE);
	zap_range(&tlb, r->vma, PG(0), PG(1), ZAP_ALL);
	set(&r->zapped);
	while (!is_set(&r->stored) && !is_set(&r->wants_writeback))
		sched_yield();
	write_back(r);
	set(&r->written);
	tlb_finish_mmu(&tlb);
}

/* Fills *r; a page of the file that one process has mapped, dirty. */
static void run(struct race *r, struct world *w)
{
	pthread_t thread;
	void *byte;

	*r = (struct race){ .w = w };
	r->vma = world_vma(w, 0, 4, VM_RW | VM_SHARED_BITS, &w->host);
	r->folio = put_file(r->vma, 0, PTE_DIRTY | PTE_WRITE);
	memset(folio_virt(w->ram, r->folio), OLD, WORLD_PAGE);
	assert_int_equal(samara_cpu_create(&w->machine, &r->cpu), 0);
	assert_int_equal(pthread_create(&thread, NULL, the_cpu, r), 0);
	unmap_beside_the_cpu(r);
	assert_int_equal(pthread_join(thread, &byte), 0);
	assert_ptr_equal(byte, folio_virt(w->ram, r->folio));
	assert_int_equal(*(char *)byte, NEW);
	samara_cpu_destroy(r->cpu);
	/* A later write-back: only what is known to be dirty. */
	write_back(r);
}

static void a_store_before_the_flush_reaches_the_disk(void **state)
{
	struct race r;

	run(&r, *state);
	assert_false(r.wants_writeback);
	assert_int_equal(r.disk[0], NEW);
	assert_int_equal(r.disk[1], OLD);
}

static void without_the_delay_it_is_lost(void **state)
{
#ifdef SAMARA_DEBUG
	struct race r;

	gather_no_delay = true;
	run(&r, *state);
	gather_no_delay = false;
	assert_true(r.wants_writeback);
	assert_int_equal(r.disk[0], OLD);
	assert_false(folio_test(r.folio, FOLIO_DIRTY));
#else
	skip();
#endif
}

#define test(name) cmocka_unit_test_setup_teardown(name, world_up, world_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_store_before_the_flush_reaches_the_disk),
		test(without_the_delay_it_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
