/* SPDX-License-Identifier: MIT */
/*
 * Pages by hand; see page_world.h.
 */
#include "support/page_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/cmocka_all.h"

#include <samara/inject.h>

#define RAM_BYTES (64UL << 20)

static void file_up(struct world_file *f, enum inode_kind kind)
{
	f->inode.kind = kind;
	refcount_set(&f->inode.refs, 1);
	f->inode.host.fd = -1;
	f->inode.length = WORLD_FILE_PAGES * WORLD_PAGE;
	rwsem_init(&f->inode.i_mmap.lock, RANK_FILE_RMAP);
	f->file = calloc(1, sizeof(*f->file) + 8);
	assert_non_null(f->file);
	refcount_set(&f->file->refs, 1);
	f->file->inode = &f->inode;
}

static void file_down(struct world *w, struct world_file *f)
{
	for (unsigned long i = 0; i < WORLD_FILE_PAGES; i++)
		if (f->page[i])
			folio_put(w->ram, f->page[i]);
	free(f->file);
}

int world_up_geometry(void **state, const struct samara_geometry *geo)
{
	struct world *w = calloc(1, sizeof(*w));
	const struct ram_config config = { .bytes = RAM_BYTES, .page_shift = geo->page_shift };

	if (!w)
		return -1;
	*state = w;
	w->live = samara_live_objects();
	w->machine.geo = *geo;
	refcount_set(&w->machine.refs, 1);
	assert_int_equal(gate_init(&w->gate), 0);
	w->machine.gate = &w->gate;
	w->box.store = file_store_create();
	if (!w->box.store || ram_create(&config, &w->ram))
		return -1;
	w->machine.store = w->box.store;
	w->machine.ram = w->box.ram = w->box.store->ram = w->ram;
	file_up(&w->shmem, INODE_SHMEM);
	file_up(&w->host, INODE_HOST);
	w->shmem.inode.ram = w->host.inode.ram = w->ram;
	world_mm(w);
	return 0;
}

int world_up(void **state)
{
	return world_up_geometry(state, samara_geometry_x86_64());
}

int world_down(void **state)
{
	struct world *w = *state;
	struct samara_report report = { 0 };
	unsigned long live;
	int broken;

	assert_world(w);
	while (w->vmas)
		world_vma_gone(w, w->vmas);
	while (w->nr_mms)
		world_mm_gone(w, w->mm[w->nr_mms - 1]);
	file_down(w, &w->shmem);
	file_down(w, &w->host);
	broken = ram_validate(w->ram, &report);
	if (broken)
		fprintf(stderr, "%s: %s\n", report.invariant, report.text);
	if (w->area)
		swap_disk_off(w->area, &w->disk);
	file_store_put(w->box.store); /* and the frames */
	live = samara_live_objects();
	if (live != w->live)
		fprintf(stderr, "%ld objects are left\n", (long)(live - w->live));
	broken |= live != w->live;
	free(w);
	return broken ? -1 : 0;
}

struct samara_mm *world_mm(struct world *w)
{
	struct samara_mm *mm = mm_alloc(&w->machine);

	assert_non_null(mm);
	assert_in_range(w->nr_mms, 0, WORLD_MMS - 1);
	mm->life.state = MM_LIVE;
	down_write_nested(&mm->mmap_lock.sem); /* of mms that only this test knows */
	w->mm[w->nr_mms++] = mm;
	return mm;
}

void world_mm_gone(struct world *w, struct samara_mm *mm)
{
	unsigned int i = 0;

	for (int which = 0; which < MM_RSS; which++)
		assert_int_equal(rss_of(mm, (enum mm_rss)which), 0);
	pgd_free(mm);
	mmap_write_unlock(mm);
	mm_free(mm);
	while (w->mm[i] != mm)
		i++;
	w->mm[i] = w->mm[--w->nr_mms];
}

