/* SPDX-License-Identifier: MIT */
/*
 * Memory under pressure: swap areas, reclaim, out of memory, moving pages, and bad memory.
 *
 * A machine whose frames run out reclaims: pages of files are dropped (dirty ones are written back
 * first), pages of processes and shared memory go to swap areas and come back when they are touched.
 * One thread of the library per machine does so once few frames are free; it begins when it is first
 * needed. An access that finds no frame reclaims by itself, with no lock held.
 *
 * Locks: all calls here may be made by any thread at any time, beside all other calls. They take
 * their locks themselves and hold none when they return. What they answer in a fork(2) of the
 * machine's process, or inside a CPU's section: <samara/mm.h>.
 */
#ifndef SAMARA_RECLAIM_H
#define SAMARA_RECLAIM_H

#include <samara/mm.h>
#include <samara/types.h>

SAMARA_BEGIN_DECLS

/* swap areas --------------------------------------------------------------- */

struct samara_swap; /* one swap area; the machine's, until samara_swapoff() has succeeded */

/*
 * The host file or block device behind fd becomes a swap area; a descriptor of its own is kept. If
 * it begins with a header as mkswap(8) writes it (version 1, this machine's page size), the header's
 * page count, bad pages, label and uuid are honoured; else the whole file is used but for its first
 * page, and its contents are lost. flags are swapon(2)'s, of <sys/swap.h>: SWAP_FLAG_PREFER with a
 * priority (areas of higher priority are used first, those of one priority in turn; without it each
 * area has a lower one than the areas before), SWAP_FLAG_DISCARD, _DISCARD_ONCE, _DISCARD_PAGES.
 *
 * 0; -EINVAL: unknown flags, a header that contradicts itself or its file, not a regular file nor a
 * block device, less than two pages; -EBUSY: the file is a swap area of this machine already; -EPERM:
 * the machine has as many areas as Linux allows (23); -EBADF: fd is not open for reading and
 * writing; -ENOMEM; what dup(2) gave. *out is valid until samara_swapoff() returns 0.
 */
SAMARA_API SAMARA_MUST_CHECK int samara_swapon(struct samara_machine *machine, int fd, int flags,
					       struct samara_swap **out);

/*
 * A backend of the embedder's. Called without locks of the library that a call of the embedder's could
 * want, by any thread, for several slots at once, never twice at once for one slot. No call of the
 * machine may be made in it. A slot is one page. read and write return 0 or -errno, and may
 * take any time: a page whose write fails stays in memory, and its slot is not used again; a page whose
 * read fails gives SIGBUS. discard (NULL: none) says that the contents of nr slots are not needed any
 * more: runs of up to 256 slots that have become free, before one of them is used again. With
 * SWAP_FLAG_DISCARD, unless _DISCARD_PAGES is set too, also all slots when the area is switched on; with
 * _DISCARD_ONCE only then. release (NULL: none) is called once, when the area is gone: before
 * samara_swapoff() returns, or while the machine ends.
 */
struct samara_swap_ops {
	size_t size; /* sizeof(struct samara_swap_ops) */
	int (*read)(void *priv, unsigned long slot, void *page);
	int (*write)(void *priv, unsigned long slot, const void *page);
	void (*discard)(void *priv, unsigned long slot, unsigned long nr);
	void (*release)(void *priv);
};

/*
 * An area of that many pages (slots 0 to pages - 1) with the embedder's backend. flags as above. 0;
 * -EINVAL: flags, size, no read or write, no pages or more than 2^40; -E2BIG: a member that this
 * library does not know; -EPERM, -ENOMEM. After an error release has not been called.
 */
SAMARA_API SAMARA_MUST_CHECK int samara_swapon_ops(struct samara_machine *machine,
						   const struct samara_swap_ops *ops, void *priv,
						   unsigned long pages, int flags,
						   struct samara_swap **out);

/*
 * An area that keeps its pages compressed in the library's own memory, as zram does. bytes: what the pages in it may
 * be before they are compressed; rounded down to pages. algorithm: "lz4" or "zstd". A page that cannot be compressed
 * is kept as it is. Memory that the host refuses is a write that fails. 0; -EINVAL: algorithm, less than one page;
 * -EPERM, -ENOMEM. Its priority is above those of all areas without a priority of their own.
 */
SAMARA_API SAMARA_MUST_CHECK int samara_swapon_compressed(struct samara_machine *machine,
							  unsigned long bytes,
							  const char *algorithm,
							  struct samara_swap **out);

/*
 * All pages of the area come back into memory, and it is gone. 0; -ENOMEM: they do not fit, or
 * -EINTR: they went on coming for ever; the area is on as before. -EBUSY: another call switches it off.
 * A page that cannot be read any more leaves a poison marker in each process (SIGBUS, BUS_MCEERR_AR);
 * shared memory gives SIGBUS at each touch.
 * swapoff(2).
 */
SAMARA_API SAMARA_MUST_CHECK int samara_swapoff(struct samara_swap *swap);

