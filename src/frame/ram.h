/* SPDX-License-Identifier: MIT */
/*
 * A machine's RAM from the inside: where free frames are, and which lock protects the
 * two link words of a folio.
 *
 *   folio_alloc  <--- shard: up to SHARD_MAX single frames, 8 of them by thread
 *                       ^ |  SHARD_BATCH at a time
 *                       | v
 *                     buddy: free blocks of 2^0 .. 2^9 frames
 *                       ^
 *                       |    up to 512 at a time
 *   0 [ used, free, cached ... ] fresh [ never used, no metadata touched ] nr_frames
 *
 * lru_prev says what a frame is, and by that which lock its links belong to;
 * links are frame numbers, 0 is the end:
 *
 *    31 ..... 27 | 26 .......... 0        31 ..... 27 | 26 .......... 0
 *    kind        | previous               0           | next
 *
 *   FRAME_USED      in use, on no list; or inside a block, free or used   its owner
 *   FRAME_FREE + k  first of a free block of order k                      buddy.lock
 *   FRAME_CACHED    in a shard                                            the shard's lock
 *   FRAME_POISONED  never used again                                      nobody's
 *   FRAME_WAITING   in batch `previous`, place `next`                     the batch's lock
 *   FRAME_LISTED    + list: on that LRU list                              the lru lock
 *
 * Kinds are read without those locks (a buddy looks at its neighbour, lru_del()
 * looks where a folio is), so lru_prev is loaded and stored as one word.
 *
 * The note of a frame has NOTE_USED_BEFORE from its first use on: until then its bytes are the
 * mapping's zeros. The structs of a block's other frames are not touched, so that a folio of many
 * frames costs little metadata.
 *
 * Locks, in this order; the RANK_LRU ones and the RANK_FRAME ones nest as written:
 *   RANK_LRU    a batch's, then the lru lock
 *   RANK_FRAME  a shard's, or all in ascending order, then buddy.lock; rams_lock alone
 */
#ifndef FRAME_RAM_H
#define FRAME_RAM_H

#include "alloc/site.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/this_thread.h"
#include "frame/frame.h"
#include "frame/vm_event.h"

#define RAM_SHARDS 8
#define SHARD_MAX 256U /* frames that a shard keeps at most */
#define SHARD_BATCH 64U
#define LRU_BATCH 29U
#define CHUNK_FRAMES (1UL << (FRAME_ORDERS - 1))
#define RAM_FRAMES_MIN 2UL /* the page of zeros, and one more */
#define FIRST_CHUNK 64UL
#define RAM_FRAMES_MAX (1UL << LINK_BITS)

enum frame_kind {
	FRAME_USED = 0,
	FRAME_FREE = 1, /* + order */
	FRAME_CACHED = FRAME_FREE + FRAME_ORDERS,
	FRAME_POISONED,
	FRAME_WAITING,
	FRAME_LISTED, /* + enum lru_list */
	FRAME_KINDS = FRAME_LISTED + LRU_LISTS
};

#define LINK_BITS 27
#define LINK_MASK ((1U << LINK_BITS) - 1)
_Static_assert(FRAME_KINDS <= 1U << (32 - LINK_BITS), "kinds fit");

struct shard {
	struct samara_spinlock lock; /* for the rest, which others may read */
	uint32_t first;              /* the stack of frames */
	uint32_t count;
	unsigned long asked; /* folios */
	unsigned long used;  /* frames: given less taken back; means something in sum */
} __aligned(CACHE_LINE);

/* Additions to the LRU lists that are collected. */
struct lru_batch {
	struct samara_spinlock lock;
	uint32_t nr;
	uint32_t pfn[LRU_BATCH]; /* 0: taken back */
} __aligned(CACHE_LINE);

struct lru_ends {
	uint32_t cold, hot; /* additions come at the hot end */
	unsigned long count;
};

struct lru {
	struct rwsem isolated; /* RANK_ISOLATED: lru_isolation() */
	struct samara_spinlock lock __aligned(CACHE_LINE);
	struct lru_ends list[LRU_LISTS]; /* lock */
	struct lru_batch batch[RAM_SHARDS];
};

struct buddy {
	struct samara_spinlock lock;
	unsigned int nonempty; /* bit k: there is a block of order k */
	uint32_t first[FRAME_ORDERS];
	unsigned long fresh;       /* from here on never used; changes under lock, read freely */
	unsigned long free;        /* in blocks, without what is never used */
	unsigned long asked, used; /* as a shard's: folios of order > 0, and those that go */
	unsigned long poisoned;    /* frames */
};

/* Pages that have left: refault.c. */
struct refaults {
	uint64_t *records;             /* buckets of RECORDS_IN_BUCKET; each atomic */
	unsigned long mask;            /* of buckets */
	unsigned long age;             /* atomic: evictions and activations */
	unsigned long cost[LRU_TYPES]; /* atomic: lru_cost() */
	bool anon_leaves;              /* atomic */
};
#define RECORDS_IN_BUCKET 8UL

