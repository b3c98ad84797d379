/* SPDX-License-Identifier: MIT */
/*
 * The rank checker of debug builds: each thread's stack of held locks.
 *
 *      held[0]  mmap_lock     rank  4
 *      held[1]  page table    rank  9
 *      held[2]  maple tree    rank 12   <- top; the next must be above 12
 *
 * Locks may be released in any order. A trylock may break the order (it cannot
 * wait), so the next lock is compared with the highest rank held, not with the
 * top of the stack.
 */
#include "base/lock.h"

static const char *const rank_names[RANK_COUNT] = {
	[RANK_NONE] = "none",
	[RANK_ROUND] = "rcu round",
	[RANK_USER] = "user",
	[RANK_NOTIFIERS] = "notifiers",
	[RANK_MMAP] = "mmap_lock",
	[RANK_VMA] = "vma lock",
	[RANK_UFFD] = "userfaultfd fills",
	[RANK_ISOLATED] = "isolated pages",
	[RANK_INODE] = "inode",
	[RANK_FOLIO] = "folio lock",
	[RANK_FILE_RMAP] = "file rmap",
	[RANK_ANON_RMAP] = "anon rmap",
	[RANK_PAGE_TABLE] = "page table",
	[RANK_TLB] = "tlb",
	[RANK_TLB_OWNER] = "tlb owner",
	[RANK_PAGE_CACHE] = "page cache",
	[RANK_SWAP] = "swap area",
	[RANK_MAPLE] = "maple tree",
	[RANK_LRU] = "lru",
	[RANK_FRAME] = "frame",
	[RANK_MMS] = "mm list",
	[RANK_EVENT] = "event queue",
	[RANK_CACHE_ALL] = "cache registry",
	[RANK_CACHE_POOL] = "cache pool",
	[RANK_CACHE_CHUNK] = "cache chunks",
};

const char *lock_rank_name(enum lock_rank rank)
{
	return rank < RANK_COUNT && rank_names[rank] ? rank_names[rank] : "unknown";
}

#ifdef SAMARA_DEBUG

#define HELD_MAX 64

static __thread struct {
	const void *lock;
	enum lock_rank rank;
} held[HELD_MAX];
static __thread unsigned int held_count;

void (*lock_hook)(enum lock_event event, const void *lock);

static void tell(enum lock_event event, const void *lock)
{
	void (*const hook)(enum lock_event, const void *) = smp_load_acquire(&lock_hook);

	if (unlikely(hook))
		hook(event, lock);
}

static void push(const void *lock, enum lock_rank rank)
{
	BUG_ON(held_count == HELD_MAX);
	held[held_count].lock = lock;
	held[held_count].rank = rank;
	held_count++;
}

/* About to wait for lock. */
void lock_rank_acquire(const void *lock, enum lock_rank rank, bool may_equal)
{
	tell(LOCK_TAKE, lock);
	for (unsigned int i = 0; i < held_count; i++) {
		if (held[i].lock == lock)
			assert_bug_text("lock order: %s taken twice by one thread",
					lock_rank_name(rank));
		if (held[i].rank > rank || (held[i].rank == rank && !may_equal))
			assert_bug_text("lock order: %s taken while holding %s (ranks %d, %d)",
					lock_rank_name(rank), lock_rank_name(held[i].rank), rank,
					held[i].rank);
	}
	push(lock, rank);
}

/* Has been taken without waiting. */
void lock_rank_try(const void *lock, enum lock_rank rank)
{
	push(lock, rank);
}

void lock_rank_release(const void *lock)
{
	unsigned int i = held_count;

	tell(LOCK_RELEASE, lock);
	while (i && held[i - 1].lock != lock)
		i--;
	if (!i)
		assert_bug_text("lock order: unlock of a lock that this thread does not hold");
	for (; i < held_count; i++)
		held[i - 1] = held[i];
	held_count--;
}

bool lock_rank_holds_any(void)
{
	return held_count;
}

bool lock_rank_holds(const void *lock)
{
	for (unsigned int i = 0; i < held_count; i++) {
		if (held[i].lock == lock)
			return true;
	}
	return false;
}

#endif