struct vma *world_vma_in(struct world *w, struct samara_mm *mm, unsigned long start,
			 unsigned long end, unsigned long flags)
{
	struct vma *vma = vma_alloc(mm);

	assert_non_null(vma);
	vma_set_range(vma, start, end, start / mm_page_size(mm));
	vma->vm_flags = flags;
	vma->is_anon = 1;
	vma->dead_next = w->vmas;
	w->vmas = vma;
	return vma;
}

struct vma *world_vma(struct world *w, unsigned long from, unsigned long to, unsigned long flags,
		      struct world_file *file)
{
	struct vma *vma = world_vma_in(w, w->mm[0], PG(from), PG(to), flags);

	if (file) {
		vma->is_anon = 0;
		vma->vm_file = file->file;
		vma->vm_pgoff = from;
		assert_int_equal(vma_link_file(vma), 0);
	}
	return vma;
}

void world_anon_vma(struct vma *vma)
{
	if (!vma->anon_vma)
		assert_int_equal(anon_vma_prepare(vma), 0);
}

struct vma *world_fork(struct world *w, struct samara_mm *child, struct vma *src)
{
	struct vma *vma = world_vma_in(w, child, src->vm_start, src->vm_end, src->vm_flags);

	vma->vm_pgoff = src->vm_pgoff;
	vma->is_anon = src->is_anon;
	vma->vm_file = src->vm_file;
	if (src->anon_vma)
		assert_int_equal(anon_vma_fork(vma, src), 0);
	if (vma->vm_file)
		assert_int_equal(vma_link_file(vma), 0);
	return vma;
}

void world_vma_gone(struct world *w, struct vma *vma)
{
	struct vma **at = &w->vmas;
	struct mmu_gather tlb;

	tlb_gather_mmu(&tlb, vma->vm_mm, GATHER_RANGE);
	zap_range(&tlb, vma, vma->vm_start, vma->vm_end, ZAP_ALL);
	tlb_finish_mmu(&tlb);
	vma_unlink(vma);
	while (*at != vma)
		at = &(*at)->dead_next;
	*at = vma->dead_next;
	vma_free(vma);
}

void put_pte_at(struct samara_mm *mm, unsigned long addr, pte_t pte)
{
	struct table *leaf;

	assert_int_equal(table_get(mm, addr, &leaf), 0);
	table_lock(leaf);
	table_fill(leaf, table_pte(mm, leaf, addr), pte);
	table_unlock(leaf);
}

void put_pte(struct vma *vma, unsigned long n, pte_t pte)
{
	put_pte_at(vma->vm_mm, PG(n), pte);
}

struct folio *put_anon(struct vma *vma, unsigned long n, int byte)
{
	struct ram *ram = vma->vm_mm->machine->ram;
	struct folio *folio = folio_alloc(ram, 0, FOLIO_RAW);
	uint64_t bits = PTE_DIRTY;

	assert_non_null(folio);
	world_anon_vma(vma);
	memset(folio_virt(ram, folio), byte, WORLD_PAGE);
	folio_add_new_anon(folio, vma, PG(n));
	lru_add(ram, folio);
	if (vma->vm_flags & VM_WRITE)
		bits |= PTE_WRITE;
	put_pte(vma, n, pte_with(mk_pte(folio_pfn(ram, folio), vma->vm_flags), bits));
	mm_rss_add(vma->vm_mm, MM_ANONPAGES, 1);
	return folio;
}

static struct world_file *file_behind(const struct vma *vma)
{
	return container_of(vma->vm_file->inode, struct world_file, inode);
}

struct folio *put_file(struct vma *vma, unsigned long n, uint64_t bits)
{
	struct ram *ram = vma->vm_mm->machine->ram;
	const unsigned long index = vma->vm_pgoff + (PG(n) - vma->vm_start) / WORLD_PAGE;
	struct folio **page = &file_behind(vma)->page[index];

	if (!*page) {
		*page = folio_alloc(ram, 0, FOLIO_ZEROED);
		assert_non_null(*page);
		(*page)->mapping = vma->vm_file->inode;
		(*page)->index = index;
		folio_set(*page, FOLIO_UPTODATE);
		if (inode_is_shmem(vma->vm_file->inode))
			folio_set(*page, FOLIO_SWAPBACKED);
	}
	assert_true(folio_try_map(*page));
	put_pte(vma, n, pte_with(mk_pte(folio_pfn(ram, *page), vma->vm_flags), bits));
	mm_rss_add(vma->vm_mm, folio_rss(*page), 1);
	return *page;
}

