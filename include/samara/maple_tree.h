/* SPDX-License-Identifier: MIT */
/*
 * A concurrent map from ranges of unsigned long to pointers.
 *
 * The names, arguments, cursor states and corner cases are those that
 * docs.kernel.org/core-api/maple_tree.html documents and that Linux 6.12-6.18
 * shows; the tree behind them is samara's own (docs/architecture.md).
 *
 * Ranges are index..last, both included. An index that no entry covers reads
 * as NULL, and storing NULL erases.
 *
 * Locks
 *   Writers exclude each other with the tree's lock: the mtree_*() calls take
 *   it themselves, the mas_*() calls expect it held (or the caller's own lock,
 *   with MT_FLAGS_LOCK_EXTERN).
 *   Readers may run beside a writer only in a tree with MT_FLAGS_USE_RCU;
 *   otherwise they hold the lock as well. In RCU mode mtree_load(), mt_find(),
 *   mt_next() and mt_prev() need nothing, and the mas_*() readers an RCU
 *   read-side critical section (samara_rcu_read_lock()).
 *
 * Memory
 *   Storing may need memory, and then a failed store leaves every entry as it
 *   was. Erasing whole entries never needs any and never fails: mtree_erase(),
 *   mas_erase(), and any NULL store whose two ends do not cut an entry. Nor does
 *   a store over exactly the range of one entry.
 *
 * Every function is a samara_ symbol. The Linux names are macros over them;
 * define SAMARA_NO_LINUX_NAMES before the #include to do without.
 */
#ifndef SAMARA_MAPLE_TREE_H
#define SAMARA_MAPLE_TREE_H

#include <limits.h>
#include <samara/types.h>

SAMARA_BEGIN_DECLS

#ifndef GFP_KERNEL
typedef unsigned int gfp_t;
#define GFP_KERNEL ((gfp_t)0xcc0)
#define GFP_NOWAIT ((gfp_t)0x800)
#define GFP_ATOMIC ((gfp_t)0x820)
#endif

#define MT_FLAGS_ALLOC_RANGE 0x01   /* track gaps, for mas_empty_area() and mtree_alloc_*() */
#define MT_FLAGS_USE_RCU 0x02       /* readers may run beside a writer */
#define MT_FLAGS_LOCK_MASK 0x300
#define MT_FLAGS_LOCK_IRQ 0x100     /* accepted, same as the default lock */
#define MT_FLAGS_LOCK_BH 0x200      /* accepted, same as the default lock */
#define MT_FLAGS_LOCK_EXTERN 0x300  /* the caller's lock protects the tree */
#define MT_FLAGS_ALLOC_WRAPPED 0x0800 /* mas_alloc_cyclic() has wrapped around */

struct maple_tree {
	struct samara_spinlock ma_lock;
	unsigned int ma_flags;
	void *ma_root; /* NULL, the entry of 0..0, or a tagged node; the library's */
};

#define MTREE_INIT(name, flags) { .ma_lock = { 0 }, .ma_flags = (flags), .ma_root = NULL }
#define MTREE_INIT_EXT(name, flags, lock) MTREE_INIT(name, flags)
#define DEFINE_MTREE(name) struct maple_tree name = MTREE_INIT(name, 0)

/* Where a cursor stands. */
enum maple_status {
	ma_active,    /* on index..last */
	ma_start,     /* nowhere yet: the next call walks to index */
	ma_root,      /* on the one entry of a tree that has only 0..0 */
	ma_none,      /* the walk met no entry in the whole tree */
	ma_pause,     /* mas_pause(): the next call walks anew, after last */
	ma_overflow,  /* the next entry is beyond the limit that was given */
	ma_underflow, /* the previous entry is below the limit that was given */
	ma_error,     /* mas->node holds -errno (mas_is_err()) */
};

/*
 * The bottom of the tree, published only so that iteration can be inlined
 * below. Entries stand in ascending order; a NULL slot is an erased entry whose
 * place has not been taken yet. Only slot[] changes once a leaf can be reached,
 * and dead is set when readers should look for the leaf's successor.
 */
