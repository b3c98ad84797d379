/* SPDX-License-Identifier: MIT */
/*
 * Two threads: two that make a family at once; one that walks while the other cuts, merges,
 * moves bounds, forks and exits. A page that is mapped all the time is found each time.
 */
#include <pthread.h>
#include <sched.h>

#include "rmap/link.h"
#include "space.h"
#include "support/random.h"

/* the first write ----------------------------------------------------------------- */

struct preparer {
	struct samara_mm *mm;
	pthread_barrier_t *start;
	unsigned long rounds, page[3];
	unsigned int begun; /* rounds */
	int err;
};

/* Three neighbours, the same one first. */
static void *prepare_all(void *arg)
{
	struct preparer *p = arg;

	for (unsigned long i = 0; i < p->rounds; i++) {
		pthread_barrier_wait(p->start); /* new VMAs are there */
		mmap_read_lock(p->mm);
		__atomic_fetch_add(&p->begun, 1, __ATOMIC_RELEASE);
		for (int n = 0; n < 3; n++)
			p->err |= anon_vma_prepare(vma_of(p->mm, p->page[n]));
		mmap_read_unlock(p->mm);
		pthread_barrier_wait(p->start);
	}
	return NULL;
}

/* Both threads come as far as the lock under which the first family is settled, and wait for it. */
static void let_both_begin(struct samara_mm *mm, pthread_barrier_t *start, struct preparer *p,
			   unsigned long round)
{
	spin_lock(&mm->tables.anon_lock, RANK_PAGE_TABLE);
	pthread_barrier_wait(start);
	for (int i = 0; i < 2; i++)
		while (__atomic_load_n(&p[i].begun, __ATOMIC_ACQUIRE) <= round)
			sched_yield();
	/* Begun is not there yet, but almost. */
	for (int i = 0; i < 20; i++)
		sched_yield();
	spin_unlock(&mm->tables.anon_lock);
}

static void of_two_that_prepare_at_once_one_does(void **state)
{
	struct fixture *f = *state;
	const unsigned long rounds = 400 / test_slowdown() + 1;
	pthread_barrier_t start;
	struct preparer p[2] = {
		{ .mm = f->mm, .start = &start, .rounds = rounds, .page = { 2, 0, 4 } },
		{ .mm = f->mm, .start = &start, .rounds = rounds, .page = { 2, 4, 0 } },
	};
	pthread_t thread[2];

	assert_int_equal(pthread_barrier_init(&start, NULL, 3), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, prepare_all, &p[i]), 0);
	for (unsigned long i = 0; i < rounds; i++) {
		map_pages(f->mm, 0, 2, RW, 0);
		map_pages(f->mm, 2, 4, RW | PROT_EXEC, 0);
		map_pages(f->mm, 4, 6, RW, 0);
		let_both_begin(f->mm, &start, p, i);
		pthread_barrier_wait(&start);
		assert_int_equal(samara_mm_validate(f->mm, NULL), 0);
		for (unsigned long page = 0; page < 6; page += 2) {
			assert_non_null(vma_of(f->mm, page)->anon_vma);
			assert_int_equal(vma_of(f->mm, page)->rmap.anon_links, 1);
		}
		assert_int_equal(samara_munmap(f->mm, AT(0), 6 * PAGE), 0);
	}
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
		assert_int_equal(p[i].err, 0);
	}
	pthread_barrier_destroy(&start);
}

/* walking ------------------------------------------------------------------------- */

struct walker {
	struct ram *ram;
	struct folio *folio[2];
	bool stop;
	unsigned long walks, lost;
};

/* Counts the places where the folio really is. */
static enum rmap_answer count_mapped(struct rmap_walk *walk, struct vma *vma, unsigned long addr)
{
	struct table *leaf;
	pte_t pte;

	rcu_read_lock();
	leaf = table_find(vma->vm_mm, addr);
	pte = leaf ? pte_read(table_pte(vma->vm_mm, leaf, addr)) : pte_empty();
	rcu_read_unlock();
	if (pte_present(pte) && pte_pfn(pte) == folio_pfn(walk->ram, walk->folio))
		++*(unsigned int *)walk->arg;
	return RMAP_ON;
}

static void *keep_walking(void *arg)
{
	struct walker *w = arg;

	for (unsigned int i = 0; !__atomic_load_n(&w->stop, __ATOMIC_RELAXED); i++) {
		unsigned int found = 0;
		struct rmap_walk walk = {
			.ram = w->ram,
			.folio = w->folio[i % 2],
			.gate = MM_GATE_LOOK,
			.one = count_mapped,
			.arg = &found,
		};

		hold(walk.folio);
		rmap_walk(&walk);
		let_go(w->ram, walk.folio);
		WRITE_ONCE(w->walks, w->walks + 1);
		w->lost += !found;
	}
	return NULL;
}

