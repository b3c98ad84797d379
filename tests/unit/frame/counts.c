/* SPDX-License-Identifier: MIT */
/* The frames of all machines count as live objects, whichever machines come and go. */
#include "support/cmocka_all.h"

#include <pthread.h>
#include <string.h>

#include <samara/inject.h>

#include "frame/frame.h"
#include "frame/ram.h"

#define MACHINES 4

static struct ram *make(void)
{
	const struct ram_config config = { .bytes = 1UL << 20, .page_shift = 12 };
	struct ram *ram;

	assert_int_equal(ram_create(&config, &ram), 0);
	return ram;
}

/* A frame of each of them counts once. */
static void expect_counted(struct ram *const *rams, unsigned int n)
{
	struct folio *folio[MACHINES];
	const unsigned long before = samara_live_objects();

	for (unsigned int i = 0; i < n; i++) {
		folio[i] = folio_alloc(rams[i], 0, FOLIO_ZEROED);
		assert_non_null(folio[i]);
		assert_int_equal(samara_live_objects(), before + i + 1);
	}
	for (unsigned int i = 0; i < n; i++)
		folio_put(rams[i], folio[i]);
	assert_int_equal(samara_live_objects(), before);
}

/* The one that goes is the first, one between, or the last; then another comes. */
static void frames_of_all_machines_are_counted(void **state)
{
	const unsigned long before = samara_live_objects();
	struct ram *rams[MACHINES];

	for (unsigned int gone = 0; gone < MACHINES; gone++) {
		for (unsigned int i = 0; i < MACHINES; i++)
			rams[i] = make();
		ram_destroy(rams[gone]);
		memmove(&rams[gone], &rams[gone + 1], (MACHINES - 1 - gone) * sizeof(rams[0]));
		expect_counted(rams, MACHINES - 1);
		rams[MACHINES - 1] = make();
		expect_counted(rams, MACHINES);
		for (unsigned int i = 0; i < MACHINES; i++)
			ram_destroy(rams[i]);
		assert_int_equal(samara_live_objects(), before);
	}
}

#define EACH 10 /* frames */

struct user {
	struct ram *ram;
	struct folio *folio[EACH];
};

static void *use_frames(void *arg)
{
	struct user *user = arg;

	for (int i = 0; i < EACH; i++) {
		user->folio[i] = folio_alloc(user->ram, 0, FOLIO_ZEROED);
		assert_non_null(user->folio[i]);
		lru_add(user->ram, user->folio[i]);
	}
	return NULL;
}

/* Each thread counts in one part of the counts. The sum is of all parts. */
static void frames_of_all_threads_are_counted(void **state)
{
	const unsigned long before = samara_live_objects();
	struct user user[2 * RAM_SHARDS];
	struct ram *ram = make();
	unsigned long live = samara_live_objects();

	for (unsigned int i = 0; i < ARRAY_SIZE(user); i++) {
		pthread_t thread;

		user[i].ram = ram;
		assert_int_equal(pthread_create(&thread, NULL, use_frames, &user[i]), 0);
		pthread_join(thread, NULL);
		live += EACH;
		assert_int_equal(samara_live_objects(), live);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(user); i++)
		for (int k = 0; k < EACH; k++)
			folio_put(ram, user[i].folio[k]);
	ram_destroy(ram);
	assert_int_equal(samara_live_objects(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_of_all_machines_are_counted),
		cmocka_unit_test(frames_of_all_threads_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
