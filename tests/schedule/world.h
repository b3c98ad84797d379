/* SPDX-License-Identifier: MIT */
/*
 * The smallest machine that has everything, for scenarios: 16 pages of address space under two
 * levels of tables of four entries each, and a handful of frames. Pages are named by number.
 *
 *   page    0   | 1  2  3 | 4  5  6  7 | 8  9 10 11 | 12 13 14 15 |
 *   leaf    ------ 0 -----  ---- 1 ----  ----- 2 ---  ----- 3 ----
 *           not mapped
 *
 * So few entries keep a walk of all tables short, and a frame more or less is noticed.
 */
#ifndef SAMARA_TEST_SCHEDULE_WORLD_H
#define SAMARA_TEST_SCHEDULE_WORLD_H

#include <sys/mman.h>

#include <samara/access.h>
#include <samara/mm.h>

#include "schedule/schedule.h"

#define WORLD_PAGE 4096UL
#define WORLD_PAGES 16UL
#define WORLD_FRAMES 12UL
#define WORLD_RW (PROT_READ | PROT_WRITE)
/* The address of a page. */
#define PG(n) ((unsigned long)(n)*WORLD_PAGE)

struct world {
	struct samara_machine *machine;
	struct samara_mm *mm;
	struct samara_file *file; /* NULL until world_shmem() or world_host_file() */
	unsigned long live;       /* objects before it was made */
	int fd;                   /* of world_host_file(); 0: none */
};

/* A machine with one empty mm. */
void world_open(struct world *w);
/* One more empty mm. */
struct samara_mm *world_mm(struct world *w);
/* w->file is shared memory of that many pages. */
void world_shmem(struct world *w, unsigned long pages);
/* w->file is a host file of that many pages, each of which begins with its index + 1. */
void world_host_file(struct world *w, unsigned long pages);
/* The first word of a page of that file, as the host has it now. */
uint64_t world_on_host(const struct world *w, unsigned long page);

/* All validators there are find all mms and frames in order. */
void world_check(struct world *w);
/*
 * The above; then mm, unless it is NULL by now, file and machine go, and nothing may be left: no
 * frame, no VMA, no object.
 */
void world_close(struct world *w);
/* Frames in use, besides the zero frame. */
unsigned long world_frames(const struct world *w);

/* mmap(2) at pages [at, at + pages), which must succeed. file NULL: anonymous. */
void world_map(struct samara_mm *mm, unsigned long at, unsigned long pages, int prot, int flags,
	       struct samara_file *file);
void world_unmap(struct samara_mm *mm, unsigned long at, unsigned long pages);

/*
 * The first word of a page, by samara_read() and samara_write(). True: it was accessed; false: the
 * access was stopped by a SIGSEGV or a SIGBUS. Running out of memory is a failure.
 */
bool world_load(struct samara_mm *mm, unsigned long page, uint64_t *value);
bool world_store(struct samara_mm *mm, unsigned long page, uint64_t value);
/* Must be allowed. */
uint64_t world_value(struct samara_mm *mm, unsigned long page);
void world_set(struct samara_mm *mm, unsigned long page, uint64_t value);

/*
 * The same by a CPU that runs an mm, in one section each, through its TLB. False: a signal stopped
 * it. The word is moved by one atomic access.
 */
bool world_cpu_load(struct samara_cpu *cpu, unsigned long page, uint64_t *value);
bool world_cpu_store(struct samara_cpu *cpu, unsigned long page, uint64_t value);

/* A flag between two threads that orders what is before and behind it; the waiter sleeps. */
struct world_flag {
	unsigned int word;
};
void world_raise(struct world_flag *flag);
void world_await(struct world_flag *flag);

#endif
