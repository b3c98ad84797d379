/* SPDX-License-Identifier: MIT */
/*
 * Pages taken out by hand. See paged_out.h.
 */
#include "support/paged_out.h"

#include <sys/mman.h>

#include "support/cmocka_all.h"

void paged_begin(struct paged *p, struct mem *m, unsigned long slots)
{
	*p = (struct paged){
		.m = m,
		.box = { .store = m->machine->store, .ram = m->machine->ram },
	};
	p->area = swap_disk_on(&p->box, &p->disk, slots, 0);
}

void paged_end(struct paged *p)
{
	swap_disk_off(p->area, &p->disk);
}

void paged_check(struct paged *p)
{
	const unsigned long start = 1UL << 30;

	mem_check(p->m);
	swap_check(&p->box);
	assert_int_equal(samara_munmap(p->m->mm, start, p->m->mm->geo->task_size - start), 0);
	assert_int_equal(paged_swap_ents(p->m->mm), 0);
	assert_int_equal(paged_used(p), 0);
}

void paged_put(struct samara_mm *mm, unsigned long addr, unsigned char byte)
{
	assert_int_equal(samara_write(mm, addr, &byte, 1, NULL), 1);
}

int paged_get(struct samara_mm *mm, unsigned long addr)
{
	unsigned char byte;

	assert_int_equal(samara_read(mm, addr, &byte, 1, NULL), 1);
	return byte;
}

unsigned long paged_new(struct paged *p, unsigned char byte)
{
	const unsigned long addr = mem_map(p->m, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE, NULL);

	paged_put(p->m->mm, addr, byte);
	return addr;
}

unsigned long paged_out(struct paged *p, unsigned char byte, enum paged_how how)
{
	const unsigned long addr = paged_new(p, byte);

	assert_int_equal(page_out(p, addr, how), 0);
	return addr;
}

int folio_out(struct paged *p, struct folio *folio, enum paged_how how)
{
	struct file_store *store = p->box.store;
	int err;

	folio_lock(folio);
	if (!folio_test(folio, FOLIO_SWAPCACHE))
		assert_int_equal(swap_cache_add(store, folio), 0);
	err = folio_unmap_all(store, folio, folio_swap(folio));
	if (!err && folio_test(folio, FOLIO_DIRTY))
		assert_int_equal(swap_write(store, folio), 0);
	if (err)
		(void)swap_cache_free(store, folio);
	else if (how == PAGED_DROP)
		swap_cache_del(store, folio);
	folio_unlock_cached(store, folio);
	return err;
}

int page_out(struct paged *p, unsigned long addr, enum paged_how how)
{
	struct folio *folio = mem_folio(p->m, addr);
	int err;

	assert_non_null(folio);
	folio_get(folio);
	err = folio_out(p, folio, how);
	folio_put(p->box.ram, folio);
	return err;
}

unsigned long paged_used(struct paged *p)
{
	return swap_area_used(p->area);
}

unsigned long paged_swap_ents(struct samara_mm *mm)
{
	struct samara_mm_memory memory = { .size = sizeof(memory) };

	assert_int_equal(samara_mm_memory(mm, &memory), 0);
	return memory.swap_ents;
}
