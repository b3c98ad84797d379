/* SPDX-License-Identifier: MIT */
/*
 * What a CPU does with an address space: read, write, exchange; and what a
 * kernel does on a program's behalf: pin pages, look at /proc/PID/pagemap.
 *
 * Accesses behave as those of a program at the given addresses: pages come on
 * first touch, are copied when shared, a stack grows. Where the kernel would send
 * a signal the call stops and says which.
 */
#ifndef SAMARA_ACCESS_H
#define SAMARA_ACCESS_H

#include <samara/cpu.h>
#include <samara/types.h>

SAMARA_BEGIN_DECLS

struct samara_mm;

/*
 * Why an access stopped. signo SIGSEGV (code SEGV_MAPERR, SEGV_ACCERR; SI_KERNEL for an address
 * that is none, where the kernel's si_addr is 0) or SIGBUS (code BUS_ADRERR, BUS_MCEERR_AR), addr
 * the first byte that could not be accessed. signo 0, code -ENOMEM: nothing is wrong with the
 * address, but memory ran out; -EAGAIN: it may not sleep, or was interrupted
 * (samara_uffd_interrupt()). All 0: it did not stop. lsb is the kernel's si_addr_lsb, the lowest
 * bit of the address that means something: of BUS_MCEERR_AR the page's shift, since a whole page
 * was lost; else 0.
 */
struct samara_fault {
	unsigned long addr;
	int signo;
	int code;
	int lsb;
};

/*
 * Bytes moved: len, or fewer when a fault stopped it, which *fault (may be NULL) then describes;
 * -ENOMEM when memory ran out before the first, -EAGAIN when it was interrupted before it
 * (samara_uffd_interrupt()). Pages are moved one after the other, from the first to the last.
 *
 * What is whole when threads access the same bytes at once:
 *  - Each word of 1, 2, 4 or 8 bytes at a multiple of its size, if it lies within the range. It is
 *  read as some
 *    store left it, and others see it as it was before or as it is after. This holds against
 *    samara_read(), _write(), _fetch(), _cmpxchg(), samara_file_pread(), _pwrite(), and the host's
 *    own aligned loads and stores through samara_cpu_lookup() or a pin, in every address space that
 *    shares the memory; and in the copies that fork and copy-on-write make. A word that the range
 *    holds only a part of is moved in parts. buf may have any address.
 *  - A page's part, between two of the first four calls at the same page of the same mm, and
 *  against fork, unmapping
 *    and copy-on-write of that page in that mm: it is moved before, or after.
 * Nothing else is: other addresses, other mms, files, a CPU's own accesses and pins may see a range
 * half moved, its words in any order.
 */
SAMARA_API long samara_read(struct samara_mm *mm, unsigned long addr, void *buf, unsigned long len,
			    struct samara_fault *fault);
SAMARA_API long samara_write(struct samara_mm *mm, unsigned long addr, const void *buf, unsigned long len,
			     struct samara_fault *fault);
/*
 * The same with the rights of PROT_EXEC: what an instruction fetch does. In the vsyscall page it
 * always stops, with SI_KERNEL: at offsets 0, 0x400 and 0x800 Linux makes the calls gettimeofday,
 * time and getcpu itself, which is the caller's to do; everywhere else in it the signal is what
 * Linux sends.
 */
SAMARA_API long samara_fetch(struct samara_mm *mm, unsigned long addr, void *buf, unsigned long len,
			     struct samara_fault *fault);

/*
 * Compare and exchange of a guest word of size 1, 2, 4 or 8 bytes at a multiple of its size, atomic
 * against every other access (samara_read() says what those are). *expected becomes what was there.
 * 1: exchanged; 0: it was something else; -EFAULT, -ENOMEM, -EAGAIN: *fault says why; -EINVAL: size or
 * alignment. As cmpxchg on x86 it needs the right to write in any case.
 */
SAMARA_API int samara_cmpxchg(struct samara_mm *mm, unsigned long addr, unsigned int size, uint64_t *expected,
			      uint64_t desired, struct samara_fault *fault);

/* Of samara_access(), and SAMARA_NOWAIT of samara_cpu_miss() too. */
enum samara_access_flags {
	SAMARA_READ = 1,    /* one of these three: as samara_read(), */
	SAMARA_WRITE = 2,   /* samara_write(), whose bytes buf has, */
	SAMARA_FETCH = 4,   /* samara_fetch() */
	SAMARA_FORCE = 8,   /* as a debugger: not stopped by missing rights of a private mapping */
	SAMARA_NOGROW = 16, /* no stack grows */
	SAMARA_NOWAIT = 32, /* does not sleep */
};
/*
 * samara_read(), _write() or _fetch(), and what flags say besides; -EINVAL: flags. buf is not
 * written to by SAMARA_WRITE.
 *
 * With SAMARA_NOWAIT it does not sleep for the handler of a userfaultfd (<samara/uffd.h>), for a
 * page in a swap area or one that is on its way to another frame. It stops there, *fault is { addr,
 * signo 0, code -EAGAIN }, and -EAGAIN is what it returns if no byte was moved before. What it
 * waits for goes on meanwhile, so a later call succeeds. It still waits for locks, for the host to
 * read a file's page, and for memory.
 *
 * With SAMARA_FORCE it is no CPU's access: a stack does not grow, memory of drivers is refused, and
 * every refusal is described as SIGSEGV, SEGV_ACCERR.
 */