#define SAMARA_MAPLE_SLOTS 20
#define SAMARA_MAPLE_HEIGHT 16 /* levels, leaves included; see docs/architecture.md */

struct samara_maple_head {
	unsigned char level; /* 0: leaf */
	unsigned char count; /* slots in use, erased ones included */
	unsigned char live;  /* slots that are not NULL; the writer's */
	unsigned char dead;
	unsigned int reserved;
	void *link[3];       /* free lists and deferred freeing; the library's */
};

struct samara_maple_leaf {
	struct samara_maple_head head;
	unsigned long start[SAMARA_MAPLE_SLOTS];
	unsigned long last[SAMARA_MAPLE_SLOTS];
	void *slot[SAMARA_MAPLE_SLOTS];
};

struct ma_state {
	struct maple_tree *tree;
	unsigned long index; /* what to look for, then the range that was found */
	unsigned long last;
	struct samara_maple_leaf *node; /* the leaf, when active; may be NULL: walked to when needed */
	unsigned long min;   /* indices that lead to node */
	unsigned long max;
	enum maple_status status;
	unsigned char offset; /* slot of node */
	unsigned char end;    /* slots of node that iteration may use without a walk */
	unsigned char depth;  /* levels above the leaf */
	signed char slots[SAMARA_MAPLE_HEIGHT - 1]; /* the way down: which slot ... */
	void *path[SAMARA_MAPLE_HEIGHT - 1];          /* ... of which node */
	void *prealloc[2]; /* nodes set aside by mas_preallocate(): leaves, inner nodes */
};

#define MA_STATE(name, mt, first, end_) \
	struct ma_state name = { .tree = (mt), .index = (first), .last = (end_), .status = ma_start }

/* set-up ------------------------------------------------------------------ */

/* Free everything. Entries are the caller's. The first takes the tree's lock, the second expects it. */
SAMARA_API void samara_mtree_destroy(struct maple_tree *mt);
SAMARA_API void samara_mt_destroy(struct maple_tree *mt);

/* Levels of nodes: 0 when empty or holding only the entry of 0..0. */
SAMARA_API unsigned int samara_mt_height(const struct maple_tree *mt);

/* Let readers run beside writers, or no longer: then nodes are freed at once (no reader may be left). Tree locked. */
SAMARA_API void samara_mt_set_in_rcu(struct maple_tree *mt);
SAMARA_API void samara_mt_clear_in_rcu(struct maple_tree *mt);

/* locks ------------------------------------------------------------------- */

SAMARA_API void samara_mtree_lock(struct maple_tree *mt);
SAMARA_API void samara_mtree_lock_nested(struct maple_tree *mt); /* while another tree's is held */
SAMARA_API void samara_mtree_unlock(struct maple_tree *mt);
SAMARA_API bool samara_mt_lock_is_held(const struct maple_tree *mt); /* by anyone; true with an external lock */

/* RCU read-side critical sections; they nest, need no registration and may be entered by any thread. */
SAMARA_API void samara_rcu_read_lock(void);
SAMARA_API void samara_rcu_read_unlock(void);
SAMARA_API void samara_rcu_synchronize(void);

/* normal API -------------------------------------------------------------- */

/* The entry at index, or NULL. Takes no lock. */
SAMARA_API void *samara_mtree_load(struct maple_tree *mt, unsigned long index);

/*
 * Store entry over first..last, replacing what was there; insert: only over an
 * empty range. 0, -EINVAL (first > last, or a reserved value), -EEXIST
 * (insert), -ENOMEM: then nothing changed.
 */
SAMARA_API int samara_mtree_store_range(struct maple_tree *mt, unsigned long first, unsigned long last,
					void *entry, gfp_t gfp);
SAMARA_API int samara_mtree_insert_range(struct maple_tree *mt, unsigned long first, unsigned long last,
					 void *entry, gfp_t gfp);
SAMARA_API int samara_mtree_store(struct maple_tree *mt, unsigned long index, void *entry, gfp_t gfp);
SAMARA_API int samara_mtree_insert(struct maple_tree *mt, unsigned long index, void *entry, gfp_t gfp);

