/* SPDX-License-Identifier: MIT */
/*
 * Two faults on one page: the second to come finds the first one's page, and gives its own back.
 *
 * Where a fault calls out (a driver, a notifier) the other one is made from there. Where it does
 * not, the leaf is locked until it has its page and waits.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#include <samara/notifier.h>

#include "support/cmocka_all.h"
#include "support/mem.h"

#define RW (PROT_READ | PROT_WRITE)

static struct mem m;
static unsigned long at;

static int set_up(void **state)
{
	(void)state;
	mem_open(&m, 1 << 20);
	at = mem_map(&m, 2, RW, MAP_PRIVATE, NULL);
	return 0;
}

MEM_TEAR_DOWN(m);

static void *write_one(void *arg)
{
	assert_int_equal(samara_write(m.mm, (unsigned long)arg, "1", 1, NULL), 1);
	return NULL;
}

static void *read_one(void *arg)
{
	char c;

	assert_int_equal(samara_read(m.mm, (unsigned long)arg, &c, 1, NULL), 1);
	return NULL;
}

/* Only the fault: an access would look at the entry first. */
static void *fault_one(void *arg)
{
	assert_int_equal(mem_fault(&m, (unsigned long)arg, FAULT_WRITE), 0);
	return NULL;
}

/* In a thread of its own, since locks are held here. */
static void meanwhile(void *(*what)(void *), unsigned long addr)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, what, (void *)addr), 0);
	pthread_join(thread, NULL);
}

/*
 * A write fault at addr gets as far as the leaf's lock, having taken a frame, when the entry is
 * filled by somebody else.
 */
static void comes_second(unsigned long addr, pte_t pte)
{
	const unsigned long frames = mem_frames(&m);
	struct table *leaf = table_find(m.mm, addr);
	pthread_t thread;

	assert_non_null(leaf);
	table_lock(leaf);
	assert_int_equal(pthread_create(&thread, NULL, fault_one, (void *)addr), 0);
	while (mem_frames(&m) == frames)
		sched_yield();
	table_fill(leaf, table_pte(m.mm, leaf, addr), pte);
	table_unlock(leaf);
	pthread_join(thread, NULL);
	assert_true(pte_same(mem_pte(&m, addr), pte));
}

static void an_anonymous_write_comes_second(void **state)
{
	(void)state;
	/* The tables and the anon_vma are there. */
	assert_int_equal(samara_touch(m.mm, at + MEM_PAGE, 1, PROT_WRITE), 0);
	comes_second(at, pte_with(mk_pte(ZERO_FRAME, VM_READ), PTE_SPECIAL));
	assert_int_equal(mem_frames(&m), 1);
	assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), 1);
	write_one((void *)at);
	assert_int_equal(mem_frames(&m), 2);
	assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), 2);
}

static void a_private_file_write_comes_second(void **state)
{
	struct samara_file *file = mem_file(&m, 2);
	const unsigned long f = mem_map(&m, 2, RW, MAP_PRIVATE, file);

	(void)state;
	assert_int_equal(samara_touch(m.mm, f + MEM_PAGE, 1, PROT_WRITE), 0);
	comes_second(f, mk_swp(SWP_MARKER, MARKER_UFFD_WP));
	assert_int_equal(mem_frames(&m), 3); /* two of the file's, one copy */
	write_one((void *)f);
	assert_true(folio_test(mem_folio(&m, f), FOLIO_ANON));
	assert_int_equal(mem_bytes(&m, f)[1], 1);
	assert_int_equal(mem_frames(&m), 4);
	assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), 2);
	samara_file_put(file);
}

