/* SPDX-License-Identifier: MIT */
/*
 * Two calls that meet are as if one came behind the other.
 *
 * For each pair of calls: what they give and leave in each order; then once more for each lock that
 * the first takes, with the second coming from another thread at that moment (support/at_locks.h).
 * Results and what is left (support/call_scene.h) have to be those of one order, and all validators
 * have to agree. What a lock protects does not change outside of it.
 *
 * An access is two steps, as on a CPU: the fault makes the page ready, then the access is tried
 * again. mlock is two steps, as in Linux: it marks the mappings and drops the mmap_lock. Then it
 * brings in the pages of what is mapped there by then. The other call may come in between.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "support/cmocka_all.h"

#include "support/at_locks.h"
#include "support/call_scene.h"
#include "support/random.h"

#define RW (PROT_READ | PROT_WRITE)

struct call {
	const char *name;
	void (*make)(unsigned int who, const struct call *call);
	unsigned long page; /* of an access */
	int fault;          /* its first step: MADV_POPULATE_*; 0: it has none */
	bool unmaps;        /* a file's pages, for a moment: the next access faults again */
	bool populates;     /* pages 1 to 4, as its second step */
};

/* calls ------------------------------------------------------------------------ */

static void say(unsigned int who, const char *what, long n)
{
	snprintf(scene.said[who], sizeof(scene.said[who]), "%s %ld", what, n);
}

static const char *signal_of(const struct samara_fault *fault)
{
	return fault->signo == SIGSEGV ? "SEGV" : fault->signo == SIGBUS ? "BUS" : "done";
}

static void store(unsigned int who, const struct call *call)
{
	const unsigned char byte = (unsigned char)(0x40 + call->page);
	struct samara_fault fault;
	const long n = samara_write(scene.m.mm, AT(call->page), &byte, 1, &fault);

	say(who, signal_of(&fault), n);
}

static void load(unsigned int who, const struct call *call)
{
	struct samara_fault fault;
	unsigned char byte = 0;
	const long n = samara_read(scene.m.mm, AT(call->page), &byte, 1, &fault);

	say(who, signal_of(&fault), n * 256 + byte);
}

static void mmap_over(unsigned int who, const struct call *call)
{
	say(who, "mmap",
	    (long)samara_mmap(scene.m.mm, AT(1), 6 * MEM_PAGE, PROT_READ,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0));
}

static void mmap_behind(unsigned int who, const struct call *call)
{
	say(who, "mmap",
	    (long)samara_mmap(scene.m.mm, AT(16), 2 * MEM_PAGE, RW,
			      MAP_SHARED | MAP_FIXED_NOREPLACE, scene.file, 0));
}

static void munmap_part(unsigned int who, const struct call *call)
{
	say(who, "munmap", samara_munmap(scene.m.mm, AT(1), 6 * MEM_PAGE));
}

static void munmap_file(unsigned int who, const struct call *call)
{
	say(who, "munmap", samara_munmap(scene.m.mm, AT(9), 5 * MEM_PAGE));
}

static void protect(unsigned int who, const struct call *call)
{
	say(who, "mprotect", samara_mprotect(scene.m.mm, AT(1), 6 * MEM_PAGE, PROT_READ));
}

static void protect_file(unsigned int who, const struct call *call)
{
	say(who, "mprotect", samara_mprotect(scene.m.mm, AT(9), 2 * MEM_PAGE, PROT_READ));
}

static void move(unsigned int who, const struct call *call)
{
	say(who, "mremap",
	    (long)samara_mremap(scene.m.mm, AT(1), 6 * MEM_PAGE, 6 * MEM_PAGE,
				MREMAP_MAYMOVE | MREMAP_FIXED, AT(600)));
}

static void move_file(unsigned int who, const struct call *call)
{
	say(who, "mremap",
	    (long)samara_mremap(scene.m.mm, AT(8), 4 * MEM_PAGE, 4 * MEM_PAGE,
				MREMAP_MAYMOVE | MREMAP_FIXED, AT(700)));
}

static void dontneed(unsigned int who, const struct call *call)
{
	say(who, "madvise", samara_madvise(scene.m.mm, AT(1), 6 * MEM_PAGE, MADV_DONTNEED));
}

