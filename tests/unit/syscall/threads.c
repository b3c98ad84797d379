/* SPDX-License-Identifier: MIT */
/*
 * Threads that share an mm, each with its own pages, while another reads
 * reports: every call gets its answer, and the map is valid at the end.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "support/cmocka_all.h"

#include "support/mm_shape.h"
#include "support/random.h"

#define THREADS 3
#define OWN_PAGES 64UL

struct worker {
	struct fixture *f;
	unsigned long first; /* page */
	struct rng rng;
	atomic_bool *stop;
	unsigned long wrong;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	struct samara_mm *mm = w->f->mm;
	const unsigned long rounds = 4000 / test_slowdown();

	for (unsigned long i = 0; i < rounds; i++) {
		const unsigned long at = w->first + rng_below(&w->rng, OWN_PAGES - 8);
		const unsigned long len = (1 + rng_below(&w->rng, 8)) * PAGE;

		w->wrong += samara_mmap(mm, AT(at), len, RW,
					MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0) != AT(at);
		w->wrong += samara_mprotect(mm, AT(at), PAGE, PROT_READ) != 0;
		w->wrong += !(flags_at(mm, at) & SAMARA_VM_READ);
		w->wrong += (flags_at(mm, at) & SAMARA_VM_WRITE) != 0;
		if (rng_one_in(&w->rng, 2))
			w->wrong += samara_munmap(mm, AT(at), len) != 0;
	}
	return NULL;
}

static void *watch(void *arg)
{
	struct worker *w = arg;
	struct samara_vma_info info;
	struct samara_mm *child;

	while (!*w->stop) {
		for (unsigned long at = 0; !samara_vma_next(w->f->mm, at, &info); at = info.end)
			w->wrong += info.end <= at || info.end <= info.start;
		w->wrong += samara_mm_validate(w->f->mm, NULL) != 0;
		if (!samara_fork(w->f->mm, &child)) {
			w->wrong += samara_mm_validate(child, NULL) != 0;
			samara_mm_exit(child);
		}
	}
	return NULL;
}

static void threads_on_one_mm_do_not_disturb_each_other(void **state)
{
	struct fixture *f = *state;
	struct worker workers[THREADS + 1];
	pthread_t threads[THREADS + 1];
	atomic_bool stop = false;

	for (unsigned long i = 0; i <= THREADS; i++) {
		/* A free page between them, so that nothing merges. */
		workers[i] = (struct worker){ .f = f, .first = i * (OWN_PAGES + 1), .stop = &stop };
		rng_init(&workers[i].rng, test_seed() + i);
		assert_int_equal(pthread_create(&threads[i], NULL, i < THREADS ? work : watch,
						&workers[i]),
				 0);
	}
	for (unsigned long i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	stop = true;
	pthread_join(threads[THREADS], NULL);
	for (unsigned long i = 0; i <= THREADS; i++)
		assert_int_equal(workers[i].wrong, 0);
	assert_int_equal(samara_mm_validate(f->mm, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(threads_on_one_mm_do_not_disturb_each_other,
						fixture_up, fixture_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
