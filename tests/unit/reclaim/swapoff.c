/* SPDX-License-Identifier: MIT */
/*
 * A swap area is switched off: private and shared pages come back, into each process that has them,
 * while processes fork, exit and access them, and whatever fails.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include <samara/file.h>
#include <samara/inject.h>
#include <samara/reclaim.h>

#include "base/atomic.h"
#include "rmap/rmap.h"
#include "store/file.h"
#include "store/pages.h"

#include "support/cmocka_all.h"

#include "support/mem.h"
#include "support/random.h"
#include "support/swap_box.h"

#define RW (PROT_READ | PROT_WRITE)
#define PAGES 32UL
#define RAM (4UL << 20)

MEM_FIXTURE(m, RAM);

static struct swap_disk disk;
static struct samara_swap *area;

static void swap_on(unsigned long pages)
{
	swap_disk_make(&disk, pages);
	assert_int_equal(samara_swapon_ops(m.machine, &swap_disk_ops, &disk, pages, 0, &area), 0);
}

static void released(void)
{
	assert_int_equal(disk.releases, 1);
	swap_disk_free(&disk);
}

static void put(struct samara_mm *mm, unsigned long addr, unsigned long word)
{
	assert_int_equal(samara_write(mm, addr, &word, sizeof(word), NULL), sizeof(word));
}

static unsigned long get(struct samara_mm *mm, unsigned long addr)
{
	unsigned long word = ~0UL;

	assert_int_equal(samara_read(mm, addr, &word, sizeof(word), NULL), sizeof(word));
	return word;
}

static void assert_lost(struct samara_mm *mm, unsigned long addr, int code)
{
	struct samara_fault fault;
	char byte;

	assert_int_equal(samara_read(mm, addr, &byte, 1, &fault), 0);
	assert_int_equal(fault.signo, SIGBUS);
	assert_int_equal(fault.code, code);
	assert_int_equal(fault.addr, addr);
}

/* A mapping of PAGES, page i of which holds first + i, paged out. */
static unsigned long paged(struct samara_mm *mm, unsigned long first)
{
	const unsigned long at = mem_map(&m, PAGES, RW, MAP_PRIVATE, NULL);

	for (unsigned long i = 0; i < PAGES; i++)
		put(mm, at + i * MEM_PAGE, first + i);
	assert_int_equal(samara_madvise(mm, at, PAGES * MEM_PAGE, MADV_PAGEOUT), 0);
	return at;
}

/* A page of shared memory leaves, if it has not. */
static void shared_out(struct inode *inode, unsigned long index)
{
	struct file_store *store = m.machine->store;
	struct folio *folio = page_cache_find_locked(inode, index);

	if (!folio)
		return;
	lru_del(store->ram, folio);
	if (folio_maps(folio))
		assert_int_equal(folio_unmap_all(store, folio, (swp_entry_t){ 0 }), 0);
	assert_int_equal(shmem_swap_out(inode, folio), 0);
	assert_int_equal(swap_write(store, folio), 0);
	swap_cache_del(store, folio);
	folio_unlock(folio);
	folio_put(store->ram, folio);
}

/* A shared mapping of PAGES of a memfd, all out. */
static unsigned long paged_shared(struct samara_mm *mm, unsigned long first,
				  struct samara_file **file)
{
	unsigned long at;

	assert_int_equal(samara_file_memfd(m.machine, "shared", PAGES * MEM_PAGE, file), 0);
	at = mem_map(&m, PAGES, RW, MAP_SHARED, *file);
	for (unsigned long i = 0; i < PAGES; i++)
		put(mm, at + i * MEM_PAGE, first + i);
	for (unsigned long i = 0; i < PAGES; i++)
		shared_out((*file)->inode, i);
	return at;
}

static void assert_words(struct samara_mm *mm, unsigned long at, unsigned long first)
{
	for (unsigned long i = 0; i < PAGES; i++)
		assert_int_equal(get(mm, at + i * MEM_PAGE), first + i);
}

