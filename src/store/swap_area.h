/* SPDX-License-Identifier: MIT */
/*
 * A swap area from the inside.
 *
 * A slot's word:
 *    63 ........... 32 | 31 ....... 27 | 26 ................ 0
 *    count of entries  | flags         | frame of the cached folio, or 0
 *
 *   0                 free
 *   USED alone        in the hands of one thread, which gives it out or makes it free
 *   USED, and more    in use
 *   BAD alone         dead: its write failed once, or the header says so
 *
 * A word leaves 0 and comes back to 0, or to BAD alone, under area->lock. All else is done by
 * compare-and-exchange: the one that leaves neither count nor frame has the slot in its hands.
 *
 * Slots are given out by clusters of 256. A thread's shard keeps its current cluster, so that pages
 * that leave together lie together:
 *
 *   fresh --> CURRENT --> FULL, or PARTIAL --> ... FREE, or DISCARD --> (outside locks) FREE
 *
 * The words, the families and the clusters are one lazily backed mapping, in this order: slots
 * that were never used cost nothing.
 *
 * Which lock protects a field
 *   (i) nothing, it does not change once the area is listed   (a) atomic   (l) area->lock
 *   (L) the lock of the store's list                          (f) the cached folio's lock
 */
#ifndef STORE_SWAP_AREA_H
#define STORE_SWAP_AREA_H

#include "base/atomic.h"
#include "base/rcu.h"
#include "base/refcount.h"
#include "store/file.h"
#include "store/swap.h"

#define SLOT_FRAME ((1ULL << 27) - 1)
#define SLOT_USED (1ULL << 27)
#define SLOT_BAD (1ULL << 28)    /* no page is put there any more */
#define SLOT_ZERO (1ULL << 29)   /* its page is all zeros, and not in the area */
#define SLOT_AHEAD (1ULL << 30)  /* its folio was read ahead, and not asked for yet */
#define SLOT_STORED (1ULL << 31) /* the area has bytes of it */
#define SLOT_COUNT_SHIFT 32
#define SLOT_COUNT_ONE (1ULL << SLOT_COUNT_SHIFT)

/* The room above is for nothing: a count changes by compare-and-exchange. */
#define SWAP_COUNT_LIMIT 0xffffffffUL
#ifdef SAMARA_DEBUG
extern unsigned long swap_count_max; /* a test lowers it */
#define SWAP_COUNT_MAX READ_ONCE(swap_count_max)
#else
#define SWAP_COUNT_MAX SWAP_COUNT_LIMIT
#endif

#define SWAP_CLUSTER 256UL
#define SWAP_SHARDS 8
#define SWAP_TURN 64U  /* slots that an area gives before others of its priority have their turn */

/* What an area keeps its bytes in. All but forget may sleep, and are called without locks. */
struct swap_backend {
	/* n neighbouring slots. 0 or -errno. */
	int (*read)(struct samara_swap *area, unsigned long slot, unsigned int n, void **pages);
	int (*write)(struct samara_swap *area, unsigned long slot, const void *page);
	/* The contents are not needed any more. NULL: the area need not be told. */
	void (*discard)(struct samara_swap *area, unsigned long slot, unsigned long nr);
	/* The same of one slot that is STORED, at once; locks may be held. NULL likewise. */
	void (*forget)(struct samara_swap *area, unsigned long slot);
	/* The area is gone. NULL is allowed. */
	void (*release)(struct samara_swap *area);
};

/* Which file of the host it is; all 0: none. */
struct swap_file_id {
	unsigned long dev, ino; /* a block device: its number, and 0 */
};

struct swap_behind {
	const struct swap_backend *ops; /* (i) */
	void *priv;                     /* (i) */
	const char *name;               /* (i) as /proc/swaps has it */
	bool partition;                 /* (i) the type shown there */
	bool discards;                  /* (i) clusters that become free are discarded */
	struct swap_file_id file;       /* (i) */
};

enum cluster_state {
	CLUSTER_FRESH,   /* never used */
	CLUSTER_FREE,    /* listed; no slot is used */
	CLUSTER_PARTIAL, /* listed; some are */
	CLUSTER_DISCARD, /* listed; none is used, and the area is to be told */
	CLUSTER_LISTS,
	CLUSTER_CURRENT = CLUSTER_LISTS, /* a shard's */
	CLUSTER_FULL,
	CLUSTER_TOLD, /* a thread is just telling the area */
};

struct swap_cluster {
	unsigned long next, prev; /* (l) of its list: the cluster's number + 1, or 0 */
	uint16_t used;            /* (l) slots whose word is not 0 */
	uint8_t state;            /* (l) */
};

struct swap_slots {
	uint64_t *word;               /* (a) */
	void **family;                /* (f) of an anonymous folio in the cache */
	struct swap_cluster *cluster; /* (l) */
	unsigned long nr;             /* (i) slots */
	size_t bytes;                 /* (i) of the mapping */
};

/* Where a shard takes its next slot. */
struct swap_cursor {
	unsigned long cluster; /* number + 1; 0: none */
	unsigned long next;    /* slot */
};

