/* SPDX-License-Identifier: MIT */
/*
 * Erasing with every allocation refused: one entry after another in random
 * order and a million at once, on every kind of tree, in RCU mode with readers
 * running. No call fails, none asks for memory, gap searches stay exact all
 * along, and when the last entry has gone there is no node left.
 *
 * Entry i is at SPAN * i .. SPAN * i + length(i) - 1; a byte an entry is the
 * model.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/cmocka_all.h"

#include <samara/inject.h>

#include "support/inject_matrix.h"
#include "support/random.h"
#include "support/tree_model.h"

#define SPAN 64ul
#define READERS 2

struct field {
	struct maple_tree mt;
	unsigned long n, left;
	unsigned char *there;
	bool touching; /* no gaps between entries */
	struct rng rng;
	bool stop; /* readers */
	unsigned long reads, wrong;
};

static unsigned long first_of(unsigned long i)
{
	return SPAN * i;
}

static unsigned long last_of(const struct field *f, unsigned long i)
{
	return SPAN * i + (f->touching ? SPAN : 1 + i * 7 % (SPAN - 1)) - 1;
}

/* Different for each entry, and never a node's address or a small integer. */
static void *value_of(unsigned long i)
{
	return (void *)((i + 1) << 12);
}

static void open_field(struct field *f, unsigned int flags, unsigned long n, bool touching)
{
	MA_STATE(mas, &f->mt, 0, 0);
	unsigned long i;

	memset(f, 0, sizeof(*f));
	mt_init_flags(&f->mt, flags);
	rng_init(&f->rng, test_seed() + n);
	f->n = f->left = n;
	f->touching = touching;
	f->there = malloc(n);
	assert_non_null(f->there);
	memset(f->there, 1, n);
	mtree_lock(&f->mt);
	for (i = 0; i < n; i++) {
		mas_set_range(&mas, first_of(i), last_of(f, i));
		assert_int_equal(mas_store_gfp(&mas, value_of(i), GFP_KERNEL), 0);
	}
	mtree_unlock(&f->mt);
}

static void close_field(struct field *f)
{
	mtree_destroy(&f->mt);
	free(f->there);
}

static void validate(struct field *f)
{
	struct samara_report report = { NULL, "" };
	struct samara_tree_stats stats;

	mtree_lock(&f->mt);
	if (samara_mtree_validate(&f->mt, &report))
		fail_msg("%s: %s", report.invariant, report.text);
	samara_mtree_stats(&f->mt, &stats);
	mtree_unlock(&f->mt);
	assert_int_equal(stats.entries, f->left);
	if (!f->left) {
		assert_int_equal(stats.nodes, 0);
		assert_int_equal(stats.bytes, 0);
		assert_null(f->mt.ma_root);
		assert_true(mtree_empty(&f->mt));
	}
}

static void expect_gone(struct field *f, unsigned long i)
{
	assert_true(f->there[i]);
	f->there[i] = 0;
	f->left--;
}

/* NULL over some neighbours; the ends lie in gaps or on the entries' own ends. */
static void null_some(struct field *f, unsigned long i, unsigned long n)
{
	unsigned long j = i + n > f->n ? f->n - 1 : i + n - 1, first = first_of(i),
		      last = last_of(f, j), k;

	if (!f->touching && rng_one_in(&f->rng, 2))
		last = first_of(j + 1) - 1;
	if (i && !f->there[i - 1] && rng_one_in(&f->rng, 2))
		first -= SPAN / 2;
	for (k = i; k <= j; k++)
		if (f->there[k])
			expect_gone(f, k);
	assert_int_equal(mtree_store_range(&f->mt, first, last, NULL, GFP_KERNEL), 0);
}

static void erase_one(struct field *f, unsigned long i)
{
	MA_STATE(mas, &f->mt, rng_between(&f->rng, first_of(i), last_of(f, i)), 0);

	switch (rng_below(&f->rng, 4)) {
	case 0:
		assert_ptr_equal(mtree_erase(&f->mt, mas.index), value_of(i));
		break;
	case 1:
		mtree_lock(&f->mt);
		assert_ptr_equal(mas_erase(&mas), value_of(i));
		mtree_unlock(&f->mt);
		break;
	case 2:
		mas_set_range(&mas, first_of(i), last_of(f, i));
		mtree_lock(&f->mt);
		assert_ptr_equal(mas_store(&mas, NULL), value_of(i));
		assert_false(mas_is_err(&mas));
		mtree_unlock(&f->mt);
		break;
	default:
		if (rng_one_in(&f->rng, 16)) {
			null_some(f, i, 1 + rng_below(&f->rng, 100));
			return;
		}
		mas_set_range(&mas, first_of(i), last_of(f, i));
		mtree_lock(&f->mt);
		assert_int_equal(mas_preallocate(&mas, NULL, GFP_KERNEL), 0);
		mas_store_prealloc(&mas, NULL);
		mtree_unlock(&f->mt);
	}
	expect_gone(f, i);
}