/* Remove the entry that covers index, all of its range, and return it. Never fails, never allocates. */
SAMARA_API void *samara_mtree_erase(struct maple_tree *mt, unsigned long index);

/*
 * Find size free indices inside min..max, lowest (range) or highest (rrange),
 * store entry there and put the first index into *startp. -EBUSY: no room;
 * -EINVAL: not an allocation tree, a reserved value, or no such size; -ENOMEM.
 */
SAMARA_API int samara_mtree_alloc_range(struct maple_tree *mt, unsigned long *startp, void *entry,
					unsigned long size, unsigned long min, unsigned long max, gfp_t gfp);
SAMARA_API int samara_mtree_alloc_rrange(struct maple_tree *mt, unsigned long *startp, void *entry,
					 unsigned long size, unsigned long min, unsigned long max, gfp_t gfp);
/* One free index from *next on, wrapping round inside range_lo..range_hi; 1 when it wrapped for the first time. */
SAMARA_API int samara_mtree_alloc_cyclic(struct maple_tree *mt, unsigned long *startp, void *entry,
					 unsigned long range_lo, unsigned long range_hi, unsigned long *next,
					 gfp_t gfp);

/* Copy mt's shape into the empty tree new_, node by node. 0, -EINVAL (flags differ, new_ not empty), -ENOMEM. */
SAMARA_API int samara_mtree_dup(struct maple_tree *mt, struct maple_tree *new_, gfp_t gfp); /* locks both */
SAMARA_API int samara_mt_dup(struct maple_tree *mt, struct maple_tree *new_, gfp_t gfp);    /* both locked */

/* iteration without a cursor ---------------------------------------------- */

/* First entry at or after *index up to max; *index becomes the index after it. */
SAMARA_API void *samara_mt_find(struct maple_tree *mt, unsigned long *index, unsigned long max);
SAMARA_API void *samara_mt_find_after(struct maple_tree *mt, unsigned long *index, unsigned long max);
SAMARA_API void *samara_mt_next(struct maple_tree *mt, unsigned long index, unsigned long max);
SAMARA_API void *samara_mt_prev(struct maple_tree *mt, unsigned long index, unsigned long min);

/* cursor ------------------------------------------------------------------ */

SAMARA_API void *samara_mas_walk(struct ma_state *mas);
SAMARA_API void *samara_mas_find_slow(struct ma_state *mas, unsigned long max);
SAMARA_API void *samara_mas_find_range(struct ma_state *mas, unsigned long max);
SAMARA_API void *samara_mas_find_rev(struct ma_state *mas, unsigned long min);
SAMARA_API void *samara_mas_find_range_rev(struct ma_state *mas, unsigned long min);
SAMARA_API void *samara_mas_next(struct ma_state *mas, unsigned long max);
SAMARA_API void *samara_mas_next_range(struct ma_state *mas, unsigned long max);
SAMARA_API void *samara_mas_prev(struct ma_state *mas, unsigned long min);
SAMARA_API void *samara_mas_prev_range(struct ma_state *mas, unsigned long min);
SAMARA_API void samara_mas_pause(struct ma_state *mas);
SAMARA_API void samara_mas_destroy(struct ma_state *mas); /* gives back what was preallocated */

/*
 * Store over mas->index..mas->last. mas_store() returns the first entry that
 * was there, and on failure leaves the cursor in ma_error (mas_is_err());
 * mas_store_gfp() returns 0 or -errno.
 */
SAMARA_API void *samara_mas_store(struct ma_state *mas, void *entry);
SAMARA_API int samara_mas_store_gfp(struct ma_state *mas, void *entry, gfp_t gfp);
SAMARA_API void *samara_mas_erase(struct ma_state *mas);

/*
 * Set aside what storing entry over index..last needs; then
 * mas_store_prealloc() cannot fail. 0 or -ENOMEM: the cursor stays usable and
 * holds nothing. The tree must not change in between but through this cursor.
 */
