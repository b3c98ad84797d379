/* SPDX-License-Identifier: MIT */
/*
 * Reverse mappings: from a folio to the page-table entries that point to it.
 *
 * One VMA is linked to each family whose pages it may hold:
 *
 *   inode.i_mmap      interval tree of links of VMAs that map the file, by file page
 *   anon_vma.tree     interval tree of links of VMAs that may hold the family's pages, by
 *                     vm_pgoff
 *
 *   vma --links--> [inode] -> [anon_vma (own)] -> [anon_vma (parent's)] -> ... [root]
 *
 *   fork: the child's VMA is linked to every family of its parent, and gets one of its
 *   own (child of the parent's): pages the parent had are found through the old
 *   families, pages the child writes belong to the new one. All families that descend
 *   from one share one lock, the root's. Where a family between has lost all VMAs that
 *   wrote to it and has one child at most, the child takes it over instead of a new one:
 *   so a chain of forks whose parents exit keeps a bounded number of families.
 *
 * Locks: i_mmap.lock of the inode (RANK_FILE_RMAP), then the root's lock (RANK_ANON_RMAP),
 * then page tables. A link's range is that of its VMA. So vma_adjust_begin() takes a VMA's links
 * out before its bounds change, and vma_adjust_end() puts them back; both locks are held in
 * between. A walker therefore sees each VMA as it was before the change, or as it is after.
 *
 * vma->rmap.links, anon_links and anon_vma: changed with the mmap_lock held for writing; the
 * first family may come while it is held for reading, under mm->tables.anon_lock.
 *
 * Invariants (rmap_validate_vma() names the first broken one; mmap_lock held)
 *   link_tree    each link is in its family's tree, under the VMA's pages
 *   link_file    a VMA with a file that is not anonymous memory has one file link, the first;
 *                others have none
 *   link_anon    anon_links counts the anon links; anon_vma is the family of one of them,
 *                and counts the VMA among its own
 *   link_root    all families of a VMA have one root, to which it is linked too
 */
#ifndef RMAP_RMAP_H
#define RMAP_RMAP_H

#include "base/interval_tree.h"
#include "base/refcount.h"
#include "core/mm.h"
#include "frame/frame.h"
#include "mmu/pte.h"
#include "store/file.h"

struct anon_vma {
	struct anon_vma *root;     /* (i) itself, or the oldest ancestor; counted */
	struct anon_vma *parent;   /* (i) or NULL; not counted: there while tree has a link */
	struct rwsem lock;         /* the root's is used */
	struct interval_tree tree; /* under the root's lock */
	refcount_t refs;           /* links, families it is root of, lookups */
	unsigned long children;    /* families whose parent it is; under the root's lock */
	unsigned long active_vmas; /* VMAs whose anon_vma this is; under the root's lock */
};

struct rmap_link {
	struct interval_node node; /* pages: vm_pgoff .. */
	struct vma *vma;
	struct rmap_link *next; /* of the same VMA */
	struct anon_vma *anon;  /* NULL: a file link */
};

/* A VMA that forks have left as many links is not forked again. */
#define ANON_LINKS_MAX (1U << 31)

/* families ------------------------------------------------------------------- */

/* Links got beforehand, so that linking cannot fail. */
struct link_stock {
	struct rmap_link *first;
};
/* n more. 0 or -ENOMEM, and then none. */
int link_stock_add(struct link_stock *stock, unsigned int n) __must_check;
void link_stock_drop(struct link_stock *stock);

/* The links that a copy of vma needs. */
unsigned int vma_links_wanted(const struct vma *vma);
/*
 * dst, a copy of a part of src that is not in a tree yet, gets what src has: a file link and
 * those to families. With a stock that is large enough it cannot fail; NULL: memory is got here.
 * 0 or -ENOMEM, and then dst has none.
 */
int vma_links_copy(struct vma *dst, const struct vma *src, struct link_stock *stock) __must_check;

/* New VMA (not in a tree yet) with the file it has: linked to it. 0 or -ENOMEM. */
int vma_link_file(struct vma *vma) __must_check;
/*
 * dst gets links to all families of src, and src's anon_vma as its own. dst has none yet; src may
 * have none. stock as above. 0 or -ENOMEM, and then nothing is held.
 */
int anon_vma_clone(struct vma *dst, const struct vma *src, struct link_stock *stock) __must_check;
/*
 * For the child's copy at fork: as clone, and a family of its own, child of the parent's. 0 or
 * -ENOMEM.
 */
int anon_vma_fork(struct vma *child, const struct vma *parent) __must_check;
/*
 * All links of vma go, and its anon_vma; none left is fine. No page of it may be mapped any more.
 */
void vma_unlink(struct vma *vma);
/* Only the anonymous ones. */
void anon_vma_unlink(struct vma *vma);

/*
 * vma is to hold anonymous pages: it gets a family if it has none, a neighbour's if the two could
 * be merged later. mmap_lock held, reading is enough. 0 or -ENOMEM.
 */
int anon_vma_prepare(struct vma *vma) __must_check;

/*
 * Bounds of up to 3 VMAs that have one file and one root, if any, change together: links out of the
 * trees, locks held until _end puts them back. Cannot fail.
 */
struct vma_adjust {
	struct vma *vma[3];
	unsigned int n;
	struct inode *inode;   /* whose lock is held, or NULL */
	struct anon_vma *root; /* likewise */
};
void vma_adjust_begin(struct vma_adjust *adjust);
void vma_adjust_end(struct vma_adjust *adjust);
/* The same for one VMA whose new bounds are known. */
void vma_adjust_range(struct vma *vma, unsigned long start, unsigned long end, unsigned long pgoff);

