/* SPDX-License-Identifier: MIT */
/*
 * Swap areas of one machine: slots, counts, the swap cache.
 *
 *   swp_entry_t --> area --> slot's word [ folio | count | flags ]     one atomic word
 *                             slot's family                             while a folio is cached
 *
 * A swap entry names a slot: in a page table (mmu/pte.h), in the page cache of shared memory
 * (store/inode.h), or in the mapping of a folio that is in the swap cache (docs/decisions/0008).
 *
 *   count   the entries in page tables and page caches that name the slot
 *   folio   the slot's page in memory: the swap cache, one reference of its own
 *
 * A slot is free when it has neither. Life of a page that leaves and comes back:
 *
 *   swap_cache_add()   a slot; the folio is in the cache and dirty            count 0
 *   unmap              each entry becomes a swap entry, swap_dup() first      count n
 *   swap_write()       the bytes are in the area; the folio is clean
 *   swap_cache_del()   the folio leaves and is freed: only the slot is left
 *   swap_read()        a new folio in the cache, with the slot's bytes
 *   swap_put()         an entry is a page again, or is zapped                 count n - 1 ... 0
 *   swap_cache_free()  no entry is left: the folio alone has the page, dirty; the slot is free
 *
 * Nothing written is lost: a folio that swap_write() could not write stays dirty and in the cache,
 * and its slot is never used again (SLOT_BAD). A slot of zeros has no bytes in the area
 * (SLOT_ZERO).
 *
 * Locks
 *   folio lock   a folio enters and leaves the cache under it, is read and is written under it.
 *                A thread that finds and locks a folio looks again: swap_cache_is()
 *   RANK_SWAP    area->lock: free slots, and whether the area is on. store->swap.lock: the list
 *   no lock      counts: swap_dup() and swap_put() are atomic operations on the word
 *
 * An area stays while one of its slots is used, or a reference is held (swap_area_get()).
 *
 * Invariants (swap_validate(); the machine is quiet)
 *   slot_free    free slots have count 0 and no folio; the area's number of them is right
 *   slot_cache   a cached folio's mapping is the slot, it has FOLIO_SWAPCACHE
 *   slot_count   (tests recompute it from all page tables and page caches)
 */
#ifndef STORE_SWAP_H
#define STORE_SWAP_H

#include <samara/reclaim.h>

#include "base/list.h"
#include "base/lock.h"
#include "frame/frame.h"

struct file_store;
struct inode;

#define SWAP_AREAS 23U /* as Linux 6.18 with migration, poison and device entries */

/* 0: none. Else odd, so that no pointer is equal to it, and it is a value to a range tree. */
typedef struct {
	uint64_t v;
} swp_entry_t;

static inline swp_entry_t mk_swp_entry(unsigned int area, unsigned long slot)
{
	return (swp_entry_t){ (uint64_t)slot << 8 | area << 1 | 1 };
}

static inline bool swp_none(swp_entry_t entry)
{
	return !entry.v;
}
static inline unsigned int swp_area(swp_entry_t entry)
{
	return entry.v >> 1 & 0x7f;
}
static inline unsigned long swp_slot(swp_entry_t entry)
{
	return entry.v >> 8;
}

/* In a page cache: a page that could not be read when its area was switched off. */
#define SWP_LOST mk_swp_entry(0x7f, 0)

/* As the tree of a page cache holds it; NULL: none. A load that finds no entry gives none. */
static inline void *swp_to_value(swp_entry_t entry)
{
	return (void *)entry.v;
}
static inline swp_entry_t value_to_swp(const void *value)
{
	return (swp_entry_t){ (uintptr_t)value & 1 ? (uintptr_t)value : 0 };
}

/* The machine's areas; part of struct file_store. */
struct swap_areas {
	struct samara_spinlock lock;          /* RANK_SWAP */
	struct samara_swap *area[SWAP_AREAS]; /* lock; readers RCU */
	long free;                            /* slots of areas that are on; atomic */
	long total;                           /* likewise */
	long cached;                          /* folios in the swap cache; atomic */
	unsigned long served;                 /* turns of areas that have ended; atomic */
	int lowest;                           /* lock: priority of the last area without a choice */
	/*
	 * Inodes of shared memory that have swap entries, or had: swapoff walks them.
	 * swapped_lock (RANK_SWAP).
	 */
	struct list_head swapped;
	struct samara_spinlock swapped_lock;
};

