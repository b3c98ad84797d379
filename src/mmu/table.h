/* SPDX-License-Identifier: MIT */
/*
 * Page tables: a radix tree of struct table, as many levels as the geometry
 * says. Level 0 holds entries of pages. An entry above it is empty, or holds the address of
 * the table below (PTE_TABLE), or is huge: it maps all that it serves by itself. No code makes huge
 * entries yet; entry_kind() tells the three apart, and no other code does.
 *
 *   level   3            2            1            0
 *        [  |x| ] --> [ |x| ] --> [x| | ] --> [p|p| | |p]
 *        512 GiB       1 GiB       2 MiB       4 KiB each
 *
 * Growing takes no lock. All tables that a path lacks are allocated first. One compare-and-exchange
 * then hangs them below the lowest table that is there. A thread that comes second frees its tables
 * and looks again. A refused allocation leaves the tree as it was. So does the machine's limit
 * (struct table_budget), which counts what is in a tree, or about to be.
 *
 *        [  |x| ]                     [  |x| ]
 *            |          then              |
 *         [ | | ]   [x] -> [x] -> [ ]   [ |x| ] -> [x] -> [ ]
 *            ^ lowest     private             one exchange
 *
 * free_pgtables() (gather.h) takes tables out of the tree that serve no VMA any more. The mmap_lock
 * is held for writing, and no fault or rmap walk can reach their range. Lock-free readers are safe
 * because the memory is freed after a grace period.
 *
 * Invariants (pgtable_validate() names the first broken one; the mm is quiet)
 *   level     a table's level is one below that of the table it hangs in; the root's is the
 *             geometry's
 *   base      a table begins at the first address that the entry it hangs in serves
 *   used      used counts the entries that are not empty, at every level
 *   entry     a leaf's entry is empty, present with one of the machine's frames, or a
 *             swap entry of a known type; an entry above is empty or a table
 *   nr_tables is the number of tables, the root included
 */
#ifndef MMU_TABLE_H
#define MMU_TABLE_H

#include "base/lock.h"
#include "core/mm.h"
#include "mmu/pte.h"

#define TABLE_ENTRIES_MAX 512
#define TABLE_LEVELS_MAX 6

struct table {
	struct samara_spinlock lock; /* RANK_PAGE_TABLE; of level 0: for its entries and used */
	unsigned int level;
	unsigned int used;  /* level 0: under lock; above: atomic */
	unsigned long base; /* first address it serves */
	struct table *next; /* in a table_list */
	pte_t entry[TABLE_ENTRIES_MAX] __aligned(CACHE_LINE);
};

/* Bytes that one entry of a table of this level serves, as a shift. */
static inline unsigned int level_shift(const struct samara_geometry *geo, unsigned int level)
{
	return geo->page_shift + level * geo->level_bits;
}

static inline unsigned int table_index(const struct samara_geometry *geo, unsigned int level,
				       unsigned long addr)
{
	return (unsigned int)(addr >> level_shift(geo, level)) & ((1U << geo->level_bits) - 1);
}

/* The last address that entry addr of a table of this level serves. */
static inline unsigned long entry_last(const struct samara_geometry *geo, unsigned int level,
				       unsigned long addr)
{
	return addr | ((1UL << level_shift(geo, level)) - 1);
}

/* What an entry of level 1 and above is. */
enum entry_kind {
	ENTRY_NONE,
	ENTRY_TABLE, /* entry_table() is the table below */
	ENTRY_HUGE,  /* maps all that it serves, or is a swap entry for it */
};

static inline enum entry_kind entry_kind(pte_t entry)
{
	if (likely(entry.v & PTE_TABLE))
		return ENTRY_TABLE;
	return pte_none(entry) ? ENTRY_NONE : ENTRY_HUGE;
}

/* Of an ENTRY_TABLE. */
static inline struct table *entry_table(pte_t entry)
{
	return (struct table *)(uintptr_t)(entry.v - PTE_TABLE);
}

/* An entry of level 1 or above. No lock is needed. */
static inline pte_t table_entry(const struct table *table, unsigned int index)
{
	return (pte_t){ smp_load_acquire(&table->entry[index].v) };
}

/* The table below that entry; NULL: the entry is empty or huge. */
static inline struct table *table_child(const struct table *table, unsigned int index)
{
	const pte_t entry = table_entry(table, index);

	return entry_kind(entry) == ENTRY_TABLE ? entry_table(entry) : NULL;
}

/*
 * The leaf table that serves addr; NULL: there is none, perhaps because a huge entry serves addr.
 * Under RCU, or with anything held that keeps the VMA at addr in place.
 */
