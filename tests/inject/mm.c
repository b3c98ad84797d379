/* SPDX-License-Identifier: MIT */
/*
 * Random memory calls with every allocation failing in turn, once or from then
 * on: the call succeeds, or the map, its totals and the machine's promises are
 * those of before. The last try, with memory back, decides how the sequence
 * goes on. Nothing is leaked.
 *
 * Calls that work through several mappings keep what they had done before, as
 * in Linux; for them the map must be valid, and nothing lost that is counted.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "support/cmocka_all.h"

#include <samara/inject.h>

#include "support/inject_matrix.h"
#include "support/mm_calls.h"
#include "support/mm_text.h"

#define ALLOCATIONS_MAX 5000u

struct state {
	char *text;
	struct samara_mm_stats stats;
	long committed;
};

struct bench {
	struct mm_gen gen;
	struct samara_machine *machine;
	struct samara_mm *mm;
	struct state before, after;
	unsigned long refused; /* calls that failed for lack of memory */
	unsigned long tried[MM_CALL_KINDS];
	char call[MM_CALL_TEXT];
};

static void take_state(struct bench *b, struct state *out)
{
	out->stats.size = sizeof(out->stats);
	assert_int_equal(mm_text(b->mm, samara_print_smaps, out->text), 0);
	assert_int_equal(samara_mm_stats(b->mm, &out->stats), 0);
	out->stats.tree_bytes = 0; /* the tree may have another shape */
	out->committed = samara_committed_pages(b->machine);
}

static void broken(struct bench *b, unsigned int nth, const char *what)
{
	fprintf(stderr, "%s, allocation %u refused: %s\n", b->call, nth, what);
	test_replay(test_seed());
	fail();
}

static void check_valid(struct bench *b, unsigned int nth)
{
	struct samara_report report = { 0 };

	if (samara_mm_validate(b->mm, &report))
		broken(b, nth, report.text);
	if (samara_committed_pages(b->machine) < 0)
		broken(b, nth, "more given back than was promised");
}

static void check_unchanged(struct bench *b, unsigned int nth)
{
	take_state(b, &b->after);
	if (strcmp(b->before.text, b->after.text))
		broken(b, nth, "the map has changed");
	if (memcmp(&b->before.stats, &b->after.stats, sizeof(b->before.stats)))
		broken(b, nth, "the totals have changed");
	if (b->before.committed != b->after.committed)
		broken(b, nth, "what is promised has changed");
}

static bool one_vma(struct bench *b, unsigned long addr, unsigned long len)
{
	struct samara_vma_info info;

	return samara_vma_next(b->mm, addr, &info) || info.end >= addr + len;
}

static bool is_mapped(struct bench *b, unsigned long addr)
{
	struct samara_vma_info info;

	return !samara_vma_next(b->mm, addr, &info) && info.start <= addr;
}

/* A failure may leave no trace. */
static bool is_atomic(struct bench *b, const struct mm_call *call)
{
	switch (call->nr) {
	case SYS_mlock: /* locked, but not there: Linux says -EAGAIN */
	case SYS_mlock2:
	case SYS_munlockall:
		return false;
	case MM_READ:
	case MM_TOUCH: /* a stack that has grown stays so, as in Linux, if its page cannot be had */
		return is_mapped(b, call->arg[0]);
	case SYS_madvise:
		/* MADV_POPULATE_*: pages before the one that could not be had are there. */
		if (call->arg[2] == 22 || call->arg[2] == 23)
			return false;
		/* fall through */
	case SYS_mprotect:
	case SYS_mseal:
	case SYS_munlock:
	case SYS_mremap:
		return one_vma(b, call->arg[0] & ~(MM_PAGE - 1), call->arg[1] + MM_PAGE);
	default:
		return true;
	}
}

static bool out_of_memory(const struct mm_call *call, long ret, unsigned long brk)
{
	if (call->nr == SYS_brk)
		return (unsigned long)ret != call->arg[0] && (unsigned long)ret == brk;
	return ret == -ENOMEM || (call->nr == SYS_madvise && ret == -EAGAIN) ||
	       ((call->nr == MM_TOUCH || call->nr == MM_READ) && ret == -EFAULT);
}

/* call with one more allocation granted each time, until it needs no more. */
static long try_all(struct bench *b, const struct mm_call *call)
{
	const unsigned long brk = samara_brk(b->mm, 0);
	const bool atomic = is_atomic(b, call);
	const enum inject_how how = rng_below(&b->gen.rng, 2);

	b->tried[mm_call_kind(call->nr)]++;
	take_state(b, &b->before);
	for (unsigned int nth = 1; nth < ALLOCATIONS_MAX; nth++) {
		long ret;
		unsigned long asked;

		inject_arm(how, nth);
		ret = mm_call_do(&b->gen, &b->mm, call);
		asked = inject_disarm(out_of_memory(call, ret, brk) ? INJECT_FAILED :
								      INJECT_SUCCEEDED);
		check_valid(b, nth);
		if (asked < nth || !out_of_memory(call, ret, brk))
			return ret;
		b->refused++;
		if (atomic)
			check_unchanged(b, nth);
	}
	broken(b, ALLOCATIONS_MAX, "it asks for memory without end");
	return 0;
}

