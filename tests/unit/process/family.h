/* SPDX-License-Identifier: MIT */
/*
 * A parent with pages of every kind, and looks at what its children have of them.
 */
#ifndef SAMARA_TEST_FAMILY_H
#define SAMARA_TEST_FAMILY_H

#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include <samara/inject.h>

#include "support/advice.h"
#include "support/cmocka_all.h"
#include "support/mem.h"

#define RW (PROT_READ | PROT_WRITE)

/* The helpers of mem.h for another mm of the same machine. */
static inline struct mem other(const struct mem *m, struct samara_mm *mm)
{
	return (struct mem){ .machine = m->machine, .mm = mm };
}

static inline void put(struct samara_mm *mm, unsigned long addr, unsigned long word)
{
	assert_int_equal(samara_write(mm, addr, &word, sizeof(word), NULL), sizeof(word));
}

static inline unsigned long get(struct samara_mm *mm, unsigned long addr)
{
	unsigned long word = 0;

	assert_int_equal(samara_read(mm, addr, &word, sizeof(word), NULL), sizeof(word));
	return word;
}

/* Reading at addr gives this signal. */
static inline void assert_signal(struct samara_mm *mm, unsigned long addr, int signo, int code)
{
	struct samara_fault fault = { 0 };
	char byte;

	assert_int_equal(samara_read(mm, addr, &byte, 1, &fault), 0);
	assert_int_equal(fault.signo, signo);
	assert_int_equal(fault.code, code);
	assert_int_equal(fault.addr, addr);
}

/* The frame of addr, which is there. */
static inline unsigned long pfn_of(const struct mem *m, unsigned long addr)
{
	const pte_t pte = mem_pte(m, addr);

	assert_true(pte_present(pte));
	return pte_pfn(pte);
}

static inline bool there(const struct mem *m, unsigned long addr)
{
	return pte_present(mem_pte(m, addr));
}

static inline struct samara_mm *forked(const struct mem *m)
{
	struct samara_mm *child = NULL;

	assert_int_equal(samara_fork(m->mm, &child), 0);
	return child;
}

struct site_live {
	const char *name;
	unsigned long live;
};

static inline void find_site(const struct samara_site_info *site, void *arg)
{
	struct site_live *want = arg;

	if (!strcmp(site->name, want->name))
		want->live = site->live;
}

/* Objects of that site that are allocated. */
static inline unsigned long live_at(const char *name)
{
	struct site_live want = { .name = name };

	samara_live_objects(); /* what waits to be freed is */
	samara_inject_each_site(find_site, &want);
	return want.live;
}

#endif
