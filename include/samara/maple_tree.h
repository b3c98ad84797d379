/* SPDX-License-Identifier: MIT */
/*
 * A concurrent map from ranges of unsigned long to pointers.
 *
 * The names, arguments, cursor states and corner cases are those that
 * docs.kernel.org/core-api/maple_tree.html documents and that Linux 6.12-6.18
 * shows. The tree itself is samara's own (docs/architecture.md).
 *
 * Ranges are index..last, both included. An index that no entry covers reads
 * as NULL, and storing NULL erases.
 *
 * Locks
 *   Writers exclude each other with the tree's lock. The mtree_*() calls take
 *   it. The mas_*() calls expect the caller to hold it, or the caller's own lock
 *   with MT_FLAGS_LOCK_EXTERN.
 *   Readers may run beside a writer only in a tree with MT_FLAGS_USE_RCU. In
 *   any other tree they hold the lock too. In RCU mode mtree_load(), mt_find(),
 *   mt_next() and mt_prev() need no lock. The mas_*() readers need an RCU
 *   read-side critical section (samara_rcu_read_lock()).
 *
 * Memory
 *   A store may need memory. A store that fails leaves every entry as it was.
 *   Three kinds of stores need no memory and never fail: mtree_erase() and
 *   mas_erase(), a store of NULL that cuts no entry, and a store over exactly the
 *   range of one entry.
 *
 * Every function is a samara_ symbol. The Linux names are macros over them.
 * SAMARA_NO_LINUX_NAMES, defined before the #include, leaves the macros out.
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
	void *ma_root; /* the library's: NULL, the entry of 0..0, or a tagged node */
};

#define MTREE_INIT(name, flags) { .ma_lock = { 0 }, .ma_flags = (flags), .ma_root = NULL }
#define MTREE_INIT_EXT(name, flags, lock) MTREE_INIT(name, flags)
#define DEFINE_MTREE(name) struct maple_tree name = MTREE_INIT(name, 0)

/* Where a cursor stands. */
enum maple_status {
	ma_active,    /* on index..last */
	ma_start,     /* at no place yet: the next call walks to index */
	ma_root,      /* on the only entry of the tree, which is 0..0 */
	ma_none,      /* the tree has no node, and no entry at index */
	ma_pause,     /* mas_pause(): the next call walks from the root to last + 1 */
	ma_overflow,  /* the next entry is above the limit of the call */
	ma_underflow, /* the previous entry is below the limit of the call */
	ma_error,     /* mas->node holds -errno (mas_is_err()) */
};

/*
 * A leaf. It is public only because iteration is inlined below. Entries stand in
 * ascending order. A NULL slot is an erased entry whose place was not used again.
 * Once a reader can reach a leaf, its slots may change, and it may grow at its
 * end. dead becomes 1 when other nodes replace the leaf.
 */
#define SAMARA_MAPLE_SLOTS 20
#define SAMARA_MAPLE_HEIGHT 16 /* levels, leaves included; see docs/architecture.md */

struct samara_maple_head {
	unsigned char level; /* 0: leaf */
	unsigned char count; /* slots in use, erased ones included */
	unsigned char live;  /* slots that are not NULL; only writers read it */
	unsigned char dead;
	unsigned int reserved;
	void *link[3];       /* the library's: free lists and deferred freeing */
};

struct samara_maple_leaf {
	struct samara_maple_head head;
	unsigned long start[SAMARA_MAPLE_SLOTS];
	unsigned long last[SAMARA_MAPLE_SLOTS];
	void *slot[SAMARA_MAPLE_SLOTS];
};

struct ma_state {
	struct maple_tree *tree;
	unsigned long index; /* before a call the range to look for, after it the range found */
	unsigned long last;
	struct samara_maple_leaf *node; /* the leaf of an active cursor; NULL: the next call finds it */
	unsigned long min;   /* indices that lead to node */
	unsigned long max;
	enum maple_status status;
	unsigned char offset; /* slot of node */
	unsigned char end;    /* slots of node that samara_mas_find() may step through */
	unsigned char depth;  /* levels above the leaf */
	signed char slots[SAMARA_MAPLE_HEIGHT - 1]; /* the path: slots[l - 1] is the child taken in ... */
	void *path[SAMARA_MAPLE_HEIGHT - 1];          /* ... path[l - 1], the node of level l */
	void *prealloc[2]; /* nodes from mas_preallocate(): a list of leaves, one of inner nodes */
};

