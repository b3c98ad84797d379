/* SPDX-License-Identifier: MIT */
/*
 * Page-table work over one VMA's range.
 *
 *   zap.c      pages leave                  guard.c     guard markers instead of pages
 *   copy.c     pages for a forked child     lazyfree.c  pages that may be dropped
 *   protect.c  other access rights          look.c      what reports see
 *   move.c     to another place             mincore.c   which pages are in memory
 *   writeprotect.c   userfaultfd's write protection
 *   uffd_move.c  to another mapping
 *   soft_dirty.c   what was written to, and used, since clear_refs was last asked
 *   fill.c     pages a userfaultfd's handler gives
 *
 * Unless said otherwise, the VMA is write-locked (vma_start_write()) under the mmap_lock for
 * writing, so that no page fault runs in it. [start, end) is whole pages within the VMA.
 *
 * mmu notifiers: functions that get a gather, and copy_page_range(), leave them to the caller; the
 * others open and end a pair around what they change.
 *
 * Counts (mm_rss_add()) follow every entry with a folio, by folio_rss(); the zero frame and PFN
 * entries count nothing.
 */
#ifndef RANGE_RANGE_H
#define RANGE_RANGE_H

#include "core/mm.h"
#include "mmu/gather.h"

/* zap.c ----------------------------------------------------------------------- */

enum zap_what {
	ZAP_ALL,         /* unmap, exit: markers too */
	ZAP_KEEP_GUARDS, /* MADV_DONTNEED, truncation: guards and uffd-wp marks stay */
	ZAP_FILE_ONLY,   /* a hole in the file: private copies stay as well */
};
/*
 * The pages of [start, end) of vma leave; counts (anon, file, shmem, swap) follow.
 * ZAP_KEEP_GUARDS needs the mmap_lock for reading, vma's lock, or i_mmap.lock of vma's file;
 * ZAP_FILE_ONLY i_mmap.lock; ZAP_ALL of an mm that exits the mmap_lock for reading.
 */
void zap_range(struct mmu_gather *tlb, struct vma *vma, unsigned long start, unsigned long end,
	       enum zap_what what);

/* copy.c ---------------------------------------------------------------------- */

/*
 * Pages of src for its copy dst at fork: anonymous ones shared and write-protected on both
 * sides (pinned ones copied at once), file pages left to be faulted in again unless they can't
 * be, markers copied as far as they go on. Both mmap_locks are held for writing. dst is linked to
 * src's families, and has an anon_vma if src has one.
 *
 * The caller flushes *protected, also after a failure: pages of src that are write-protected now.
 * NULL: it flushes all of src's mm, if units run it. 0; -ENOMEM: what was copied stays in dst, to
 * be zapped.
 */
int copy_page_range(struct vma *dst, struct vma *src, struct tlb_batch *protected) __must_check;
/*
 * A failed fork, once the child has exited: the pages of src that it had made shared and that are
 * src's alone again are exclusive again, and no others. To be called for each VMA that
 * copy_page_range() was called for, the one that failed included.
 */
void copy_undo(struct vma *src);

/* protect.c ------------------------------------------------------------------- */

/*
 * The entries of [start, end) get the rights of vm_flags (vma's new ones). Returns how many
 * changed. Flushes.
 */
unsigned long change_protection(struct vma *vma, unsigned long start, unsigned long end,
				unsigned long vm_flags);

/* writeprotect.c -------------------------------------------------------------- */

/*
 * UFFDIO_WRITEPROTECT: pages of [start, end) cannot be written to, wherever they are. So do places
 * without a page, by markers, if vma is no anonymous memory, or its userfaultfd has
 * UFFD_FEATURE_WP_UNPOPULATED. mmap_lock for reading is enough. Flushes. 0; -ENOMEM (tables), and
 * then nothing has changed.
 */
int range_uffd_protect(struct vma *vma, unsigned long start, unsigned long end) __must_check;
/*
 * None of [start, end) is protected so any more, and markers of nothing else have gone. What vma's
 * flags allow is allowed again, at once or by the next fault. mmap_lock for reading is enough; not
 * all of vma needs be in one registration.
 */
void range_uffd_unprotect(struct vma *vma, unsigned long start, unsigned long end);
/* Of what mremap has moved: what PAGEMAP_SCAN has noted on guards and poison goes too. */
void range_uffd_unprotect_moved(struct vma *vma, unsigned long start, unsigned long end);

/* soft_dirty.c ---------------------------------------------------------------- */

/*
 * No page of vma is soft-dirty any more, and the first write to each is noticed; not so pages that
 * are pinned and may be written through the pin. vma is not VM_SOFTDIRTY any more. mmap_lock for
 * writing; the caller flushes and tells notifiers.
 */
void range_clear_soft_dirty(struct vma *vma);
/* No page of vma counts as referenced any more. mmap_lock for reading; the caller flushes. */
void range_clear_young(struct vma *vma);

/* move.c ---------------------------------------------------------------------- */