/* folios ---------------------------------------------------------------------- */

/*
 * A new anonymous folio, mapped nowhere else, with one reference: it becomes exclusive and its
 * reference the entry's. vma has an anon_vma. The entry is not made yet.
 */
void folio_add_new_anon(struct folio *folio, struct vma *vma, unsigned long addr);

/*
 * What a mapped folio counts as, always the same: by its flags, because truncation takes mapping
 * away while an mm that exits still has the page.
 */
static inline enum mm_rss folio_rss(const struct folio *folio)
{
	const unsigned int flags = folio_flags(folio);

	if (flags & FOLIO_ANON)
		return MM_ANONPAGES;
	return flags & FOLIO_SWAPBACKED ? MM_SHMEMPAGES : MM_FILEPAGES;
}

enum rmap_answer { RMAP_ON, RMAP_STOP };
struct rmap_walk {
	struct ram *ram;
	struct file_store *store; /* where the family of a folio in the swap cache is found */
	struct folio *folio; /* locked, and referenced */
	enum mm_gate gate;
	/*
	 * For each place that may map folio, in an mm whose gate is open; takes the table's lock
	 * itself.
	 */
	enum rmap_answer (*one)(struct rmap_walk *walk, struct vma *vma, unsigned long addr);
	void *arg;
};
/* Takes the family's lock for reading. */
void rmap_walk(struct rmap_walk *walk);

/*
 * Each shared entry loses write and dirty bit; returns whether one was dirty. For write-back.
 * Flushes.
 */
bool folio_mkclean(struct ram *ram, struct folio *folio);
/* Returns how many entries have the accessed bit, and clears it in them. */
unsigned int folio_referenced(struct file_store *store, struct folio *folio);
/* Whether an entry of a mapping that is locked (mlock(2)) maps it. */
bool folio_mlocked(struct file_store *store, struct folio *folio);
/*
 * Take folio out of all page tables. In the place of each entry comes a swap entry that names swap,
 * which is counted there (swap_dup()); none: nothing, for a file's page, and for an anonymous one
 * that may be dropped (MADV_FREE, MAP_DROPPABLE). The latter has one reference, the caller's. If it
 * was written to since MADV_FREE it becomes swap-backed again. 0, or -EBUSY: still mapped, where
 * memory is locked or pinned, was written to again, or an mm is not live. Flushes.
 */
int folio_unmap_all(struct file_store *store, struct folio *folio,
		    swp_entry_t swap) __must_check;
/*
 * An anonymous folio, locked, comes back from the swap cache into vma at addr, as entry's page:
 * exclusive is RMAP_EXCLUSIVE if the swap entry said so. The folio gets a family if nothing maps
 * it. The caller's reference becomes the entry's; false: too many map it, and nothing has changed.
 * The leaf's lock is held.
 */
enum rmap_exclusive { RMAP_SHARED, RMAP_EXCLUSIVE };
bool folio_add_anon(struct folio *folio, struct vma *vma, unsigned long addr,
		    enum rmap_exclusive exclusive) __must_check;

/*
 * folio, locked, anonymous and exclusive, is vma's page at addr from now on (UFFDIO_MOVE). vma has
 * an anon_vma. The locks of the leaves of both places are held.
 */
void folio_move_anon(struct folio *folio, const struct vma *vma, unsigned long addr);

/* migrate.c ------------------------------------------------------------------- */

/*
 * folio's contents move to the frame of to, which is new, has the same order, and is the caller's
 * alone. folio is off the LRU lists; the caller has a reference to each and holds no lock from
 * RANK_FOLIO on. 0: all that had folio has to; the caller drops both references and puts to on the
 * lists (lru_add()). -EBUSY: pinned, locked by another thread, mapped by an mm that is not live, or
 * in use otherwise; -EAGAIN: under write-back. Then nothing has changed.
 *
 *   lock | put in: each entry becomes a migration entry | nothing maps it? freeze | copy, take its
 *   place in the cache | restore: each migration entry maps to | unlock
 *
 * A migration entry is counted in folio_moving(), no longer in folio_maps(). So folio_maps() is 0
 * once no entry and no gather (mmu/gather.h) that has yet to flush has the folio, and no sooner.
 * Faults on a migration entry wait for the lock (access/wait.c). Zap counts one less at once
 * (folio_moved(): no TLB has it, so no gather is needed), fork one more (folio_try_moving()); rss
 * follows both. So folio_moving() is 0 after the second walk, or BUG_ON().
 */
int folio_migrate(struct file_store *store, struct folio *folio, struct folio *to) __must_check;
/*
 * folio's frame is bad; folio is locked. Each entry that maps it becomes a marker of poison, or, of
 * a page of a file that can be read again, empty. Dirty bits go to a file's folio. 0, or -EBUSY:
 * still mapped, by an mm that is dying (its zap will tell the folio), or a gather has yet to flush.
 */
enum bad_leaves { BAD_LEAVES_POISON, BAD_LEAVES_NOTHING };
int folio_unmap_bad(struct file_store *store, struct folio *folio,
		    enum bad_leaves leaves) __must_check;

/*
 * The VMAs that map some of pages [start, last] of an inode, one after the other:
 *
 *   struct i_mmap_iter it = { .start = start, .last = last };
 *   while ((vma = i_mmap_next(inode, &it)))
 *
 * The caller holds i_mmap.lock, which keeps each of them where it is.
 */
struct i_mmap_iter {
	unsigned long start, last;
	struct interval_node *at; /* the iterator's own */
};
struct vma *i_mmap_next(struct inode *inode, struct i_mmap_iter *it);

int rmap_validate_vma(const struct vma *vma, struct samara_report *out) __must_check;

#endif