static void wipeonfork(unsigned int who, const struct call *call)
{
	say(who, "madvise", samara_madvise(scene.m.mm, AT(1), 6 * MEM_PAGE, MADV_WIPEONFORK));
}

/* Pages that are there: so its first step, which only marks mappings, can be made alone. */
static void lock_pages(unsigned int who, const struct call *call)
{
	say(who, "mlock", samara_mlock(scene.m.mm, AT(1), 4 * MEM_PAGE));
}

static void fork_it(unsigned int who, const struct call *call)
{
	say(who, "fork", samara_fork(scene.m.mm, &scene.child[who]));
}

static void sync_file(unsigned int who, const struct call *call)
{
	say(who, "msync", samara_msync(scene.m.mm, AT(8), 4 * MEM_PAGE, MS_SYNC));
}

static void truncate_file(unsigned int who, const struct call *call)
{
	say(who, "truncate", samara_file_set_length(scene.file, MEM_PAGE + 7));
}

static void punch_file(unsigned int who, const struct call *call)
{
	say(who, "punch", samara_file_punch_hole(scene.file, MEM_PAGE, MEM_PAGE));
}

static void pwrite_file(unsigned int who, const struct call *call)
{
	say(who, "pwrite", samara_file_pwrite(scene.file, "w", 1, MEM_PAGE + 5));
}

/* Pins that the calls have taken. They go once both calls are over: that is a call of its own. */
static struct samara_pin pins[2];
static long pinned[2];

static void pin_page(unsigned int who, const struct call *call)
{
	pinned[who] = samara_pin_pages(scene.m.mm, AT(call->page), 1, SAMARA_PIN_WRITE, &pins[who]);
	say(who, "pin", pinned[who]);
}

static void unpin_all(void)
{
	for (int who = 0; who < 2; who++) {
		if (pinned[who] == 1)
			samara_unpin_pages(&pins[who], 1, 1);
		pinned[who] = 0;
	}
}

static void unpin_page(unsigned int who, const struct call *call)
{
	scene_unpin();
	say(who, "unpin", 0);
}

static void pagemap_word(unsigned int who, const struct call *call)
{
	unsigned long long word = 0;
	const int err = samara_pagemap(scene.m.mm, AT(1), 1, &word);

	say(who, err ? "pagemap failed" : "pagemap", (long)(word >> 55));
}

static void in_core(unsigned int who, const struct call *call)
{
	unsigned char vec[8] = { 0 };
	const int err = samara_mincore(scene.m.mm, AT(8), MEM_PAGE, vec);

	say(who, "mincore", err ? err : vec[0]);
}

static const struct call calls[] = {
	{ "store", store, 1, MADV_POPULATE_WRITE, false, false },
	{ "first store", store, 6, MADV_POPULATE_WRITE, false, false },
	{ "store over zeros", store, 5, MADV_POPULATE_WRITE, false, false },
	{ "store, shared file", store, 9, MADV_POPULATE_WRITE, false, false },
	{ "store, private file", store, 13, MADV_POPULATE_WRITE, false, false },
	{ "load", load, 1, MADV_POPULATE_READ, false, false },
	{ "first load", load, 7, MADV_POPULATE_READ, false, false },
	{ "first load, shared file", load, 11, MADV_POPULATE_READ, false, false },
	{ "pin", pin_page, 1, MADV_POPULATE_WRITE, false, false },
	{ "mmap over", mmap_over, 0, 0, false, false },
	{ "mmap behind", mmap_behind, 0, 0, false, false },
	{ "munmap", munmap_part, 0, 0, false, false },
	{ "munmap, file", munmap_file, 0, 0, false, false },
	{ "mprotect", protect, 0, 0, false, false },
	{ "mprotect, file", protect_file, 0, 0, false, false },
	{ "mremap", move, 0, 0, false, false },
	{ "mremap, file", move_file, 0, 0, false, false },
	{ "MADV_DONTNEED", dontneed, 0, 0, false, false },
	{ "MADV_WIPEONFORK", wipeonfork, 0, 0, false, false },
	{ "mlock", lock_pages, 0, 0, false, true },
	{ "fork", fork_it, 0, 0, false, false },
	{ "msync", sync_file, 0, 0, false, false },
	{ "pwrite", pwrite_file, 0, 0, false, false },
	{ "unpin", unpin_page, 0, 0, false, false },
	{ "pagemap", pagemap_word, 0, 0, false, false },
	{ "mincore", in_core, 0, 0, false, false },
	{ "truncation", truncate_file, 0, 0, true, false },
	{ "hole", punch_file, 0, 0, true, false },
};

