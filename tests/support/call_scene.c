/* SPDX-License-Identifier: MIT */
#include "support/call_scene.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <samara/inject.h>

#include "support/cmocka_all.h"

#include "frame/ram.h"
#include "rmap/link.h"
#include "support/at_locks.h"
#include "support/store_box.h"

#define RW (PROT_READ | PROT_WRITE)
#define FILE_PAGES 4UL

struct scene scene;

void scene_machine_up(void)
{
	struct samara_machine_config cfg = SAMARA_MACHINE_CONFIG_INIT;

	scene.m.live = samara_live_objects();
	cfg.ram_bytes = 1 << 20;
	assert_int_equal(samara_machine_create(&cfg, &scene.m.machine), 0);
}

void scene_machine_down(void)
{
	samara_machine_destroy(scene.m.machine);
	assert_int_equal(samara_live_objects(), scene.m.live);
}

static void put(unsigned long page, unsigned char byte)
{
	assert_int_equal(samara_write(scene.m.mm, AT(page), &byte, 1, NULL), 1);
}

static void map(unsigned long page, unsigned long pages, int flags, struct samara_file *file)
{
	assert_int_equal(samara_mmap(scene.m.mm, AT(page), pages * MEM_PAGE, RW, flags | MAP_FIXED,
				     file, 0),
			 AT(page));
}

void scene_open(void)
{
	unsigned char byte;

	scene = (struct scene){ .m = scene.m };
	assert_int_equal(samara_mm_create(scene.m.machine, &scene.m.mm), 0);
	scene.file = mem_file(&scene.m, FILE_PAGES);
	map(0, 8, MAP_PRIVATE | MAP_ANONYMOUS, NULL);
	map(8, 4, MAP_SHARED, scene.file);
	map(12, 4, MAP_PRIVATE, scene.file);
	map(511, 4, MAP_PRIVATE | MAP_ANONYMOUS, NULL);
	for (unsigned long page = 0; page < 5; page++)
		put(page, (unsigned char)(page + 1));
	put(8, 11);
	put(9, 12);
	put(12, 13);
	put(511, 14);
	put(513, 15);
	assert_int_equal(samara_pin_pages(scene.m.mm, AT(3), 1, SAMARA_PIN_WRITE, &scene.pin), 1);
	scene.pinned = true;
	assert_int_equal(samara_read(scene.m.mm, AT(5), &byte, 1, NULL), 1);
	assert_int_equal(samara_read(scene.m.mm, AT(13), &byte, 1, NULL), 1);
}

static void check_scene(void)
{
	mem_check(&scene.m);
	box_check(scene.file);
	for (unsigned int who = 0; who < 2; who++)
		if (scene.child[who])
			mem_check(&(struct mem){ .machine = scene.m.machine,
						 .mm = scene.child[who] });
}

void scene_unpin(void)
{
	if (scene.pinned)
		samara_unpin_pages(&scene.pin, 1, 0);
	scene.pinned = false;
}

void scene_close(void)
{
	check_scene();
	scene_unpin();
	for (unsigned int who = 0; who < 2; who++)
		if (scene.child[who])
			samara_mm_exit(scene.child[who]);
	samara_file_put(scene.file);
	samara_mm_exit(scene.m.mm);
	assert_int_equal(mem_frames(&scene.m), 0);
}

/* what each lock protects ------------------------------------------------------- */

#define GUARD(lock, member) guard_add(lock, &(member), sizeof(member), #member)

static void guard_mm(struct samara_mm *mm)
{
	GUARD(&mm->mmap_lock.sem, mm->count);
	GUARD(&mm->mmap_lock.sem, mm->layout);
	GUARD(&mm->mmap_lock.sem, mm->limits.rlim);
	GUARD(&mm->mmap_lock.sem, mm->limits.def_flags);
	GUARD(&mm->mmap_lock.sem, mm->mt.ma_root);
	GUARD(&mm->watch.cpus_lock, mm->watch.cpus);
}

static void guard_inode(struct inode *inode)
{
	GUARD(&inode->lock, inode->length);
	GUARD(&inode->lock, inode->pages.reserved);
	GUARD(&inode->pages.lock.lock, inode->pages.nr);
	GUARD(&inode->pages.lock.lock, inode->pages.charged);
	GUARD(&inode->pages.lock.lock, inode->pages.tree.ma_root);
	GUARD(&inode->i_mmap.lock, inode->i_mmap.tree);
}

static void guard_family(struct anon_vma *family)
{
	GUARD(&family->root->lock, family->children);
	GUARD(&family->root->lock, family->active_vmas);
	GUARD(&family->root->lock, family->tree);
}

