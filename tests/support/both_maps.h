/* SPDX-License-Identifier: MIT */
/*
 * One window of addresses on two sides: in this process, for its kernel, and in an address space of
 * the library. Each call is made on both, and has to have one answer.
 */
#ifndef SAMARA_TEST_BOTH_MAPS_H
#define SAMARA_TEST_BOTH_MAPS_H

#include <samara/uffd.h>

#include "support/mem.h"

/* Four leaf tables of 512 pages; below what sanitizers use. */
#define BOTH_BASE 0x40000000UL
#define BOTH_PAGES 2048UL
#define BOTH_AT(i) (BOTH_BASE + (i)*MEM_PAGE)

enum both_kind { BOTH_ANON, BOTH_SHARED, BOTH_FILE, BOTH_FILE_PRIVATE, BOTH_KINDS };
/* Two userfaultfds: of asynchronous write protection, and of one that waits. */
enum both_uffd { BOTH_ASYNC, BOTH_SYNC, BOTH_UFFDS };

struct both {
	struct mem m;
	int pagemap; /* the host's */
	int memfd;   /* its file of BOTH_PAGES; the library's is file */
	struct samara_file *file;
	int host_uffd[BOTH_UFFDS]; /* -1: may not be had */
	struct samara_uffd *uffd[BOTH_UFFDS];
};

/* False, with a line that says why: this host cannot be asked. */
bool both_begin(struct both *b);
void both_end(struct both *b);

void both_map(struct both *b, unsigned long i, unsigned long n, enum both_kind kind);
void both_unmap(struct both *b, unsigned long i, unsigned long n);
void both_protect(struct both *b, unsigned long i, unsigned long n, int prot);
void both_advise(struct both *b, unsigned long i, unsigned long n, int advice);
void both_move(struct both *b, unsigned long i, unsigned long n, unsigned long to);
/* One byte of the page, if the mapping allows it, and no userfaultfd would be waited for. */
void both_write(struct both *b, unsigned long i);
void both_read(struct both *b, unsigned long i);
void both_register(struct both *b, unsigned long i, unsigned long n, enum both_uffd which);
void both_unregister(struct both *b, unsigned long i, unsigned long n, enum both_uffd which);
void both_writeprotect(struct both *b, unsigned long i, unsigned long n, enum both_uffd which,
		       unsigned long long mode);

/* The two answers of PAGEMAP_SCAN; -errno. arg->vec stands for memory of the same kind on both. */
long both_scan_host(struct both *b, struct pm_scan_arg *arg);

#endif