#define MA_STATE(name, mt, first, end_) \
	struct ma_state name = { .tree = (mt), .index = (first), .last = (end_), .status = ma_start }

/* set-up ------------------------------------------------------------------ */

/* Free all nodes; what the entries point to stays. mtree_destroy() takes the lock, mt_destroy() expects it. */
SAMARA_API void samara_mtree_destroy(struct maple_tree *mt);
SAMARA_API void samara_mt_destroy(struct maple_tree *mt);

/* Levels of nodes. 0: the tree is empty, or its only entry is 0..0. */
SAMARA_API unsigned int samara_mt_height(const struct maple_tree *mt);

/*
 * Set or clear RCU mode; the tree is locked. Without RCU mode nodes are freed at
 * once, so no reader may be in the tree when it is cleared.
 */
SAMARA_API void samara_mt_set_in_rcu(struct maple_tree *mt);
SAMARA_API void samara_mt_clear_in_rcu(struct maple_tree *mt);

/* locks ------------------------------------------------------------------- */

SAMARA_API void samara_mtree_lock(struct maple_tree *mt);
SAMARA_API void samara_mtree_lock_nested(struct maple_tree *mt); /* the caller holds another tree's lock */
SAMARA_API void samara_mtree_unlock(struct maple_tree *mt);
SAMARA_API bool samara_mt_lock_is_held(const struct maple_tree *mt); /* by any thread; true with an external lock */

/* RCU read-side critical sections. They nest. Any thread may enter one, without registration. */
SAMARA_API void samara_rcu_read_lock(void);
SAMARA_API void samara_rcu_read_unlock(void);
SAMARA_API void samara_rcu_synchronize(void);

/* normal API -------------------------------------------------------------- */

/* The entry at index, or NULL. Takes no lock. */
SAMARA_API void *samara_mtree_load(struct maple_tree *mt, unsigned long index);

/*
 * Store entry over first..last. It replaces entries inside the range and cuts
 * those that reach out of it. The insert calls store over an empty range only.
 * 0, -EINVAL (first > last, or a reserved value), -EEXIST (insert: the range is
 * not empty), -ENOMEM. After an error nothing has changed.
 */
SAMARA_API int samara_mtree_store_range(struct maple_tree *mt, unsigned long first, unsigned long last,
					void *entry, gfp_t gfp);
SAMARA_API int samara_mtree_insert_range(struct maple_tree *mt, unsigned long first, unsigned long last,
					 void *entry, gfp_t gfp);
SAMARA_API int samara_mtree_store(struct maple_tree *mt, unsigned long index, void *entry, gfp_t gfp);
SAMARA_API int samara_mtree_insert(struct maple_tree *mt, unsigned long index, void *entry, gfp_t gfp);

/* Erase the entry that covers index, all of its range, and return it; or NULL. Needs no memory. */
SAMARA_API void *samara_mtree_erase(struct maple_tree *mt, unsigned long index);

/*
 * Find the lowest (alloc_range) or highest (alloc_rrange) run of size free
 * indices inside min..max, store entry there, and put its first index into
 * *startp. 0, -EBUSY (no such run), -EINVAL (not an allocation tree, a reserved
 * value, size is 0 or larger than min..max), -ENOMEM.
 */
SAMARA_API int samara_mtree_alloc_range(struct maple_tree *mt, unsigned long *startp, void *entry,
					unsigned long size, unsigned long min, unsigned long max, gfp_t gfp);
SAMARA_API int samara_mtree_alloc_rrange(struct maple_tree *mt, unsigned long *startp, void *entry,
					 unsigned long size, unsigned long min, unsigned long max, gfp_t gfp);
/*
 * Store entry at the first free index of range_lo..range_hi from *next on, or
 * else from range_lo on. *next becomes the index behind it. 1 instead of 0: the
 * index has wrapped around since the last call. Errors as above.
 */
SAMARA_API int samara_mtree_alloc_cyclic(struct maple_tree *mt, unsigned long *startp, void *entry,
					 unsigned long range_lo, unsigned long range_hi, unsigned long *next,
					 gfp_t gfp);