/* Everything around page 5 of the file's and page 25 of the anonymous mapping. */
static void change_around(struct fixture *f, struct rng *rng)
{
	const unsigned long base = rng_one_in(rng, 2) ? 0 : 20;
	const unsigned long from = rng_below(rng, 8), n = 1 + rng_below(rng, 8 - from);
	const int prot = rng_one_in(rng, 2) ? PROT_READ : RW;
	const unsigned long part = 1 + rng_below(rng, 2);

	switch (rng_below(rng, 4)) {
	case 0: /* cut off the left end, and put it back */
		assert_int_equal(samara_munmap(f->mm, AT(base), part * PAGE), 0);
		break;
	case 1:
		assert_int_equal(samara_munmap(f->mm, AT(base + 7), PAGE), 0);
		break;
	default:
		(void)!samara_mprotect(f->mm, AT(base + from), n * PAGE, prot);
		return;
	}
	if (!base)
		map_file(f, 0, part, RW, MAP_SHARED, 0);
	else
		map_pages(f->mm, base, base + part, RW, 0);
	if (!base && !flags_at(f->mm, 7))
		map_file(f, 7, 8, RW, MAP_SHARED, 7);
	if (base && !flags_at(f->mm, 27))
		map_pages(f->mm, 27, 28, RW, 0);
}

static void start_walking(struct fixture *f, struct walker *w, pthread_t *thread)
{
	map_file(f, 0, 8, RW, MAP_SHARED, 0);
	map_pages(f->mm, 20, 28, RW, 0);
	*w = (struct walker){ .ram = ram_of(f->mm) };
	w->folio[0] = put_file(f->mm, 5, 0);
	w->folio[1] = put_anon(f->mm, 25);
	assert_int_equal(pthread_create(thread, NULL, keep_walking, w), 0);
}

static void stop_walking(struct fixture *f, struct walker *w, pthread_t thread)
{
	while (!READ_ONCE(w->walks))
		cpu_relax();
	__atomic_store_n(&w->stop, true, __ATOMIC_RELAXED);
	assert_int_equal(pthread_join(thread, NULL), 0);
	if (w->lost)
		test_replay(test_seed());
	assert_int_equal(w->lost, 0);
	assert_int_equal(samara_mm_validate(f->mm, NULL), 0);
	clear_pages(f->mm, 0, 28);
}

static void bounds_change_and_no_walk_misses_a_page(void **state)
{
	struct fixture *f = *state;
	const unsigned long rounds = 8000 / test_slowdown();
	struct walker w;
	pthread_t thread;
	struct rng rng;

	rng_init(&rng, test_seed());
	start_walking(f, &w, &thread);
	for (unsigned long i = 0; i < rounds; i++)
		change_around(f, &rng);
	stop_walking(f, &w, thread);
}

static void children_come_and_go_and_no_walk_misses_a_page(void **state)
{
	struct fixture *f = *state;
	const unsigned long rounds = 400 / test_slowdown();
	struct samara_mm *child;
	struct walker w;
	pthread_t thread;

	start_walking(f, &w, &thread);
	for (unsigned long i = 0; i < rounds; i++) {
		assert_int_equal(samara_fork(f->mm, &child), 0);
		assert_int_equal(samara_munmap(child, AT(24), 2 * PAGE), 0);
		samara_mm_exit(child);
	}
	stop_walking(f, &w, thread);
}

/* The last mapping goes while somebody comes from the folio: he finds it, or finds nothing. */
static void a_family_may_go_under_a_walk(void **state)
{
	struct fixture *f = *state;
	const unsigned long rounds = 400 / test_slowdown();
	struct walker w;
	pthread_t thread;

	for (unsigned long i = 0; i < rounds / 20 + 1; i++) {
		start_walking(f, &w, &thread);
		while (!READ_ONCE(w.walks))
			cpu_relax();
		folio_get(w.folio[0]);
		folio_get(w.folio[1]);
		clear_pages(f->mm, 0, 28);
		assert_int_equal(samara_munmap(f->mm, AT(0), 28 * PAGE), 0);
		__atomic_store_n(&w.stop, true, __ATOMIC_RELAXED);
		assert_int_equal(pthread_join(thread, NULL), 0);
		folio_put(f->machine->ram, w.folio[0]);
		folio_put(f->machine->ram, w.folio[1]);
	}
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(of_two_that_prepare_at_once_one_does),
		test(bounds_change_and_no_walk_misses_a_page),
		test(children_come_and_go_and_no_walk_misses_a_page),
		test(a_family_may_go_under_a_walk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
