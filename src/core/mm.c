/* SPDX-License-Identifier: MIT */
/*
 * Making and freeing the mm object itself.
 */
#include <string.h>
#include <sys/resource.h>

#include "alloc/mem.h"
#include "base/this_thread.h"
#include "core/mm.h"
#include "frame/vm_event.h"

static DEFINE_ALLOC_SITE(mm_site, "mm");

#define DEFAULT_STACK (8UL << 20)
#define DEFAULT_MEMLOCK (8UL << 20)

static void default_layout(struct samara_mm *mm)
{
	struct mm_layout *layout = &mm->layout;
	const unsigned long window = mm->geo->map_window;

	layout->task_size = mm->geo->task_size;
	layout->mmap_base = samara_mmap_base(mm->geo, DEFAULT_STACK, 0);
	/* The legacy layout begins at a third of the space, on a page. */
	layout->legacy_base = mm_page_align(mm, window / 3);
}

struct samara_mm *mm_alloc(struct samara_machine *machine)
{
	struct samara_mm *mm = mem_zalloc(&mm_site, sizeof(*mm));
	struct mm_limits *limits;

	if (!mm)
		return NULL;
	limits = &mm->limits;
	mt_init_flags(&mm->mt, MM_TREE_FLAGS);
	maple_writer_init(&mm->writer, &mm->mt);
	rwsem_init(&mm->mmap_lock.sem, RANK_MMAP);
	list_init(&mm->watch.uffds.head);
	mm->machine = machine;
	mm->geo = &machine->geo;
	/* A VMA's vm_lock.seq begins at 0, and is not to look locked by it. */
	mm->mmap_lock.seq = 1;
	for (int i = 0; i < MM_RLIMITS; i++)
		limits->rlim[i] = limits->rlim_max[i] = RLIM_INFINITY;
	limits->rlim[MM_RLIMIT_STACK] = DEFAULT_STACK;
	limits->rlim[MM_RLIMIT_MEMLOCK] = limits->rlim_max[MM_RLIMIT_MEMLOCK] = DEFAULT_MEMLOCK;
	mm_set_def_flags(mm, 0);
	default_layout(mm);
	return mm;
}

struct mm_shard *mm_shard(struct samara_mm *mm)
{
	return &mm->shard[this_thread_number() % MM_SHARDS];
}

long mm_rss_sum(const struct samara_mm *mm, enum mm_rss which)
{
	long sum = 0;

	for (int i = 0; i < MM_SHARDS; i++)
		sum += READ_ONCE(mm->shard[i].rss[which]);
	return sum;
}

unsigned long mm_lock_stat_sum(const struct samara_mm *mm, enum vma_lock_stat which)
{
	unsigned long sum = 0;

	for (int i = 0; i < MM_SHARDS; i++)
		sum += READ_ONCE(mm->shard[i].lock_stat[which]);
	return sum;
}

void mm_inherit(struct samara_mm *mm, const struct samara_mm *from)
{
	mm->layout = from->layout;
	mm->limits = from->limits;
	mm->watch.uffds.no_wait = READ_ONCE(from->watch.uffds.no_wait);
	mm_set_def_flags(mm, 0); /* a child has no MCL_FUTURE */
}

void mm_free(struct samara_mm *mm)
{
	const unsigned long faults = mm_lock_stat_sum(mm, VMA_LOCK_SUCCESS);

	BUG_ON(!mtree_empty(&mm->mt));
	if (faults)
		vm_event_add(mm->machine->ram, PGFAULT, faults);
	mem_free(&mm_site, mm);
}
