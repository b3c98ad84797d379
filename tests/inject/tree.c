/* SPDX-License-Identifier: MIT */
/*
 * Every changing call with every allocation failing in turn, once and from then
 * on: either it succeeds, or it says -ENOMEM, the entries are those of before,
 * the tree is valid, and the same call works once memory is back. Nothing is
 * leaked. Calls on whole entries that take something away must succeed without
 * asking for memory at all.
 */
#include <errno.h>
#include <stdio.h>

#include "support/cmocka_all.h"

#include <samara/inject.h>

#include "support/inject_matrix.h"
#include "support/tree_pair.h"

#define NEW ((void *)0xabc000)
#define ALLOCATIONS_MAX 200u

/* Where to do it: a range of the grown tree, whose entry i is 16 i .. 16 i + 7. */
struct place {
	const char *name;
	unsigned long first, last;
};

/* Does the change; 0 or -errno. */
typedef int (*change_fn)(struct tree_pair *b);

static int change_store(struct tree_pair *b)
{
	return mtree_store_range(&b->mt, b->first, b->last, NEW, GFP_KERNEL);
}

static int change_insert(struct tree_pair *b)
{
	return mtree_insert_range(&b->mt, b->first, b->last, NEW, GFP_KERNEL);
}

static int change_null(struct tree_pair *b)
{
	return mtree_store_range(&b->mt, b->first, b->last, NULL, GFP_KERNEL);
}

static int change_erase(struct tree_pair *b)
{
	return mtree_erase(&b->mt, b->first) || model_is_empty(&b->m, b->first, b->first) ? 0 :
											    -EFAULT;
}

static int change_mas_erase(struct tree_pair *b)
{
	MA_STATE(mas, &b->mt, b->first, b->first);
	void *entry;

	mtree_lock(&b->mt);
	entry = mas_erase(&mas);
	mtree_unlock(&b->mt);
	return entry || model_is_empty(&b->m, b->first, b->first) ? 0 : -EFAULT;
}

static int mas_store_value(struct tree_pair *b, void *entry)
{
	MA_STATE(mas, &b->mt, b->first, b->last);
	int err;

	mtree_lock(&b->mt);
	mas_store(&mas, entry);
	err = mas_is_err(&mas) ? samara_mas_errno(&mas) : 0;
	mas_destroy(&mas);
	mtree_unlock(&b->mt);
	return err;
}

static int change_mas_store(struct tree_pair *b)
{
	return mas_store_value(b, NEW);
}

static int change_mas_null(struct tree_pair *b)
{
	return mas_store_value(b, NULL);
}

/* The loop of the documentation, with a bound. */
static int change_mas_nomem(struct tree_pair *b)
{
	MA_STATE(mas, &b->mt, b->first, b->last);
	int err, rounds = 0;

	mtree_lock(&b->mt);
	do {
		mas_set_range(&mas, b->first, b->last);
		mas_store(&mas, NEW);
	} while (mas_nomem(&mas, GFP_KERNEL) && ++rounds < 100);
	err = mas_is_err(&mas) ? samara_mas_errno(&mas) : 0;
	mas_destroy(&mas);
	mtree_unlock(&b->mt);
	assert_true(rounds < 100);
	return err;
}

static int change_mas_store_gfp(struct tree_pair *b)
{
	MA_STATE(mas, &b->mt, b->first, b->last);
	int err;

	mtree_lock(&b->mt);
	err = mas_store_gfp(&mas, NEW, GFP_KERNEL);
	assert_int_equal(mas_is_err(&mas), err != 0);
	mtree_unlock(&b->mt);
	return err;
}

static int preallocated(struct tree_pair *b, void *entry)
{
	MA_STATE(mas, &b->mt, b->first, b->last);
	int err;

	mtree_lock(&b->mt);
	err = mas_preallocate(&mas, entry, GFP_KERNEL);
	if (err) {
		/* the cursor stays usable and holds nothing */
		mas_set(&mas, 0);
		(void)mas_walk(&mas);
		mtree_unlock(&b->mt);
		return err;
	}
	samara_inject_from(1);
	mas_store_prealloc(&mas, entry);
	assert_false(mas_is_err(&mas));
	samara_inject_from(0);
	mas_destroy(&mas);
	mtree_unlock(&b->mt);
	return 0;
}

static int change_prealloc(struct tree_pair *b)
{
	return preallocated(b, NEW);
}

static int change_prealloc_null(struct tree_pair *b)
{
	return preallocated(b, NULL);
}

/* Preallocated for one thing and not used. */
static int change_prealloc_drop(struct tree_pair *b)
{
	MA_STATE(mas, &b->mt, b->first, b->last);
	int err;

	mtree_lock(&b->mt);
	err = mas_preallocate(&mas, NEW, GFP_KERNEL);
	mas_destroy(&mas);
	mtree_unlock(&b->mt);
	return err;
}

static int change_expected(struct tree_pair *b)
{
	MA_STATE(mas, &b->mt, b->first, b->last);
	int err;

	mtree_lock(&b->mt);
	err = mas_expected_entries(&mas, 100);
	if (!err) {
		mas_store(&mas, NEW);
		err = mas_is_err(&mas) ? samara_mas_errno(&mas) : 0;
	}
	mas_destroy(&mas);
	mtree_unlock(&b->mt);
	return err;
}

static int change_dup(struct tree_pair *b)
{
	struct maple_tree copy = MTREE_INIT(copy, b->mt.ma_flags);
	char text[256] = "";
	int err = mtree_dup(&b->mt, &copy, GFP_KERNEL);

	if (err) {
		assert_true(mtree_empty(&copy));
	} else {
		mtree_lock(&copy);
		if (model_compare(&b->m, &copy, text, sizeof(text)))
			fail_msg("dup: %s", text);
		mtree_unlock(&copy);
	}
	mtree_destroy(&copy);
	return err;
}

