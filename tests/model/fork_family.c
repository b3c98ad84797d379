/* SPDX-License-Identifier: MIT */
/*
 * Processes that fork, write, read, discard, pin and exit at random, through the library's own
 * calls; and a model that says for each page of each what it holds and which frame it is.
 *
 *   process 0   [a|b|z| |c]     a letter: a frame, by a number that is its own;
 *   process 1   [a|d|z| |c]     z: the zero frame; c also in the file that both map
 *
 * After every step
 *   two pages are one frame exactly where the model says so, and a frame stays the same as long as
 *   its number does: a write copies where somebody else has the page too, and only there
 *   contents and counts (anonymous pages, frames in use) are the model's
 *   a fork that ran out of memory has changed none of it
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "support/cmocka_all.h"

#include <samara/inject.h>

#include "support/mem.h"
#include "support/random.h"

#define RW (PROT_READ | PROT_WRITE)
#define PROCESSES 4
#define ANON 40UL /* pages of anonymous memory, then of a private mapping of a file */
#define PAGES 60UL
#define AT(i) (0x100000000000UL + (i)*MEM_PAGE + ((i) >= ANON ? 0x40000000UL : 0))
#define ROUNDS 6000

enum kind { NONE, ZERO, CACHE, OWN };

struct page {
	enum kind kind;
	unsigned long id, word; /* OWN: the frame's number, and what it holds */
};

struct process {
	struct samara_mm *mm; /* NULL: none */
	struct page page[PAGES];
};

static struct mem m;
static struct rng rng;
static struct samara_file *file;
static struct process process[PROCESSES];
static unsigned long last_id;
static bool finished;
static struct {
	struct process *owner; /* NULL: nobody pins */
	unsigned long page, id;
	struct samara_pin pin;
} pinned;
static unsigned long done[8], refused, copies, reuses;

static unsigned long in_file(unsigned long i)
{
	return (i - ANON + 1) * 0x0101010101010101UL;
}

static struct process *any_process(void)
{
	struct process *p;

	do {
		p = &process[rng_below(&rng, PROCESSES)];
	} while (!p->mm);
	return p;
}

static struct mem mem_of(const struct process *p)
{
	return (struct mem){ .machine = m.machine, .mm = p->mm };
}

/* How many processes have that frame. */
static unsigned int sharers(unsigned long id, unsigned long i)
{
	unsigned int n = 0;

	for (int k = 0; k < PROCESSES; k++)
		n += process[k].mm && process[k].page[i].kind == OWN && process[k].page[i].id == id;
	return n;
}

static unsigned long pfn_of(const struct process *p, unsigned long i)
{
	const struct mem o = mem_of(p);
	const pte_t pte = mem_pte(&o, AT(i));

	assert_true(pte_present(pte));
	return pte_pfn(pte);
}

/* steps ------------------------------------------------------------------------ */

static void write_page(struct process *p, unsigned long i)
{
	struct page *page = &p->page[i];
	const unsigned long word = rng_next(&rng);
	const bool alone = page->kind == OWN && sharers(page->id, i) == 1;
	const unsigned long pfn = page->kind == OWN ? pfn_of(p, i) : 0;

	assert_int_equal(samara_write(p->mm, AT(i), &word, 8, NULL), 8);
	if (alone)
		assert_int_equal(pfn_of(p, i), pfn);
	else if (page->kind == OWN)
		assert_int_not_equal(pfn_of(p, i), pfn);
	copies += page->kind == OWN && !alone;
	reuses += alone;
	if (!alone)
		page->id = ++last_id;
	page->kind = OWN;
	page->word = word;
}

static void read_page(struct process *p, unsigned long i)
{
	struct page *page = &p->page[i];
	unsigned long word = 0;

	assert_int_equal(samara_read(p->mm, AT(i), &word, 8, NULL), 8);
	if (page->kind == NONE)
		page->kind = i < ANON ? ZERO : CACHE;
	if (page->kind == OWN)
		assert_int_equal(word, page->word);
	else
		assert_int_equal(word, page->kind == ZERO ? 0 : in_file(i));
}

/* The child has the parent's pages, but for one that is pinned while it is the parent's own. */
static void inherit(struct process *child, const struct process *parent)
{
	memcpy(child->page, parent->page, sizeof(child->page));
	for (unsigned long i = 0; i < PAGES; i++)
		if (pinned.owner == parent && pinned.page == i && parent->page[i].kind == OWN &&
		    parent->page[i].id == pinned.id &&
		    sharers(pinned.id, i) == 2) /* with the child's new copy of the model */
			child->page[i].id = ++last_id;
}

static void fork_one(struct process *parent)
{
	struct process *child = NULL;
	struct samara_mm *mm = NULL;
	int err = 0;

	for (int k = 0; k < PROCESSES; k++)
		if (!process[k].mm)
			child = &process[k];
	if (!child)
		return;
	if (rng_one_in(&rng, 2))
		samara_inject_nth(rng_between(&rng, 1, 40));
	err = samara_fork(parent->mm, &mm);
	samara_inject_nth(0);
	if (err) {
		assert_int_equal(err, -ENOMEM);
		refused++;
		return;
	}
	child->mm = mm;
	inherit(child, parent);
}

static void unpin(void)
{
	if (!pinned.owner)
		return;
	assert_int_equal(*(unsigned long *)pinned.pin.host, pinned.owner->page[pinned.page].word);
	samara_unpin_pages(&pinned.pin, 1, 1);
	pinned.owner = NULL;
}