SAMARA_API int samara_mas_preallocate(struct ma_state *mas, void *entry, gfp_t gfp);
SAMARA_API void samara_mas_store_prealloc(struct ma_state *mas, void *entry);
SAMARA_API int samara_mas_expected_entries(struct ma_state *mas, unsigned long nr_entries);
/* After a failed mas_store(): true when memory has been found and the store is to be tried again. */
SAMARA_API bool samara_mas_nomem(struct ma_state *mas, gfp_t gfp);
SAMARA_API int samara_mas_alloc_cyclic(struct ma_state *mas, unsigned long *startp, void *entry,
				       unsigned long range_lo, unsigned long range_hi, unsigned long *next,
				       gfp_t gfp);

/*
 * The lowest (rev: highest) size free indices inside min..max: index..last of
 * the cursor. 0, -EBUSY, or -EINVAL. Needs MT_FLAGS_ALLOC_RANGE and the lock.
 */
SAMARA_API int samara_mas_empty_area(struct ma_state *mas, unsigned long min, unsigned long max,
				     unsigned long size);
SAMARA_API int samara_mas_empty_area_rev(struct ma_state *mas, unsigned long min, unsigned long max,
					 unsigned long size);

/* inspection -------------------------------------------------------------- */

struct samara_tree_stats {
	unsigned long entries;
	unsigned long erased; /* slots whose place has not been taken yet */
	unsigned long leaves;
	unsigned long nodes;  /* leaves included */
	unsigned long levels;
	unsigned long bytes;  /* of all nodes */
};

enum mt_dump_format { mt_dump_dec, mt_dump_hex };

/* Tree locked, for each of these. */
SAMARA_API SAMARA_MUST_CHECK int samara_mtree_validate(const struct maple_tree *mt, struct samara_report *out);
SAMARA_API void samara_mtree_stats(const struct maple_tree *mt, struct samara_tree_stats *out);
SAMARA_API void samara_mt_validate(struct maple_tree *mt); /* aborts with a dump when broken */
SAMARA_API void samara_mt_dump(const struct maple_tree *mt, enum mt_dump_format format); /* to stderr */
SAMARA_API void samara_mas_dump(const struct ma_state *mas);
SAMARA_API int samara_mtree_print_dot(const struct maple_tree *mt, int fd); /* Graphviz */
/* Give unused nodes back to the system. Waits for readers: no lock held, no read-side critical section. */
SAMARA_API void samara_mt_cache_shrink(void);
SAMARA_API void samara_mt_bug(const struct maple_tree *mt, const struct ma_state *mas, const char *file, int line,
			      const char *condition, bool fatal);