void swap_areas_init(struct swap_areas *areas);
/* The store ends: all areas go. No entry names a slot any more. */
void swap_areas_end(struct file_store *store);

/* entries --------------------------------------------------------------------- */

/* One more entry names the slot, which has one, or is cached and locked. False: too many do. */
bool swap_dup(struct file_store *store, swp_entry_t entry) __must_check;
/*
 * One entry less. With the last one the slot is free, or its folio is alone: then the folio leaves
 * the cache too, if it is not locked. Any lock up to RANK_PAGE_TABLE may be held.
 */
void swap_put(struct file_store *store, swp_entry_t entry);
/* How many entries name it; for smaps (SwapPss). */
unsigned long swap_count(struct file_store *store, swp_entry_t entry);

/* the cache ------------------------------------------------------------------- */

/* The slot that a folio in the swap cache belongs to. Folio's lock, or the folio cannot leave. */
static inline swp_entry_t folio_swap(const struct folio *folio)
{
	return (swp_entry_t){ (uint64_t)(uintptr_t)folio->mapping };
}

/* folio is locked: whether it is the cache's page of entry (still). */
static inline bool swap_cache_is(const struct folio *folio, swp_entry_t entry)
{
	return folio_test(folio, FOLIO_SWAPCACHE) && folio_swap(folio).v == entry.v;
}

/*
 * folio, locked, gets a slot near those given out last, and a place in the cache; it is dirty from
 * here on. An anonymous folio's mapping (its family) moves into the slot's record; a folio of
 * shared memory has left the page cache (mapping NULL). 0; -ENOSPC: no slot is free.
 */
int swap_cache_add(struct file_store *store, struct folio *folio) __must_check;
/*
 * folio, locked, leaves the cache: mapping is its family again, or NULL. The cache's reference is
 * dropped. Its slot stays with its entries, or is free. The caller has a reference.
 */
void swap_cache_del(struct file_store *store, struct folio *folio);
/*
 * If no entry names the slot: as swap_cache_del(), the folio is dirty, and true. folio is locked.
 * One that is not in the cache: true.
 */
bool swap_cache_free(struct file_store *store, struct folio *folio);
/*
 * folio_unlock() of a folio that may be in the cache, with a reference. A thread that took its last
 * mapping or entry away meanwhile has left it there, because it was locked: then it leaves. Any
 * lock up to RANK_PAGE_TABLE may be held.
 */
void folio_unlock_cached(struct file_store *store, struct folio *folio);
/* folio, which nothing mapped, was in the cache; it may be any other by now: the same. */
void folio_leave_cache(struct file_store *store, struct folio *folio);
/*
 * folio_unmap() of one that may be in the swap cache; if nothing else maps it, it leaves. The
 * caller has a reference.
 */
static inline void folio_unmap_cached(struct file_store *store, struct folio *folio)
{
	const uint64_t state = atomic_sub_return_acq_rel(&folio->state, FOLIO_MAP_ONE);

	if (unlikely(folio_state_only_cached(state)))
		folio_leave_cache(store, folio);
}
/*
 * Another folio takes folio's place in the cache (migration). Both are locked, folio is frozen. The
 * slot's family stays; folio's mapping is NULL, and the cache has a reference to by instead.
 */
void swap_cache_replace(struct file_store *store, struct folio *folio, struct folio *by);
/* The slot's folio, with a reference; NULL: not in memory. */
struct folio *swap_cache_find(struct file_store *store, swp_entry_t entry) __must_check;

/*
 * Whether the slot of a folio in the cache could not be written, and never will be. Folio's lock.
 */
bool swap_slot_is_bad(struct file_store *store, const struct folio *folio);

/* The family of an anonymous folio in the cache, or NULL. Folio's lock. */
void *swap_family(struct file_store *store, const struct folio *folio);
void swap_set_family(struct file_store *store, struct folio *folio, void *family);

/* bytes ----------------------------------------------------------------------- */

/* Most slots that are read at once. */
#define SWAP_WINDOW 8U
/* An aligned part of a mapping: the entries of its pages; none: not swapped. */
struct swap_around {
	swp_entry_t entry[SWAP_WINDOW];
	unsigned int wanted; /* the place of the page that is needed; its own entry is none */
};
/*
 * The slot's folio, with a reference and its contents valid, not locked: the cache's, or a new one
 * that is read. Slots around it that are used are read too, as far as frames are free, and while
 * that has been of use. around (or NULL) has the entries of the pages around the one that entry is
 * of. *major becomes true if the slot itself was read. 0; -ENOENT: no entry names it any more;
 * -ENOMEM: no frame; -EIO: it cannot be read (now). Sleeps. No lock from RANK_FOLIO on is held.
 */
