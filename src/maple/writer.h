/* SPDX-License-Identifier: MIT */
/*
 * A writer that remembers its path.
 *
 * This header and <samara/maple_tree.h> are all of maple/ that another room may include
 * (tools/check-layers).
 *
 *   root          [ .  *  .  . ]     path.node[2], path.slot[2]
 *                      |
 *                   [ . . * ]        path.node[1], path.slot[1]
 *                         |
 *   leaf             [ a b c d ]     path.node[0]
 *                    lower..upper    the indices that lead to this leaf
 *
 * A change leaves the path to its leaf behind. The next change and each lookup between lower and
 * upper start at the leaf instead of the root. A change that replaces inner nodes forgets the path.
 *
 * Locks
 *   Changes and maple_writer_seek() write the path. The caller holds the tree's lock, or its own
 *   lock for writing (MT_FLAGS_LOCK_EXTERN).
 *   Lookups read the path. The caller holds the same lock, for reading or writing. RCU is not
 *   enough.
 *
 * Rules
 *   All changes to the tree go through one writer. After a change by any other call (mas_erase(),
 *   mt_destroy(), ...) the path may be stale: maple_writer_forget() comes before the next use of
 *   the writer.
 *   A lookup by the path returns XA_ZERO_ENTRY as it is stored; mtree_load() returns NULL for it.
 */
#ifndef SAMARA_MAPLE_WRITER_H
#define SAMARA_MAPLE_WRITER_H

#include <samara/maple_tree.h>

enum maple_path_state {
	/* node[] and slot[] may be stale. */
	MAPLE_PATH_UNKNOWN,
	/* A search for any index of lower..upper takes this path. */
	MAPLE_PATH_EXACT,
	/*
	 * The search met an empty slot and took the nearest child instead. Only the change that
	 * made the search may use such a path.
	 */
	MAPLE_PATH_DETOUR,
};

/* A path from the root to a leaf. node[0] is the leaf, node[top] the root. */
struct maple_path {
	void *node[SAMARA_MAPLE_HEIGHT];
	int slot[SAMARA_MAPLE_HEIGHT]; /* the child taken in node[level]; slot[0] is not used */
	unsigned long lower, upper;    /* the indices that lead to the leaf */
	enum maple_path_state state;
	unsigned int top;         /* level of the root */
	unsigned int exact_above; /* at this level and above the search met no empty slot */
};

struct maple_writer {
	struct maple_tree *mt;
	struct maple_path path;
};

/* One store. first <= last. */
struct maple_request {
	unsigned long first, last;
	void *entry; /* NULL clears the range */
	/*
	 * An entry that covers last and last + 1 is cut. Its upper part becomes `above`, or stays
	 * the same entry where `above` is NULL.
	 */
	void *above;
	void **reserve; /* nodes that are used first: maple_reserve_fill(); or NULL */
};

static inline void maple_writer_forget(struct maple_writer *writer)
{
	writer->path.state = MAPLE_PATH_UNKNOWN;
}

static inline void maple_writer_init(struct maple_writer *writer, struct maple_tree *mt)
{
	writer->mt = mt;
	maple_writer_forget(writer);
}

/* changes ----------------------------------------------------------------- */

/*
 * Store. 0, or -ENOMEM: then nothing has changed. It cannot fail where entry is NULL and no entry
 * is cut, where one entry has exactly the range, and with a reserve that is large enough.
 */
int maple_writer_store(struct maple_writer *writer, const struct maple_request *request);

/* Erase the entry that covers index, all of its range, and return it; or NULL. Never fails. */
void *maple_writer_erase(struct maple_writer *writer, unsigned long index);

/* Find the path to index, and remember it. The entry that covers index, or NULL. */
void *maple_writer_seek(struct maple_writer *writer, unsigned long index);

/*
 * Allocate nodes for that many stores one after the other, each of any range. reserve has two
 * elements: a list of leaves and a list of inner nodes. 0, or -ENOMEM: then the lists are empty.
 * maple_reserve_drop() frees the nodes that the stores did not use.
 */
int maple_reserve_fill(const struct maple_tree *mt, unsigned int stores, void **reserve);
void maple_reserve_drop(const struct maple_tree *mt, void **reserve);

/*
 * Replace the entry that the cursor stands on. The range stays, and so do the nodes and every path.
 * entry is not NULL. The tree has not changed since the cursor came there. Never fails.
 */
void maple_replace(struct ma_state *mas, void *entry);

/* lookups ----------------------------------------------------------------- */

/* The entry at index by the path, which covers index; or NULL. */
void *maple_path_load(const struct maple_path *path, unsigned long index);

/*
 * The first entry that overlaps first..last, into *entry; or NULL. The path covers first. False:
 * the leaf does not tell, because the range reaches beyond it.
 */
bool maple_path_find(const struct maple_path *path, unsigned long first, unsigned long last,
		     void **entry);

/* The writer knows the path that leads to index. */
static inline bool maple_writer_covers(const struct maple_writer *writer, unsigned long index)
{
	const struct maple_path *path = &writer->path;

	return path->state == MAPLE_PATH_EXACT && index >= path->lower && index <= path->upper;
}

/* The entry at index, or NULL. */
static inline void *maple_writer_load(const struct maple_writer *writer, unsigned long index)
{
	if (maple_writer_covers(writer, index))
		return maple_path_load(&writer->path, index);
	return samara_mtree_load(writer->mt, index);
}

/* The first entry that overlaps first..last, or NULL. Most often it covers first. */
static inline void *maple_writer_find(const struct maple_writer *writer, unsigned long first,
				      unsigned long last)
{
	struct ma_state mas;
	void *entry;

	if (maple_writer_covers(writer, first)) {
		if (maple_path_find(&writer->path, first, last, &entry))
			return entry;
	} else {
		entry = samara_mtree_load(writer->mt, first);
		if (entry)
			return entry;
	}
	samara_mas_init(&mas, writer->mt, first);
	return samara_mas_find(&mas, last);
}

/* For validators and tests: an exact path is the one that a search from the root takes. */
bool maple_writer_valid(const struct maple_writer *writer);

#endif
