/* SPDX-License-Identifier: MIT */
/*
 * A page that was found leaves the cache before its lock is had: each who waits for the lock looks
 * again.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include "store/pages.h"
#include "support/at_locks.h"
#include "support/cmocka_all.h"
#include "support/store_box.h"

struct waiter {
	struct samara_file *file;
	struct folio *got;
	int err;
	unsigned int cleaned;
	bool done;
};

/* fn waits for the lock of page 1, which is dropped once change() was done. */
static void meanwhile(struct store_box *box, struct waiter *w, void *(*fn)(void *arg),
		      void (*change)(struct inode *inode, struct folio *folio))
{
	struct folio *folio = page_cache_find_locked(w->file->inode, 1);
	pthread_t thread;

	assert_non_null(folio);
	assert_int_equal(pthread_create(&thread, NULL, fn, w), 0);
	while (!folio_test(folio, FOLIO_WAITED))
		sched_yield();
	change(w->file->inode, folio);
	folio_unlock(folio);
	pthread_join(thread, NULL);
	folio_put(box->ram, folio);
}

static void remove_it(struct inode *inode, struct folio *folio)
{
	page_cache_remove(inode, folio);
}

static void make_shorter(struct inode *inode, struct folio *folio)
{
	(void)folio;
	WRITE_ONCE(inode->length, BOX_PAGE);
}

static void *get_page(void *arg)
{
	struct waiter *w = arg;
	bool major;

	w->err = page_cache_get(w->file->inode, 1, &w->got, &major);
	if (!w->err)
		folio_unlock(w->got);
	return NULL;
}

static void *truncate_page(void *arg)
{
	struct waiter *w = arg;

	page_cache_truncate(w->file->inode, 1, 1);
	return NULL;
}

static bool clean(struct folio *folio, void *arg)
{
	struct waiter *w = arg;

	(void)folio;
	w->cleaned++;
	return true;
}

static void *write_back(void *arg)
{
	struct waiter *w = arg;
	const struct writeback wb = {
		.inode = w->file->inode, .last = ULONG_MAX, .clean = clean, .arg = w
	};

	w->err = inode_writeback(&wb);
	return NULL;
}

static void a_page_that_has_gone_is_made_anew(void **state)
{
	struct store_box *box = *state;
	struct waiter w = { .file = box_memfd(box, 2 * BOX_PAGE) };
	struct folio *old;

	box_poke(box, w.file, BOX_PAGE, 'x');
	old = page_cache_find(w.file->inode, 1);
	meanwhile(box, &w, get_page, remove_it);
	assert_int_equal(w.err, 0);
	assert_ptr_not_equal(w.got, old);
	assert_ptr_equal(w.got->mapping, w.file->inode);
	assert_int_equal(*(unsigned char *)folio_virt(box->ram, w.got), 0);
	folio_put(box->ram, old);
	folio_put(box->ram, w.got);
	box_check(w.file);
	file_put(w.file);
}

static void a_page_beyond_the_new_end_is_not_given(void **state)
{
	struct store_box *box = *state;
	struct waiter w = { .file = box_memfd(box, 2 * BOX_PAGE) };

	box_poke(box, w.file, BOX_PAGE, 'x');
	meanwhile(box, &w, get_page, make_shorter);
	assert_int_equal(w.err, -EFAULT);
	page_cache_truncate(w.file->inode, 1, ULONG_MAX);
	box_check(w.file);
	file_put(w.file);
}

static void cut_off(void *arg)
{
	assert_int_equal(samara_file_set_length(arg, BOX_PAGE), 0);
}

