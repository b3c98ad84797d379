/* SPDX-License-Identifier: MIT */
/*
 * Which pages stay: reference strings on a small machine, against a simulator of the policy that
 * src/reclaim/shrink.c and src/frame/refault.c document, and against OPT (Belady, 1966), which
 * knows the future and is a bound that nothing may pass.
 *
 * The simulator shares no code with either: lists are arrays, and it remembers each page that has
 * left for ever. The library forgets some records (buckets), so that a few misses may differ.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "frame/frame.h"
#include "store/file.h"
#include "support/cmocka_all.h"
#include "support/mem.h"
#include "support/random.h"

#define FRAMES 512UL
#define PAGES 4096UL
#define STEPS 40000UL
#define WANTED 32UL /* frames that a read without one asks for */
#define BATCH 32UL
#define COLLECTED 29UL

/* the simulator -------------------------------------------------------------------- */

struct queue {
	unsigned int page[FRAMES];
	unsigned long n; /* page[0] is the coldest */
};

enum place { OUT, PENDING, INACTIVE, ACTIVE };

struct sim {
	struct queue pending, inactive, active;
	enum place place[PAGES];
	bool referenced[PAGES], is_active[PAGES], known[PAGES];
	unsigned long left_at[PAGES], age;
	unsigned long resident, misses;
	long last;
};

static void append(struct queue *q, unsigned int page)
{
	assert_true(q->n < FRAMES);
	q->page[q->n++] = page;
}

static unsigned int take_coldest(struct queue *q)
{
	const unsigned int page = q->page[0];

	memmove(q->page, q->page + 1, --q->n * sizeof(q->page[0]));
	return page;
}

static void take_out(struct queue *q, unsigned int page)
{
	unsigned long i = 0;

	while (q->page[i] != page)
		i++;
	memmove(q->page + i, q->page + i + 1, (--q->n - i) * sizeof(q->page[0]));
}

static void enlist(struct sim *s, unsigned int page)
{
	s->place[page] = s->is_active[page] ? ACTIVE : INACTIVE;
	append(s->is_active[page] ? &s->active : &s->inactive, page);
}

static void drain(struct sim *s)
{
	while (s->pending.n)
		enlist(s, take_coldest(&s->pending));
}

static void shorten_active(struct sim *s)
{
	for (unsigned int i = 0; i < BATCH && s->active.n; i++) {
		const unsigned int page = take_coldest(&s->active);

		s->is_active[page] = false;
		enlist(s, page);
	}
}

static void make_room(struct sim *s)
{
	unsigned long freed = 0;

	drain(s);
	while (freed < WANTED) {
		if (s->inactive.n < s->active.n)
			shorten_active(s);
		for (unsigned int i = 0; i < BATCH && freed < WANTED && s->inactive.n; i++) {
			const unsigned int page = take_coldest(&s->inactive);

			s->place[page] = OUT;
			s->referenced[page] = false;
			s->known[page] = true;
			s->left_at[page] = ++s->age;
			s->resident--;
			freed++;
		}
	}
}

static void come_in(struct sim *s, unsigned int page)
{
	if (s->resident == FRAMES)
		make_room(s);
	s->misses++;
	s->resident++;
	s->is_active[page] = s->known[page] && s->age - s->left_at[page] <= s->active.n;
	s->age += s->is_active[page];
	s->known[page] = false;
	s->place[page] = PENDING;
	append(&s->pending, page);
	if (s->pending.n == COLLECTED)
		drain(s);
}

static void activate(struct sim *s, unsigned int page)
{
	s->is_active[page] = true;
	s->referenced[page] = false;
	s->age++;
	if (s->place[page] != INACTIVE)
		return;
	take_out(&s->inactive, page);
	enlist(s, page);
}

static void sim_read(struct sim *s, unsigned int page)
{
	if (s->place[page] == OUT)
		come_in(s, page);
	if (s->last == (long)page)
		return;
	s->last = page;
	if (!s->referenced[page])
		s->referenced[page] = true;
	else if (!s->is_active[page])
		activate(s, page);
}

/* OPT ------------------------------------------------------------------------------ */

