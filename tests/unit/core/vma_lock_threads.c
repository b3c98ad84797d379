/* SPDX-License-Identifier: MIT */
/*
 * Readers that take VMA locks without the mmap_lock, against threads that map, unmap, protect
 * and merge in two mms whose VMAs come from the same memory: a thread that holds a VMA sees it
 * hold still, in the mm and at the address that it asked for.
 */
#include <pthread.h>
#include <sched.h>

#include "support/cmocka_all.h"

#include "core/vma_lock.h"
#include "support/mm_shape.h"
#include "support/random.h"

#define PAGES 32UL

struct racer {
	struct samara_mm *mm;
	struct rng rng;
	bool *stop;
	unsigned long held, refused, wrong;
};

static void change_something(struct racer *w)
{
	const unsigned long at = rng_below(&w->rng, PAGES - 8);
	const unsigned long len = (1 + rng_below(&w->rng, 8)) * PAGE;

	switch (rng_below(&w->rng, 3)) {
	case 0:
		w->wrong += samara_mmap(w->mm, AT(at), len, RW,
					MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0) != AT(at);
		break;
	case 1:
		w->wrong += samara_munmap(w->mm, AT(at), len) != 0;
		break;
	default: /* where there is a hole it ends early */
		(void)!samara_mprotect(w->mm, AT(at), len, rng_one_in(&w->rng, 2) ? RW : PROT_READ);
	}
}

static void *write_side(void *arg)
{
	struct racer *w = arg;
	const unsigned long rounds = 15000 / test_slowdown();

	for (unsigned long i = 0; i < rounds; i++)
		change_something(w);
	return NULL;
}

/* All that a page fault relies on, twice. */
static void look_at(struct racer *w, const struct vma *vma, unsigned long addr)
{
	const struct vma was = {
		.vm_start = vma->vm_start,
		.vm_end = vma->vm_end,
		.vm_pgoff = vma->vm_pgoff,
		.vm_flags = vma->vm_flags,
	};

	w->wrong += vma->vm_mm != w->mm || addr < was.vm_start || addr >= was.vm_end;
	for (int i = 0; i < 20; i++)
		cpu_relax();
	w->wrong += vma->vm_start != was.vm_start || vma->vm_end != was.vm_end ||
		    vma->vm_pgoff != was.vm_pgoff || vma->vm_flags != was.vm_flags ||
		    vma->vm_mm != w->mm;
}

static void *read_side(void *arg)
{
	struct racer *w = arg;

	while (!__atomic_load_n(w->stop, __ATOMIC_RELAXED)) {
		const unsigned long addr = AT(rng_below(&w->rng, PAGES));
		struct vma *vma = lock_vma_under_rcu(w->mm, addr);

		if (!vma) {
			w->refused++;
			continue;
		}
		__atomic_store_n(&w->held, w->held + 1, __ATOMIC_RELAXED);
		look_at(w, vma, addr);
		vma_end_read(vma);
	}
	return NULL;
}

static void a_vma_that_is_held_holds_still(void **state)
{
	struct fixture *f = *state;
	struct samara_mm *mm[2] = { f->mm };
	struct racer writer[2], reader[2];
	pthread_t thread[4];
	bool stop = false;

	assert_int_equal(samara_mm_create(f->machine, &mm[1]), 0);
	for (int i = 0; i < 2; i++) {
		map_pages(mm[i], 0, PAGES, RW, 0);
		writer[i] = (struct racer){ .mm = mm[i] };
		reader[i] = (struct racer){ .mm = mm[i], .stop = &stop };
		rng_init(&writer[i].rng, test_seed() + (uint64_t)i);
		rng_init(&reader[i].rng, test_seed() + 10 + (uint64_t)i);
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[2 + i], NULL, read_side, &reader[i]), 0);
	for (int i = 0; i < 2; i++)
		while (!__atomic_load_n(&reader[i].held, __ATOMIC_RELAXED))
			sched_yield();
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, write_side, &writer[i]), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(thread[2 + i], NULL), 0);
		if (writer[i].wrong || reader[i].wrong)
			test_replay(test_seed());
		assert_int_equal(writer[i].wrong, 0);
		assert_int_equal(reader[i].wrong, 0);
		assert_int_equal(reader[i].refused, mm_lock_stat_sum(mm[i], VMA_LOCK_ABORT));
		assert_int_equal(samara_mm_validate(mm[i], NULL), 0);
	}
	samara_mm_exit(mm[1]);
}

/* Faults of several threads do not write to one cache line. */
static void *number_of_shard(void *arg)
{
	struct samara_mm *mm = arg;

	return (void *)(mm_shard(mm) - mm->shard);
}

static void threads_that_begin_together_count_apart(void **state)
{
	struct samara_machine_config cfg = SAMARA_MACHINE_CONFIG_INIT;
	struct samara_machine *machine;
	struct samara_mm *mm;
	unsigned int seen = 0;

	(void)state;
	assert_int_equal(samara_machine_create(&cfg, &machine), 0);
	assert_int_equal(samara_mm_create(machine, &mm), 0);
	for (int i = 0; i < MM_SHARDS; i++) {
		pthread_t thread;
		void *number;

		assert_int_equal(pthread_create(&thread, NULL, number_of_shard, mm), 0);
		assert_int_equal(pthread_join(thread, &number), 0);
		seen |= 1U << (uintptr_t)number;
	}
	assert_int_equal(seen, (1U << MM_SHARDS) - 1);
	samara_mm_exit(mm);
	samara_machine_destroy(machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_vma_that_is_held_holds_still, fixture_up,
						fixture_down),
		cmocka_unit_test(threads_that_begin_together_count_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