void put_zero(struct vma *vma, unsigned long n)
{
	put_pte(vma, n, pte_with(mk_pte(ZERO_FRAME, vma->vm_flags), PTE_SPECIAL));
}

void put_marker(struct vma *vma, unsigned long n, unsigned int bits)
{
	put_pte(vma, n, mk_swp(SWP_MARKER, bits));
}

pte_t put_swap(struct vma *vma, unsigned long n, int byte, uint64_t bits)
{
	struct world *w = container_of(vma->vm_mm->machine, struct world, machine);
	struct folio *folio = folio_alloc(w->ram, 0, FOLIO_RAW);
	swp_entry_t swap;
	pte_t pte;

	assert_non_null(folio);
	if (!w->area)
		w->area = swap_disk_on(&w->box, &w->disk, WORLD_SLOTS, 0);
	world_anon_vma(vma);
	memset(folio_virt(w->ram, folio), byte, WORLD_PAGE);
	folio_lock(folio);
	assert_int_equal(swap_cache_add(w->box.store, folio), 0);
	swap = folio_swap(folio);
	assert_true(swap_dup(w->box.store, swap));
	assert_int_equal(swap_write(w->box.store, folio), 0);
	swap_cache_del(w->box.store, folio);
	folio_unlock(folio);
	folio_put(w->ram, folio);
	pte = mk_swap_pte(swap, bits);
	put_pte(vma, n, pte);
	mm_rss_add(vma->vm_mm, MM_SWAPENTS, 1);
	return pte;
}

struct folio *world_depart(struct vma *vma, unsigned long n, enum swp_type type)
{
	struct ram *ram = vma->vm_mm->machine->ram;
	struct folio *folio = folio_of(vma->vm_mm, n);
	struct table *leaf = table_find(vma->vm_mm, PG(n));
	pte_t *at = table_pte(vma->vm_mm, leaf, PG(n));

	folio_get(folio);
	folio_lock(folio);
	lru_del(ram, folio);
	folio->lru_next = 0; /* of a folio on no list: folio_moving() */
	table_lock(leaf);
	pte_set(at, mk_migration(type, folio_pfn(ram, folio), 0));
	assert_true(folio_try_moving(folio));
	table_unlock(leaf);
	folio_test_clear(folio, FOLIO_EXCLUSIVE);
	folio_unmap(ram, folio);
	folio_unlock(folio);
	return folio;
}

void world_arrive(struct world *w, struct folio *folio)
{
	assert_int_equal(folio_moving(folio), 0);
	folio_put(w->ram, folio);
}

pte_t pte_of(struct samara_mm *mm, unsigned long n)
{
	struct table *leaf = table_find(mm, PG(n));

	return leaf ? pte_read(table_pte(mm, leaf, PG(n))) : pte_empty();
}

struct folio *folio_of(struct samara_mm *mm, unsigned long n)
{
	const pte_t pte = pte_of(mm, n);

	assert_true(pte_present(pte) && !pte_special(pte));
	return pfn_folio(mm->machine->ram, pte_pfn(pte));
}

void world_zap(struct vma *vma, unsigned long from, unsigned long to, enum zap_what what)
{
	struct mmu_gather tlb;

	tlb_gather_mmu(&tlb, vma->vm_mm, GATHER_RANGE);
	zap_range(&tlb, vma, PG(from), PG(to), what);
	tlb_finish_mmu(&tlb);
}

long rss_of(const struct samara_mm *mm, enum mm_rss which)
{
	return mm_rss_sum(mm, which);
}

/* What a walk over all page tables finds. */
struct recount {
	struct world *w;
	long rss[MM_RSS];
	unsigned int *maps, *moving;      /* by frame */
	unsigned int named[WORLD_SLOTS];  /* entries by slot */
	unsigned int owners[WORLD_SLOTS]; /* those that are exclusive */
	const char *file;
	int line;
};

