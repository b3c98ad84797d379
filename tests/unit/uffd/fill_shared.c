/* SPDX-License-Identifier: MIT */
/*
 * COPY, ZEROPAGE and CONTINUE of shared memory, and POISON: what comes into the page cache, what is
 * mapped, and what is refused. The answers are those that tools/uffd_facts got of Linux 6.18.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "support/cmocka_all.h"

#include <samara/inject.h>

#include "mmu/entry.h"
#include "store/inode.h"
#include "store/pages.h"
#include "support/paged_out.h"
#include "support/uffd_calls.h"

#define P MEM_PAGE
#define RW (PROT_READ | PROT_WRITE)
#define ALL (MISSING | WP | MINOR)
#define PAGES 8UL /* of the file; mappings have twice as many */

PAGED_FIXTURE(m, p, 4UL << 20, 64);

static struct samara_uffd *uffd;
static struct samara_file *file;
static unsigned long shared, private; /* registered mappings of the file */
static unsigned char bytes[PAGES * P];

static int open_all(void **state)
{
	set_up(state);
	assert_int_equal(samara_file_memfd(m.machine, "fills", PAGES * P, &file), 0);
	uffd = uffd_open(m.mm, O_NONBLOCK, UFFD_FEATURE_WP_HUGETLBFS_SHMEM);
	shared = mem_map(&m, 2 * PAGES, RW, MAP_SHARED, file);
	private = mem_map(&m, 2 * PAGES, RW, MAP_PRIVATE, file);
	uffd_register_at(uffd, shared, 2 * PAGES * P, ALL);
	uffd_register_at(uffd, private, 2 * PAGES * P, ALL);
	for (unsigned long i = 0; i < PAGES; i++)
		memset(bytes + i * P, (int)(0x10 + i), P);
	return 0;
}

static int close_all(void **state)
{
	mem_check(&m);
	samara_uffd_put(uffd);
	samara_file_put(file);
	return tear_down(state);
}

/* What a request says, and what it writes into its output field. */
#define CHECK(call, err, field) \
	do { \
		long long done_ = 99; \
		assert_int_equal(call, err); \
		assert_int_equal(done_, field); \
		mem_check(&m); \
	} while (0)
#define COPY(at, pages, mode) uffd_copy_to(uffd, at, bytes, (pages)*P, mode, &done_)
#define ZEROPAGE(at, pages) uffd_zeropage_at(uffd, at, (pages)*P, 0, &done_)
#define CONTINUE(at, pages, mode) uffd_continue_at(uffd, at, (pages)*P, mode, &done_)
#define POISON(at, pages) uffd_poison_at(uffd, at, (pages)*P, 0, &done_)

static int in_file(unsigned long page)
{
	unsigned char byte;

	assert_int_equal(samara_file_pread(file, &byte, 1, page * P), 1);
	return byte;
}

static bool cached(unsigned long page)
{
	return page_cache_has(file->inode, page);
}

/* A page of the file that no mapping has. */
static void write_file(unsigned long page, unsigned char byte)
{
	assert_int_equal(samara_file_pwrite(file, &byte, 1, page * P), 1);
}

static void drop_from_cache(unsigned long page)
{
	struct folio *folio = page_cache_find_locked(file->inode, page);

	assert_non_null(folio);
	page_cache_remove(file->inode, folio);
	folio_unlock(folio);
	folio_put(m.machine->ram, folio);
}

static void copied_pages_are_the_files(void **state)
{
	pte_t pte;

	(void)state;
	CHECK(COPY(shared + P, 2, 0), 0, 2 * P);
	assert_int_equal(in_file(1), 0x10);
	assert_int_equal(in_file(2), 0x11);
	pte = mem_pte(&m, shared + P);
	assert_true(pte_write(pte) && pte_dirty(pte));
	assert_ptr_equal(mem_folio(&m, shared + P)->mapping, file->inode);
	assert_int_equal(mm_rss_sum(m.mm, MM_SHMEMPAGES), 2);
	CHECK(ZEROPAGE(shared + 3 * P, 1), 0, P);
	assert_true(cached(3) && !in_file(3));
	/* Mapped; and in the cache, though not mapped here. */
	CHECK(COPY(shared + P, 1, 0), -EEXIST, -EEXIST);
	write_file(5, 7);
	CHECK(COPY(shared + 4 * P, 4, 0), -EAGAIN, P);
	CHECK(ZEROPAGE(shared + 5 * P, 1), -EEXIST, -EEXIST);
	assert_int_equal(in_file(5), 7);
}