static unsigned long resident(struct samara_mm *mm, unsigned long at)
{
	unsigned char vec[PAGES];
	unsigned long n = 0;

	assert_int_equal(samara_mincore(mm, at, PAGES * MEM_PAGE, vec), 0);
	for (unsigned long i = 0; i < PAGES; i++)
		n += vec[i] & 1;
	return n;
}

static unsigned long used(void)
{
	return swap_area_used(area);
}

static void check(void)
{
	struct samara_report report = { 0 };

	mem_check(&m);
	if (swap_validate(m.machine->store, &report))
		fail_msg("%s: %s", report.invariant, report.text);
}

static void private_and_shared_pages_are_in_memory_again(void **state)
{
	struct samara_mm *child;
	struct samara_file *file;
	unsigned long private, shared;

	(void)state;
	swap_on(256);
	private = paged(m.mm, 100);
	shared = paged_shared(m.mm, 500, &file);
	assert_int_equal(used(), 2 * PAGES);
	assert_int_equal(samara_fork(m.mm, &child), 0);
	check();
	assert_int_equal(samara_swapoff(area), 0);
	released();
	assert_int_equal(resident(m.mm, private), PAGES);
	assert_int_equal(resident(child, private), PAGES);
	assert_int_equal(resident(m.mm, shared), PAGES);
	assert_int_equal(mm_rss_sum(child, MM_SWAPENTS), 0);
	assert_int_equal(mm_rss_sum(child, MM_ANONPAGES), PAGES);
	assert_words(m.mm, private, 100);
	assert_words(child, private, 100);
	put(child, private, 7);
	assert_int_equal(get(m.mm, private), 100);
	put(child, shared, 8);
	assert_int_equal(get(m.mm, shared), 8);
	check();
	samara_mm_exit(child);
	samara_file_put(file);
}

static void pages_that_do_not_fit_leave_the_area_on(void **state)
{
	const unsigned long frames = 2 * RAM / MEM_PAGE;
	unsigned long private, hog, i;

	(void)state;
	swap_on(PAGES);
	private = paged(m.mm, 100);
	/* All slots are used, so that the others cannot leave. */
	assert_int_equal(used(), PAGES);
	hog = mem_map(&m, frames, RW, MAP_PRIVATE, NULL);
	for (i = 0; i < frames; i++) {
		char byte = 1;

		if (samara_write(m.mm, hog + i * MEM_PAGE, &byte, 1, NULL) != 1)
			break;
	}
	assert_true(i < frames);
	assert_int_equal(samara_swapoff(area), -ENOMEM);
	assert_int_equal(disk.releases, 0);
	check();
	assert_int_equal(samara_munmap(m.mm, hog, frames * MEM_PAGE), 0);
	assert_words(m.mm, private, 100);
	/* It is on: pages leave to it. */
	assert_int_equal(samara_madvise(m.mm, private, PAGES * MEM_PAGE, MADV_PAGEOUT), 0);
	assert_int_equal(used(), PAGES);
	assert_int_equal(samara_swapoff(area), 0);
	released();
	assert_words(m.mm, private, 100);
}

static void what_cannot_be_read_is_poison_in_each_process(void **state)
{
	struct samara_mm *child, *grandchild;
	struct samara_file *file;
	unsigned long private, shared;
	char byte = 0;

	(void)state;
	swap_on(256);
	private = paged(m.mm, 100);
	shared = paged_shared(m.mm, 500, &file);
	assert_int_equal(used(), 2 * PAGES);
	assert_int_equal(samara_fork(m.mm, &child), 0);
	disk.fail_read.nth = 1;
	disk.fail_read.from = true;
	assert_int_equal(samara_swapoff(area), 0);
	released();
	assert_int_equal(samara_fork(child, &grandchild), 0);
	for (unsigned long i = 0; i < PAGES; i++) {
		assert_lost(m.mm, private + i * MEM_PAGE, BUS_MCEERR_AR);
		assert_lost(child, private + i * MEM_PAGE, BUS_MCEERR_AR);
		assert_lost(grandchild, private + i * MEM_PAGE, BUS_MCEERR_AR);
		assert_lost(child, shared + i * MEM_PAGE, BUS_ADRERR);
	}
	assert_int_equal(samara_file_pread(file, &byte, 1, 0), -EIO);
	check();
	/* Until it is dropped. */
	assert_int_equal(samara_madvise(m.mm, private, MEM_PAGE, MADV_DONTNEED), 0);
	assert_int_equal(get(m.mm, private), 0);
	assert_int_equal(samara_file_set_length(file, 0), 0);
	assert_int_equal(samara_file_set_length(file, PAGES * MEM_PAGE), 0);
	assert_int_equal(get(m.mm, shared), 0);
	samara_mm_exit(grandchild);
	samara_mm_exit(child);
	samara_file_put(file);
}

