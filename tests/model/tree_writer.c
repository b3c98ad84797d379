/* SPDX-License-Identifier: MIT */
/*
 * A writer that is kept from change to change, as an mm's is: stores, stores that cut an entry in
 * three with another entry above them, clearing and erasing. Most changes are near the change
 * before, and some have an allocation refused. The tree is compared with a sorted array. After
 * every change the remembered path must be the one that a search finds, and lookups by it must
 * return what the tree holds.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "support/cmocka_all.h"

#include <samara/inject.h>

#include "base/compiler.h"
#include "maple/writer.h"
#include "support/random.h"
#include "support/tree_model.h"

#define LAST_INDEX (1UL << 20)
#define OPS 120000UL

struct writer {
	struct maple_tree mt;
	struct tree_model m;
	struct maple_writer writer;
	struct rng rng;
	unsigned long at, values, reads, kept;
};

static void *new_value(struct writer *w)
{
	return (void *)(++w->values << 3);
}

/* Near the last place, three times in four. */
static unsigned long place(struct writer *w)
{
	if (rng_one_in(&w->rng, 4))
		w->at = rng_below(&w->rng, LAST_INDEX);
	else
		w->at = (w->at + rng_below(&w->rng, 129) + LAST_INDEX - 64) % LAST_INDEX;
	return w->at;
}

static int do_store(struct writer *w, unsigned long first, unsigned long last, void *entry,
		    void *above)
{
	const struct maple_request request = {
		.first = first,
		.last = last,
		.entry = entry,
		.above = above,
	};
	int err = maple_writer_store(&w->writer, &request);

	if (err)
		return err;
	if (above)
		model_store(&w->m, last + 1, model_slot(&w->m, last).last, above);
	model_store(&w->m, first, last, entry);
	return 0;
}

/* An entry is cut in three, or in two with its upper part another's; or its middle is cleared. */
static int do_cut(struct writer *w)
{
	struct model_range slot = model_slot(&w->m, place(w));
	unsigned long first, last;

	if (!slot.entry || slot.last - slot.first < 2)
		return 0;
	first = rng_between(&w->rng, slot.first, slot.last - 1);
	last = rng_between(&w->rng, first, slot.last - 1);
	return do_store(w, first, last, rng_one_in(&w->rng, 4) ? NULL : new_value(w), new_value(w));
}

/* Three entries become one, as when a cut is undone. */
static int do_merge(struct writer *w)
{
	struct model_range slot = model_slot(&w->m, place(w)), below, above;

	if (!slot.entry || !slot.first || slot.last >= LAST_INDEX)
		return 0;
	below = model_slot(&w->m, slot.first - 1);
	above = model_slot(&w->m, slot.last + 1);
	if (!below.entry || !above.entry)
		return 0;
	return do_store(w, below.first, above.last, below.entry, NULL);
}

static int do_range(struct writer *w, void *entry)
{
	unsigned long first = place(w);
	unsigned long length =
		rng_one_in(&w->rng, 200) ? LAST_INDEX / 16 : rng_between(&w->rng, 0, 63);

	return do_store(w, first, min(first + length, LAST_INDEX), entry, NULL);
}

static int do_erase(struct writer *w)
{
	unsigned long index = place(w);

	assert_ptr_equal(maple_writer_erase(&w->writer, index), model_load(&w->m, index));
	model_erase(&w->m, index);
	return 0;
}

static int change(struct writer *w)
{
	switch (rng_below(&w->rng, 8)) {
	case 0:
	case 1:
		return do_cut(w);
	case 2:
		return do_merge(w);
	case 3:
		return do_erase(w);
	case 4:
		return do_range(w, NULL);
	default:
		return do_range(w, new_value(w));
	}
}

/* The first entry of the model that overlaps first..last, or NULL. */
static void *model_first(const struct tree_model *m, unsigned long first, unsigned long last)
{
	size_t i = model_at(m, first);

	return i < m->n && m->r[i].first <= last ? m->r[i].entry : NULL;
}

/* Lookups near the last place, by the path where it is known and by the tree elsewhere. */
static void read_near(struct writer *w)
{
	const struct maple_writer *writer = &w->writer;
	unsigned long first = w->at + rng_below(&w->rng, 129);
	unsigned long last = first + rng_below(&w->rng, 64);

	first = first > 64 ? first - 64 : 0;
	w->kept += writer->path.state == MAPLE_PATH_EXACT;
	w->reads += maple_writer_covers(writer, first);
	assert_ptr_equal(maple_writer_load(writer, first), model_load(&w->m, first));
	assert_ptr_equal(maple_writer_find(writer, first, last), model_first(&w->m, first, last));
}

static void compare(struct writer *w, unsigned long n)
{
	char text[256];

	if (!model_compare(&w->m, &w->mt, text, sizeof(text)))
		return;
	test_replay(test_seed());
	fail_msg("after %lu changes: %s", n, text);
}

static void run(unsigned int flags, unsigned long refused)
{
	static struct writer w;
	unsigned long failed = 0;

	w = (struct writer){ .values = 512 };
	mt_init_flags(&w.mt, flags);
	maple_writer_init(&w.writer, &w.mt);
	model_init(&w.m);
	rng_init(&w.rng, test_seed() + flags + refused);
	for (unsigned long n = 0; n < OPS / test_slowdown(); n++) {
		int err;

		if (refused && rng_one_in(&w.rng, refused))
			samara_inject_nth(rng_between(&w.rng, 1, 3));
		mtree_lock(&w.mt);
		err = change(&w);
		samara_inject_nth(0);
		if (!maple_writer_valid(&w.writer)) {
			test_replay(test_seed());
			fail_msg("after %lu changes: the path is not in the tree", n);
		}
		read_near(&w);
		assert_true(!err || err == -ENOMEM);
		failed += !!err;
		if (err || n % 1024 == 0)
			compare(&w, n);
		mtree_unlock(&w.mt);
	}
	compare(&w, OPS);
	/* The test is worth nothing if nothing is remembered, or refused. */
	assert_true(w.kept > OPS / test_slowdown() / 4 && w.reads > OPS / test_slowdown() / 8);
	assert_int_equal(!failed, !refused);
	mtree_destroy(&w.mt);
	model_free(&w.m);
	assert_int_equal(samara_live_objects(), 0);
}

static void a_kept_writer_finds_its_way(void **state)
{
	(void)state;
	run(MT_FLAGS_ALLOC_RANGE | MT_FLAGS_USE_RCU, 0);
	run(MT_FLAGS_ALLOC_RANGE, 0);
	run(0, 0);
}

static void a_kept_writer_survives_refused_memory(void **state)
{
	(void)state;
	run(MT_FLAGS_ALLOC_RANGE | MT_FLAGS_USE_RCU, 64);
	run(MT_FLAGS_USE_RCU, 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kept_writer_finds_its_way),
		cmocka_unit_test(a_kept_writer_survives_refused_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