/* The text of /proc/swaps. 0, or what write(2) gave. */
SAMARA_API int samara_print_swaps(struct samara_machine *machine, int fd);

/* reclaim ------------------------------------------------------------------ */

/*
 * Reclaim up to nr_pages pages, and give the host memory of free frames back. Pages reclaimed, fewer
 * when no more can go.
 */
SAMARA_API long samara_reclaim(struct samara_machine *machine, unsigned long nr_pages);

/* out of memory ------------------------------------------------------------ */

struct samara_oom_ops {
	size_t size; /* sizeof(struct samara_oom_ops) */
	/*
	 * victim is to end: the embedder stops its threads and calls samara_mm_exit() when it can, not
	 * inside this call. Called with no lock held, by the thread that found no memory, once for each
	 * victim. That thread may be inside an access to victim. From now on private memory of victim
	 * that is not there gives SIGBUS, and samara_fork() of it -ENOMEM. The call may take any time,
	 * and wait for other threads that find no memory. Another thread may have ended victim
	 * meanwhile: until the call returns, victim can be compared with pointers, and no new mm has its
	 * address. No thread may be stopped inside a section (samara_cpu_enter()).
	 */
	void (*kill)(struct samara_mm *victim, void *priv);
};

/*
 * What is done when reclaim makes no progress: the mm with the highest badness (pages in memory, in
 * swap and in page tables, plus oom_score_adj thousandths of all pages) is chosen, ops->kill is told,
 * and its private memory is taken away at once, locked memory too. If that is not enough the next one is
 * chosen, until none is left. Then, and where a device lacks a block of several frames, or a page is only moved
 * (samara_swapoff(), samara_migrate_pages()), there is no victim, as with ops NULL, the default: the access or call
 * returns -ENOMEM. ops is copied; calls of the former kill may still be under way when this returns. Nothing
 * happens when ops->size is wrong.
 */
SAMARA_API void samara_set_oom(struct samara_machine *machine, const struct samara_oom_ops *ops,
			       void *priv);
/* /proc/PID/oom_score_adj: -1000 (never a victim) to 1000, 0 at first; fork copies it. 0 or -EINVAL. */
SAMARA_API int samara_set_oom_score_adj(struct samara_mm *mm, int adj);

/* moving pages, bad memory --------------------------------------------------- */

/*
 * Pages are moved until a free block of 2^order pages exists. 0; -EINVAL: order above 9; -ENOMEM: none can be made.
 */
SAMARA_API int samara_compact(struct samara_machine *machine, unsigned int order);
/*
 * The pages of [addr, addr + nr pages) that are in memory move to other frames. addr is a multiple of
 * the page size. How many were moved: pinned pages stay, and pages that others are just using may;
 * -EINVAL.
 */
SAMARA_API long samara_migrate_pages(struct samara_mm *mm, unsigned long addr, unsigned long nr);
/*
 * The frame is bad, as memory_failure() is told by the hardware: it is never used again. A clean page of
 * a file is read again from there when it is wanted; any other page is lost: SIGBUS, BUS_MCEERR_AR,
 * at each touch. flags: 0. 0; -ENXIO: no such frame; -EHWPOISON: it was bad already; -EINVAL: flags;
 * -EBUSY: the page is in use in a way that cannot be ended (pinned, a device's): it is marked bad, and
 * leaves when that ends.
 */
SAMARA_API int samara_memory_failure(struct samara_machine *machine, unsigned long pfn,
				     unsigned int flags);

/* reports ------------------------------------------------------------------ */

/* Pages; the last ten are counts since the machine was made, named as in /proc/vmstat. */
struct samara_machine_memory {
	size_t size; /* sizeof(struct samara_machine_memory), set by the caller */
	unsigned long ram, free, anon, file, shmem, tables, unevictable, dirty;
	unsigned long swap_total, swap_free, swap_cached, poisoned;
	unsigned long long pgfault, pgmajfault, pswpin, pswpout, pgsteal, pgscan;
	unsigned long long allocstall, oom_kill, migrate_success, migrate_fail;
};
/* 0, or -EINVAL (size). Members that this library does not know become 0. Exact while the machine is quiet. */
SAMARA_API int samara_machine_memory(struct samara_machine *machine,
				     struct samara_machine_memory *out);
/* The text of /proc/meminfo and /proc/vmstat, those lines that mean something here. 0, or what write(2) gave. */
SAMARA_API int samara_print_meminfo(struct samara_machine *machine, int fd);
SAMARA_API int samara_print_vmstat(struct samara_machine *machine, int fd);
/*
 * Check every written invariant of the machine's frames, lists and swap areas. No other thread is inside a call on the
 * machine; its own thread is held off. 0, or -EUCLEAN with the first broken one in out (may be NULL).
 */
SAMARA_API SAMARA_MUST_CHECK int samara_machine_validate(struct samara_machine *machine,
							 struct samara_report *out);

SAMARA_END_DECLS

#endif