/* to may be from (grown to hold both places); the places do not overlap. */
struct move_desc {
	struct vma *from, *to;
	unsigned long old_addr, new_addr, len;
};
/* Tables for the new place, so that moving cannot fail. 0 or -ENOMEM: some may have been made. */
int move_prepare(const struct move_desc *d) __must_check;
/*
 * The entries move, into places that are empty; flushes the old ones. Takes the locks of from's
 * families for writing, so the caller holds none of them.
 */
void move_page_tables(const struct move_desc *d);

/* uffd_move.c ----------------------------------------------------------------- */

/*
 * Pages of [from, from + len) of src go to [to, ...) of dst, page by page. The VMAs are one mm's
 * and may be one and the same; both are anonymous and writable, and dst has an anon_vma.
 */
struct uffd_move {
	struct vma *dst, *src;
	unsigned long to, from, len;
	enum uffd_move_holes { UFFD_MOVE_NO_HOLES, UFFD_MOVE_HOLES } holes;
	unsigned long done; /* in and out: bytes */
	struct folio *busy; /* out, of -EAGAIN: waited for before the next try, with a reference */
};
/*
 * From m->done on. mmap_lock for reading. 0; else m->done is the page that did not move: -ENOENT: a
 * hole in the source; -EEXIST; -EBUSY: shared or pinned; -EFAULT: a marker in the source; -ENOMEM:
 * a table; -EAGAIN: m->busy.
 */
int uffd_move_pages(struct uffd_move *m) __must_check;

/* guard.c --------------------------------------------------------------------- */

/*
 * Guards instead of pages. 0; -ENOMEM (tables, or the anon_vma that anonymous memory gets as if
 * written to), and then no page has changed. mmap_lock for reading is enough. The caller has
 * checked that the mapping may have guards, and sets VM_MAYBE_GUARD, which fork goes by.
 */
int guard_install(struct vma *vma, unsigned long start, unsigned long end) __must_check;
/* mmap_lock for reading, or vma's lock, is enough. */
void guard_remove(struct vma *vma, unsigned long start, unsigned long end);

/* lazyfree.c ------------------------------------------------------------------ */

/* MADV_FREE. mmap_lock for reading, or vma's lock, is enough. */
void range_lazyfree(struct vma *vma, unsigned long start, unsigned long end);

/*
 * munlock.c: the range is not locked any more, or about to be zapped: its pages are no longer
 * unevictable for its sake.
 */
void range_munlock(struct vma *vma, unsigned long start, unsigned long end);

/* cold.c: MADV_COLD, and what MADV_PAGEOUT is about. mmap_lock for reading. */
void range_cold(struct vma *vma, unsigned long start, unsigned long end);
/* Up to most folios of [*start, end), isolated (lru.h); *start becomes where to go on. How many. */
unsigned int range_isolate(struct vma *vma, unsigned long *start, unsigned long end,
			   struct folio **out, unsigned int most);

/* mincore.c: a byte for each page of [start, end) of vma. mmap_lock for reading. */
void range_mincore(struct vma *vma, unsigned long start, unsigned long end, unsigned char *vec);

/* fill.c: mmap_lock for reading --------------------------------------------------- */

enum fill_kind { FILL_COPY, FILL_ZERO, FILL_CONTINUE, FILL_POISON };
#define FILL_MOST 16U
/* pages of vma, which is registered with a userfaultfd, from addr on. */
struct fill_desc {
	struct vma *vma; /* anonymous, or of shared memory; FILL_CONTINUE: the latter */
	unsigned long addr;
	unsigned int pages; /* FILL_COPY: at most FILL_MOST */
	enum fill_kind kind;
	uint64_t bits; /* PTE_UFFD_WP: the pages come write-protected; or 0 */
	/*
	 * FILL_COPY: folio[i], filled and the caller's, is for page i. It becomes NULL where it was
	 * used.
	 */
	struct folio **folio;
};
/*
 * Entries get pages, or poison, one after the other, until one cannot: *err says why. -EEXIST:
 * there is an entry (fill.c has which give way), or shared memory has a page; -EFAULT: beyond the
 * end of the file, or no page to continue with; -EINVAL: beyond the end (FILL_CONTINUE); -EIO: the
 * page was lost; -ENOMEM. How many were filled. A private vma has an anon_vma. What waits for the
 * pages is the caller's to wake. Reads from swap.
 */
unsigned int range_fill(const struct fill_desc *d, int *err);

/* look.c: mmap_lock for reading ----------------------------------------------- */

/* In pages; proportional sizes in bytes << 12, as smaps adds them up. */
struct range_look {
	/* present: as mincore(2), the zero frame too; swapped: shared memory too */
	unsigned long present, swapped;
	/* those with a page of their own: */
	unsigned long rss, anon, lazyfree, referenced;
	unsigned long dirty, shared, shared_dirty; /* shared: more than one entry points there */
	unsigned long pss, pss_dirty;
	unsigned long swap_pss; /* of those swapped */
};
void range_look(struct vma *vma, unsigned long start, unsigned long end, struct range_look *out);
/* /proc/PID/pagemap's word for root; vma NULL: nothing is mapped at addr. */
unsigned long long pagemap_entry(struct vma *vma, unsigned long addr);

#endif
