/* SPDX-License-Identifier: MIT */
/*
 * TLBs and flushes of several threads: who has flushed owns the page. The bytes are accessed
 * plainly, so that ThreadSanitizer checks the ordering as well.
 */
#include <sched.h>

#include "space.h"

#include "mmu/tlb.h"
#include "support/random.h"

#define AT (1UL << 40)
#define PAGES \
	8 /* one frame each and one more; every second page shares its slot with its neighbour */
#define RUNNERS 2
#define WRITABLE (PTE_WRITE | PTE_DIRTY)

struct torn {
	struct space s;
	bool stop;
	unsigned int ready;
};

static unsigned long page_addr(unsigned int page)
{
	/* Two leaves: pages 2n and 2n + 1 in one slot. */
	return AT + page / 2 * PAGE + page % 2 * 512 * PAGE;
}

static int *frame(struct torn *t, unsigned long pfn)
{
	return (int *)(t->s.ram.base + pfn * PAGE);
}

static void *try_fill(struct torn *t, struct samara_cpu *cpu, unsigned long addr)
{
	struct table *leaf = table_find(t->s.mm, addr);
	void *p = NULL;
	pte_t pte;

	samara_cpu_exit(cpu);
	table_lock(leaf);
	pte = pte_read(table_pte(t->s.mm, leaf, addr));
	if (pte_accessible(pte))
		tlb_fill(cpu, t->s.mm, addr, pte);
	table_unlock(leaf);
	samara_cpu_enter(cpu);
	if (pte_accessible(pte))
		p = samara_cpu_lookup(cpu, addr, SAMARA_ACCESS_WRITE);
	return p;
}

/* a flush waits ------------------------------------------------------------------- */

static void *stay_inside(void *arg)
{
	struct torn *t = arg;
	struct samara_cpu *cpu;
	int *p;

	if (samara_cpu_create(&t->s.machine, &cpu))
		return NULL;
	samara_cpu_run(cpu, t->s.mm);
	samara_cpu_enter(cpu);
	p = try_fill(t, cpu, AT);
	smp_store_release(&t->ready, 1);
	/* Until the flush has taken the entry: from now on it only waits for us. */
	while (samara_cpu_lookup(cpu, AT, SAMARA_ACCESS_WRITE))
		cpu_relax();
	for (int i = 0; i < 20000; i++)
		cpu_relax();
	*p = 42;
	samara_cpu_exit(cpu);
	/* No call with a CPU while its mm exits. */
	while (!smp_load_acquire(&t->stop))
		sched_yield();
	samara_cpu_destroy(cpu);
	return cpu;
}

static void a_flush_waits_for_a_section(void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++) {
		struct torn t = { .ready = 0 };
		pthread_t thread;
		void *ok;

		space_up(&t.s, samara_geometry_x86_64());
		space_ram(&t.s, 2);
		set_entry(t.s.mm, AT, pte_with(mk_pte(1, VM_READ | VM_WRITE), WRITABLE));
		assert_int_equal(pthread_create(&thread, NULL, stay_inside, &t), 0);
		while (!smp_load_acquire(&t.ready))
			cpu_relax();
		set_entry(t.s.mm, AT, pte_empty());
		if (round & 1)
			tlb_flush_range(t.s.mm, AT, AT + PAGE, TLB_LOST_ALL);
		else
			tlb_mm_exit(t.s.mm);
		assert_int_equal(*frame(&t, 1), 42);
		*frame(&t, 1) = 0;
		smp_store_release(&t.stop, true);
		pthread_join(thread, &ok);
		assert_non_null(ok);
		space_down(&t.s);
	}
}

/* filling against flushing ---------------------------------------------------------- */

struct runner {
	struct torn *t;
	unsigned int number;
	uint64_t seed;
	unsigned long hits, wrong;
};