/* Copy mt into the empty tree new_, node by node. 0, -EINVAL (the flags differ, new_ is not empty), -ENOMEM. */
SAMARA_API int samara_mtree_dup(struct maple_tree *mt, struct maple_tree *new_, gfp_t gfp); /* locks both */
SAMARA_API int samara_mt_dup(struct maple_tree *mt, struct maple_tree *new_, gfp_t gfp);    /* both locked */

/* iteration without a cursor ---------------------------------------------- */

/* The first entry that has an index in *index..max, or NULL. *index becomes the index behind the entry. */
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
SAMARA_API void samara_mas_destroy(struct ma_state *mas); /* frees preallocated nodes */

/*
 * Store over mas->index..mas->last. mas_store() returns the first entry that the
 * range overlapped, or NULL. mas_store_gfp() returns 0 or -errno. After a failure
 * of either the cursor is in ma_error (mas_is_err()). mas_erase() erases the entry
 * that covers mas->index and returns it.
 */
SAMARA_API void *samara_mas_store(struct ma_state *mas, void *entry);
SAMARA_API int samara_mas_store_gfp(struct ma_state *mas, void *entry, gfp_t gfp);
SAMARA_API void *samara_mas_erase(struct ma_state *mas);

/*
 * Allocate the nodes that a store of entry over index..last needs.
 * mas_store_prealloc() then cannot fail. 0, or -ENOMEM: the cursor stays usable
 * and has no nodes. Between the two calls only this cursor may change the tree.
 */
SAMARA_API int samara_mas_preallocate(struct ma_state *mas, void *entry, gfp_t gfp);
SAMARA_API void samara_mas_store_prealloc(struct ma_state *mas, void *entry);
SAMARA_API int samara_mas_expected_entries(struct ma_state *mas, unsigned long nr_entries);
/* After mas_store() failed for memory. True: memory was found, and the caller tries the store again. */
SAMARA_API bool samara_mas_nomem(struct ma_state *mas, gfp_t gfp);
SAMARA_API int samara_mas_alloc_cyclic(struct ma_state *mas, unsigned long *startp, void *entry,
				       unsigned long range_lo, unsigned long range_hi, unsigned long *next,
				       gfp_t gfp);

/*
 * Set the cursor's index..last to the lowest (rev: highest) run of size free
 * indices inside min..max. 0, -EBUSY (no such run), or -EINVAL. The tree has
 * MT_FLAGS_ALLOC_RANGE and is locked.
 */
SAMARA_API int samara_mas_empty_area(struct ma_state *mas, unsigned long min, unsigned long max,
				     unsigned long size);
SAMARA_API int samara_mas_empty_area_rev(struct ma_state *mas, unsigned long min, unsigned long max,
					 unsigned long size);

/* inspection -------------------------------------------------------------- */

struct samara_tree_stats {
	unsigned long entries;
	unsigned long erased; /* slots of erased entries that were not used again */
	unsigned long leaves;
	unsigned long nodes;  /* leaves included */
	unsigned long levels;
	unsigned long bytes;  /* of all nodes */
};

enum mt_dump_format { mt_dump_dec, mt_dump_hex };

/* The tree is locked, for each of these. */
SAMARA_API SAMARA_MUST_CHECK int samara_mtree_validate(const struct maple_tree *mt, struct samara_report *out);
SAMARA_API void samara_mtree_stats(const struct maple_tree *mt, struct samara_tree_stats *out);
SAMARA_API void samara_mt_validate(struct maple_tree *mt); /* dumps a broken tree and aborts */
SAMARA_API void samara_mt_dump(const struct maple_tree *mt, enum mt_dump_format format); /* to stderr */
SAMARA_API void samara_mas_dump(const struct ma_state *mas);
SAMARA_API int samara_mtree_print_dot(const struct maple_tree *mt, int fd); /* Graphviz */
/* Return unused nodes to the system. It waits for readers: call it without a lock and outside read-side sections. */
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

/* Set the range of the next store and keep the position. The range starts inside the current one. */
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
 * The next entry behind the cursor up to max, or NULL. The first call also finds
 * an entry that covers index. The inlined part steps inside a leaf.
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