int swap_read(struct file_store *store, swp_entry_t entry, const struct swap_around *around,
	      struct folio **out, bool *major) __must_check;
/*
 * folio, locked, dirty, in the cache and unmapped, is written: 0, and it is clean; or -errno: it is
 * dirty as before, and its slot will not be used for another page. Sleeps.
 */
int swap_write(struct file_store *store, struct folio *folio) __must_check;

/* areas ----------------------------------------------------------------------- */

/* The area of entries with that number, with a reference; NULL: there is none. */
struct samara_swap *swap_area_get(struct file_store *store, unsigned int area) __must_check;
void swap_area_put(struct samara_swap *area);
unsigned int swap_area_number(const struct samara_swap *area);
struct file_store *swap_area_store(const struct samara_swap *area);

/*
 * swapoff (reclaim/swapoff.c): begin: no new slot is given out; 0, -EBUSY: another one has begun.
 * Slots that are still used: swap_area_used(). Then end: the area is gone when it returns, after
 * other threads' references (no lock is held). Or resume: the area is on again.
 */
int swap_area_stop(struct samara_swap *area) __must_check;
void swap_area_resume(struct samara_swap *area);
void swap_area_end(struct samara_swap *area);
/* Slots that can hold a page. */
unsigned long swap_area_pages(struct samara_swap *area);
/* Slots with an entry or a cached folio. */
unsigned long swap_area_used(struct samara_swap *area);
/* The next used slot from *slot on; false: none. Entries may go meanwhile. */
bool swap_area_next(struct samara_swap *area, unsigned long *slot);

/* Whether flags are those of swapon(2). */
bool swap_flags_valid(int flags) __must_check;

#define SWAP_PAGES_MAX (1UL << 40)
struct swap_ops_desc {
	const struct samara_swap_ops
		*ops; /* copied; all members are known, read and write are there */
	void *priv;
	unsigned long pages;
	int flags;
};
/* An area with an embedder's backend, listed. 0, -ENOMEM, -EPERM. */
int swap_on_ops(struct file_store *store, const struct swap_ops_desc *desc,
		struct samara_swap **out) __must_check;

/*
 * The host file or block device of fd, with or without a header of mkswap(8). As samara_swapon().
 * flags are valid.
 */
int swap_on_file(struct file_store *store, int fd, int flags,
		 struct samara_swap **out) __must_check;

/* As samara_swapon_compressed(). */
int swap_on_compressed(struct file_store *store, unsigned long bytes, const char *algorithm,
		       struct samara_swap **out) __must_check;

struct swap_stats {
	unsigned long total, free, cached; /* slots; folios */
};
void swap_stats(struct file_store *store, struct swap_stats *out);
int swap_print(struct file_store *store, int fd);
int swap_validate(struct file_store *store, struct samara_report *out) __must_check;

/* shared memory (shmem_swap.c) -------------------------------------------------- */

/*
 * folio, locked, of shared memory, unmapped: it leaves the page cache, where a swap entry takes
 * its place, and is in the swap cache. 0; -ENOSPC, -EBUSY (others use it). Then swap_write().
 */
int shmem_swap_out(struct inode *inode, struct folio *folio) __must_check;
/*
 * Page index, where the cache of inode has entry, is a page of the page cache again, and its slot
 * is given back. 0, also where the entry has changed meanwhile; -ENOMEM, -EIO. Takes the folio's
 * lock and pages.lock.
 */
int shmem_swap_in(struct inode *inode, unsigned long index, swp_entry_t entry) __must_check;
/* Page index, if it has entry, cannot be read, and its slot is given back: SWP_LOST. */
void shmem_swap_lose(struct inode *inode, unsigned long index, swp_entry_t entry);
/*
 * The next page from *index on that has an entry of that area (SWAP_AREAS: of any), which becomes
 * *entry; false: none.
 */
bool shmem_swap_next(struct inode *inode, unsigned int area, unsigned long *index,
		     swp_entry_t *entry);
/*
 * The next inode behind prev (NULL: the first) that may have swap entries, with a reference. Drops
 * prev's.
 */
struct inode *shmem_swapped_next(struct file_store *store, struct inode *prev) __must_check;

#endif