/* pairs ------------------------------------------------------------------------ */

/* Which of the two goes on, four times: its first step, then its second. */
static const unsigned char orders[][4] = {
	{ 0, 0, 1, 1 }, { 1, 1, 0, 0 }, { 0, 1, 1, 0 },
	{ 1, 0, 0, 1 }, { 0, 1, 0, 1 }, { 1, 0, 1, 0 },
};
#define ORDERS ARRAY_SIZE(orders)

static void fault_in(unsigned long page, int how)
{
	(void)!samara_madvise(scene.m.mm, AT(page), MEM_PAGE, how);
}

static void first_step(unsigned int who, const struct call *call)
{
	if (call->populates)
		call->make(who, call);
	else if (call->fault)
		fault_in(call->page, call->fault);
}

static void second_step(unsigned int who, const struct call *call)
{
	if (!call->populates) {
		call->make(who, call);
		return;
	}
	for (unsigned long page = 1; page <= 4; page++) {
		fault_in(page, MADV_POPULATE_WRITE); /* refused where it is read-only */
		fault_in(page, MADV_POPULATE_READ);
	}
}

static void in_order(const struct call *const call[2], const unsigned char *order,
		     struct left *left)
{
	bool begun[2] = { false, false };

	scene_open();
	scene_guard();
	for (unsigned int i = 0; i < 4; i++) {
		const unsigned int who = order[i];

		(begun[who] ? second_step : first_step)(who, call[who]);
		begun[who] = true;
	}
	unpin_all();
	scene_guard_end();
	if (call[0]->unmaps || call[1]->unmaps)
		scene_settle();
	scene_look(left);
	scene_close();
}

static void come(void *arg)
{
	const struct call *call = arg;

	call->make(1, call);
}

static void is_one_of(const struct left *now, const struct left *after, unsigned int n,
		      const struct call *const call[2], unsigned int nth)
{
	for (unsigned int i = 0; i < n; i++)
		if (!strcmp(now->text, after[i].text))
			return;
	print_message("%s, met by %s at its %uth lock:\n%s\n", call[0]->name, call[1]->name, nth,
		      now->text);
	for (unsigned int i = 0; i < n; i++)
		print_message("%s\n%s\n", i ? "or:" : "after one another:", after[i].text);
	fail();
}

/* Whether the first has an nth lock, at which the second came. */
static bool meet(const struct call *const call[2], unsigned int nth, const struct left *after,
		 unsigned int n)
{
	static struct left now;
	bool met;

	scene_open();
	meet_at(NULL, nth, come, (void *)call[1]);
	call[0]->make(0, call[0]);
	met = meet_end();
	unpin_all();
	if (met) {
		if (call[0]->unmaps || call[1]->unmaps)
			scene_settle();
		scene_look(&now);
		is_one_of(&now, after, n, call, nth);
	}
	scene_close();
	return met;
}

static unsigned int pair(const struct call *a, const struct call *b)
{
	const struct call *const call[2] = { a, b };
	const unsigned int n = a->fault || b->fault || a->populates || b->populates ? ORDERS : 2;
	static struct left after[ORDERS];
	unsigned int nth = 1;

	for (unsigned int i = 0; i < n; i++)
		in_order(call, orders[i], &after[i]);
	while (meet(call, nth, after, n))
		nth++;
	return nth - 1;
}

static void two_calls_are_as_if_one_came_behind_the_other(void **state)
{
	unsigned long meetings = 0;

	(void)state;
	if (!at_locks_available())
		skip();
	scene_machine_up();
	for (size_t a = 0; a < ARRAY_SIZE(calls); a++)
		for (size_t b = a % test_slowdown(); b < ARRAY_SIZE(calls); b += test_slowdown())
			meetings += pair(&calls[a], &calls[b]);
	scene_machine_down();
	print_message("%lu meetings\n", meetings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_calls_are_as_if_one_came_behind_the_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