#define MT_BUG_ON(mt, x) \
	do { if (x) samara_mt_bug((mt), NULL, __FILE__, __LINE__, #x, true); } while (0)
#define MAS_BUG_ON(mas, x) \
	do { if (x) samara_mt_bug((mas)->tree, (mas), __FILE__, __LINE__, #x, true); } while (0)
#define MT_WARN_ON(mt, x) __extension__({ \
	bool hit__ = !!(x); \
	if (hit__) samara_mt_bug((mt), NULL, __FILE__, __LINE__, #x, false); \
	hit__; })
#define MAS_WARN_ON(mas, x) __extension__({ \
	bool hit__ = !!(x); \
	if (hit__) samara_mt_bug((mas)->tree, (mas), __FILE__, __LINE__, #x, false); \
	hit__; })

/* inlines ----------------------------------------------------------------- */

static inline void samara_mt_init_flags(struct maple_tree *mt, unsigned int flags)
{
	mt->ma_lock.word = 0;
	mt->ma_flags = flags;
	mt->ma_root = NULL;
}

static inline bool samara_mtree_empty(const struct maple_tree *mt)
{
	return !__atomic_load_n(&mt->ma_root, __ATOMIC_RELAXED);
}

static inline bool samara_mt_in_rcu(const struct maple_tree *mt)
{
	return mt->ma_flags & MT_FLAGS_USE_RCU;
}

static inline bool samara_mt_external_lock(const struct maple_tree *mt)
{
	return (mt->ma_flags & MT_FLAGS_LOCK_MASK) == MT_FLAGS_LOCK_EXTERN;
}

/* Forget the position; index and last stay. */
static inline void samara_mas_reset(struct ma_state *mas)
{
	mas->status = ma_start;
	mas->node = NULL;
	mas->end = 0;
}

static inline void samara_mas_init(struct ma_state *mas, struct maple_tree *tree, unsigned long addr)
{
	mas->tree = tree;
	mas->index = mas->last = addr;
	mas->min = 0;
	mas->max = ULONG_MAX;
	mas->offset = 0;
	mas->depth = 0;
	mas->prealloc[0] = mas->prealloc[1] = NULL;
	samara_mas_reset(mas);
}

/* Another range for the next store, the position kept: only for a range that starts in the current one. */
static inline void samara_mas_set_range_keep(struct ma_state *mas, unsigned long first, unsigned long last)
{
	mas->index = first;
	mas->last = last;
}

static inline void samara_mas_set_range(struct ma_state *mas, unsigned long first, unsigned long last)
{
	samara_mas_reset(mas);
	samara_mas_set_range_keep(mas, first, last);
}

static inline void samara_mas_set(struct ma_state *mas, unsigned long index)
{
	samara_mas_set_range(mas, index, index);
}

static inline bool samara_mas_is_active(const struct ma_state *mas) { return mas->status == ma_active; }
static inline bool samara_mas_is_start(const struct ma_state *mas) { return mas->status == ma_start; }
static inline bool samara_mas_is_none(const struct ma_state *mas) { return mas->status == ma_none; }
static inline bool samara_mas_is_ptr(const struct ma_state *mas) { return mas->status == ma_root; }
static inline bool samara_mas_is_paused(const struct ma_state *mas) { return mas->status == ma_pause; }
static inline bool samara_mas_is_err(const struct ma_state *mas) { return mas->status == ma_error; }
static inline bool samara_mas_is_overflow(const struct ma_state *mas) { return mas->status == ma_overflow; }
static inline bool samara_mas_is_underflow(const struct ma_state *mas) { return mas->status == ma_underflow; }

/* The -errno of a cursor in ma_error, else 0. */
static inline int samara_mas_errno(const struct ma_state *mas)
{
	return mas->status == ma_error ? (int)(long)mas->node : 0;
}

/*
 * The next entry at or after the cursor (the first call: at or after index) up
 * to max, or NULL. Inside a leaf this is all there is to do.
 */
static inline void *samara_mas_find(struct ma_state *mas, unsigned long max)
{
	unsigned int next = mas->offset + 1u;

	if (mas->status == ma_active && next < mas->end) {
		const struct samara_maple_leaf *leaf = mas->node;
		void *entry = __atomic_load_n(&leaf->slot[next], __ATOMIC_ACQUIRE);

		if (entry && leaf->start[next] <= max && !__atomic_load_n(&leaf->head.dead, __ATOMIC_ACQUIRE)) {
			mas->offset = (unsigned char)next;
			mas->index = leaf->start[next];
			mas->last = leaf->last[next];
			return entry;
		}
	}
	return samara_mas_find_slow(mas, max);
}

/* Small integers as entries, in the encoding of Linux's <linux/xarray.h>. */
static inline void *samara_xa_mk_value(unsigned long v) { return (void *)((v << 1) | 1); }
static inline unsigned long samara_xa_to_value(const void *entry) { return (unsigned long)entry >> 1; }
static inline bool samara_xa_is_value(const void *entry) { return (unsigned long)entry & 1; }
#define SAMARA_XA_ZERO_ENTRY ((void *)((257UL << 2) | 2))
static inline bool samara_xa_is_zero(const void *entry) { return entry == SAMARA_XA_ZERO_ENTRY; }

SAMARA_END_DECLS

#ifndef SAMARA_NO_LINUX_NAMES
#include <samara/maple_tree_linux.h>
#endif

#endif
