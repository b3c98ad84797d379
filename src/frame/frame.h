/* SPDX-License-Identifier: MIT */
/*
 * The RAM of one machine: its frames, and what is known of each.
 *
 *   base    |zero|frame|frame|frame|....                 one lazily backed host mapping
 *   folios  [ 0  ][ 1 ][ 2 ][ 3 ]....                    one struct folio each, lazily backed too
 *   notes   00 80 83 83 ...                              one byte each, behind the folios
 *
 * A folio is a block of 2^order frames that is allocated, counted and freed as
 * one; the struct of its first frame, the head, speaks for it. The structs of the others, the
 * tails, are not touched. A block begins at a multiple of its size, so that a frame's note, which
 * holds the order, leads to the head: pfn_folio(). Frame 0 holds zeros, has no owner and is neither
 * counted nor freed. It is what an untouched page reads as.
 *
 * state is one word, so that mapping a page, or unmapping and freeing it, is one
 * atomic operation:
 *
 *    63 .... 48 | 47 ......... 24 | 23 .......... 0
 *    flags      | maps            | refs
 *
 *   maps   page-table entries that point here; each is a reference by itself
 *   refs   all other references: page cache, pins (PIN_BIAS each), lookups
 *
 * When both are 0 the folio is free: the thread that drops the last one frees it.
 *
 * Neither count can run over into its neighbour. maps ends at FOLIO_MAPS_MAX: a fault or fork
 * that would map one more fails with -ENOMEM. Pins take refs to FOLIO_PIN_REFS_MAX and fail in the
 * same way. Above that are lookups, one or two a thread; at FOLIO_REFS_MAX folio_try_get() fails
 * until others have put theirs.
 *
 * Who protects a field:
 *   (a) atomic      (l) folio lock, or refs and maps are the caller's alone
 *   (L) the lru lock of the ram
 *
 * Invariants (ram_validate() checks them by these names; the machine is quiet)
 *   free_blocks  every frame is free in exactly one block, cached in one shard, or in use
 *   free_state   a free frame's state, mapping and index are 0, and so are a tail's
 *   order        the notes of a folio's frames have its order, those of all other frames 0
 *   lru          each list's links agree, its folios have FOLIO_LRU and its count is right
 *   counts       frames free + cached + poisoned + in use = all but the zero frame
 *   zero_frame   frame 0 holds zeros, and its folio was never used
 */
#ifndef FRAME_FRAME_H
#define FRAME_FRAME_H

#include <samara/types.h>

#include "base/atomic.h"
#include "base/compiler.h"

#define FRAME_ORDERS 10 /* 0..9: up to 512 frames, one entry of the second table level */
#define ZERO_FRAME 0UL

enum folio_flags {
	FOLIO_LOCKED = 1 << 0,
	FOLIO_WAITED = 1 << 1,    /* a thread may sleep for the lock */
	FOLIO_ANON = 1 << 2,      /* mapping is an anon_vma; else an inode, or NULL */
	FOLIO_EXCLUSIVE = 1 << 3, /* anonymous, mapped by one process only: a write need not copy */
	FOLIO_DIRTY = 1 << 4,     /* newer than what is behind it */
	FOLIO_UPTODATE = 1 << 5,  /* the contents are valid */
	FOLIO_LRU = 1 << 6,       /* on one of the lists, or soon */
	FOLIO_ACTIVE = 1 << 7,
	FOLIO_REFERENCED = 1 << 8,
	FOLIO_SWAPBACKED = 1 << 9, /* reclaimed to swap; clear: a file's, or MADV_FREE */
	FOLIO_SWAPCACHE = 1 << 10,
	FOLIO_MLOCKED = 1 << 11,
	FOLIO_FROZEN = 1 << 12,     /* lookups get no reference: folio_try_freeze() */
	FOLIO_WORKINGSET = 1 << 13, /* was active when it was reclaimed, or came back soon */
	FOLIO_POISONED = 1 << 14,   /* bad memory: freed frames with it are never used again */
	FOLIO_FLAGS = 0x7fff,       /* all of them; one bit is free */
};

/* A frame's note. */
#define NOTE_ORDER 0x0fU       /* of the folio that the frame belongs to */
#define NOTE_USED_BEFORE 0x80U /* its bytes are no longer the mapping's zeros */

#define FOLIO_FLAGS_SHIFT 48
#define FOLIO_MAP_ONE (1ULL << 24)
#define FOLIO_REF_ONE 1ULL
#define FOLIO_COUNT_MAX ((1UL << 24) - 1)
#define FOLIO_PIN_BIAS 1024UL /* references that one pin counts as */

