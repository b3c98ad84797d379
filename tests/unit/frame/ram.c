/* SPDX-License-Identifier: MIT */
/* RAMs as wholes: what they accept, cost, show to other mappings, and count (frame/ram.c). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fixture.h"
#include "support/at_locks.h"
#include "support/forked.h"
#include "support/random.h"

#include "alloc/cache.h"

static void sizes_that_make_no_sense_are_refused(void **state)
{
	static const struct ram_config wrong[] = {
		{ .bytes = 2 * PAGE - 1, .page_shift = 12 },
		{ .bytes = 64UL << 12, .page_shift = 11 },
		{ .bytes = 64UL << 22, .page_shift = 22 },
		{ .bytes = (RAM_FRAMES_MAX + 1) << 12, .page_shift = 12 },
		{ .bytes = 0, .page_shift = 12 },
	};
	struct ram *ram;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(ram_create(&wrong[i], &ram), -EINVAL);
	assert_int_equal(samara_live_objects(), 0);
}

static void bytes_are_rounded_down_to_frames(void **state)
{
	const struct ram_config config = { .bytes = 65 * 65536UL - 1, .page_shift = 16 };
	struct ram_stats stats;
	struct ram *ram;

	assert_int_equal(ram_create(&config, &ram), 0);
	ram_stats(ram, &stats);
	assert_int_equal(stats.frames, 63);
	assert_int_equal(stats.free, 63);
	assert_ptr_equal((char *)pfn_to_virt(ram, 3) - (char *)pfn_to_virt(ram, 2), 65536);
	ram_destroy(ram);
}

static void a_frames_number_folio_and_bytes_name_each_other(void **state)
{
	struct ram *ram = *state;
	struct folio *a = must_alloc(ram, 0, FOLIO_ZEROED), *b = must_alloc(ram, 3, FOLIO_RAW);

	assert_ptr_equal(pfn_folio(ram, folio_pfn(ram, a)), a);
	assert_ptr_equal(folio_virt(ram, a), pfn_to_virt(ram, folio_pfn(ram, a)));
	assert_true(folio_pfn(ram, a) != ZERO_FRAME && folio_pfn(ram, b) % 8 == 0);
	folio_put(ram, a);
	folio_put(ram, b);
}

static struct ram *taken_from;

static void take_a_block(void *arg)
{
	*(struct folio **)arg = must_alloc(taken_from, 3, FOLIO_RAW);
}

/* Another thread takes frames just before ram_stats() has the lock: they are not free. */
static void frames_are_counted_under_their_lock(void **state)
{
	struct ram *ram = taken_from = *state;
	struct ram_stats before, now;
	struct folio *block = NULL;

	if (!at_locks_available())
		skip();
	ram_stats(ram, &before);
	meet_at(&ram->buddy.lock, 1, take_a_block, &block);
	ram_stats(ram, &now);
	assert_true(meet_end());
	assert_int_equal(now.free, before.free - 8);
	folio_put(ram, block);
}

/* Host pages of a ram's metadata that were ever touched. */
static unsigned long touched(const struct ram *ram)
{
	const size_t pages = (ram->memory.meta_bytes + PAGE - 1) / PAGE;
	unsigned char *there = calloc(pages, 1);
	unsigned long n = 0;

	assert_int_equal(mincore(ram->view.folios, ram->memory.meta_bytes, there), 0);
	for (size_t i = 0; i < pages; i++)
		n += there[i] & 1;
	free(there);
	return n;
}

static void metadata_of_large_folios_is_16_bytes_a_frame_at_most(void **state)
{
	struct ram *ram = ram_of(32 * 512);
	struct folio *folio[32];
	unsigned int n = 0;

	(void)state;
	/* Where the host backs memory by huge pages of its own, nothing can be told apart. */
	if (madvise(ram->view.folios, ram->memory.meta_bytes, MADV_NOHUGEPAGE)) {
		ram_destroy(ram);
		skip();
	}
	while ((folio[n] = folio_alloc(ram, 9, FOLIO_RAW)))
		n++;
	assert_int_equal(n, 31);
	assert_in_range(touched(ram) * PAGE, 1, 16UL * n * 512);
	while (n--)
		folio_put(ram, folio[n]);
	ram_destroy(ram);
}

/* Pages of size bytes at addr that the host has in memory; addr begins a page. */
static unsigned long resident(const void *addr, size_t size)
{
	const unsigned long pages = (size + PAGE - 1) / PAGE;
	unsigned char *there = malloc(pages);
	unsigned long n = 0;

	assert_non_null(there);
	assert_int_equal(mincore((void *)addr, size, there), 0);
	for (unsigned long i = 0; i < pages; i++)
		n += there[i] & 1;
	free(there);
	return n;
}

/* What the two mappings of a RAM cost. The rest of the process may grow and shrink beside it. */
static unsigned long cost(const struct ram *ram)
{
	const struct ram_view *view = ram_view(ram);

	return resident(view->base, view->nr_frames * PAGE) +
	       resident(view->folios, view->nr_frames * sizeof(struct folio));
}

