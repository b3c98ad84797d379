/* SPDX-License-Identifier: MIT */
/*
 * A RAM from beginning to end, and what all RAMs together have to say about the
 * allocation site "frame".
 *
 * Two host mappings, neither of which costs memory before it is used:
 *
 *   memfd, shared      the frames; other processes map them by ram_fd() (ram_fd.c)
 *   anonymous, private struct folio of each frame, behind them each frame's note, and behind
 *                      those the records of pages that have left (refault.c)
 *
 * fork(2) of the host leaves the frames out of the child (MADV_DONTFORK): a child that goes on with
 * its parent's machine in spite of base/gate.h ends itself, and does not write to the parent's. The
 * child has a copy of the struct folios, as of all other memory.
 *
 * Frames are counted by the shards and the buddy under locks that they take
 * anyway, so the site has no counters of its own: count_frames() adds up. What a
 * dead ram had counted is kept in `dead`.
 *
 * Locks: rams_lock (RANK_FRAME, with no other) for the list of all rams and `dead`.
 */
#include "frame/ram.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "alloc/cache.h"
#include "alloc/mem.h"
#include "alloc/poison.h"
#include "base/fork.h"
#include "base/host.h"

DEFINE_ALLOC_SITE(ram_site, "ram");

static void count_frames(struct site_counts *counts);
DEFINE_COUNTED_SITE(frame_site, "frame", count_frames);

static struct samara_spinlock rams_lock;
static LIST_HEAD(rams);
static struct site_counts dead; /* what rams that are no more have counted */

static void ram_counts(const struct ram *ram, struct site_counts *counts)
{
	counts->asked += READ_ONCE(ram->buddy.asked);
	counts->live += READ_ONCE(ram->buddy.used);
	for (unsigned int i = 0; i < RAM_SHARDS; i++) {
		counts->asked += READ_ONCE(ram->shard[i].asked);
		counts->live += READ_ONCE(ram->shard[i].used);
	}
}

static void count_frames(struct site_counts *counts)
{
	const struct ram *ram;

	spin_lock(&rams_lock, RANK_FRAME);
	*counts = dead;
	list_for_each_entry(ram, &rams, node)
		ram_counts(ram, counts);
	spin_unlock(&rams_lock);
}

/* Where frames were, the child's next mappings may lie: see ram_destroy(). */
static void in_child(void)
{
	struct ram *ram;

	list_for_each_entry(ram, &rams, node) {
		unpoison_region(ram->view.base, ram->buddy.fresh << ram->view.page_shift);
		ram_fd_in_child(ram);
	}
}

/* fork(2) of the host: the child finds the list whole. */
static struct fork_hook fork_hook = {
	.order = FORK_ROOMS,
	.lock = &rams_lock,
	.child = in_child,
};

static void ram_link(struct ram *ram)
{
	fork_hook_add(&fork_hook);
	spin_lock(&rams_lock, RANK_FRAME);
	list_add_tail(&ram->node, &rams);
	spin_unlock(&rams_lock);
}

static void ram_unlink(struct ram *ram)
{
	spin_lock(&rams_lock, RANK_FRAME);
	list_del(&ram->node);
	ram_counts(ram, &dead);
	spin_unlock(&rams_lock);
}

/* A mapping is an allocation like any other: counted, and refused when that was asked for. */
static int map(size_t size, int flags, int fd, void *out)
{
	void *p;

	atomic_inc(&ram_site.asked);
	cache_self.asked_other++;
	if (!site_admit(&ram_site, 1))
		return -ENOMEM;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, fd, 0);
	if (p == MAP_FAILED) {
		site_refused(&ram_site, 1);
		return -errno;
	}
	memcpy(out, &p, sizeof(p));
	return 0;
}

static int map_frames(struct ram *ram)
{
	int fd = memfd_create("samara-ram", MFD_CLOEXEC);
	int err;

	if (fd < 0)
		return -errno;
	err = host_ftruncate(fd, (off_t)ram->memory.bytes) ? -errno : 0;
	if (!err)
		err = map(ram->memory.bytes, MAP_SHARED, fd, &ram->view.base);
	if (!err && madvise(ram->view.base, ram->memory.bytes, MADV_DONTFORK)) {
		/* The host's EAGAIN means the same; no call of a machine says that. */
		munmap(ram->view.base, ram->memory.bytes);
		err = -ENOMEM;
	}
	if (err)
		host_close(fd);
	else
		ram_fd_begin(ram, fd);
	return err;
}