/* The file's page is mapped here; what took its place in the cache is mapped elsewhere. */
static void a_page_that_finds_its_place_taken_leaves_the_cache(void **state)
{
	unsigned long frames;

	(void)state;
	CHECK(COPY(shared, 2, 0), 0, 2 * P);
	frames = mem_frames(&m);
	/* Out of the cache, and the entry stays: what no call does. */
	drop_from_cache(0);
	drop_from_cache(1);
	CHECK(COPY(shared, 1, 0), -EEXIST, -EEXIST);
	CHECK(ZEROPAGE(shared + P, 1), -EEXIST, -EEXIST);
	assert_false(cached(0) || cached(1));
	assert_int_equal(mem_frames(&m), frames);
}

static void a_guard_gives_way(void **state)
{
	(void)state;
	assert_int_equal(samara_madvise(m.mm, shared, 3 * P, 102), 0); /* MADV_GUARD_INSTALL */
	CHECK(POISON(shared, 1), -EEXIST, -EEXIST);
	CHECK(COPY(shared, 1, 0), 0, P);
	CHECK(ZEROPAGE(shared + P, 1), 0, P);
	CHECK(CONTINUE(shared + 2 * P, 1, 0), -EFAULT, -EFAULT);
	write_file(2, 3);
	CHECK(CONTINUE(shared + 2 * P, 1, 0), 0, P);
}

static void no_page_comes_beyond_the_end(void **state)
{
	(void)state;
	CHECK(COPY(shared + 6 * P, 4, 0), -EAGAIN, 2 * P);
	CHECK(COPY(shared + 8 * P, 1, 0), -EFAULT, -EFAULT);
	CHECK(ZEROPAGE(shared + 8 * P, 1), -EFAULT, -EFAULT);
	CHECK(CONTINUE(shared + 8 * P, 1, 0), -EINVAL, -EINVAL);
	CHECK(POISON(shared + 8 * P, 1), -EFAULT, -EFAULT);
	CHECK(COPY(private + 8 * P, 1, 0), -EFAULT, -EFAULT);
	CHECK(ZEROPAGE(private + 8 * P, 1), -EFAULT, -EFAULT);
	CHECK(CONTINUE(private + 8 * P, 1, 0), -EINVAL, -EINVAL);
	CHECK(POISON(private + 8 * P, 1), -EFAULT, -EFAULT);
	assert_false(cached(8));
}

static void continuing_maps_what_the_cache_has(void **state)
{
	pte_t pte;

	(void)state;
	write_file(0, 5);
	write_file(1, 6);
	CHECK(CONTINUE(shared, 4, 0), -EAGAIN, 2 * P);
	pte = mem_pte(&m, shared);
	assert_true(pte_write(pte) && pte_dirty(pte));
	assert_int_equal(*mem_bytes(&m, shared + P), 6);
	CHECK(CONTINUE(shared, 1, 0), -EEXIST, -EEXIST);
	CHECK(CONTINUE(shared + 2 * P, 1, 0), -EFAULT, -EFAULT);
	write_file(2, 7);
	CHECK(CONTINUE(shared + 2 * P, 1, UFFDIO_CONTINUE_MODE_WP), 0, P);
	pte = mem_pte(&m, shared + 2 * P);
	assert_true(pte_uffd_wp(pte) && !pte_write(pte));
	CHECK(CONTINUE(mem_map(&m, 1, RW, MAP_PRIVATE, NULL), 1, 0), -ENOENT, -ENOENT);
}