struct swap_clusters {
	unsigned long first[CLUSTER_LISTS]; /* number + 1 */
	unsigned long fresh;                /* the first that was never used */
	struct swap_cursor cursor[SWAP_SHARDS];
};

enum swap_state { SWAP_ON, SWAP_STOPPED, SWAP_GONE };

struct swap_order {
	int prio;             /* (L) */
	unsigned long served; /* (a) when its last turn ended */
	unsigned int turn;    /* (a) slots given in this turn */
};

/* How much reading ahead has been good for. */
struct swap_ahead {
	unsigned int read;   /* (a) folios read ahead since the last look */
	unsigned int hits;   /* (a) of them, those that were asked for */
	unsigned int window; /* (a) slots read together */
	unsigned long last;  /* (a) the slot that was asked for last */
};

struct swap_usage {
	unsigned long pages; /* (l) slots that can hold a page */
	unsigned long used;  /* (l) of them, those that are not free */
};

struct samara_swap {
	struct file_store *store; /* (i) */
	unsigned int number;      /* (i) */
	enum swap_state state;    /* (l) */
	refcount_t refs;          /* the list's, and lookups */
	struct swap_order order;
	struct swap_behind behind;
	struct samara_spinlock lock; /* RANK_SWAP */
	struct swap_usage usage;
	struct swap_slots slots;
	struct swap_clusters clusters; /* (l) */
	struct swap_ahead ahead;
	struct rcu_cb cb;
};

static inline unsigned long slot_count(uint64_t word)
{
	return word >> SLOT_COUNT_SHIFT;
}

/* In the hands of one thread. */
static inline bool slot_unnamed(uint64_t word)
{
	return !(word & SLOT_FRAME) && !slot_count(word);
}

/* The area of entries with that number. An RCU section, or a slot of it that stays used. */
static inline struct samara_swap *swap_area_at(struct file_store *store, unsigned int number)
{
	return number < SWAP_AREAS ? rcu_dereference(store->swap.area[number]) : NULL;
}

/* The word of a slot that stays used. */
static inline uint64_t *swap_word(const struct samara_swap *area, swp_entry_t entry)
{
	return &area->slots.word[swp_slot(entry)];
}

/* swap_area.c ------------------------------------------------------------------ */

struct swap_area_desc {
	struct swap_behind behind; /* name is copied */
	unsigned long slots;
	int flags; /* of swapon(2) */
	int prio;  /* without SWAP_FLAG_PREFER; -1: below all others */
};
/* No place is in use, and the area is not listed. 0 or -ENOMEM. */
int swap_area_create(struct file_store *store, const struct swap_area_desc *desc,
		     struct samara_swap **out) __must_check;
/*
 * It has a number and a priority, and swap_area_resume() turns it on. 0; -EPERM: there are too many
 * areas; -EBUSY: one has that file.
 */
int swap_area_list(struct samara_swap *area) __must_check;
/* One that was not listed; release() is not called. */
void swap_area_destroy(struct samara_swap *area);
/* Whether they ask that the whole area is discarded first, and freed clusters are later. */
bool swap_discards_at_once(int flags) __must_check;
bool swap_discards_pages(int flags) __must_check;

/* swap_slot.c ------------------------------------------------------------------ */

/* A slot, in the caller's hands. 0; -ENOSPC. May tell the area what it need not keep. */
int swap_slot_take(struct samara_swap *area, unsigned long *slot) __must_check;
/*
 * The slot, in the caller's hands, is free, or dead if it is bad. The caller is in an RCU section,
 * or has a reference to area.
 */
void swap_slot_free(struct samara_swap *area, unsigned long slot);
/* What is to be discarded is. No lock is held. */
void swap_discard(struct samara_swap *area);
/* That slot is never given out. area is not listed yet. */
void swap_slot_kill(struct samara_swap *area, unsigned long slot);

/* swap_header.c ------------------------------------------------------------------ */

/* What mkswap(8) wrote in front of an area, and how much of its file there is. */
struct swap_header {
	unsigned long pages; /* slots, the header's included */
	unsigned int nr_bad;
	const void *bad; /* in page */
	bool swapped;    /* written by a machine of the other byte order */
};
/*
 * page is the first one of a file of that many pages. 0; -ENODATA: it holds no header; -EINVAL: it
 * contradicts itself or the file.
 */
int swap_header_read(const void *page, size_t page_size, unsigned long pages,
		     struct swap_header *out) __must_check;
/* The number of the i-th bad page. */
unsigned long swap_header_bad(const struct swap_header *header, unsigned int i);

/* swap_cache.c ------------------------------------------------------------------ */

/*
 * folio, locked and new, with FOLIO_SWAPCACHE not set, is the folio of slot. 0; -EEXIST: another
 * one is; -ENOENT: no entry names the slot; -EIO: its bytes are lost. flags: SLOT_AHEAD.
 */
int swap_cache_insert(struct samara_swap *area, unsigned long slot, struct folio *folio,
		      uint64_t flags) __must_check;

#endif