static void wrong(const struct recount *r, const char *what, unsigned long a, unsigned long b)
{
	fprintf(stderr, "%s: %lu %lu\n", what, a, b);
	_fail(r->file, r->line);
}

static void recount_nonpresent(struct recount *r, pte_t pte)
{
	const swp_entry_t swap = pte_swap_entry(pte);

	if (!swp_none(swap)) {
		r->rss[MM_SWAPENTS]++;
		r->named[swp_slot(swap)]++;
		r->owners[swp_slot(swap)] += swp_value(pte) & SWP_EXCLUSIVE;
	} else if (pte_migration(pte)) {
		r->rss[folio_rss(pfn_folio(r->w->ram, migration_pfn(pte)))]++;
		r->moving[migration_pfn(pte)]++;
	}
}

static void recount_slots(const struct recount *r)
{
	for (unsigned long i = 0; r->w->area && i < WORLD_SLOTS; i++) {
		const swp_entry_t swap = mk_swp_entry(swap_area_number(r->w->area), i);

		if (swap_count(r->w->box.store, swap) != r->named[i])
			wrong(r, "a slot's count", i, r->named[i]);
		if (r->owners[i] && r->named[i] != 1)
			wrong(r, "a shared slot's entry is exclusive", i, r->named[i]);
	}
}

static void recount_entry(struct recount *r, pte_t pte)
{
	struct folio *folio;

	if (!pte_present(pte)) {
		recount_nonpresent(r, pte);
		return;
	}
	if (pte_special(pte))
		return;
	folio = pfn_folio(r->w->ram, pte_pfn(pte));
	r->rss[folio_rss(folio)]++;
	r->maps[pte_pfn(pte)]++;
	if (folio_test(folio, FOLIO_ANON) && folio_maps(folio) > 1 &&
	    (pte_write(pte) || folio_test(folio, FOLIO_EXCLUSIVE)))
		wrong(r, "a shared page is exclusive or writable", pte_pfn(pte), pte.v);
}

static void recount_mm(struct recount *r, struct samara_mm *mm)
{
	const unsigned long end = mm->geo->task_size;
	struct samara_report report = { 0 };
	unsigned long addr = 0;
	struct table *leaf;

	if (pgtable_validate(mm, &report)) {
		fprintf(stderr, "%s: %s\n", report.invariant, report.text);
		_fail(r->file, r->line);
	}
	memset(r->rss, 0, sizeof(r->rss));
	while (addr < end && (leaf = table_next(mm, &addr, end))) {
		for (unsigned int i = 0; i < 1U << mm->geo->level_bits; i++)
			recount_entry(r, leaf->entry[i]);
		addr = leaf->base + (1UL << level_shift(mm->geo, 1));
	}
	for (int i = 0; i < MM_RSS; i++)
		if (r->rss[i] != rss_of(mm, (enum mm_rss)i))
			wrong(r, "an mm's count", (unsigned long)r->rss[i],
			      (unsigned long)rss_of(mm, (enum mm_rss)i));
}

void assert_world_at(struct world *w, const char *file, int line)
{
	const unsigned long frames = RAM_BYTES / WORLD_PAGE;
	struct recount r = { .w = w, .file = file, .line = line };

	r.maps = calloc(2 * frames, sizeof(*r.maps));
	assert_non_null(r.maps);
	r.moving = r.maps + frames;
	for (unsigned int i = 0; i < w->nr_mms; i++)
		recount_mm(&r, w->mm[i]);
	for (unsigned long pfn = 1; pfn < frames; pfn++) {
		const struct folio *folio = pfn_folio(w->ram, pfn);

		if (folio_maps(folio) != r.maps[pfn])
			wrong(&r, "a folio's map count", pfn, r.maps[pfn]);
		if (r.moving[pfn] && folio_moving(folio) != r.moving[pfn])
			wrong(&r, "a folio's migration entries", pfn, r.moving[pfn]);
	}
	recount_slots(&r);
	free(r.maps);
}