/* The page that was made for it stays in the cache. */
static void a_shared_file_write_comes_second(void **state)
{
	struct samara_file *file;
	unsigned long f;

	(void)state;
	assert_int_equal(samara_file_memfd(m.machine, "holes", 2 * MEM_PAGE, &file), 0);
	f = mem_map(&m, 2, RW, MAP_SHARED, file);
	assert_int_equal(samara_touch(m.mm, f + MEM_PAGE, 1, PROT_WRITE), 0);
	comes_second(f, mk_swp(SWP_MARKER, MARKER_UFFD_WP));
	assert_int_equal(mm_rss_sum(m.mm, MM_SHMEMPAGES), 1);
	write_one((void *)f);
	assert_int_equal(mem_frames(&m), 2);
	assert_int_equal(mm_rss_sum(m.mm, MM_SHMEMPAGES), 2);
	assert_int_equal(folio_maps(mem_folio(&m, f)), 1);
	samara_file_put(file);
}

/* from a notifier: the copy is made, and not yet in place. */
static void write_from_notifier(const struct samara_notifier_range *range, void *priv)
{
	bool *once = priv;

	if (*once || range->why != SAMARA_NOTIFY_CLEAR)
		return;
	*once = true;
	meanwhile(write_one, range->start);
}

static void a_copy_comes_second(void **state)
{
	static const struct samara_notifier_ops ops = { .start = write_from_notifier };
	struct samara_notifier *notifier;
	struct folio *shared;
	bool once = false;

	(void)state;
	assert_int_equal(samara_write(m.mm, at, "0s", 2, NULL), 2);
	shared = mem_folio(&m, at);
	mem_share(&m, at);
	assert_int_equal(samara_notifier_register(m.mm, &ops, &once, &notifier), 0);
	assert_int_equal(samara_write(m.mm, at + 2, "2", 1, NULL), 1);
	assert_true(once);
	samara_notifier_unregister(notifier);
	assert_memory_equal(mem_bytes(&m, at), "1s2", 3);
	assert_int_equal(mem_frames(&m), 2); /* ours, and the one that somebody else still holds */
	assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), 1);
	assert_int_equal(folio_count(shared), 1);
	mem_unshare(&m, shared);
}

/* from a driver ------------------------------------------------------------------ */

struct racer {
	void *(*what)(void *);
	unsigned long frame;
	bool once;
};

static int fault_and_race(void *priv, struct samara_vmf *vmf)
{
	struct racer *r = priv;

	if (!r->once) {
		r->once = true;
		meanwhile(r->what, vmf->addr);
	}
	return samara_vmf_insert(vmf, r->frame);
}

static void a_drivers_page_comes_second(void **state)
{
	static const struct samara_file_ops ops = {
		.size = sizeof(struct samara_file_ops),
		.fault = fault_and_race,
	};
	static const int how[] = { MAP_SHARED, MAP_PRIVATE };
	void *(*const what[])(void *) = { read_one, write_one };

	(void)state;
	for (size_t i = 0; i < 8; i++) {
		struct racer racer = { .what = what[i & 1] };
		struct samara_file *file;
		unsigned long a, frames;

		assert_int_equal(samara_file_device(m.machine, &ops, &racer, &file), 0);
		assert_int_equal(samara_device_alloc(file, 0, &racer.frame), 0);
		a = mem_map(&m, 1, RW, how[i >> 2], file);
		frames = mem_frames(&m);
		/* The anon_vma is there, so that the driver is asked at once. */
		assert_int_equal(mem_fault(&m, a, i & 2 ? FAULT_WRITE : 0), 0);
		assert_true(racer.once);
		assert_true(pte_present(mem_pte(&m, a)));
		assert_in_range(mem_frames(&m) - frames, 0, how[i >> 2] == MAP_PRIVATE);
		assert_int_equal(samara_munmap(m.mm, a, MEM_PAGE), 0);
		assert_int_equal(mem_frames(&m), frames);
		assert_int_equal(mm_rss_sum(m.mm, MM_ANONPAGES), 0);
		assert_int_equal(mm_rss_sum(m.mm, MM_FILEPAGES), 0);
		samara_file_put(file);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(an_anonymous_write_comes_second),  TEST(a_private_file_write_comes_second),
		TEST(a_shared_file_write_comes_second), TEST(a_copy_comes_second),
		TEST(a_drivers_page_comes_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