struct table *table_find(struct samara_mm *mm, unsigned long addr);
/*
 * The entry that serves addr, of whatever level: a page's, a huge one, or an empty one. Locks as
 * for table_find(); the entry may have changed when it returns.
 */
pte_t table_look(struct samara_mm *mm, unsigned long addr);
/*
 * For a walker that has no answer to a huge entry, when table_find() has returned NULL: ends the
 * process if there is one at addr.
 */
void table_refuse_huge(struct samara_mm *mm, unsigned long addr);
/*
 * As table_find(), and the table is made if need be: 0; -ENOMEM (site "page_table", or the
 * machine's limit); -EEXIST: a huge entry serves addr and would have to be split first. After an
 * error nothing has changed. addr is below the task size, and the VMA there is held in place.
 */
int table_get(struct samara_mm *mm, unsigned long addr, struct table **out) __must_check;
/*
 * The first table with an entry that serves something of [*addr, end): a leaf table, or a table of
 * a higher level whose entry for *addr is huge. *addr moves up to its part. NULL: none. Locks as
 * for table_find(), for the whole range.
 */
struct table *table_next(struct samara_mm *mm, unsigned long *addr, unsigned long end);

/* The entry of addr in its leaf. */
static inline pte_t *table_pte(const struct samara_mm *mm, struct table *leaf, unsigned long addr)
{
	return &leaf->entry[table_index(mm->geo, 0, addr)];
}

static inline void table_lock(struct table *leaf)
{
	spin_lock(&leaf->lock, RANK_PAGE_TABLE);
}
static inline void table_unlock(struct table *leaf)
{
	spin_unlock(&leaf->lock);
}
/* Two leaves, which may be one and the same: by ascending address of the struct. */
static inline void table_lock_pair(struct table *a, struct table *b)
{
	table_lock(min(a, b));
	if (a != b)
		spin_lock_nested(&max(a, b)->lock, RANK_PAGE_TABLE);
}
static inline void table_unlock_pair(struct table *a, struct table *b)
{
	table_unlock(a);
	if (a != b)
		table_unlock(b);
}

/* Put an entry into an empty place, or take one away; the leaf's lock is held. */
static inline void table_fill(struct table *leaf, pte_t *at, pte_t pte)
{
	spin_assert_held(&leaf->lock);
	VM_WARN_ON(!pte_none(pte_read(at)) || pte_none(pte));
	leaf->used++;
	pte_set(at, pte);
}
/* The same where a marker may be. */
static inline void table_put(struct table *leaf, pte_t *at, pte_t pte)
{
	const pte_t old = pte_read(at);

	spin_assert_held(&leaf->lock);
	VM_WARN_ON((!pte_none(old) && !pte_marker(old)) || pte_none(pte));
	leaf->used += pte_none(old);
	pte_set(at, pte);
}
static inline pte_t table_clear(struct table *leaf, pte_t *at)
{
	const pte_t old = pte_read(at);

	spin_assert_held(&leaf->lock);
	VM_WARN_ON(pte_none(old));
	leaf->used--;
	pte_set(at, pte_empty());
	return old;
}

/* Tables that have left the tree. */
struct table_list {
	struct table *first;
};

/*
 * Take out of the tree each table below the root that serves something of [start, end), that
 * serves nothing outside [floor, ceiling), and that is empty when those below it have gone
 * (Linux: free_pgd_range()). They go to *gone, to be freed after the TLB flush.
 *
 *       floor   start           end        ceiling
 *         |      |###############|            |
 *     [ stays |xxxx goes xxxx|xxxx goes xxxx|  stays ]
 *
 * ceiling 0 is the top of the address space: "ceiling - 1" wraps on purpose. Any other ceiling is
 * allowed, also one below end; tables that reach across it stay. The caller holds the mmap_lock
 * for writing, or no other thread uses the mm. The leaves' entries in what goes are empty.
 */
void table_free_range(struct samara_mm *mm, unsigned long start, unsigned long end,
		      unsigned long floor, unsigned long ceiling, struct table_list *gone);
/* After a grace period. */
void table_list_free(struct table_list *gone);

/*
 * Free the root of a dying mm that has no page, and all tables that table_free_range() could not
 * take (below first_user_addr, or across the ceiling). mm->tables.pgd becomes NULL.
 */
void pgd_free(struct samara_mm *mm);

/* 0, or -EUCLEAN with what is broken. Takes the leaves' locks. */
int pgtable_validate(struct samara_mm *mm, struct samara_report *out) __must_check;

/* Where all tables come from. The room's own. */
extern struct obj_cache table_cache;

#endif
