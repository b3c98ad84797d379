/* SPDX-License-Identifier: MIT */
#include "support/mem.h"

#include <string.h>
#include <sys/mman.h>

#include <samara/inject.h>

#include "core/mms.h"
#include "core/vma_lock.h"
#include "reclaim/reclaim.h"
#include "support/cmocka_all.h"
#include "vma/find.h"

void mem_open(struct mem *m, size_t ram_bytes)
{
	mem_open_geometry(m, ram_bytes, NULL);
}

void mem_open_geometry(struct mem *m, size_t ram_bytes, const struct samara_geometry *geo)
{
	struct samara_machine_config cfg = SAMARA_MACHINE_CONFIG_INIT;

	cfg.ram_bytes = ram_bytes;
	cfg.geometry = geo;
	mem_open_machine(m, &cfg);
}

void mem_open_machine(struct mem *m, struct samara_machine_config *cfg)
{
	m->live = samara_live_objects();
	cfg->overcommit = SAMARA_OVERCOMMIT_ALWAYS;
	assert_int_equal(samara_machine_create(cfg, &m->machine), 0);
	assert_int_equal(samara_mm_create(m->machine, &m->mm), 0);
}

void mem_close(struct mem *m)
{
	samara_mm_exit(m->mm);
	samara_machine_destroy(m->machine);
	assert_int_equal(samara_live_objects(), m->live);
}

static void check(int err, const struct samara_report *report)
{
	if (err)
		fail_msg("%s: %s", report->invariant, report->text);
}

/* Each anonymous page lies where its family looks for it. */
static void check_places(const struct mem *m, const struct vma *vma)
{
	const unsigned long leaf_size = MEM_PAGE << m->machine->geo.level_bits;
	unsigned long addr = vma->vm_start;

	while (addr < vma->vm_end) {
		const struct table *leaf = table_find(m->mm, addr);
		const struct folio *folio = leaf ? mem_folio(m, addr) : NULL;

		if (folio && folio_test(folio, FOLIO_ANON) &&
		    !folio_order(m->machine->ram, folio) &&
		    folio->index != vma->vm_pgoff + mm_pages(m->mm, addr - vma->vm_start))
			fail_msg("page %#lx of its family is at %#lx, in a mapping from %#lx, "
				 "page %#lx, on",
				 folio->index, addr, vma->vm_start, vma->vm_pgoff);
		addr = leaf ? addr + mm_page_size(m->mm) : (addr | (leaf_size - 1)) + 1;
		if (!addr)
			break;
	}
}

static void check_all_places(const struct mem *m)
{
	const struct vma *vma;

	if (!mm_has_tables(m->mm) || mm_page_size(m->mm) != MEM_PAGE)
		return;
	for (unsigned long at = 0; (vma = vma_find_from(m->mm, at)) && vma->vm_end > at;) {
		check_places(m, vma);
		at = vma->vm_end;
	}
}

void mem_check(const struct mem *m)
{
	struct samara_report report = { 0 };
	struct samara_mm *mm;

	for_each_mm(m->machine, mm)
	{
		check(samara_mm_validate(mm, &report), &report);
		mmap_read_lock(mm);
		check(pgtable_validate(mm, &report), &report);
		if (mm == m->mm)
			check_all_places(m);
		mmap_read_unlock(mm);
	}
	check(samara_machine_validate(m->machine, &report), &report);
}

unsigned long mem_map(const struct mem *m, unsigned long pages, int prot, int flags,
		      struct samara_file *file)
{
	unsigned long addr;

	addr = samara_mmap(m->mm, 0, pages * MEM_PAGE, prot, flags | (file ? 0 : MAP_ANONYMOUS),
			   file, 0);
	assert_false(SAMARA_IS_ERR_VALUE(addr));
	return addr;
}

struct samara_file *mem_file(const struct mem *m, unsigned long pages)
{
	struct samara_file *file;
	unsigned char page[MEM_PAGE];

	assert_int_equal(samara_file_memfd(m->machine, "pages", pages * MEM_PAGE, &file), 0);
	for (unsigned long i = 0; i < pages; i++) {
		memset(page, (int)(i + 1), sizeof(page));
		assert_int_equal(samara_file_pwrite(file, page, sizeof(page), i * MEM_PAGE),
				 sizeof(page));
	}
	return file;
}

unsigned int mem_fault(const struct mem *m, unsigned long addr, unsigned int flags)
{
	unsigned int codes;

	mmap_read_lock(m->mm);
	codes = handle_mm_fault(vma_lookup(m->mm, addr), addr, flags);
	mmap_read_unlock(m->mm);
	return codes;
}

unsigned int mem_fault_vma_lock(const struct mem *m, unsigned long addr, unsigned int flags)
{
	struct vma *vma = lock_vma_under_rcu(m->mm, addr);
	unsigned int codes;

	assert_non_null(vma);
	codes = handle_mm_fault(vma, addr, flags | FAULT_VMA_LOCK);
	vma_end_read(vma);
	return codes;
}

struct vma *mem_vma(const struct mem *m, unsigned long addr)
{
	struct vma *vma;

	mmap_read_lock(m->mm);
	vma = vma_lookup(m->mm, addr);
	mmap_read_unlock(m->mm);
	return vma;
}

pte_t mem_pte(const struct mem *m, unsigned long addr)
{
	struct table *leaf = table_find(m->mm, addr);

	return leaf ? pte_read(table_pte(m->mm, leaf, addr)) : pte_empty();
}

struct folio *mem_folio(const struct mem *m, unsigned long addr)
{
	const pte_t pte = mem_pte(m, addr);

	return pte_present(pte) && !pte_special(pte) ? pfn_folio(m->machine->ram, pte_pfn(pte)) :
						       NULL;
}

unsigned char *mem_bytes(const struct mem *m, unsigned long addr)
{
	const pte_t pte = mem_pte(m, addr);

	assert_true(pte_present(pte));
	return (unsigned char *)pfn_to_virt(m->machine->ram, pte_pfn(pte)) + addr % MEM_PAGE;
}

unsigned long mem_frames(const struct mem *m)
{
	struct rwsem *isolation = lock_rank_holds_any() ? NULL : lru_isolation(m->machine->ram);
	struct ram_stats stats;

	/* The machine's own thread may have a page in hand that is about to be free. */
	if (isolation)
		down_write(isolation);
	ram_stats(m->machine->ram, &stats);
	if (isolation)
		up_write(isolation);
	return stats.frames - stats.free - stats.cached - stats.poisoned;
}

void mem_share(const struct mem *m, unsigned long addr)
{
	struct table *leaf = table_find(m->mm, addr);
	pte_t *pte = table_pte(m->mm, leaf, addr);
	struct folio *folio = mem_folio(m, addr);

	table_lock(leaf);
	folio_get(folio);
	folio_test_clear(folio, FOLIO_EXCLUSIVE);
	pte_set(pte, pte_without(pte_read(pte), PTE_WRITE));
	table_unlock(leaf);
}

void mem_unshare(const struct mem *m, struct folio *folio)
{
	folio_put(m->machine->ram, folio);
}

void mem_mark(const struct mem *m, unsigned long addr, unsigned int marker)
{
	struct table *leaf;

	mmap_read_lock(m->mm);
	assert_int_equal(table_get(m->mm, addr, &leaf), 0);
	table_lock(leaf);
	table_fill(leaf, table_pte(m->mm, leaf, addr), mk_swp(SWP_MARKER, marker));
	table_unlock(leaf);
	mmap_read_unlock(m->mm);
}