/* Where folios and notes end. */
static size_t notes_end(unsigned long frames)
{
	return ALIGN_UP(frames * (sizeof(struct folio) + sizeof(uint8_t)), CACHE_LINE);
}

/* About 1.6 % and 2.3 % of the frames, at most 64 MiB and 96 MiB of pages of 4 KiB. */
static struct ram_marks marks_for(unsigned long frames)
{
	const unsigned long low = max(min(frames / 64, 16384UL), 1UL);

	return (struct ram_marks){ .low = low, .high = low + low / 2 };
}

int ram_create(const struct ram_config *config, struct ram **out)
{
	const unsigned int shift = config->page_shift;
	struct ram *ram;
	unsigned long frames;
	void *block;
	int err;

	if (shift < 12 || shift > 21)
		return -EINVAL;
	frames = config->bytes >> shift;
	if (frames < RAM_FRAMES_MIN || frames > RAM_FRAMES_MAX)
		return -EINVAL;
	block = mem_zalloc(&ram_site, sizeof(*ram) + CACHE_LINE);
	if (!block)
		return -ENOMEM;
	ram = (struct ram *)ALIGN_UP((uintptr_t)block, CACHE_LINE);
	ram->memory.block = block;
	ram->view.nr_frames = frames;
	ram->view.page_shift = shift;
	ram->memory.bytes = frames << shift;
	ram->memory.meta_bytes = notes_end(frames) + refault_bytes(frames);
	ram->buddy.fresh = ZERO_FRAME + 1;
	err = map_frames(ram);
	if (err)
		goto free_block;
	err = map(ram->memory.meta_bytes, MAP_PRIVATE | MAP_ANONYMOUS, -1, &ram->view.folios);
	if (err)
		goto unmap_frames;
	ram->view.notes = (uint8_t *)(ram->view.folios + frames);
	rwsem_init(&ram->lru.isolated, RANK_ISOLATED);
	refault_init(ram, (char *)ram->view.folios + notes_end(frames));
	ram->watcher.marks = marks_for(frames);
	ram_link(ram);
	*out = ram;
	return 0;

unmap_frames:
	munmap(ram->view.base, ram->memory.bytes);
	ram_fd_end(ram);
free_block:
	mem_free(&ram_site, block);
	return err;
}

void ram_destroy(struct ram *ram)
{
	struct site_counts counts = { 0 };

	ram_counts(ram, &counts);
	VM_WARN_ON(counts.live);
	ram_unlink(ram);
	/* Shadow memory outlives the mapping and would spoil the next one here. */
	unpoison_region(ram->view.base, ram->buddy.fresh << ram->view.page_shift);
	munmap(ram->view.folios, ram->memory.meta_bytes);
	munmap(ram->view.base, ram->memory.bytes);
	ram_fd_end(ram);
	mem_free(&ram_site, ram->memory.block);
}

void ram_stats(struct ram *ram, struct ram_stats *out)
{
	memset(out, 0, sizeof(*out));
	out->frames = ram->view.nr_frames - 1;
	lru_drain(ram);
	spin_lock(&ram->lru.lock, RANK_LRU);
	for (unsigned int i = 0; i < LRU_LISTS; i++)
		out->lru[i] = ram->lru.list[i].count;
	spin_unlock(&ram->lru.lock);
	for (unsigned int i = 0; i < RAM_SHARDS; i++) {
		spin_lock(&ram->shard[i].lock, RANK_FRAME);
		out->cached += ram->shard[i].count;
		spin_unlock(&ram->shard[i].lock);
	}
	spin_lock(&ram->buddy.lock, RANK_FRAME);
	out->free = buddy_free(ram);
	out->poisoned = ram->buddy.poisoned;
	spin_unlock(&ram->buddy.lock);
}

struct ram_marks ram_marks(const struct ram *ram)
{
	return ram->watcher.marks;
}

unsigned long ram_free_frames(struct ram *ram)
{
	unsigned long free;

	spin_lock(&ram->buddy.lock, RANK_FRAME);
	free = buddy_free(ram);
	spin_unlock(&ram->buddy.lock);
	for (unsigned int i = 0; i < RAM_SHARDS; i++)
		free += READ_ONCE(ram->shard[i].count);
	return free;
}

void ram_watch(struct ram *ram, void (*low)(void *arg), void *arg)
{
	ram->watcher.low = low;
	ram->watcher.arg = arg;
}