/* The room above is for threads that have added theirs and not looked yet: Linux has 2^22. */
#define FOLIO_MAPS_LIMIT (FOLIO_COUNT_MAX - (1UL << 22))
#define FOLIO_REFS_MAX (FOLIO_COUNT_MAX - (1UL << 22))
#define FOLIO_PIN_REFS_MAX (FOLIO_COUNT_MAX / 2)
#ifdef SAMARA_DEBUG
extern unsigned long folio_maps_max; /* a test lowers it; at least 2 */
#define FOLIO_MAPS_MAX READ_ONCE(folio_maps_max)
#else
#define FOLIO_MAPS_MAX FOLIO_MAPS_LIMIT
#endif

/*
 * Why 32 bytes, and where the slot of a folio in the swap cache will stand (in mapping):
 * docs/decisions/0008.
 */
struct folio {
	uint64_t state;      /* (a) */
	void *mapping;       /* (l) struct anon_vma, struct inode, or NULL */
	unsigned long index; /* (l) page of the file, or vm_pgoff's page of the family */
	/* (L) the lists of LRU and free frames: ram.h. lru_next of one that migrates: (a) */
	uint32_t lru_next, lru_prev;
};
_Static_assert(sizeof(struct folio) == 32, "two to a cache line");

/* lru.h has what is on which. */
enum lru_list {
	LRU_INACTIVE_ANON,
	LRU_ACTIVE_ANON,
	LRU_INACTIVE_FILE,
	LRU_ACTIVE_FILE,
	LRU_UNEVICTABLE,
	LRU_LISTS
};

struct ram;

struct ram_config {
	unsigned long bytes; /* rounded down to whole frames: 64 of them to 2^27 */
	unsigned int page_shift;
};

/* The parts that inline functions use come first in struct ram (ram.h holds the rest). */
struct ram_view {
	char *base;
	struct folio *folios;
	uint8_t *notes; /* a frame's is changed by the allocator, while no folio has the frame */
	unsigned long nr_frames;
	unsigned int page_shift;
};

static inline const struct ram_view *ram_view(const struct ram *ram)
{
	return (const struct ram_view *)ram;
}

/* 0, -EINVAL, -ENOMEM, or what memfd_create(2) and mmap(2) gave. Frames cost when they are used. */
int ram_create(const struct ram_config *config, struct ram **out) __must_check;
/* Every frame must be free again. */
void ram_destroy(struct ram *ram);
/*
 * A descriptor of the memfd behind the frames (frame n at n << page_shift), which is the RAM's and
 * ends with it; -EMFILE, -ENFILE, -ENOMEM: there is none (ram_fd.c).
 */
int ram_fd(struct ram *ram) __must_check;

struct ram_stats {
	unsigned long frames, free, cached; /* without the zero frame; cached: in shards */
	unsigned long poisoned;             /* never used again */
	unsigned long lru[LRU_LISTS];
};
void ram_stats(struct ram *ram, struct ram_stats *out);
/*
 * Frames by use. anon: mapped ones; dirty: of file, newer than the file, as far as folios know;
 * mapped: of file and shmem.
 */
struct ram_census {
	unsigned long anon, file, shmem, dirty, mapped;
};
void ram_census(const struct ram *ram, struct ram_census *out);

/*
 * How many free frames are few. Below low the watcher is told, and frees until there are high of
 * them. All of a small machine's are 1.
 */
struct ram_marks {
	unsigned long low, high;
};
struct ram_marks ram_marks(const struct ram *ram);
/* Frames that are free, those in shards included; without looking at the LRU lists. */
unsigned long ram_free_frames(struct ram *ram);
/*
 * low(arg) is called when a shard is refilled, or could not be, and fewer than marks.low are free.
 * The caller of folio_alloc() may hold any lock up to RANK_FRAME, so low() takes none. Before the
 * first folio_alloc().
 */
void ram_watch(struct ram *ram, void (*low)(void *arg), void *arg);

/* Free frames give their memory back to the host, who gives zeros again. How many did. */
unsigned long ram_trim(struct ram *ram);

int ram_validate(struct ram *ram, struct samara_report *out) __must_check;

static inline unsigned long folio_pfn(const struct ram *ram, const struct folio *folio)
{
	return (unsigned long)(folio - ram_view(ram)->folios);
}

/* The order of the folio that frame pfn belongs to; 0: of a single frame, or of none. */
static inline unsigned int pfn_order(const struct ram *ram, unsigned long pfn)
{
	return READ_ONCE(ram_view(ram)->notes[pfn]) & NOTE_ORDER;
}

