/* SPDX-License-Identifier: MIT */
/*
 * A machine with one address space, for tests of what lies in it; and looks at its page table.
 */
#ifndef SAMARA_TEST_MEM_H
#define SAMARA_TEST_MEM_H

#include <samara/access.h>
#include <samara/mm.h>

#include "core/mm.h"
#include "fault/fault.h"
#include "frame/frame.h"

#define MEM_PAGE 4096UL

struct mem {
	struct samara_machine *machine;
	struct samara_mm *mm;
	unsigned long live; /* objects before it was made */
};

void mem_open(struct mem *m, size_t ram_bytes);
/* The same for another shape of address space. */
void mem_open_geometry(struct mem *m, size_t ram_bytes, const struct samara_geometry *geo);
/* For another kind of machine. cfg: filled in but for the overcommit mode, which is ALWAYS. */
void mem_open_machine(struct mem *m, struct samara_machine_config *cfg);
/* Everything goes, and nothing is left: frames and objects are as before mem_open(). */
void mem_close(struct mem *m);
/* Every validator there is, on each mm of the machine. */
void mem_check(const struct mem *m);

/* set_up() and tear_down() of a test program that wants one address space, m_, for each test. */
#define MEM_FIXTURE(m_, ram_bytes_) \
	static struct mem m_; \
	static int set_up(void **state) \
	{ \
		(void)state; \
		mem_open(&(m_), ram_bytes_); \
		return 0; \
	} \
	MEM_TEAR_DOWN(m_)
/* The latter alone, for a program that sets up more. */
#define MEM_TEAR_DOWN(m_) \
	static int tear_down(void **state) \
	{ \
		(void)state; \
		mem_check(&(m_)); \
		mem_close(&(m_)); \
		return 0; \
	} \
	_Static_assert(sizeof(m_) == sizeof(struct mem), "mem")

/* mmap(2) of whole pages, which must succeed. file NULL: anonymous. */
unsigned long mem_map(const struct mem *m, unsigned long pages, int prot, int flags,
		      struct samara_file *file);
/* A memfd of that many pages, each filled with its index + 1. */
struct samara_file *mem_file(const struct mem *m, unsigned long pages);

/* handle_mm_fault() under the mmap_lock, as the door does it; and under the VMA's lock. */
unsigned int mem_fault(const struct mem *m, unsigned long addr, unsigned int flags);
unsigned int mem_fault_vma_lock(const struct mem *m, unsigned long addr, unsigned int flags);

struct vma *mem_vma(const struct mem *m, unsigned long addr);
/* The entry of addr; empty where there is no table. */
pte_t mem_pte(const struct mem *m, unsigned long addr);
/* The folio that it maps; NULL: none, or a frame without one. */
struct folio *mem_folio(const struct mem *m, unsigned long addr);
/* Its first byte, not through the address space. */
unsigned char *mem_bytes(const struct mem *m, unsigned long addr);
/* Frames that are neither free nor waiting to be used. */
unsigned long mem_frames(const struct mem *m);

/*
 * As fork leaves a page: read-only, not exclusive, with a reference of somebody else's, who gives
 * it back.
 */
void mem_share(const struct mem *m, unsigned long addr);
void mem_unshare(const struct mem *m, struct folio *folio);

/* Put a marker into the empty entry of addr. */
void mem_mark(const struct mem *m, unsigned long addr, unsigned int marker);

#endif