static void sixteen_gib_cost_what_is_used(void **state)
{
	struct ram *ram = ram_of(16UL << 30 >> 12);
	struct folio *folio[100], *last;
	struct ram_stats stats;

	for (int i = 0; i < 100; i++)
		folio[i] = must_alloc(ram, 0, FOLIO_ZEROED);
	last = must_alloc(ram, 9, FOLIO_ZEROED);
	assert_valid(ram);
	ram_stats(ram, &stats);
	assert_int_equal(stats.free + stats.cached, (16UL << 30 >> 12) - 1 - 100 - 512);
	assert_in_range(cost(ram), 1, 1000); /* nothing is written but folios */
	for (int i = 0; i < 100; i++)
		folio_put(ram, folio[i]);
	folio_put(ram, last);
	ram_destroy(ram);
}

/* Zeroed frames that were never used are left to the host: no page stands behind them. */
static void a_frames_first_use_is_not_touched_twice(void **state)
{
	struct ram *ram = *state;
	struct folio *folio[200], *big = must_alloc(ram, 9, FOLIO_ZEROED);
	unsigned char there[512];

	assert_int_equal(mincore(folio_virt(ram, big), 512 * PAGE, there), 0);
	for (int i = 0; i < 512; i++)
		assert_int_equal(there[i] & 1, 0);
	for (int i = 0; i < 200; i++) {
		folio[i] = must_alloc(ram, 0, FOLIO_ZEROED);
		assert_int_equal(mincore(folio_virt(ram, folio[i]), PAGE, there), 0);
		assert_int_equal(there[0] & 1, 0);
	}
	*(char *)folio_virt(ram, folio[7]) = 1;
	assert_int_equal(mincore(folio_virt(ram, folio[7]), PAGE, there), 0);
	assert_int_equal(there[0] & 1, 1);
	for (int i = 0; i < 200; i++)
		folio_put(ram, folio[i]);
	folio_put(ram, big);
}

static void a_thousand_at_once(void **state)
{
	const unsigned long n = 1000;
	unsigned long pages = 0;
	struct ram **ram = calloc(n, sizeof(struct ram *));
	struct folio **folio = calloc(n, sizeof(struct folio *));

	for (unsigned long i = 0; i < n; i++) {
		ram[i] = ram_of(256UL << 20 >> 12);
		folio[i] = must_alloc(ram[i], 0, FOLIO_ZEROED);
		*(unsigned long *)folio_virt(ram[i], folio[i]) = i;
	}
	assert_int_equal(samara_live_objects(), 2 * n);
	for (unsigned long i = 0; i < n; i++)
		pages += cost(ram[i]);
	assert_in_range(pages, n, 4 * n);
	for (unsigned long i = 0; i < n; i++) {
		assert_int_equal(*(unsigned long *)folio_virt(ram[i], folio[i]), i);
		folio_put(ram[i], folio[i]);
		assert_valid(ram[i]);
		ram_destroy(ram[i]);
	}
	free(ram);
	free(folio);
	assert_int_equal(samara_live_objects(), 0);
}

static void use_a_ram_of_its_own(void *arg)
{
	const unsigned long live = *(unsigned long *)arg;
	struct ram *ram = ram_of(64);
	struct folio *folio = must_alloc(ram, 0, FOLIO_ZEROED);

	assert_int_equal(samara_live_objects(), live + 2);
	folio_put(ram, folio);
	ram_destroy(ram);
	assert_int_equal(samara_live_objects(), live);
}

static void a_forked_child_can_make_a_ram(void **state)
{
	unsigned long live = samara_live_objects(); /* the fixture's ram */
	struct forked child;

	run_forked(use_a_ram_of_its_own, &live, &child);
	assert_int_equal(child.signal, 0);
	assert_int_equal(child.status, 0);
	assert_valid(*state);
}

/* fault injection -------------------------------------------------------------- */

static void each_allocation_of_a_ram_can_be_refused(void **state)
{
	const struct ram_config config = {
		.bytes = 64 * PAGE,
		.page_shift = 12,
	};
	unsigned long nth = 0;
	struct ram *ram;
	int err;

	(void)samara_inject_count();
	do {
		const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		int again;

		close(fd);
		samara_inject_nth(++nth);
		err = ram_create(&config, &ram);
		samara_inject_nth(0);
		if (err) {
			assert_int_equal(err, -ENOMEM);
			assert_int_equal(samara_live_objects(), 0);
			again = open("/dev/null", O_RDONLY | O_CLOEXEC);
			assert_int_equal(again, fd);
			close(again);
		}
	} while (err);
	assert_int_equal(nth, 4); /* the struct and two mappings, each refused once */
	assert_int_equal(samara_inject_count(), 1 + 2 + 3 + 3);
	ram_destroy(ram);
}