/*
 * The folio that frame pfn belongs to: its head. The caller has a reference, an entry that points
 * there, or the lock of such an entry's table.
 */
static inline struct folio *pfn_folio(const struct ram *ram, unsigned long pfn)
{
	const unsigned int order = pfn_order(ram, pfn);

	if (unlikely(order))
		pfn &= ~0UL << order;
	return &ram_view(ram)->folios[pfn];
}

/* The bytes of a frame. */
static inline void *pfn_to_virt(const struct ram *ram, unsigned long pfn)
{
	return ram_view(ram)->base + (pfn << ram_view(ram)->page_shift);
}

static inline void *folio_virt(const struct ram *ram, const struct folio *folio)
{
	return pfn_to_virt(ram, folio_pfn(ram, folio));
}

/* state --------------------------------------------------------------------- */

static inline uint64_t folio_state(const struct folio *folio)
{
	return smp_load_acquire(&folio->state);
}

static inline unsigned int folio_flags(const struct folio *folio)
{
	return (unsigned int)(folio_state(folio) >> FOLIO_FLAGS_SHIFT);
}

static inline bool folio_test(const struct folio *folio, unsigned int flag)
{
	return folio_flags(folio) & flag;
}

static inline void folio_set(struct folio *folio, unsigned int flags)
{
	atomic_fetch_or_acq_rel(&folio->state, (uint64_t)flags << FOLIO_FLAGS_SHIFT);
}

/* Returns whether one of them was set. */
static inline bool folio_test_clear(struct folio *folio, unsigned int flags)
{
	const uint64_t bits = (uint64_t)flags << FOLIO_FLAGS_SHIFT;

	return atomic_fetch_and_acq_rel(&folio->state, ~bits) & bits;
}

static inline unsigned long folio_state_maps(uint64_t state)
{
	return (state >> 24) & FOLIO_COUNT_MAX;
}

/* Nothing maps it, and it is in the swap cache. */
static inline bool folio_state_only_cached(uint64_t state)
{
	return (state & ((uint64_t)FOLIO_SWAPCACHE << FOLIO_FLAGS_SHIFT)) &&
	       !folio_state_maps(state);
}

static inline unsigned long folio_maps(const struct folio *folio)
{
	return folio_state_maps(folio_state(folio));
}

static inline unsigned long folio_refs(const struct folio *folio)
{
	return folio_state(folio) & FOLIO_COUNT_MAX;
}

/* All references there are. */
static inline unsigned long folio_count(const struct folio *folio)
{
	const uint64_t state = folio_state(folio);

	return (state & FOLIO_COUNT_MAX) + folio_state_maps(state);
}

/* May be pinned: as in Linux exact unless a thousand others look at it at once. */
static inline bool folio_maybe_pinned(const struct folio *folio)
{
	return folio_refs(folio) >= FOLIO_PIN_BIAS;
}

/* Of a head. */
static inline unsigned int folio_order(const struct ram *ram, const struct folio *folio)
{
	return pfn_order(ram, folio_pfn(ram, folio));
}

/* allocation ---------------------------------------------------------------- */

enum folio_fill { FOLIO_ZEROED, FOLIO_RAW /* the caller writes all of it */ };

/*
 * A folio of 2^order frames with one reference (refs 1, maps 0, no flags), or NULL: no
 * frame left, or refused (site "frame"). Takes RANK_FRAME locks only.
 */
struct folio *folio_alloc(struct ram *ram, unsigned int order, enum folio_fill fill) __must_check;

/* It has no reference left. Only folio_put() and folio_unmap() call it. */
void folio_free(struct ram *ram, struct folio *folio);

#define FOLIO_FROZEN_BIT ((uint64_t)FOLIO_FROZEN << FOLIO_FLAGS_SHIFT)

static inline bool folio_gone(uint64_t state)
{
	return !(state & (FOLIO_MAP_ONE * FOLIO_COUNT_MAX | FOLIO_COUNT_MAX));
}

/* One reference more of a folio that no lookup finds yet. Elsewhere: folio_try_get(). */
static inline void folio_get(struct folio *folio)
{
	atomic_add(&folio->state, FOLIO_REF_ONE);
}

/* n references more, so that there are no more than most; false: none, or it has none at all. */
static inline __must_check bool folio_try_get_many(struct folio *folio, unsigned long n,
						   unsigned long most)
{
	uint64_t state = READ_ONCE(folio->state);

	do {
		if (folio_gone(state) || unlikely(state & FOLIO_FROZEN_BIT) ||
		    unlikely((state & FOLIO_COUNT_MAX) + n > most))
			return false;
	} while (!try_cmpxchg_weak_acquire(&folio->state, &state, state + n * FOLIO_REF_ONE));
	return true;
}