/* What is in a frame: the page that it is mapped at, or none. */
static void *run_cpu(void *arg)
{
	struct runner *r = arg;
	struct torn *t = r->t;
	struct samara_cpu *cpu;
	struct rng rng;

	if (samara_cpu_create(&t->s.machine, &cpu))
		return NULL;
	samara_cpu_run(cpu, t->s.mm);
	rng_init(&rng, r->seed);
	while (!smp_load_acquire(&t->stop)) {
		const bool first = !r->hits;

		samara_cpu_enter(cpu);
		for (int i = 0; i < 20; i++) {
			/* Each runner has its own word of each page. */
			const unsigned int page = (unsigned int)rng_below(&rng, PAGES);
			const unsigned long addr = page_addr(page);
			int *p = samara_cpu_lookup(cpu, addr, SAMARA_ACCESS_WRITE);

			if (!p)
				p = try_fill(t, cpu, addr);
			if (!p)
				continue;
			if (p[0] != (int)page)
				r->wrong++;
			p[1 + r->number]++;
			r->hits++;
		}
		samara_cpu_exit(cpu);
		if (first && r->hits) /* nothing moves before that */
			__atomic_fetch_add(&t->ready, 1, __ATOMIC_RELEASE);
		sched_yield(); /* rather here than inside, where others wait for us */
	}
	samara_cpu_destroy(cpu);
	return cpu;
}

/* Move page to the frame that is free, as compaction does; returns the frame that is free then. */
static unsigned long move_page(struct torn *t, unsigned int page, unsigned long to)
{
	const unsigned long addr = page_addr(page);
	struct table *leaf = table_find(t->s.mm, addr);
	pte_t *at = table_pte(t->s.mm, leaf, addr);
	unsigned long from;
	pte_t old;

	table_lock(leaf);
	old = table_clear(leaf, at);
	table_unlock(leaf);
	tlb_flush_range(t->s.mm, addr, addr + PAGE, TLB_LOST_ALL);
	from = pte_pfn(old);
	memcpy(frame(t, to), frame(t, from), PAGE);
	memset(frame(t, from), 0xff, PAGE);
	table_lock(leaf);
	table_fill(leaf, at, pte_with(mk_pte(to, VM_READ | VM_WRITE), WRITABLE));
	table_unlock(leaf);
	return from;
}

static void no_store_is_lost_and_no_wrong_page_seen_while_pages_move(void **state)
{
	const unsigned long moves = 2000 / test_slowdown();
	const uint64_t seed = test_seed();
	struct runner r[RUNNERS];
	struct torn t = { .ready = 0 };
	pthread_t thread[RUNNERS];
	unsigned long free_frame = PAGES, hits = 0, counted = 0;
	struct rng rng;

	(void)state;
	space_up(&t.s, samara_geometry_x86_64());
	space_ram(&t.s, PAGES + 1);
	for (unsigned int page = 0; page < PAGES; page++) {
		frame(&t, page)[0] = (int)page;
		set_entry(t.s.mm, page_addr(page),
			  pte_with(mk_pte(page, VM_READ | VM_WRITE), WRITABLE));
	}
	for (unsigned int i = 0; i < RUNNERS; i++) {
		r[i] = (struct runner){ .t = &t, .number = i, .seed = seed + i + 1 };
		assert_int_equal(pthread_create(&thread[i], NULL, run_cpu, &r[i]), 0);
	}
	rng_init(&rng, seed);
	while (__atomic_load_n(&t.ready, __ATOMIC_ACQUIRE) < RUNNERS)
		sched_yield();
	for (unsigned long i = 0; i < moves; i++)
		free_frame = move_page(&t, (unsigned int)rng_below(&rng, PAGES), free_frame);
	smp_store_release(&t.stop, true);
	for (unsigned int i = 0; i < RUNNERS; i++) {
		void *ok;

		pthread_join(thread[i], &ok);
		assert_non_null(ok);
		assert_int_equal(r[i].wrong, 0);
		hits += r[i].hits;
	}
	for (unsigned int page = 0; page < PAGES; page++) {
		const unsigned long addr = page_addr(page);
		struct table *leaf = table_find(t.s.mm, addr);
		const int *p = frame(&t, pte_pfn(pte_read(table_pte(t.s.mm, leaf, addr))));

		assert_int_equal(p[0], page);
		counted += (unsigned long)(p[1] + p[2]);
		set_entry(t.s.mm, addr, pte_empty());
	}
	assert_int_equal(counted, hits);
	space_down(&t.s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_flush_waits_for_a_section),
		cmocka_unit_test(no_store_is_lost_and_no_wrong_page_seen_while_pages_move),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