struct change {
	const char *name;
	change_fn fn;
	enum { PUTS, INSERTS, TAKES, NOTHING } effect;
	bool never_fails; /* when no entry is cut */
};

static const struct change changes[] = {
	{ "mtree_store_range", change_store, PUTS, false },
	{ "mtree_insert_range", change_insert, INSERTS, false },
	{ "mtree_store_range NULL", change_null, TAKES, true },
	{ "mas_store", change_mas_store, PUTS, false },
	{ "mas_store NULL", change_mas_null, TAKES, true },
	{ "mas_store, mas_nomem", change_mas_nomem, PUTS, false },
	{ "mas_store_gfp", change_mas_store_gfp, PUTS, false },
	{ "mas_preallocate", change_prealloc, PUTS, false },
	{ "mas_preallocate NULL", change_prealloc_null, TAKES, true },
	{ "mas_preallocate, mas_destroy", change_prealloc_drop, NOTHING, false },
	{ "mas_expected_entries", change_expected, PUTS, false },
	{ "mtree_dup", change_dup, NOTHING, false },
	{ "mtree_erase", change_erase, TAKES, true },
	{ "mas_erase", change_mas_erase, TAKES, true },
};

/* What the change does to the model, when it succeeds. */
static int apply(struct tree_pair *b, const struct change *c)
{
	switch (c->effect) {
	case PUTS:
		model_store(&b->m, b->first, b->last, NEW);
		return 0;
	case INSERTS:
		return model_insert(&b->m, b->first, b->last, NEW);
	case TAKES:
		if (c->fn == change_erase || c->fn == change_mas_erase)
			(void)model_erase(&b->m, b->first);
		else
			model_store(&b->m, b->first, b->last, NULL);
		return 0;
	case NOTHING:
		break;
	}
	return 0;
}

/* One tree, one change, the nth allocation failing. False when it does not ask that often. */
static bool attempt(struct tree_pair *b, const struct change *c, unsigned long nth, bool on)
{
	bool whole = !model_cuts(&b->m, b->first, b->last) || c->fn == change_erase ||
		     c->fn == change_mas_erase;
	unsigned long asked;
	char what[160];
	int err, want;

	snprintf(what, sizeof(what),
		 "%s over %#lx..%#lx of %zu entries, flags %#x, allocation %lu%s", c->name,
		 b->first, b->last, b->m.n, b->mt.ma_flags, nth, on ? " and on" : "");
	inject_arm(on ? INJECT_ON : INJECT_ONCE, nth);
	err = c->fn(b);
	asked = inject_disarm(err ? INJECT_FAILED : INJECT_SUCCEEDED);
	if (c->never_fails && whole && (err || asked))
		fail_msg("%s: result %d, asked for memory %lu times", what, err, asked);
	if (err == -ENOMEM) {
		tree_pair_check(b, what, "after the failure");
		assert_true(asked >= nth);
		err = c->fn(b);
	}
	want = apply(b, c);
	if (err != want)
		fail_msg("%s: %d, should be %d", what, err, want);
	tree_pair_check(b, what, "after success");
	return asked >= nth;
}

static unsigned long try_place(unsigned int flags, unsigned int n, const struct place *place)
{
	unsigned long before = samara_live_objects(), tries = 0;
	size_t i;

	for (i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		unsigned long nth, on;
		bool more = true;

		for (nth = 1; more; nth++) {
			more = false;
			for (on = 0; on < 2; on++) {
				struct tree_pair b;

				tree_pair_grow(&b, flags, n, 7);
				b.first = place->first;
				b.last = place->last;
				more |= attempt(&b, &changes[i], nth, on);
				tree_pair_free(&b);
				tries++;
			}
			assert_true(nth < ALLOCATIONS_MAX + n);
		}
		if (samara_live_objects() != before)
			fail_msg("%s at %s: %lu objects are left", changes[i].name, place->name,
				 samara_live_objects() - before);
	}
	return tries;
}

static void every_allocation_fails_in_turn(void **state)
{
	static const unsigned int sizes[] = { 0, 1, 2, 10, 20, 41, 350 };
	unsigned long tries = 0;
	size_t s, p;
	unsigned int flags;

	for (s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		unsigned long n = sizes[s], mid = n / 2 * 16;
		const struct place places[] = {
			{ "a gap", mid + 8, mid + 15 },
			{ "the middle of a gap", mid + 10, mid + 11 },
			{ "a whole entry", mid, mid + 7 },
			{ "an entry's middle", mid + 2, mid + 3 },
			{ "two entries' ends", mid + 3, mid + 18 },
			{ "whole entries, many leaves", 32, n > 4 ? (n - 2) * 16 + 7 : 32 },
			{ "entries of many leaves, cut", 19, n > 4 ? (n - 2) * 16 + 5 : 32 },
			{ "the first index", 0, 0 },
			{ "after the last entry", n * 16 + 100, ULONG_MAX },
			{ "everything", 0, ULONG_MAX },
		};

		for (flags = 0; flags < 4; flags++)
			for (p = 0; p < sizeof(places) / sizeof(places[0]); p++)
				tries += try_place(flags, sizes[s], &places[p]);
	}
	print_message("%lu changes with an allocation refused\n", tries);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_allocation_fails_in_turn),
	};

	return inject_matrix("inject/tree", cmocka_run_group_tests(tests, NULL, NULL));
}