static void each_refused_frame_leaves_the_area_on_and_whole(void **state)
{
	unsigned long private, shared, nth = 0;
	struct samara_file *file;
	int err;

	(void)state;
	swap_on(256);
	private = paged(m.mm, 100);
	shared = paged_shared(m.mm, 500, &file);
	do {
		samara_inject_nth(++nth);
		err = samara_swapoff(area);
		samara_inject_nth(0);
		if (err)
			assert_int_equal(err, -ENOMEM);
		check();
	} while (err && nth < 1000);
	assert_int_equal(err, 0);
	released();
	assert_words(m.mm, private, 100);
	assert_words(m.mm, shared, 500);
	samara_file_put(file);
}

/* beside ----------------------------------------------------------------------------------- */

static bool stop; /* atomic */

/* Forks that end well, and fail, whose children write and exit. */
static void *forks(void *arg)
{
	const unsigned long at = *(unsigned long *)arg;
	struct rng rng;

	rng_init(&rng, test_seed());
	while (!READ_ONCE(stop)) {
		struct samara_mm *child;

		if (rng_one_in(&rng, 2))
			samara_inject_nth(rng_between(&rng, 1, 12));
		if (!samara_fork(m.mm, &child)) {
			samara_inject_nth(0);
			for (unsigned long i = 0; i < PAGES; i++)
				assert_int_equal(get(child, at + i * MEM_PAGE), 100 + i);
			put(child, at + rng_below(&rng, PAGES) * MEM_PAGE, 3);
			samara_mm_exit(child);
		}
		samara_inject_nth(0);
	}
	return NULL;
}

static void *pages_out(void *arg)
{
	const unsigned long at = *(unsigned long *)arg;

	while (!READ_ONCE(stop))
		assert_int_equal(samara_madvise(m.mm, at, PAGES * MEM_PAGE, MADV_PAGEOUT), 0);
	return NULL;
}

static void it_ends_beside_forks_exits_faults_and_reclaim(void **state)
{
	const unsigned long rounds = (test_full() ? 2000 : 40) / min(test_slowdown(), 8UL);
	unsigned long private;
	pthread_t thread[2];

	(void)state;
	test_replay(test_seed());
	swap_on(512);
	private = paged(m.mm, 100);
	WRITE_ONCE(stop, false);
	assert_int_equal(pthread_create(&thread[0], NULL, forks, &private), 0);
	assert_int_equal(pthread_create(&thread[1], NULL, pages_out, &private), 0);
	for (unsigned long i = 0; i < rounds; i++) {
		assert_int_equal(samara_swapoff(area), 0);
		released();
		assert_words(m.mm, private, 100);
		swap_on(512);
	}
	WRITE_ONCE(stop, true);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	assert_int_equal(samara_swapoff(area), 0);
	released();
	assert_words(m.mm, private, 100);
	check();
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(private_and_shared_pages_are_in_memory_again),
		TEST(pages_that_do_not_fit_leave_the_area_on),
		TEST(what_cannot_be_read_is_poison_in_each_process),
		TEST(each_refused_frame_leaves_the_area_on_and_whole),
		TEST(it_ends_beside_forks_exits_faults_and_reclaim),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