/* ram_create() with a limit of the host's lowered, which is put back. */
static int create_with_limit(int resource, rlim_t limit)
{
	const struct ram_config config = { .bytes = 1UL << 30, .page_shift = 12 };
	struct rlimit was, low;
	struct ram *ram;
	int err;

	assert_int_equal(getrlimit(resource, &was), 0);
	low = was;
	low.rlim_cur = limit;
	assert_int_equal(setrlimit(resource, &low), 0);
	err = ram_create(&config, &ram);
	assert_int_equal(setrlimit(resource, &was), 0);
	if (!err)
		ram_destroy(ram);
	assert_int_equal(samara_live_objects(), 0);
	return err;
}

static void what_the_host_refuses_is_told(void **state)
{
	const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	void (*was)(int) = signal(SIGXFSZ, SIG_IGN);
	int again;

	close(fd);
	assert_int_equal(create_with_limit(RLIMIT_NOFILE, 0), -EMFILE);
	assert_int_equal(create_with_limit(RLIMIT_FSIZE, PAGE), -EFBIG);
	if (test_slowdown() == 1) /* sanitizers have more mapped than that */
		assert_int_equal(create_with_limit(RLIMIT_AS, 512UL << 20), -ENOMEM);
	signal(SIGXFSZ, was);
	again = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(again, fd); /* and no descriptor is left behind */
	close(again);
}

struct wanted {
	const char *name;
	struct samara_site_info info;
};

static void look_for(const struct samara_site_info *info, void *arg)
{
	struct wanted *wanted = arg;

	if (!strcmp(info->name, wanted->name))
		wanted->info = *info;
}

static struct samara_site_info frame_info(void)
{
	struct wanted wanted = { .name = "frame" };

	samara_inject_each_site(look_for, &wanted);
	assert_non_null(wanted.info.name);
	return wanted.info;
}

static void frames_are_counted_asked_refused_and_live(void **state)
{
	struct ram *ram = *state, *other = ram_of(64);
	const struct samara_site_info before = frame_info();
	struct folio *one, *eight, *far;

	(void)samara_inject_count();
	one = must_alloc(ram, 0, FOLIO_ZEROED);
	eight = must_alloc(ram, 3, FOLIO_ZEROED);
	far = must_alloc(other, 0, FOLIO_ZEROED);
	assert_int_equal(frame_info().live, 10);
	samara_inject_nth(1);
	assert_null(folio_alloc(ram, 0, FOLIO_ZEROED));
	assert_null(folio_alloc(other, 9, FOLIO_ZEROED)); /* there is no such block */
	assert_int_equal(samara_inject_count(), 5);
	assert_int_equal(frame_info().asked - before.asked, 5);
	assert_int_equal(frame_info().refused - before.refused, 2);
	assert_int_equal(samara_live_objects(), 10 + 2);
	folio_put(ram, one);
	folio_put(ram, eight);
	folio_put(other, far);
	assert_int_equal(frame_info().live, 0);
	ram_destroy(other);
	assert_int_equal(frame_info().asked - before.asked, 5); /* the dead are remembered */
	assert_int_equal(samara_live_objects(), 1);
}

static bool try_frame(struct ram *ram, unsigned int order)
{
	struct folio *folio = folio_alloc(ram, order, FOLIO_ZEROED);

	if (folio)
		folio_put(ram, folio);
	return folio;
}

static void the_nth_frame_is_refused_and_no_other(void **state)
{
	struct ram *ram = *state;

	for (unsigned long nth = 1; nth < 40; nth++) {
		samara_inject_nth(nth);
		for (unsigned long i = 1; i < 40; i++)
			assert_int_equal(try_frame(ram, i % 4 == 0 ? 2 : 0), i != nth);
	}
	samara_inject_from(3);
	for (int i = 1; i < 20; i++)
		assert_int_equal(try_frame(ram, 0), i < 3);
	samara_inject_from(0);
	assert_int_equal(samara_inject_site("frame", 4), 0);
	for (int i = 1; i < 20; i++)
		assert_int_equal(try_frame(ram, 0), i != 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_that_make_no_sense_are_refused),
		cmocka_unit_test(bytes_are_rounded_down_to_frames),
		ram_test(a_frames_number_folio_and_bytes_name_each_other),
		ram_test(frames_are_counted_under_their_lock),
		cmocka_unit_test(metadata_of_large_folios_is_16_bytes_a_frame_at_most),
		cmocka_unit_test(sixteen_gib_cost_what_is_used),
		ram_test(a_frames_first_use_is_not_touched_twice),
		cmocka_unit_test(a_thousand_at_once),
		ram_test(a_forked_child_can_make_a_ram),
		cmocka_unit_test(each_allocation_of_a_ram_can_be_refused),
		cmocka_unit_test(what_the_host_refuses_is_told),
		ram_test(frames_are_counted_asked_refused_and_live),
		ram_test(the_nth_frame_is_refused_and_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