/*
 * For lock-free lookups: false if it has no reference any more, is frozen, or has too many for the
 * moment. A lookup then begins anew.
 */
static inline __must_check bool folio_try_get(struct folio *folio)
{
	return folio_try_get_many(folio, 1, FOLIO_REFS_MAX);
}

/* A pin. The caller has, or otherwise knows of, a reference. False: there are too many. */
static inline __must_check bool folio_try_pin(struct folio *folio)
{
	return folio_try_get_many(folio, FOLIO_PIN_BIAS, FOLIO_PIN_REFS_MAX);
}

static inline void folio_put_many(struct ram *ram, struct folio *folio, unsigned long n)
{
	if (folio_gone(atomic_sub_return_acq_rel(&folio->state, n * FOLIO_REF_ONE)))
		folio_free(ram, folio);
}

static inline void folio_put(struct ram *ram, struct folio *folio)
{
	folio_put_many(ram, folio, 1);
}

/*
 * Whether refs are just n. If so no lookup gets another one until folio_unfreeze(): the thread that
 * has frozen a folio takes it out of its cache, or puts another one there. folio is locked, and
 * frozen only for a moment, because lookups spin meanwhile. Pins are refs; entries that map it are
 * not.
 */
static inline __must_check bool folio_try_freeze(struct folio *folio, unsigned long n)
{
	uint64_t state = READ_ONCE(folio->state);

	do {
		if ((state & FOLIO_COUNT_MAX) != n)
			return false;
	} while (!try_cmpxchg_weak_acq_rel(&folio->state, &state, state | FOLIO_FROZEN_BIT));
	return true;
}

static inline void folio_unfreeze(struct folio *folio)
{
	atomic_fetch_and_release(&folio->state, ~FOLIO_FROZEN_BIT);
}

/* maps and refs change by add. False: maps would be too many, and nothing has changed. */
static inline __must_check bool folio_try_map_by(struct folio *folio, uint64_t add)
{
	const uint64_t old = atomic_fetch_add_acq_rel(&folio->state, add);

	if (likely(folio_state_maps(old) < FOLIO_MAPS_MAX))
		return true;
	atomic_sub(&folio->state, add);
	return false;
}

/* One more page-table entry points here. False: too many do. */
static inline __must_check bool folio_try_map(struct folio *folio)
{
	return folio_try_map_by(folio, FOLIO_MAP_ONE);
}

/* The caller's reference becomes that of a page-table entry. False: it is still the caller's. */
static inline __must_check bool folio_try_ref_to_map(struct folio *folio)
{
	return folio_try_map_by(folio, FOLIO_MAP_ONE - FOLIO_REF_ONE);
}

/*
 * As folio_try_ref_to_map() and folio_set() in one, for a new folio: none of flags is set, and
 * only lookups that are mistaken know it (they try to get it and put it again).
 */
static inline void folio_new_mapped(struct folio *folio, unsigned int flags)
{
	atomic_add_release(&folio->state,
			   ((uint64_t)flags << FOLIO_FLAGS_SHIFT) + FOLIO_MAP_ONE - FOLIO_REF_ONE);
}

/* One entry less points here, and if that was all, the folio is free. */
static inline void folio_unmap(struct ram *ram, struct folio *folio)
{
	if (folio_gone(atomic_sub_return_acq_rel(&folio->state, FOLIO_MAP_ONE)))
		folio_free(ram, folio);
}

/*
 * folio_unmap() of each, with few locks; the array's order is lost. For mmu_gather. Those that
 * nothing maps any more, and that are in the swap cache, come to the array's front; how many. The
 * caller has no reference to them.
 */
unsigned int folio_unmap_many(struct ram *ram, struct folio **folios, unsigned int n);

/* lock (RANK_FOLIO) ---------------------------------------------------------- */

/* The caller has a reference. A second lock: only of a higher frame number than those held. */
void folio_lock(struct folio *folio);
void folio_lock_nested(struct folio *folio);
__must_check bool folio_trylock(struct folio *folio);
/* One that is not in the swap cache. Others: folio_unlock_cached(), which calls the second. */
void folio_unlock(struct folio *folio);
void folio_unlock_unseen(struct folio *folio);

#include "frame/lacked.h"
#include "frame/lru.h"
#include "frame/moving.h"

#endif
