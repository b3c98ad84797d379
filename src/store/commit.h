/* SPDX-License-Identifier: MIT */
/*
 * How much memory a machine has promised (Committed_AS) and how much it may:
 * vm.overcommit_memory, Documentation/mm/overcommit-accounting.rst.
 *
 * Charged are private writable mappings (VM_ACCOUNT) and shared memory, a page
 * each. The counter is atomic; two callers at the limit may both be refused,
 * never both be let in.
 */
#ifndef STORE_COMMIT_H
#define STORE_COMMIT_H

#include <samara/mm.h>

#include "base/compiler.h"

struct commit {
	long pages;                  /* promised; atomic */
	int mode;                    /* enum samara_overcommit; atomic */
	unsigned long total_pages;   /* RAM and swap; atomic */
	unsigned long limit;         /* what mode NEVER may promise, before the reserves; atomic */
	unsigned long admin_reserve; /* pages of it kept for SAMARA_CAP_SYS_ADMIN */
	unsigned long user_reserve;  /* at most so many pages of it kept from one process */
};

/* Who asks: what mode NEVER keeps back depends on it. */
struct commit_who {
	bool admin;
	unsigned long total_vm; /* pages the process has mapped; 0: not a process */
};

/* 0 or -ENOMEM. pages may be 0. */
int commit_charge(struct commit *commit, unsigned long pages, struct commit_who who) __must_check;
/* For what exists already: no limit is asked. */
void commit_add(struct commit *commit, unsigned long pages);
/* Never refused: what is charged was promised before. */
void commit_uncharge(struct commit *commit, unsigned long pages);
/* So many pages of swap were added, or taken away (negative). */
void commit_add_swap(struct commit *commit, long pages);

#endif
