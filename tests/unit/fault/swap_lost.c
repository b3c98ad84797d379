/* SPDX-License-Identifier: MIT */
/*
 * Pages that do not come back from a swap area: they cannot be read, there is no frame, or they
 * may be dropped.
 */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>

#include "support/advice.h"
#include "support/cmocka_all.h"

#include "fault/swapin.h"
#include "support/paged_out.h"

#define RW (PROT_READ | PROT_WRITE)

PAGED_FIXTURE(m, p, 4UL << 20, 4096UL);

/* what cannot be read ----------------------------------------------------------------- */

static void what_cannot_be_read_is_a_bus_error(void **state)
{
	const unsigned long addr = paged_out(&p, 7, PAGED_DROP);
	struct samara_fault fault;
	struct samara_pin pin;
	unsigned char byte;

	(void)state;
	p.disk.fail_read.nth = 1;
	p.disk.fail_read.from = true;
	assert_int_equal(samara_read(m.mm, addr + 5, &byte, 1, &fault), 0);
	assert_int_equal(fault.signo, SIGBUS);
	assert_int_equal(fault.code, BUS_ADRERR);
	assert_int_equal(fault.addr, addr + 5);
	assert_int_equal(samara_pin_pages(m.mm, addr, 1, 0, &pin), -EFAULT);
	assert_int_equal(samara_madvise(m.mm, addr, MEM_PAGE, MADV_POPULATE_READ), -EFAULT);
	assert_int_equal(samara_touch(m.mm, addr, 1, PROT_READ), -EFAULT);
	assert_int_equal(samara_mlock(m.mm, addr, MEM_PAGE), -ENOMEM);
	assert_int_equal(samara_munlock(m.mm, addr, MEM_PAGE), 0);
	assert_int_equal(paged_swap_ents(m.mm), 1);
	p.disk.fail_read.nth = 0;
	assert_int_equal(paged_get(m.mm, addr), 7);
}

static int swap_in(struct samara_mm *mm, unsigned long addr, unsigned long *at)
{
	struct vma *vma;
	int err;

	mmap_read_lock(mm);
	vma = mt_find(&mm->mt, &addr, addr);
	assert_non_null(vma);
	*at = vma->vm_start;
	err = vma_swap_in(vma, swap_area_number(p.area), at);
	if (!err)
		assert_int_equal(*at, vma->vm_end);
	mmap_read_unlock(mm);
	return err;
}

static void swapoff_brings_all_back_or_leaves_poison(void **state)
{
	const unsigned long addr = mem_map(&m, 3, RW, MAP_PRIVATE, NULL);
	struct samara_fault fault;
	struct samara_mm *child;
	unsigned char byte;
	unsigned long at;

	(void)state;
	for (unsigned long i = 0; i < 3; i++) {
		paged_put(m.mm, addr + i * MEM_PAGE, (unsigned char)(i + 1));
		assert_int_equal(page_out(&p, addr + i * MEM_PAGE, PAGED_DROP), 0);
	}
	assert_int_equal(samara_mprotect(m.mm, addr, MEM_PAGE, PROT_READ), 0);
	p.disk.fail_read.nth = 1;
	p.disk.fail_read.from = true;
	assert_int_equal(swap_in(m.mm, addr, &at), 0);
	assert_int_equal(paged_swap_ents(m.mm), 2);
	p.disk.fail_read.nth = 0;
	assert_int_equal(samara_mprotect(m.mm, addr, MEM_PAGE, RW), 0);
	assert_int_equal(swap_in(m.mm, addr + MEM_PAGE, &at), 0);
	assert_int_equal(paged_used(&p), 0);
	assert_int_equal(paged_swap_ents(m.mm), 0);
	assert_false(pte_young(mem_pte(&m, addr + MEM_PAGE)));
	assert_int_equal(paged_get(m.mm, addr + MEM_PAGE), 2);
	assert_int_equal(paged_get(m.mm, addr + 2 * MEM_PAGE), 3);
	assert_int_equal(samara_fork(m.mm, &child), 0);
	assert_int_equal(samara_mprotect(child, addr, MEM_PAGE, PROT_READ), 0);
	assert_int_equal(samara_mprotect(child, addr, MEM_PAGE, RW), 0);
	assert_int_equal(samara_read(child, addr, &byte, 1, &fault), 0);
	assert_int_equal(fault.signo, SIGBUS);
	assert_int_equal(fault.code, BUS_MCEERR_AR);
	assert_int_equal(samara_write(m.mm, addr, &byte, 1, &fault), 0);
	assert_int_equal(fault.code, BUS_MCEERR_AR);
	samara_mm_exit(child);
	assert_int_equal(samara_madvise(m.mm, addr, MEM_PAGE, MADV_DONTNEED), 0);
	assert_int_equal(paged_get(m.mm, addr), 0);
}