/* The lowest size free indices at or above the start of entry i, by the bytes. */
static unsigned long model_gap_from(const struct field *f, unsigned long i, unsigned long size)
{
	unsigned long from = first_of(i);

	for (; i < f->n; i++) {
		if (!f->there[i])
			continue;
		if (first_of(i) - from >= size)
			return from;
		from = last_of(f, i) + 1;
	}
	return from;
}

static void check_gaps(struct field *f)
{
	unsigned long i = rng_below(&f->rng, f->n), size = 1 + rng_below(&f->rng, 6 * SPAN);
	unsigned long want = model_gap_from(f, i, size), top, to;
	MA_STATE(mas, &f->mt, 0, 0);

	if (!(f->mt.ma_flags & MT_FLAGS_ALLOC_RANGE))
		return;
	mtree_lock(&f->mt);
	assert_int_equal(mas_empty_area(&mas, first_of(i), ULONG_MAX, size), 0);
	if (mas.index != want)
		fail_msg("%lu free from %lu on: %lu, should be %lu", size, first_of(i), mas.index,
			 want);
	/* downwards from the gap that was found: there again, at its upper end */
	for (top = want, i = want / SPAN; i < f->n && !(f->there[i] && first_of(i) > want); i++)
		;
	top = i < f->n ? first_of(i) - 1 : want + size + 5;
	to = top > want + 3 * size ? want + 3 * size : top;
	mas_set(&mas, 0);
	assert_int_equal(mas_empty_area_rev(&mas, want, to, size), 0);
	assert_int_equal(mas.last, to);
	assert_int_equal(mas.index, to - size + 1);
	mtree_unlock(&f->mt);
}

static void check_around(struct field *f, unsigned long i)
{
	assert_null(mtree_load(&f->mt, first_of(i)));
	assert_null(mtree_load(&f->mt, last_of(f, i)));
	if (i + 1 < f->n)
		assert_ptr_equal(mtree_load(&f->mt, first_of(i + 1)),
				 f->there[i + 1] ? value_of(i + 1) : NULL);
	if (i)
		assert_ptr_equal(mtree_load(&f->mt, last_of(f, i - 1)),
				 f->there[i - 1] ? value_of(i - 1) : NULL);
}

static void *reader(void *arg)
{
	struct field *f = arg;
	struct rng rng;
	unsigned long reads = 0, wrong = 0;

	rng_init(&rng, (uint64_t)(uintptr_t)&rng);
	while (!__atomic_load_n(&f->stop, __ATOMIC_RELAXED)) {
		unsigned long i = rng_below(&rng, f->n),
			      at = rng_between(&rng, first_of(i), last_of(f, i)), steps = 50;
		void *entry = mtree_load(&f->mt, at);
		MA_STATE(mas, &f->mt, at, at);

		wrong += entry && entry != value_of(i);
		samara_rcu_read_lock();
		while (steps-- && (entry = mas_find(&mas, ULONG_MAX)) != NULL) {
			i = mas.index / SPAN;
			wrong += entry != value_of(i) || mas.index != first_of(i) ||
				 mas.last != last_of(f, i);
		}
		samara_rcu_read_unlock();
		reads++;
	}
	__atomic_fetch_add(&f->reads, reads, __ATOMIC_RELAXED);
	__atomic_fetch_add(&f->wrong, wrong, __ATOMIC_RELAXED);
	return NULL;
}

static void erase_all(struct field *f, unsigned long check_every)
{
	unsigned long *order = malloc(f->n * sizeof(*order)), i, done = 0;

	assert_non_null(order);
	for (i = 0; i < f->n; i++) {
		unsigned long j = rng_below(&f->rng, i + 1);

		order[i] = order[j];
		order[j] = i;
	}
	(void)samara_inject_count();
	samara_inject_from(1);
	for (i = 0; i < f->n; i++) {
		if (!f->there[order[i]])
			continue;
		erase_one(f, order[i]);
		check_around(f, order[i]);
		if (++done % check_every == 0 || f->left < 3)
			validate(f);
		if (done % 64 == 0 || f->n < 1000)
			check_gaps(f);
	}
	samara_inject_from(0);
	assert_int_equal(samara_inject_count(), 0);
	assert_int_equal(f->left, 0);
	validate(f);
	free(order);
}