/* The cache's page is shown until a write, which copies it. */
static void a_private_mapping_continues_with_the_files_page(void **state)
{
	(void)state;
	write_file(0, 5);
	CHECK(CONTINUE(private, 1, 0), 0, P);
	assert_false(pte_write(mem_pte(&m, private)));
	assert_false(folio_test(mem_folio(&m, private), FOLIO_ANON));
	paged_put(m.mm, private, 9);
	assert_int_equal(in_file(0), 5);
	assert_int_equal(paged_get(m.mm, private), 9);
	/* Others are given pages of its own, and the cache gets nothing. */
	CHECK(COPY(private + P, 1, 0), 0, P);
	CHECK(ZEROPAGE(private + 2 * P, 1), 0, P);
	assert_false(cached(1) || cached(2));
	assert_true(folio_test(mem_folio(&m, private + P), FOLIO_ANON));
	assert_true(pte_special(mem_pte(&m, private + 2 * P)));
}

static void what_is_in_swap_is_in_the_cache(void **state)
{
	struct folio *folio;

	(void)state;
	write_file(0, 5);
	folio = page_cache_find_locked(file->inode, 0);
	assert_non_null(folio);
	assert_int_equal(shmem_swap_out(file->inode, folio), 0);
	assert_int_equal(swap_write(p.box.store, folio), 0);
	swap_cache_del(p.box.store, folio);
	folio_unlock(folio);
	folio_put(p.box.ram, folio);
	CHECK(COPY(shared, 1, 0), -EEXIST, -EEXIST);
	CHECK(CONTINUE(shared, 1, 0), 0, P);
	assert_int_equal(paged_get(m.mm, shared), 5);
}

static void protected_and_lost_places_are_filled(void **state)
{
	struct uffdio_writeprotect wp = { { shared, 4 * P }, UFFDIO_WRITEPROTECT_MODE_WP };

	(void)state;
	assert_int_equal(samara_uffd_ioctl(uffd, UFFDIO_WRITEPROTECT, &wp), 0);
	assert_int_equal(pte_marker(mem_pte(&m, shared)), MARKER_UFFD_WP);
	CHECK(POISON(shared, 1), -EEXIST, -EEXIST);
	CHECK(COPY(shared, 1, 0), 0, P);
	assert_false(pte_any_uffd_wp(mem_pte(&m, shared)));
	CHECK(ZEROPAGE(shared + P, 1), 0, P);
	write_file(2, 3);
	CHECK(CONTINUE(shared + 2 * P, 1, UFFDIO_CONTINUE_MODE_WP), 0, P);
	assert_true(pte_any_uffd_wp(mem_pte(&m, shared + 2 * P)));
	CHECK(POISON(shared + 4 * P, 3), 0, 3 * P);
	CHECK(COPY(shared + 4 * P, 1, UFFDIO_COPY_MODE_WP), 0, P);
	assert_true(pte_any_uffd_wp(mem_pte(&m, shared + 4 * P)));
	CHECK(ZEROPAGE(shared + 5 * P, 1), 0, P);
	write_file(6, 3);
	CHECK(CONTINUE(shared + 6 * P, 1, 0), 0, P);
}

static void poison_is_a_bus_error_until_it_is_thrown_away(void **state)
{
	const unsigned long anon = mem_map(&m, 4, RW, MAP_PRIVATE, NULL);
	struct samara_fault fault;
	unsigned char byte;

	(void)state;
	uffd_register_at(uffd, anon, 4 * P, MISSING);
	CHECK(POISON(anon, 2), 0, 2 * P);
	CHECK(POISON(anon + P, 1), -EEXIST, -EEXIST);
	CHECK(POISON(anon, 4), -EEXIST, -EEXIST);
	CHECK(POISON(private, 1), 0, P);
	/* Though the cache has the page. */
	write_file(1, 5);
	CHECK(POISON(shared + P, 1), 0, P);
	for (int i = 0; i < 3; i++) {
		const unsigned long at[] = { anon, private, shared + P };

		assert_int_equal(samara_read(m.mm, at[i], &byte, 1, &fault), 0);
		assert_int_equal(fault.signo, SIGBUS);
		assert_int_equal(samara_madvise(m.mm, at[i], P, MADV_DONTNEED), 0);
		assert_true(pte_none(mem_pte(&m, at[i])));
	}
	CHECK(ZEROPAGE(anon + P, 1), -EEXIST, -EEXIST);
	CHECK(COPY(anon + P, 1, 0), 0, P);
	assert_int_equal(paged_get(m.mm, anon + P), 0x10);
}