/* Giving an mm up needs no memory. */
static void exit_without_memory(struct samara_mm *mm)
{
	inject_arm(INJECT_ON, 1);
	samara_mm_exit(mm);
	inject_disarm(INJECT_SUCCEEDED);
}

/* Fork with every allocation failing in turn: no child, nothing promised. */
static void try_fork(struct bench *b)
{
	const enum inject_how how = rng_below(&b->gen.rng, 2);
	struct samara_mm *child;

	snprintf(b->call, sizeof(b->call), "fork");
	take_state(b, &b->before);
	for (unsigned int nth = 1;; nth++) {
		int err;

		inject_arm(how, nth);
		err = samara_fork(b->mm, &child);
		inject_disarm(err ? INJECT_FAILED : INJECT_SUCCEEDED);
		if (!err)
			break;
		assert_int_equal(err, -ENOMEM);
		b->refused++;
		check_unchanged(b, nth);
	}
	assert_int_equal(samara_mm_validate(child, NULL), 0);
	/* Go on in the child every other time: it merges differently. */
	if (rng_one_in(&b->gen.rng, 2)) {
		exit_without_memory(b->mm);
		b->mm = child;
	} else {
		exit_without_memory(child);
	}
}

static void set_up(struct bench *b)
{
	struct samara_layout layout = SAMARA_LAYOUT_INIT;

	assert_int_equal(samara_mm_create(b->machine, &b->mm), 0);
	layout.start_brk = layout.brk = b->gen.brk = 0x555555600000;
	assert_int_equal(samara_set_layout(b->mm, &layout), 0);
	samara_set_caps(b->mm, SAMARA_CAP_IPC_LOCK);
	if (rng_one_in(&b->gen.rng, 2))
		samara_set_touch_policy(b->mm, SAMARA_TOUCH_EAGER);
}

static void sequence(struct bench *b, uint64_t seed)
{
	struct mm_call call;

	mm_gen_start(&b->gen, seed);
	set_up(b);
	for (int i = 0; i < 60; i++) {
		mm_gen_next(&b->gen, &call);
		mm_call_text(&call, b->call, sizeof(b->call));
		mm_gen_learn(&b->gen, &call, try_all(b, &call));
		if (i % 20 == 19)
			try_fork(b);
	}
	exit_without_memory(b->mm);
}

static void a_refused_allocation_leaves_the_map_as_it_was(void **state)
{
	const unsigned long sequences = (test_full() ? 2000 : 100) / test_slowdown() + 1;
	const unsigned long live = samara_live_objects();
	struct bench *b = calloc(1, sizeof(*b));

	(void)state;
	assert_non_null(b);
	b->before.text = malloc(MM_TEXT);
	b->after.text = malloc(MM_TEXT);
	assert_int_equal(samara_machine_create(NULL, &b->machine), 0);
	assert_int_equal(mm_gen_open(&b->gen, b->machine), 0);
	for (unsigned long i = 0; i < sequences; i++)
		sequence(b, test_seed() + i);
	assert_int_equal(samara_committed_pages(b->machine), 0);
	mm_gen_close(&b->gen);
	samara_machine_destroy(b->machine);
	assert_int_equal(samara_live_objects(), live);
	print_message("%lu calls refused memory, seed %llu\n", b->refused,
		      (unsigned long long)test_seed());
	assert_true(b->refused > 100);
	for (int i = 0; i < MM_CALL_KINDS; i++)
		if (!b->tried[i] && test_slowdown() == 1)
			fail_msg("%s was never tried", mm_call_name(i));
	free(b->before.text);
	free(b->after.text);
	free(b);
}

/* Reports, limits and capabilities either need no memory or say so. */
static void reports_need_no_memory(void **state)
{
	struct samara_mm_stats stats = { .size = sizeof(stats) };
	struct samara_machine *machine;
	struct samara_vma_info info;
	struct samara_mm *mm;
	char *text = malloc(MM_TEXT);

	(void)state;
	assert_non_null(text);
	assert_int_equal(samara_machine_create(NULL, &machine), 0);
	assert_int_equal(samara_mm_create(machine, &mm), 0);
	assert_false(SAMARA_IS_ERR_VALUE(
		samara_mmap(mm, 0, MM_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0)));
	samara_inject_from(1);
	assert_int_equal(samara_set_rlimit(mm, 9, 1UL << 30, 1UL << 30), 0);
	samara_set_caps(mm, SAMARA_CAP_IPC_LOCK);
	samara_set_overcommit(machine, SAMARA_OVERCOMMIT_NEVER);
	assert_int_equal(samara_vma_next(mm, 0, &info), 0);
	assert_int_equal(samara_mm_stats(mm, &stats), 0);
	assert_int_equal(samara_mm_validate(mm, NULL), 0);
	/* A printer's buffer may be refused, no more. */
	assert_int_equal(mm_text(mm, samara_print_maps, text), -ENOMEM);
	assert_int_equal(mm_text(mm, samara_print_smaps, text), -ENOMEM);
	assert_int_equal(mm_text(mm, samara_mm_print_tree, text), 0);
	samara_inject_from(0);
	exit_without_memory(mm);
	samara_machine_destroy(machine);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_refused_allocation_leaves_the_map_as_it_was),
		cmocka_unit_test(reports_need_no_memory),
	};

	return inject_matrix("inject/mm", cmocka_run_group_tests(tests, NULL, NULL));
}