/* Pins for writing: the page becomes the process's own, as by a write. */
static void pin(struct process *p, unsigned long i)
{
	if (pinned.owner)
		return;
	write_page(p, i);
	assert_int_equal(samara_pin_pages(p->mm, AT(i), 1, SAMARA_PIN_WRITE, &pinned.pin), 1);
	pinned.owner = p;
	pinned.page = i;
	pinned.id = p->page[i].id;
	assert_int_equal(pinned.pin.pfn, pfn_of(p, i));
}

static void exit_one(struct process *p)
{
	unsigned int alive = 0;

	for (int k = 0; k < PROCESSES; k++)
		alive += process[k].mm != NULL;
	if (alive == 1)
		return;
	if (pinned.owner == p)
		unpin();
	samara_mm_exit(p->mm);
	p->mm = NULL;
}

static void discard(struct process *p, unsigned long i)
{
	if (pinned.owner == p && pinned.page == i)
		unpin();
	assert_int_equal(samara_madvise(p->mm, AT(i), MEM_PAGE, MADV_DONTNEED), 0);
	p->page[i].kind = NONE;
}

/* looks ------------------------------------------------------------------------ */

static void check_pair(const struct process *p, const struct process *q, unsigned long i)
{
	const struct page *a = &p->page[i], *b = &q->page[i];

	if (a->kind <= ZERO || b->kind <= ZERO)
		return;
	if ((a->kind == CACHE && b->kind == CACHE) ||
	    (a->kind == OWN && b->kind == OWN && a->id == b->id))
		assert_int_equal(pfn_of(p, i), pfn_of(q, i));
	else
		assert_int_not_equal(pfn_of(p, i), pfn_of(q, i));
}

static bool first_with(const struct process *p, unsigned long i)
{
	for (const struct process *q = process; q < p; q++)
		if (q->mm && q->page[i].kind == OWN && q->page[i].id == p->page[i].id)
			return false;
	return true;
}

static void check_all(void)
{
	unsigned long frames = PAGES - ANON; /* the file's */

	for (struct process *p = process; p < process + PROCESSES; p++) {
		const struct mem o = mem_of(p);
		long anon = 0;

		if (!p->mm)
			continue;
		for (unsigned long i = 0; i < PAGES; i++) {
			const struct page *page = &p->page[i];

			if (page->kind == ZERO)
				assert_int_equal(pfn_of(p, i), ZERO_FRAME);
			if (page->kind == OWN) {
				assert_int_equal(*(unsigned long *)mem_bytes(&o, AT(i)),
						 page->word);
				anon++;
				frames += first_with(p, i);
			}
			for (struct process *q = process; q < p; q++)
				if (q->mm)
					check_pair(p, q, i);
		}
		assert_int_equal(mm_rss_sum(p->mm, MM_ANONPAGES), anon);
	}
	assert_int_equal(mem_frames(&m), frames);
	if (pinned.owner)
		assert_int_equal(pfn_of(pinned.owner, pinned.page), pinned.pin.pfn);
}

static void step(void)
{
	static const unsigned char weights[] = { 45, 20, 12, 9, 6, 4, 4 };
	struct process *p = any_process();
	const unsigned long i = rng_below(&rng, PAGES);
	unsigned long what = rng_below(&rng, 100), op = 0;

	while (what >= weights[op])
		what -= weights[op++];
	done[op]++;
	switch (op) {
	case 0:
		write_page(p, i);
		break;
	case 1:
		read_page(p, i);
		break;
	case 2:
		fork_one(p);
		break;
	case 3:
		exit_one(p);
		break;
	case 4:
		discard(p, i);
		break;
	case 5:
		pin(p, i);
		break;
	default:
		unpin();
	}
}

static void families_fork_write_and_exit(void **state)
{
	const unsigned long rounds = ROUNDS / test_slowdown() * (test_full() ? 20 : 1);

	(void)state;
	rng_init(&rng, test_seed());
	mem_open(&m, 4 << 20);
	file = mem_file(&m, PAGES - ANON);
	process[0].mm = m.mm;
	assert_int_equal(samara_mmap(m.mm, AT(0), ANON * MEM_PAGE, RW,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0),
			 AT(0));
	assert_int_equal(samara_mmap(m.mm, AT(ANON), (PAGES - ANON) * MEM_PAGE, RW,
				     MAP_PRIVATE | MAP_FIXED, file, 0),
			 AT(ANON));
	for (unsigned long round = 0; round < rounds; round++) {
		step();
		check_all();
		if (round % 500 == 0)
			for (int k = 0; k < PROCESSES; k++) {
				const struct mem o = mem_of(&process[k]);

				if (process[k].mm)
					mem_check(&o);
			}
	}
	assert_true(refused > rounds / 300 && copies > rounds / 60);
	assert_true(reuses > rounds / 60 && done[5] > rounds / 120);
	unpin();
	for (int k = 0; k < PROCESSES; k++)
		if (process[k].mm)
			m.mm = process[k].mm;
	for (int k = 0; k < PROCESSES; k++)
		if (process[k].mm && process[k].mm != m.mm)
			samara_mm_exit(process[k].mm);
	samara_file_put(file);
	mem_close(&m);
	finished = true;
}

static int tell_seed(void **state)
{
	(void)state;
	if (!finished)
		test_replay(test_seed());
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(families_fork_write_and_exit, tell_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
