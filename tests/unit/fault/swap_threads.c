/* SPDX-License-Identifier: MIT */
/*
 * Pages leave and come back while other threads write them, fork, drop them, and switch their area
 * off. Each word that is read is one that was written there, and not an older one.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>

#include "base/rcu.h"
#include "fault/swapin.h"
#include "mmu/table.h"
#include "support/cmocka_all.h"
#include "support/paged_out.h"
#include "vma/find.h"

#define RW (PROT_READ | PROT_WRITE)
#define PAGES 64UL
#define ROUNDS 400UL

PAGED_FIXTURE(m, p, 8UL << 20, 1024UL);

/* Pages that keep what is written, behind them those that are dropped now and then. */
static unsigned long at, dropped;
static unsigned long written[PAGES]; /* atomic: the last value of each page, after it is there */
static bool stop;

static unsigned long word_at(struct samara_mm *mm, unsigned long addr)
{
	unsigned long word;

	assert_int_equal(samara_read(mm, addr, &word, sizeof(word), NULL), sizeof(word));
	return word;
}

static void set_word(struct samara_mm *mm, unsigned long addr, unsigned long word)
{
	assert_int_equal(samara_write(mm, addr, &word, sizeof(word), NULL), sizeof(word));
}

/* the threads ---------------------------------------------------------------------- */

static void *writes(void *arg)
{
	for (unsigned long round = 1; round <= ROUNDS; round++) {
		for (unsigned long i = 0; i < PAGES; i++) {
			assert_int_equal(word_at(m.mm, at + i * MEM_PAGE), round - 1);
			set_word(m.mm, at + i * MEM_PAGE, round);
			smp_store_release(&written[i], round);
		}
	}
	WRITE_ONCE(stop, true);
	return arg;
}

/* The folio at addr, with a reference. */
static struct folio *folio_at(unsigned long addr)
{
	struct folio *folio = NULL;
	struct table *leaf;
	pte_t pte;

	rcu_read_lock();
	leaf = table_find(m.mm, addr);
	if (leaf) {
		table_lock(leaf);
		pte = pte_read(table_pte(m.mm, leaf, addr));
		if (pte_present(pte) && !pte_special(pte))
			folio = pfn_folio(m.machine->ram, pte_pfn(pte));
		if (folio && !folio_try_get(folio))
			folio = NULL;
		table_unlock(leaf);
	}
	rcu_read_unlock();
	return folio;
}

static void *pages_out(void *arg)
{
	for (unsigned long i = 0; !READ_ONCE(stop); i++) {
		const unsigned long addr = at + i * 7 % (2 * PAGES) * MEM_PAGE;
		struct folio *folio = folio_at(addr);

		if (!folio)
			continue;
		(void)folio_out(&p, folio, i % 3 ? PAGED_DROP : PAGED_KEEP);
		folio_put(m.machine->ram, folio);
	}
	return arg;
}

static void *forks(void *arg)
{
	unsigned long before[PAGES];

	while (!READ_ONCE(stop)) {
		struct samara_mm *child;

		for (unsigned long i = 0; i < PAGES; i++)
			before[i] = smp_load_acquire(&written[i]);
		assert_int_equal(samara_fork(m.mm, &child), 0);
		for (unsigned long i = 0; i < PAGES; i++) {
			const unsigned long addr = at + i * MEM_PAGE, word = word_at(child, addr);

			assert_in_range(word, before[i], smp_load_acquire(&written[i]) + 1);
			if (i % 2)
				set_word(child, addr, ~word);
			assert_int_equal(word_at(child, addr), i % 2 ? ~word : word);
		}
		samara_mm_exit(child);
	}
	return arg;
}

static void *drops(void *arg)
{
	static const int advice[] = { MADV_DONTNEED, MADV_FREE, MADV_DONTNEED };

	for (unsigned long round = 1; !READ_ONCE(stop); round++) {
		for (unsigned long i = 0; i < PAGES; i++)
			set_word(m.mm, dropped + i * MEM_PAGE, round);
		for (unsigned long i = 0; i < PAGES; i++)
			assert_int_equal(word_at(m.mm, dropped + i * MEM_PAGE), round);
		assert_int_equal(samara_madvise(m.mm, dropped, PAGES * MEM_PAGE, advice[round % 3]),
				 0);
		for (unsigned long i = 0; i < PAGES; i++) {
			const unsigned long word = word_at(m.mm, dropped + i * MEM_PAGE);

			assert_true(!word || (round % 3 == 1 && word == round));
		}
	}
	return arg;
}

static void *switches_off(void *arg)
{
	while (!READ_ONCE(stop)) {
		struct vma *vma;
		unsigned long from;

		mmap_read_lock(m.mm);
		vma = vma_lookup(m.mm, at);
		from = vma->vm_start;
		assert_int_equal(vma_swap_in(vma, swap_area_number(p.area), &from), 0);
		mmap_read_unlock(m.mm);
	}
	return arg;
}

static void together(void *(*const calls[])(void *), unsigned int n)
{
	pthread_t threads[5];

	stop = false;
	for (unsigned long i = 0; i < PAGES; i++)
		written[i] = 0;
	at = mem_map(&m, 2 * PAGES, RW, MAP_PRIVATE, NULL);
	dropped = at + PAGES * MEM_PAGE;
	for (unsigned int i = 0; i < n; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, calls[i], NULL), 0);
	for (unsigned int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

static void pages_leave_beside_writes_and_forks(void **state)
{
	void *(*const calls[])(void *) = { writes, pages_out, forks };

	(void)state;
	together(calls, 3);
}

static void pages_leave_beside_drops(void **state)
{
	void *(*const calls[])(void *) = { writes, pages_out, drops };

	(void)state;
	together(calls, 3);
}

static void all_at_once(void **state)
{
	void *(*const calls[])(void *) = { writes, pages_out, forks, drops, switches_off };

	(void)state;
	together(calls, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(pages_leave_beside_writes_and_forks),
		TEST(pages_leave_beside_drops),
		TEST(all_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