SAMARA_API long samara_access(struct samara_mm *mm, unsigned long addr, void *buf, unsigned long len,
			      unsigned int flags, struct samara_fault *fault);

/* pins --------------------------------------------------------------------- */

enum samara_pin_flags {
	SAMARA_PIN_WRITE = 1 << 0,    /* the holder may write: faults as a write does */
	SAMARA_PIN_LONGTERM = 1 << 1, /* held for long: a file's page or zeros, only read, become the process's own */
	SAMARA_PIN_FORCE = 1 << 2,    /* as a debugger: not stopped by missing rights of a private mapping */
};

/* One pinned page: it stays where it is, and stays the page the process sees, until it is given back. */
struct samara_pin {
	void *host;        /* its first byte */
	unsigned long pfn; /* its frame */
	struct samara_machine *machine;
};

/*
 * Pin nr pages from addr, which is a multiple of the page size. Pages pinned: nr, or fewer when one
 * could not be; -EFAULT, -ENOMEM (also where a page has 8,191 pins), -EAGAIN (interrupted), -EINVAL
 * when that was the first. Reading needs PROT_READ, as for the kernel's pins; a stack does not grow; device pages of
 * a PFN map cannot be pinned, nor can a shared mapping of a host file with both WRITE and LONGTERM.
 */
SAMARA_API long samara_pin_pages(struct samara_mm *mm, unsigned long addr, unsigned long nr, unsigned int flags,
				 struct samara_pin *out);
/*
 * dirty: not 0 if the holder wrote to them. Pins may outlive the mm, and keep the machine until the
 * last one is given back. The last pin of a page whose frame is bad (samara_memory_failure()) takes
 * locks, as an access does.
 */
SAMARA_API void samara_unpin_pages(struct samara_pin *pins, unsigned long nr, int dirty);

/* /proc/PID/pagemap ---------------------------------------------------------- */

#define SAMARA_PM_PFN ((1ULL << 55) - 1)      /* frame, if present */
#define SAMARA_PM_SOFT_DIRTY (1ULL << 55)     /* written to since samara_clear_refs(mm, 4); SAMARA_MACHINE_SOFT_DIRTY */
#define SAMARA_PM_MMAP_EXCLUSIVE (1ULL << 56) /* mapped once */
#define SAMARA_PM_UFFD_WP (1ULL << 57)
#define SAMARA_PM_GUARD (1ULL << 58)
#define SAMARA_PM_FILE (1ULL << 61)           /* a file's page, or shared anonymous memory */
#define SAMARA_PM_SWAP (1ULL << 62)
#define SAMARA_PM_PRESENT (1ULL << 63)

/* An entry for each of nr pages from addr (a multiple of the page size), as Linux 6.18 writes it. 0 or -EINVAL. */
SAMARA_API int samara_pagemap(struct samara_mm *mm, unsigned long addr, unsigned long nr,
			      unsigned long long *entries);

/* counters ------------------------------------------------------------------ */

/* What an mm has in memory, and how its page faults went so far. Each is exact while no thread uses the mm. */
struct samara_mm_memory {
	size_t size;             /* sizeof(struct samara_mm_memory), set by the caller */
	unsigned long rss_anon;  /* pages, as /proc/PID/status has them in kB: RssAnon, ... */
	unsigned long rss_file;
	unsigned long rss_shmem;
	unsigned long page_tables; /* tables of every level; each has one word a page or table below it */
	/* Faults by how the mapping was found, named as in Linux's /proc/vmstat: */
	unsigned long vma_lock_success; /* without the mmap_lock */
	unsigned long vma_lock_abort;   /* the mapping was being changed, or needs the mmap_lock */
	unsigned long vma_lock_retry;   /* the fault itself asked for the mmap_lock */
	unsigned long vma_lock_miss;    /* what was found was not it any more */
	unsigned long swap_ents;        /* pages in swap areas: VmSwap */
};
/* 0, or -EINVAL (size). Members that this library does not know become 0. Takes no lock. */
SAMARA_API int samara_mm_memory(struct samara_mm *mm, struct samara_mm_memory *out);

SAMARA_END_DECLS

#endif