static void bad_arguments_write_no_field(void **state)
{
	(void)state;
	CHECK(CONTINUE(shared, 0, 0), -EINVAL, 99);
	CHECK(CONTINUE(shared + 8, 1, 0), -EINVAL, 99);
	CHECK(CONTINUE(shared, 1, 4), -EINVAL, 99);
	CHECK(CONTINUE(-P, 2, 0), -EINVAL, 99);
	CHECK(CONTINUE(m.mm->geo->task_size, 1, 0), -EINVAL, 99);
	CHECK(POISON(shared, 0), -EINVAL, 99);
	CHECK(POISON(shared + 8, 1), -EINVAL, 99);
	CHECK(POISON(m.mm->geo->task_size - P, 2), -EINVAL, 99);
	CHECK(uffd_poison_at(uffd, shared, P, 2, &done_), -EINVAL, 99);
	/* Over the end of the mapping: before a page is looked at. */
	CHECK(POISON(shared + 15 * P, 2), -ENOENT, -ENOENT);
	CHECK(CONTINUE(1UL << 40, 1, 0), -ENOENT, -ENOENT);
}

/* Each allocation of a request is refused in turn: it changes nothing, or all of it. */
static void refuse_each(int (*ask)(void), unsigned long at)
{
	unsigned long n = 0;
	int err;

	do {
		samara_inject_nth(++n);
		err = ask();
		samara_inject_nth(0);
		mem_check(&m);
		assert_true(!err == !pte_none(mem_pte(&m, at)));
	} while (err == -ENOMEM);
	assert_int_equal(err, 0);
	assert_true(n > 1);
}

static int ask_copy(void)
{
	return uffd_copy_to(uffd, shared, bytes, P, 0, NULL);
}

static int ask_zeropage(void)
{
	return uffd_zeropage_at(uffd, shared + P, P, 0, NULL);
}

static int ask_continue(void)
{
	return uffd_continue_at(uffd, private, P, 0, NULL);
}

static int ask_poison(void)
{
	return uffd_poison_at(uffd, private + 600 * P, P, 0, NULL);
}

static void nothing_comes_without_memory(void **state)
{
	const unsigned long page = 600;

	(void)state;
	refuse_each(ask_copy, shared);
	refuse_each(ask_zeropage, shared + P);
	write_file(0, 5);
	refuse_each(ask_continue, private);
	/* A table of its own, and the first family. */
	assert_int_equal(samara_file_set_length(file, (page + 1) * P), 0);
	assert_int_equal(samara_munmap(m.mm, private, 2 * PAGES * P), 0);
	private = mem_map(&m, page + 1, RW, MAP_PRIVATE, file);
	uffd_register_at(uffd, private, (page + 1) * P, ALL);
	refuse_each(ask_poison, private + page * P);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_all, close_all)
	const struct CMUnitTest tests[] = {
		TEST(copied_pages_are_the_files),
		TEST(a_page_that_finds_its_place_taken_leaves_the_cache),
		TEST(a_guard_gives_way),
		TEST(no_page_comes_beyond_the_end),
		TEST(continuing_maps_what_the_cache_has),
		TEST(a_private_mapping_continues_with_the_files_page),
		TEST(what_is_in_swap_is_in_the_cache),
		TEST(protected_and_lost_places_are_filled),
		TEST(poison_is_a_bus_error_until_it_is_thrown_away),
		TEST(bad_arguments_write_no_field),
		TEST(nothing_comes_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