static void erase_everything(unsigned int flags, unsigned long n, bool touching, int readers)
{
	unsigned long before = samara_live_objects();
	pthread_t thread[READERS];
	struct field f;
	int i;

	open_field(&f, flags, n, touching);
	for (i = 0; i < readers; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, reader, &f), 0);
	erase_all(&f, n / 8 + 1);
	__atomic_store_n(&f.stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < readers; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	assert_int_equal(f.wrong, 0);
	close_field(&f);
	assert_int_equal(samara_live_objects(), before);
	if (n >= 1000000)
		print_message("flags %#x, %lu entries erased, %lu reads beside it\n", flags, n,
			      f.reads);
}

static void small_trees_erase_without_memory(void **state)
{
	static const unsigned long sizes[] = { 1, 2, 3, 19, 20, 21, 40, 41, 399, 400, 401, 3000 };
	unsigned int flags;
	size_t i;

	for (flags = 0; flags < 4; flags++) {
		for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			erase_everything(flags, sizes[i], false, 0);
			erase_everything(flags, sizes[i], true, 0);
		}
	}
}

static void small_trees_erase_beside_readers(void **state)
{
	unsigned int round;

	for (round = 0; round < 20; round++) {
		erase_everything(MT_FLAGS_USE_RCU, 2000, round & 1, READERS);
		erase_everything(MT_FLAGS_USE_RCU | MT_FLAGS_ALLOC_RANGE, 2000, round & 1, READERS);
	}
}

static unsigned long million(void)
{
	return 1000000 / test_slowdown();
}

static void million_entries_erase_without_memory(void **state)
{
	erase_everything(MT_FLAGS_ALLOC_RANGE, million(), false, 0);
	if (test_full()) {
		erase_everything(0, million(), true, 0);
		erase_everything(MT_FLAGS_ALLOC_RANGE | MT_FLAGS_USE_RCU, million(), true, 0);
	}
}

static void million_entries_erase_beside_readers(void **state)
{
	erase_everything(MT_FLAGS_USE_RCU, million(), true, READERS);
	if (test_full())
		erase_everything(MT_FLAGS_ALLOC_RANGE | MT_FLAGS_USE_RCU, million(), false,
				 READERS);
}

/* One call takes n1 .. n2 - 1 away; its ends reach into the gaps there. */
static void null_store_takes(struct field *f, unsigned long n1, unsigned long n2)
{
	unsigned long k, first = n1 ? last_of(f, n1 - 1) + 1 : 0,
			 last = n2 < f->n ? first_of(n2) - 1 : ULONG_MAX;

	if (first > last)
		return; /* none is taken, and its neighbours touch */
	for (k = n1; k < n2; k++)
		if (f->there[k])
			expect_gone(f, k);
	(void)samara_inject_count();
	samara_inject_from(1);
	assert_int_equal(mtree_store_range(&f->mt, first, last, NULL, GFP_KERNEL), 0);
	samara_inject_from(0);
	assert_int_equal(samara_inject_count(), 0);
	validate(f);
	check_gaps(f);
	if (n1 < n2)
		check_around(f, n1);
}

static void one_call_takes_a_million_entries(void **state)
{
	unsigned long n = million(), before = samara_live_objects();
	unsigned int flags;
	struct field f;

	for (flags = 0; flags < 4; flags++) {
		open_field(&f, flags, flags == 3 ? n : n / 8, flags & 1);
		if (flags != 3)
			null_store_takes(&f, 1, f.n - 1); /* leaves the first and the last */
		null_store_takes(&f, 0, f.n);
		close_field(&f);
	}
	assert_int_equal(samara_live_objects(), before);
}

static void wide_null_stores_leave_the_rest(void **state)
{
	unsigned int flags, round;
	struct field f;

	for (flags = 0; flags < 4; flags++) {
		for (round = 0; round < 30; round++) {
			open_field(&f, flags, 1500, round & 1);
			while (f.left) {
				unsigned long n1 = rng_below(&f.rng, f.n),
					      n2 = rng_between(&f.rng, n1, f.n);

				null_store_takes(&f, n1, n2);
				if (rng_one_in(&f.rng, 20))
					null_store_takes(&f, 0, f.n);
			}
			close_field(&f);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_trees_erase_without_memory),
		cmocka_unit_test(small_trees_erase_beside_readers),
		cmocka_unit_test(wide_null_stores_leave_the_rest),
		cmocka_unit_test(one_call_takes_a_million_entries),
		cmocka_unit_test(million_entries_erase_without_memory),
		cmocka_unit_test(million_entries_erase_beside_readers),
	};

	return inject_matrix("inject/tree_erase", cmocka_run_group_tests(tests, NULL, NULL));
}