/* At whichever lock of the getting the file is made shorter: no page stays beyond its end. */
static void a_page_comes_to_no_file_that_ends_before_it(void **state)
{
	struct store_box *box = *state;

	if (!at_locks_available())
		skip();
	for (int host = 0; host < 2; host++) {
		unsigned int nth = 1;
		bool met = true;

		for (; met; nth++) {
			const int fd = host ? box_host_file(2 * BOX_PAGE) : -1;
			struct samara_file *file =
				host ? box_open(box, fd) : box_memfd(box, 2 * BOX_PAGE);
			struct folio *folio;
			bool major = false;
			int err;

			meet_at(NULL, nth, cut_off, file);
			err = page_cache_get(file->inode, 1, &folio, &major);
			if (!err) {
				folio_unlock(folio);
				folio_put(box->ram, folio);
			}
			met = meet_end();
			assert_true(err == 0 || err == -EFAULT);
			assert_int_equal(file->inode->pages.nr, !met);
			box_check(file);
			file_put(file);
			if (host)
				close(fd);
		}
		assert_true(nth > 3); /* locks of the inode and of its tree, at least */
	}
}

static void a_page_that_has_gone_is_not_removed_twice(void **state)
{
	struct store_box *box = *state;
	struct waiter w = { .file = box_memfd(box, 2 * BOX_PAGE) };

	box_poke(box, w.file, BOX_PAGE, 'x');
	meanwhile(box, &w, truncate_page, remove_it);
	assert_int_equal(w.file->inode->pages.nr, 0);
	box_check(w.file);
	file_put(w.file);
}

static void a_page_that_has_gone_is_not_written_back(void **state)
{
	struct store_box *box = *state;
	const int fd = box_host_file(2 * BOX_PAGE);
	struct waiter w = { .file = box_open(box, fd) };
	struct folio *folio;
	unsigned char byte;

	box_poke(box, w.file, BOX_PAGE, 200);
	folio = page_cache_find(w.file->inode, 1);
	assert_true(folio_try_map(folio));
	meanwhile(box, &w, write_back, remove_it);
	assert_int_equal(w.err, 0);
	assert_int_equal(w.cleaned, 0);
	assert_int_equal(pread(fd, &byte, 1, BOX_PAGE), 1);
	assert_int_equal(byte, box_byte(BOX_PAGE));
	folio_unmap(box->ram, folio);
	folio_put(box->ram, folio);
	file_put(w.file);
	close(fd);
}

static void *find_page(void *arg)
{
	struct waiter *w = arg;

	w->got = page_cache_find(w->file->inode, 1);
	__atomic_store_n(&w->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* Until it has returned, or has run for some milliseconds. */
static bool returns(struct waiter *w, pthread_t thread)
{
	struct timespec ran = { 0 };
	clockid_t clock;

	assert_int_equal(pthread_getcpuclockid(thread, &clock), 0);
	while (!__atomic_load_n(&w->done, __ATOMIC_ACQUIRE)) {
		assert_int_equal(clock_gettime(clock, &ran), 0);
		if (ran.tv_sec || ran.tv_nsec > 5000000)
			return false;
		sched_yield();
	}
	return true;
}

/* It is in the tree for a moment longer, as a page is that leaves the cache. */
static void a_page_without_references_is_not_given(void **state)
{
	struct store_box *box = *state;
	struct waiter w = { .file = box_memfd(box, 2 * BOX_PAGE) };
	struct folio *folio;
	pthread_t thread;
	bool early;

	box_poke(box, w.file, BOX_PAGE, 'x');
	folio = page_cache_find(w.file->inode, 1);
	folio_put(box->ram, folio);
	assert_int_equal(folio_refs(folio), 1);
	atomic_sub(&folio->state, FOLIO_REF_ONE);
	assert_int_equal(pthread_create(&thread, NULL, find_page, &w), 0);
	early = returns(&w, thread);
	atomic_add(&folio->state, FOLIO_REF_ONE);
	pthread_join(thread, NULL);
	assert_false(early);
	assert_ptr_equal(w.got, folio);
	assert_int_equal(folio_refs(folio), 2);
	folio_put(box->ram, folio);
	file_put(w.file);
}

#define test(name) cmocka_unit_test_setup_teardown(name, store_box_up, store_box_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_page_that_has_gone_is_made_anew),
		test(a_page_beyond_the_new_end_is_not_given),
		test(a_page_comes_to_no_file_that_ends_before_it),
		test(a_page_that_has_gone_is_not_removed_twice),
		test(a_page_that_has_gone_is_not_written_back),
		test(a_page_without_references_is_not_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