static void guard_ram(struct ram *ram)
{
	GUARD(&ram->buddy.lock, ram->buddy.first);
	GUARD(&ram->buddy.lock, ram->buddy.free);
	GUARD(&ram->buddy.lock, ram->buddy.fresh);
	GUARD(&ram->buddy.lock, ram->buddy.nonempty);
	GUARD(&ram->lru.lock, ram->lru.list);
	for (unsigned int i = 0; i < RAM_SHARDS; i++) {
		GUARD(&ram->shard[i].lock, ram->shard[i].first);
		GUARD(&ram->shard[i].lock, ram->shard[i].count);
		GUARD(&ram->lru.batch[i].lock, ram->lru.batch[i].nr);
		GUARD(&ram->lru.batch[i].lock, ram->lru.batch[i].pfn);
	}
}

/* The family of the written pages may lose its last mapping, but not its memory. */
void scene_guard(void)
{
	scene.family = mem_vma(&scene.m, AT(0))->anon_vma;
	assert_true(anon_vma_try_get(scene.family));
	guard_mm(scene.m.mm);
	guard_inode(scene.file->inode);
	guard_family(scene.family);
	guard_ram(scene.m.machine->ram);
}

void scene_guard_end(void)
{
	guard_end();
	anon_vma_put(scene.family);
}

/* what is left of it ----------------------------------------------------------- */

#define add(left, ...) \
	((left)->len += (size_t)snprintf((left)->text + (left)->len, \
					 sizeof((left)->text) - (left)->len, __VA_ARGS__))

/* Each page that is there: what pagemap says but its frame, its rights, its first byte. */
static void add_pages(struct left *left, const struct mem *m)
{
	static const unsigned long places[][2] = {
		{ 0, 20 }, { 511, 515 }, { 600, 608 }, { 700, 706 }
	};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		for (unsigned long page = places[i][0]; page < places[i][1]; page++) {
			const pte_t pte = mem_pte(m, AT(page));
			unsigned long long word;

			if (pte_none(pte))
				continue;
			assert_int_equal(samara_pagemap(m->mm, AT(page), 1, &word), 0);
			add(left, "%lu %llx %d%d%d", page, word >> 55, pte_write(pte),
			    pte_dirty(pte), pte_special(pte));
			if (mem_folio(m, AT(page)))
				add(left, " %d maps %lu", *mem_bytes(m, AT(page)),
				    folio_maps(mem_folio(m, AT(page))));
			add(left, "\n");
		}
	}
}

static void add_mm(struct left *left, struct samara_mm *mm)
{
	const struct mem m = { .machine = scene.m.machine, .mm = mm };
	struct samara_mm_stats stats = { .size = sizeof(stats) };

	for (unsigned long at = 0;;) {
		struct samara_vma_info info;

		if (samara_vma_next(mm, at, &info))
			break;
		add(left, "%lx-%lx %s %llx %s %lx\n", info.start, info.end, info.perms,
		    (unsigned long long)info.offset, info.name ? info.name : "", info.flags);
		at = info.end;
	}
	assert_int_equal(samara_mm_stats(mm, &stats), 0);
	add(left, "vm %lu locked %lu map_count %lu rss %ld %ld %ld\n", stats.total_vm,
	    stats.locked_vm, stats.map_count, mm_rss_sum(mm, MM_ANONPAGES),
	    mm_rss_sum(mm, MM_FILEPAGES), mm_rss_sum(mm, MM_SHMEMPAGES));
	add_pages(left, &m);
}

void scene_settle(void)
{
	static const unsigned long places[][2] = { { 8, 18 }, { 700, 704 } };

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		for (unsigned long page = places[i][0]; page < places[i][1]; page++) {
			const struct folio *folio = mem_folio(&scene.m, AT(page));

			if (folio && !folio_test(folio, FOLIO_ANON))
				(void)!samara_madvise(scene.m.mm, AT(page), MEM_PAGE,
						      MADV_DONTNEED);
		}
	}
}

void scene_look(struct left *left)
{
	unsigned char byte;

	left->len = 0;
	add(left, "%s, %s\n", scene.said[0], scene.said[1]);
	add_mm(left, scene.m.mm);
	for (unsigned int who = 0; who < 2; who++)
		if (scene.child[who])
			add_mm(left, scene.child[who]);
	for (unsigned long page = 0; page < FILE_PAGES; page++) {
		const long n = samara_file_pread(scene.file, &byte, 1, page * MEM_PAGE + 5);

		add(left, "file %lu: %ld %d\n", page, n, n > 0 ? byte : 0);
	}
	add(left, "frames %lu, promised %ld\n", mem_frames(&scene.m),
	    samara_committed_pages(scene.m.machine));
	assert_true(left->len < sizeof(left->text) - 1);
}
