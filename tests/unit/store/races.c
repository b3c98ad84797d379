/* SPDX-License-Identifier: MIT */
/*
 * Threads at one page: whoever comes first makes it, all get the same; and
 * what truncation takes is never seen half.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "store/io.h"

#include "support/cmocka_all.h"

#include "support/random.h"
#include "support/store_box.h"

#define PAGES 300UL
#define THREADS 3

struct race {
	struct store_box *box;
	struct samara_file *file;
	pthread_barrier_t start;
	struct folio *got[THREADS][PAGES];
	unsigned long majors, wrong;
	uint64_t seed;
	int fd;
};

struct racer {
	struct race *race;
	unsigned int id;
};

static void run_racers(struct race *race, void *(*fn)(void *arg))
{
	struct racer racer[THREADS];
	pthread_t thread[THREADS];

	assert_int_equal(pthread_barrier_init(&race->start, NULL, THREADS), 0);
	for (unsigned int i = 0; i < THREADS; i++) {
		racer[i] = (struct racer){ .race = race, .id = i };
		assert_int_equal(pthread_create(&thread[i], NULL, fn, &racer[i]), 0);
	}
	for (unsigned int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	pthread_barrier_destroy(&race->start);
}

static void *get_all(void *arg)
{
	const struct racer *self = arg;
	struct race *race = self->race;

	for (unsigned long i = 0; i < PAGES; i++) {
		struct folio *folio;
		bool major = false;

		pthread_barrier_wait(&race->start);
		if (page_cache_get(race->file->inode, i, &folio, &major)) {
			__atomic_fetch_add(&race->wrong, 1, __ATOMIC_RELAXED);
			continue;
		}
		if (*(unsigned char *)folio_virt(race->box->ram, folio) != box_byte(i * BOX_PAGE))
			__atomic_fetch_add(&race->wrong, 1, __ATOMIC_RELAXED);
		folio_unlock(folio);
		race->got[self->id][i] = folio;
		__atomic_fetch_add(&race->majors, major, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void readers_of_one_page_get_one_folio(void **state)
{
	struct store_box *box = *state;
	static struct race race;
	const int fd = box_host_file(PAGES * BOX_PAGE);

	race = (struct race){ .box = box, .file = box_open(box, fd) };
	run_racers(&race, get_all);
	assert_int_equal(race.wrong, 0);
	assert_int_equal(race.file->inode->pages.nr, PAGES);
	assert_int_equal(box_frames(box), PAGES);
	/* Nobody read one in vain. */
	assert_int_equal(race.majors, PAGES);
	for (unsigned long i = 0; i < PAGES; i++) {
		for (unsigned int t = 1; t < THREADS; t++)
			assert_ptr_equal(race.got[0][i], race.got[t][i]);
		assert_int_equal(folio_refs(race.got[0][i]), THREADS + 1);
		folio_put_many(box->ram, race.got[0][i], THREADS);
	}
	box_check(race.file);
	file_put(race.file);
	close(fd);
}

static void *look_up(void *arg)
{
	const struct racer *self = arg;
	struct race *race = self->race;
	struct inode *inode = race->file->inode;
	struct rng rng;

	rng_init(&rng, race->seed + self->id);
	pthread_barrier_wait(&race->start);
	for (unsigned long n = 20000 / test_slowdown(); n; n--) {
		const unsigned long index = rng_below(&rng, 16);
		struct folio *folio;
		bool major;
		int err;

		if (self->id && rng_one_in(&rng, 3)) {
			page_cache_truncate(inode, index, index + rng_below(&rng, 16));
			continue;
		}
		if (rng_one_in(&rng, 2)) {
			folio = page_cache_find(inode, index);
			if (folio)
				folio_put(race->box->ram, folio);
			continue;
		}
		err = page_cache_get(inode, index, &folio, &major);
		if (err || folio->mapping != inode || folio->index != index ||
		    !folio_test(folio, FOLIO_UPTODATE)) {
			__atomic_fetch_add(&race->wrong, 1, __ATOMIC_RELAXED);
			continue;
		}
		folio_unlock(folio);
		folio_put(race->box->ram, folio);
	}
	return NULL;
}

static void lookups_beside_truncation_find_pages_of_this_file(void **state)
{
	struct store_box *box = *state;
	static struct race race;
	const int fd = box_host_file(32 * BOX_PAGE);

	race = (struct race){ .box = box, .file = box_open(box, fd), .seed = test_seed() };
	test_replay(race.seed);
	run_racers(&race, look_up);
	assert_int_equal(race.wrong, 0);
	box_check(race.file);
	file_put(race.file);
	close(fd);
}

/*
 * One makes the file longer and shorter, the other asks for its pages: none may stay behind
 * beyond the end.
 */
static void *move_the_end(void *arg)
{
	const struct racer *self = arg;
	struct race *race = self->race;
	struct inode *inode = race->file->inode;

	pthread_barrier_wait(&race->start);
	for (unsigned long n = 4000 / test_slowdown(); n; n--) {
		unsigned long index = n & 7;

		if (self->id) {
			for (unsigned long i = 0; i < 8; i++)
				(void)!box_page_error(race->file, i);
			continue;
		}
		down_write(&inode->lock);
		(void)!inode_set_length(inode, (n & 7) * BOX_PAGE);
		page_cache_truncate(inode, n & 7, ULONG_MAX);
		up_write(&inode->lock);
		if (page_cache_next(inode, &index, ULONG_MAX))
			__atomic_fetch_add(&race->wrong, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void no_page_stays_behind_a_truncation(void **state)
{
	struct store_box *box = *state;
	static struct race race;

	race = (struct race){ .box = box, .file = box_memfd(box, 8 * BOX_PAGE) };
	run_racers(&race, move_the_end);
	assert_int_equal(race.wrong, 0);
	box_check(race.file);
	file_put(race.file);
}

static void *open_and_write(void *arg)
{
	const struct racer *self = arg;
	struct race *race = self->race;

	pthread_barrier_wait(&race->start);
	for (unsigned long n = 1; n <= 1000 / test_slowdown(); n++) {
		const unsigned long at = self->id * 8;
		struct samara_file *file;
		unsigned long was = 0;

		if (file_from_fd(race->box->store, race->fd, &file)) {
			__atomic_fetch_add(&race->wrong, 1, __ATOMIC_RELAXED);
			continue;
		}
		/*
		 * What was written before the file's last put is there when it is opened again.
		 */
		if (file_read(file, &was, sizeof(was), at) != sizeof(was) || was != n - 1 ||
		    file_write(file, &n, sizeof(n), at) != sizeof(n))
			__atomic_fetch_add(&race->wrong, 1, __ATOMIC_RELAXED);
		file_put(file);
	}
	return NULL;
}

static void an_inode_that_goes_while_others_come_loses_nothing(void **state)
{
	struct store_box *box = *state;
	static const unsigned long zeros[THREADS];
	static struct race race;
	const int fd = box_host_file(8 * THREADS);

	assert_int_equal(pwrite(fd, zeros, sizeof(zeros), 0), sizeof(zeros));
	race = (struct race){ .box = box, .fd = fd };
	run_racers(&race, open_and_write);
	assert_int_equal(race.wrong, 0);
	close(fd);
}

#define test(name) cmocka_unit_test_setup_teardown(name, store_box_up, store_box_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(readers_of_one_page_get_one_folio),
		test(lookups_beside_truncation_find_pages_of_this_file),
		test(no_page_stays_behind_a_truncation),
		test(an_inode_that_goes_while_others_come_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
