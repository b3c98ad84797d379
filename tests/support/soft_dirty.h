/* SPDX-License-Identifier: MIT */
/*
 * A machine that knows soft-dirty pages, with one address space, m; for the tests of each room.
 */
#ifndef SAMARA_TEST_SOFT_DIRTY_H
#define SAMARA_TEST_SOFT_DIRTY_H

#include <sys/mman.h>

#include <samara/cpu.h>
#include <samara/uffd.h>

#include "support/cmocka_all.h"
#include "support/mem.h"

#define RW (PROT_READ | PROT_WRITE)
#define CLEAR_SOFT_DIRTY 4

static struct mem m;

static int set_up(void **state)
{
	struct samara_machine_config cfg = SAMARA_MACHINE_CONFIG_INIT;

	(void)state;
	cfg.ram_bytes = 4 << 20;
	cfg.flags = SAMARA_MACHINE_SOFT_DIRTY;
	mem_open_machine(&m, &cfg);
	return 0;
}

MEM_TEAR_DOWN(m);

static inline unsigned long map(unsigned long pages, int flags)
{
	return mem_map(&m, pages, RW, flags, NULL);
}

static inline void put(struct samara_mm *mm, unsigned long addr)
{
	assert_int_equal(samara_write(mm, addr, "x", 1, NULL), 1);
}

static inline void get(struct samara_mm *mm, unsigned long addr)
{
	char c;

	assert_int_equal(samara_read(mm, addr, &c, 1, NULL), 1);
}

static inline void forget(struct samara_mm *mm)
{
	assert_int_equal(samara_clear_refs(mm, CLEAR_SOFT_DIRTY), 0);
}

static inline bool dirty_in(struct samara_mm *mm, unsigned long addr)
{
	unsigned long long entry;

	assert_int_equal(samara_pagemap(mm, addr, 1, &entry), 0);
	return entry & SAMARA_PM_SOFT_DIRTY;
}

static inline bool dirty(unsigned long addr)
{
	return dirty_in(m.mm, addr);
}

/* Whether the TLB has a; if not, it has after this. */
static inline bool in_tlb(struct samara_cpu *cpu, unsigned long a, enum samara_access access)
{
	struct samara_fault fault;
	bool there;

	samara_cpu_enter(cpu);
	there = samara_cpu_lookup(cpu, a, access);
	if (!there)
		assert_non_null(samara_cpu_miss(cpu, a, access, &fault));
	samara_cpu_exit(cpu);
	return there;
}

#endif
