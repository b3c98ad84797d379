/* SPDX-License-Identifier: MIT */
/*
 * A window of memory of this process, and the same window in an address space of the library: the
 * same calls are made to both, at the same addresses, and the kernel's answers are those that the
 * library has to give. One thread; nothing here waits.
 *
 *   |  spare  |############ window ############|  spare  |
 *             |  anon  |  memfd   |  memfd     |
 *             |        |  shared  |  private   |
 */
#ifndef SAMARA_TEST_TWIN_H
#define SAMARA_TEST_TWIN_H

#include <stdbool.h>

#include <samara/uffd.h>

#include "support/mem.h"

#define TWIN_PAGES 48UL /* of the window */
#define TWIN_PART 16UL  /* of each kind */

/* What is compared of a page, bits of pagemap. */
#define TWIN_BITS \
	(SAMARA_PM_UFFD_WP | SAMARA_PM_FILE | SAMARA_PM_SWAP | SAMARA_PM_PRESENT | \
	 SAMARA_PM_GUARD | SAMARA_PM_MMAP_EXCLUSIVE)

struct twin {
	struct mem mem;
	unsigned long base;
	int memfd, uffd; /* the kernel's */
	struct samara_file *file;
	struct samara_uffd *ours;
	unsigned long long features;
};

/* False: this host has no userfaultfd with these features for us, and nothing can be compared. */
bool twin_possible(unsigned long long features);

/* Fresh memory in both, and a userfaultfd. */
void twin_begin(struct twin *t, unsigned long long features);
void twin_end(struct twin *t);

/* What both gave. */
struct answers {
	long host, ours;
};

struct pages {
	unsigned long at, nr; /* in pages, from the window's start */
};

struct answers twin_register(struct twin *t, struct pages p, unsigned long long mode);
struct answers twin_unregister(struct twin *t, struct pages p);
struct answers twin_protect(struct twin *t, struct pages p, unsigned long long mode);
/* UFFDIO_COPY (of twos), _ZEROPAGE, _CONTINUE or _POISON: what its output field says, or -errno. */
struct answers twin_fill(struct twin *t, struct pages p, unsigned long request,
			 unsigned long long mode);
/* Both are closed, and there are new ones. */
void twin_reopen(struct twin *t);

/* Whether a page of p is protected on the host, there or not. */
bool twin_protects_any(const struct twin *t, struct pages p);

struct answers twin_madvise(struct twin *t, struct pages p, int advice);
struct answers twin_mprotect(struct twin *t, struct pages p, int prot);
struct answers twin_truncate(struct twin *t, unsigned long pages);
/* MAP_FIXED. kind: the part's. */
enum twin_kind { TWIN_ANON, TWIN_SHARED, TWIN_PRIVATE };
struct answers twin_map(struct twin *t, struct pages p, enum twin_kind kind);
/* MREMAP_MAYMOVE | MREMAP_FIXED | flags. Holes that it leaves become mappings without rights. */
struct answers twin_mremap(struct twin *t, struct pages p, unsigned long to, int flags);

/* The word at the page's start; or -1, -2: SIGSEGV, SIGBUS. */
struct answers twin_load(struct twin *t, unsigned long page);
/* 0, or a signal as above. */
struct answers twin_store(struct twin *t, unsigned long page, unsigned int word);

/* False, and says what: pagemap, or what is in pages that are there, differs. */
bool twin_same(struct twin *t);
/* The same of a child of both, which reads every page. */
bool twin_fork_same(struct twin *t);

#endif