/* All frames but a few are taken. */
static struct folio *take_frames(unsigned long but)
{
	struct folio *first = NULL, *folio;
	struct ram_stats stats;

	for (ram_stats(m.machine->ram, &stats); stats.free + stats.cached > but;
	     ram_stats(m.machine->ram, &stats)) {
		folio = folio_alloc(m.machine->ram, 0, FOLIO_RAW);
		assert_non_null(folio);
		folio->mapping = first;
		first = folio;
	}
	return first;
}

static void give_frames(struct folio *first)
{
	while (first) {
		struct folio *next = first->mapping;

		first->mapping = NULL;
		folio_put(m.machine->ram, first);
		first = next;
	}
}

static void without_a_frame_nothing_changes(void **state)
{
	const unsigned long addr = paged_out(&p, 7, PAGED_DROP);
	struct samara_fault fault;
	struct samara_pin pin;
	struct folio *taken = take_frames(0);
	unsigned char byte;
	unsigned long at;

	(void)state;
	assert_int_equal(samara_read(m.mm, addr, &byte, 1, &fault), -ENOMEM);
	assert_int_equal(fault.signo, 0);
	assert_int_equal(samara_pin_pages(m.mm, addr, 1, 0, &pin), -ENOMEM);
	assert_int_equal(samara_madvise(m.mm, addr, MEM_PAGE, MADV_POPULATE_READ), -ENOMEM);
	assert_int_equal(swap_in(m.mm, addr, &at), -ENOMEM);
	assert_int_equal(at, addr);
	assert_int_equal(paged_swap_ents(m.mm), 1);
	give_frames(taken);
	assert_int_equal(paged_get(m.mm, addr), 7);
}

/* pages that may be dropped ----------------------------------------------------------- */

/* As reclaim drops a page: no slot. */
static int drop(unsigned long addr)
{
	struct folio *folio = mem_folio(&m, addr);
	int err;

	folio_get(folio);
	folio_lock(folio);
	err = folio_unmap_all(p.box.store, folio, (swp_entry_t){ 0 });
	folio_unlock(folio);
	folio_put(p.box.ram, folio);
	return err;
}

static void a_lazily_freed_page_is_dropped_unless_it_was_written_again(void **state)
{
	unsigned long addr = paged_new(&p, 7);
	struct samara_pin pin;

	(void)state;
	assert_int_equal(drop(addr), -EBUSY); /* it may not be */
	assert_int_equal(samara_madvise(m.mm, addr, MEM_PAGE, MADV_FREE), 0);
	paged_put(m.mm, addr, 8);
	assert_int_equal(drop(addr), -EBUSY);
	assert_true(folio_test(mem_folio(&m, addr), FOLIO_SWAPBACKED));
	assert_int_equal(paged_get(m.mm, addr), 8);
	/* Through a pin. */
	assert_int_equal(samara_pin_pages(m.mm, addr, 1, SAMARA_PIN_WRITE, &pin), 1);
	assert_int_equal(samara_madvise(m.mm, addr, MEM_PAGE, MADV_FREE), 0);
	assert_int_equal(drop(addr), -EBUSY);
	*(unsigned char *)pin.host = 9;
	samara_unpin_pages(&pin, 1, 1);
	assert_int_equal(drop(addr), -EBUSY);
	assert_int_equal(paged_get(m.mm, addr), 9);
	assert_int_equal(samara_madvise(m.mm, addr, MEM_PAGE, MADV_FREE), 0);
	assert_int_equal(drop(addr), 0);
	assert_int_equal(paged_get(m.mm, addr), 0);
}

static void freeing_lazily_gives_slots_back(void **state)
{
	const unsigned long addr = paged_out(&p, 7, PAGED_DROP),
			    cached = paged_out(&p, 8, PAGED_DROP);

	(void)state;
	assert_int_equal(paged_get(m.mm, cached), 8);
	assert_int_equal(paged_used(&p), 2);
	assert_int_equal(samara_madvise(m.mm, addr, MEM_PAGE, MADV_FREE), 0);
	assert_int_equal(samara_madvise(m.mm, cached, MEM_PAGE, MADV_FREE), 0);
	assert_int_equal(paged_used(&p), 0);
	assert_int_equal(paged_get(m.mm, addr), 0);
	assert_false(folio_test(mem_folio(&m, cached), FOLIO_SWAPCACHE | FOLIO_DIRTY));
	assert_int_equal(drop(cached), 0);
	assert_int_equal(paged_get(m.mm, cached), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(what_cannot_be_read_is_a_bus_error),
		TEST(swapoff_brings_all_back_or_leaves_poison),
		TEST(without_a_frame_nothing_changes),
		TEST(a_lazily_freed_page_is_dropped_unless_it_was_written_again),
		TEST(freeing_lazily_gives_slots_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