struct ram_memory {
	size_t bytes, meta_bytes; /* of the two mappings */
	void *block;              /* what mem_alloc() gave */
};

struct ram_watcher {
	void (*low)(void *arg);
	void *arg;
	struct ram_marks marks; /* (i) */
};

/* A thread's share of the counters. */
struct vm_events {
	unsigned long count[VM_EVENTS]; /* atomic */
} __aligned(CACHE_LINE);

struct ram {
	struct ram_view view;
	int fd;        /* (a) of the memfd; -1: none is kept (ram_fd.c) */
	bool fd_given; /* (a) */
	struct ram_memory memory;
	struct list_head node; /* rams_lock */
	struct buddy buddy __aligned(CACHE_LINE);
	struct lru lru;
	struct shard shard[RAM_SHARDS];
	struct vm_events events[RAM_SHARDS];
	struct refaults refaults;
	struct ram_watcher watcher;
};
_Static_assert(offsetof(struct ram, view) == 0, "ram_view()");

/* ram_fd.c. fd, of the memfd that is mapped, is kept or closed. */
void ram_fd_begin(struct ram *ram, int fd);
void ram_fd_end(struct ram *ram);
void ram_fd_in_child(struct ram *ram);

/* The site "frame": its counters are the rams' (ram.c). */
extern struct alloc_site frame_site;

/* The struct of that very frame, which may be a tail or free. Elsewhere: pfn_folio(). */
static inline struct folio *frame_at(const struct ram *ram, unsigned long pfn)
{
	return &ram->view.folios[pfn];
}

/* links --------------------------------------------------------------------- */

static inline unsigned int frame_kind(const struct folio *folio)
{
	return READ_ONCE(folio->lru_prev) >> LINK_BITS;
}

static inline uint32_t link_prev(const struct folio *folio)
{
	return READ_ONCE(folio->lru_prev) & LINK_MASK;
}

static inline uint32_t link_next(const struct folio *folio)
{
	return folio->lru_next;
}

static inline void link_set_prev(struct folio *folio, unsigned int kind, uint32_t prev)
{
	WRITE_ONCE(folio->lru_prev, kind << LINK_BITS | prev);
}

static inline void link_set_next(struct folio *folio, uint32_t next)
{
	folio->lru_next = next;
}

/* buddy.c: all with buddy.lock held ------------------------------------------ */

/* Frames in blocks, and those that were never used. */
static inline unsigned long buddy_free(const struct ram *ram)
{
	return ram->buddy.free + (ram->view.nr_frames - ram->buddy.fresh);
}

/* The first frame of a block, FRAME_USED; 0: there is none. */
unsigned long buddy_take(struct ram *ram, unsigned int order);
/* Up to n > 0 single frames, FRAME_CACHED, chained by their next links; how many. */
unsigned int buddy_take_singles(struct ram *ram, unsigned int n, uint32_t *first);
/* That frame alone, FRAME_USED; false: it is in no free block. */
bool buddy_take_frame(struct ram *ram, unsigned long pfn);
/* The block's frames are all FRAME_USED or cached, and are free from here on. */
void buddy_give(struct ram *ram, unsigned long pfn, unsigned int order);

/* shard.c -------------------------------------------------------------------- */

/* The calling thread's, of 0 .. RAM_SHARDS - 1; it is the same for every ram. */
static inline unsigned int shard_number(void)
{
	return this_thread_number() % RAM_SHARDS;
}

/* All frames in shards go to the buddy. */
void shards_drain(struct ram *ram);

/* contents.c ----------------------------------------------------------------- */

/* The frames go out: filled as wanted, and their notes say so. */
void frames_out(struct ram *ram, unsigned long pfn, unsigned int order, enum folio_fill fill);
/* Their bytes come back: debug builds fill them, AddressSanitizer is told. */
#if defined(SAMARA_DEBUG) || SAMARA_ASAN
void frames_in(struct ram *ram, unsigned long pfn, unsigned int order);
#else
static inline void frames_in(struct ram *ram, unsigned long pfn, unsigned int order)
{
	(void)ram, (void)pfn, (void)order;
}
#endif

/* refault.c ------------------------------------------------------------------ */

/* Bytes of the table for that many frames. */
size_t refault_bytes(unsigned long frames);
/* memory: zeros, a multiple of CACHE_LINE. */
void refault_init(struct ram *ram, void *memory);

/* lru.c ---------------------------------------------------------------------- */

/* Off the LRU, each that is on it: before they are freed; they have no reference left. */
void lru_forget(struct ram *ram, struct folio **folios, unsigned int n);

#endif
