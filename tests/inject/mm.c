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

#include "support/mm_calls.h"

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
	struct samara_report report;

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

/* A failure may leave no trace. */
static bool is_atomic(struct bench *b, const struct host_call *call)
{
	switch (call->nr) {
	case SYS_mlock: /* locked, but not there: Linux says -ENOMEM */
	case SYS_mlock2:
	case SYS_munlockall:
		return false;
	case SYS_mprotect:
	case SYS_madvise:
	case SYS_mseal:
	case SYS_munlock:
	case SYS_mremap:
		return one_vma(b, call->arg[0] & ~(MM_PAGE - 1), call->arg[1] + MM_PAGE);
	default:
		return true;
	}
}

static bool out_of_memory(const struct host_call *call, long ret, unsigned long brk)
{
	if (call->nr == SYS_brk)
		return (unsigned long)ret != call->arg[0] && (unsigned long)ret == brk;
	return ret == -ENOMEM || (call->nr == SYS_madvise && ret == -EAGAIN) ||
	       (call->nr == HOST_TOUCH && ret == -EFAULT);
}

/* call with one more allocation granted each time, until it needs no more. */
static long try_all(struct bench *b, const struct host_call *call)
{
	const unsigned long brk = samara_brk(b->mm, 0);
	const bool atomic = is_atomic(b, call);
	void (*const refuse[])(unsigned long) = { samara_inject_nth, samara_inject_from };
	void (*const how)(unsigned long) = refuse[rng_below(&b->gen.rng, 2)];

	take_state(b, &b->before);
	for (unsigned int nth = 1; nth < ALLOCATIONS_MAX; nth++) {
		long ret;
		unsigned long asked;

		samara_inject_count();
		how(nth);
		ret = mm_call_do(&b->gen, &b->mm, call);
		asked = samara_inject_count();
		how(0);
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

/* Fork with every allocation failing in turn: no child, nothing promised. */
static void try_fork(struct bench *b)
{
	struct samara_mm *child;

	snprintf(b->call, sizeof(b->call), "fork");
	take_state(b, &b->before);
	for (unsigned int nth = 1;; nth++) {
		int err;

		samara_inject_from(nth);
		err = samara_fork(b->mm, &child);
		samara_inject_from(0);
		if (!err)
			break;
		assert_int_equal(err, -ENOMEM);
		b->refused++;
		check_unchanged(b, nth);
	}
	assert_int_equal(samara_mm_validate(child, NULL), 0);
	/* Go on in the child every other time: it merges differently. */
	if (rng_one_in(&b->gen.rng, 2)) {
		samara_mm_exit(b->mm);
		b->mm = child;
	} else {
		samara_mm_exit(child);
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
	struct host_call call;

	mm_gen_start(&b->gen, seed);
	set_up(b);
	for (int i = 0; i < 60; i++) {
		mm_gen_next(&b->gen, &call);
		mm_call_text(&call, b->call, sizeof(b->call));
		mm_gen_learn(&b->gen, &call, try_all(b, &call));
		if (i % 20 == 19)
			try_fork(b);
	}
	samara_mm_exit(b->mm);
}

static void a_refused_allocation_leaves_the_map_as_it_was(void **state)
{
	const unsigned long sequences = (test_full() ? 2000 : 100) / test_slowdown() + 1;
	const unsigned long live = samara_live_objects();
	struct bench *b = calloc(1, sizeof(*b));

	(void)state;
	assert_non_null(b);
	b->before.text = malloc(HOST_TEXT);
	b->after.text = malloc(HOST_TEXT);
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
	free(b->before.text);
	free(b->after.text);
	free(b);
}

static void making_things_fails_cleanly(void **state)
{
	const unsigned long live = samara_live_objects();
	struct samara_machine *machine;
	struct samara_file *file;
	struct samara_mm *mm;
	int err;

	(void)state;
	for (unsigned int nth = 1;; nth++) {
		machine = NULL;
		samara_inject_nth(nth);
		err = samara_machine_create(NULL, &machine);
		if (!err) {
			err = samara_mm_create(machine, &mm);
			if (!err)
				samara_mm_exit(mm);
		}
		if (!err) {
			err = samara_file_memfd(machine, "name", 4096, &file);
			if (!err)
				samara_file_put(file);
		}
		samara_machine_destroy(machine);
		samara_inject_nth(0);
		assert_int_equal(samara_live_objects(), live);
		if (!err)
			break;
		assert_int_equal(err, -ENOMEM);
		assert_true(nth < ALLOCATIONS_MAX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_refused_allocation_leaves_the_map_as_it_was),
		cmocka_unit_test(making_things_fails_cleanly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