static unsigned long opt_misses(const unsigned int *string)
{
	unsigned long *next = calloc(STEPS, sizeof(*next));
	unsigned long seen[PAGES], due[PAGES], misses = 0, resident = 0;

	for (unsigned long p = 0; p < PAGES; p++) {
		seen[p] = ULONG_MAX;
		due[p] = 0; /* 0: not here */
	}
	for (unsigned long i = STEPS; i--;) {
		next[i] = seen[string[i]];
		seen[string[i]] = i;
	}
	for (unsigned long i = 0; i < STEPS; i++) {
		if (!due[string[i]]) {
			misses++;
			if (resident == FRAMES) {
				unsigned long farthest = 0;

				for (unsigned long p = 1; p < PAGES; p++)
					if (due[p] > due[farthest])
						farthest = p;
				due[farthest] = 0;
				resident--;
			}
			resident++;
		}
		due[string[i]] = next[i];
	}
	free(next);
	return misses;
}

/* the machine ------------------------------------------------------------------------ */

static unsigned long machine_misses(const unsigned int *string)
{
	char name[] = "/var/tmp/samara-replacement-XXXXXX", buf[MEM_PAGE];
	const int fd = mkstemp(name);
	struct samara_file *file;
	unsigned long misses = 0;
	struct mem m;

	assert_true(fd >= 0);
	unlink(name);
	assert_int_equal(ftruncate(fd, PAGES * MEM_PAGE), 0);
	mem_open(&m, FRAMES * MEM_PAGE);
	ram_watch(m.machine->ram, NULL, NULL); /* no thread takes part */
	assert_int_equal(samara_file_from_fd(m.machine, fd, &file), 0);
	for (unsigned long i = 0; i < STEPS; i++) {
		struct folio *folio = page_cache_find(file->inode, string[i]);

		if (folio)
			folio_put(m.machine->ram, folio);
		else
			misses++;
		assert_int_equal(samara_file_pread(file, buf, sizeof(buf), string[i] * MEM_PAGE),
				 MEM_PAGE);
	}
	samara_file_put(file);
	mem_check(&m);
	mem_close(&m);
	close(fd);
	return misses;
}

static unsigned long sim_misses(const unsigned int *string)
{
	struct sim *s = calloc(1, sizeof(*s));
	unsigned long misses;

	s->last = -1;
	for (unsigned long i = 0; i < STEPS; i++)
		sim_read(s, string[i]);
	misses = s->misses;
	free(s);
	return misses;
}

static unsigned int string[STEPS];

static void compare(const char *what, uint64_t seed)
{
	const unsigned long ours = machine_misses(string), sim = sim_misses(string);
	const unsigned long opt = opt_misses(string), more = ours > sim ? ours - sim : sim - ours;

	print_message("%-12s misses: machine %lu, simulator %lu, OPT %lu\n", what, ours, sim, opt);
	if (more > sim / 50 || ours < opt || sim < opt) {
		test_replay(seed);
		fail_msg("%s", what);
	}
}

/* strings ------------------------------------------------------------------------------ */

/* About a Zipf distribution: each halving of the rank is as likely. */
static unsigned int skewed(struct rng *rng)
{
	const unsigned long within = PAGES >> rng_below(rng, 13);

	return (unsigned int)(rng_below(rng, within ? within : 1) * 2654435761UL % PAGES);
}

static void skewed_references(void **state)
{
	const uint64_t seed = test_seed();
	struct rng rng;

	(void)state;
	rng_init(&rng, seed);
	for (unsigned long i = 0; i < STEPS; i++)
		string[i] = skewed(&rng);
	compare("skewed", seed);
}

/* A working set of a third of memory, and passes over the whole file in between. */
static void scans_beside_a_working_set(void **state)
{
	const uint64_t seed = test_seed();
	unsigned int scan = 0;
	struct rng rng;

	(void)state;
	rng_init(&rng, seed);
	for (unsigned long i = 0; i < STEPS; i++)
		string[i] = i % 4 ? (unsigned int)rng_below(&rng, FRAMES / 3) : scan++ % PAGES;
	compare("scans", seed);
}

/* A working set that moves on all the time. */
static void a_moving_working_set(void **state)
{
	const uint64_t seed = test_seed();
	struct rng rng;

	(void)state;
	rng_init(&rng, seed);
	for (unsigned long i = 0; i < STEPS; i++)
		string[i] = (unsigned int)((i / 8 + rng_below(&rng, FRAMES * 3 / 4)) % PAGES);
	compare("moving", seed);
}

/* A loop that is a little longer than memory: the worst case of a queue. */
static void a_loop_longer_than_memory(void **state)
{
	(void)state;
	for (unsigned long i = 0; i < STEPS; i++)
		string[i] = (unsigned int)(i % (FRAMES * 5 / 4));
	compare("loop", 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(skewed_references),
		cmocka_unit_test(scans_beside_a_working_set),
		cmocka_unit_test(a_moving_working_set),
		cmocka_unit_test(a_loop_longer_than_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
